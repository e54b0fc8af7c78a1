"""Lengths in tokens as bars, with a cut-off that can be moved and says what it would take away."""

from __future__ import annotations

from bisect import bisect_right
from math import ceil, isqrt
from typing import TYPE_CHECKING, Any, ClassVar

from rich.cells import cell_len
from rich.segment import Segment
from rich.style import Style
from textual.message import Message
from textual.strip import Strip
from textual.widget import Widget

from ftui.core.text import one_line
from ftui.ui.bindings import ordered
from ftui.ui.length_stats import MARKS, LengthStats, edges, percent
from ftui.ui.themes import palette
from ftui.ui.widgets import figures
from ftui.ui.widgets.captions import set_subtitle, set_title

if TYPE_CHECKING:
    from textual import events

    from ftui.ui.themes import Palette
    from ftui.ui.token_settings import TokenSettings

_EIGHTHS = " ▁▂▃▄▅▆▇█"
_POOR = "  .:|#"
_SHORTEST, _LONGEST = 8, 1_048_576  # what a recipe takes as max_length
_LEFT = 7  # columns for the number of rows beside the bars


class LengthHistogram(Widget, can_focus=True):
    """Shows LengthStats. cut: the longest length under consideration."""

    BINDINGS: ClassVar[list[Any]] = [
        ordered("left,h", "move(-1)", "shorter", id="data.cut_shorter"),
        ordered("right,l", "move(1)", "longer", id="data.cut_longer"),
        ordered(
            "shift+left,left_square_bracket", "mark(-1)", "common length below", id="data.cut_mark_below"
        ),
        ordered(
            "shift+right,right_square_bracket", "mark(1)", "common length above", id="data.cut_mark_above"
        ),
        ordered("g", "ask('type')", "type a length", id="data.cut_type", show=True),
        ordered("enter", "ask('rows')", "rows over it", id="data.cut_rows", show=True),
        ordered("w", "ask('write')", "into the recipe", id="data.cut_write", show=True),
        ordered("m", "ask('model')", "model", id="data.cut_model", show=True),
        ordered("r", "ask('again')", "count again", id="data.cut_again", show=True),
        ordered("escape", "ask('leave')", "stop, or close", id="data.cut_leave", show=True),
    ]

    class Asked(Message):
        """what: "type", "rows", "write", "model", "again" or "leave"."""

        def __init__(self, what: str) -> None:
            super().__init__()
            self.what = what

    def __init__(self) -> None:
        super().__init__(id="lengths", classes="panel")
        self.stats = LengthStats()
        self.cut = 1024
        self._settings: TokenSettings | None = None
        self._doing = ""
        self._share: float | None = None
        self._warnings: tuple[str, ...] = ()
        self._edges: list[int] = []  # of the bins; a bin may be several columns wide
        self._columns = 0
        self._lines: list[Strip] = []

    def on_mount(self) -> None:
        set_title(self, "lengths in tokens")

    def wait(self, doing: str, share: float | None = None) -> None:
        """Counting goes on. share: how far it is, None while not known."""
        self._doing, self._share = doing, share
        self._lay_out()

    def show(
        self,
        stats: LengthStats,
        settings: TokenSettings,
        *,
        doing: str = "",
        share: float | None = None,
        warnings: tuple[str, ...] = (),
    ) -> None:
        """doing: what goes on, "" at the end. warnings: what is wrong with the figures, a line each."""
        self.stats, self._settings = stats, settings
        self._doing, self._share, self._warnings = doing, share, warnings
        set_subtitle(self, settings.words)
        self._lay_out()

    def set_cut(self, length: int) -> None:
        self.cut = max(_SHORTEST, min(_LONGEST, length))
        self._lay_out()

    @property
    def overlong(self) -> str:
        return self._settings.overlong if self._settings is not None else "truncate"

    # -- keys --------------------------------------------------------------------------------------

    def action_move(self, step: int) -> None:
        """A column further; from beyond the bars to their end."""
        if len(self._edges) < 2:
            wanted = self.cut + step * max(1, self.cut // 16)
        elif not 0 <= (column := self._column(self.cut)) < self._columns:
            shortest, longest = self.stats.ordered[0], self.stats.ordered[-1]
            inwards = (step > 0) == (column < 0)
            wanted = (shortest if column < 0 else longest) if inwards else self.cut + step * (self.cut // 16)
        else:
            wanted = self._length(column + step)
        self.set_cut(self._round(wanted, step))

    def _round(self, wanted: int, step: int) -> int:
        """Lengths are multiples of eight where columns are wide enough; always another one than before."""
        rounded = round(wanted / 8) * 8 if wanted >= 64 else wanted
        moved = (rounded - self.cut) * step > 0
        return rounded if moved else self.cut + step * (8 if self.cut >= 64 and not self.cut % 8 else 1)

    def action_mark(self, step: int) -> None:
        marks = [64, 128, 256, *MARKS, 65536, 131072]
        if step > 0:
            self.set_cut(next((mark for mark in marks if mark > self.cut), self.cut))
        else:
            self.set_cut(next((mark for mark in reversed(marks) if mark < self.cut), self.cut))

    def action_ask(self, what: str) -> None:
        self.post_message(self.Asked(what))

    def on_click(self, event: events.Click) -> None:
        offset = event.get_content_offset(self)
        if offset is not None and len(self._edges) > 1 and (column := offset.x - _LEFT) >= 0:
            self.set_cut(self._length(column))

    def on_resize(self) -> None:
        self._lay_out()

    # -- drawing -----------------------------------------------------------------------------------

    def restyle(self) -> None:
        """Draws everything again in the colours of now."""
        self._lay_out()

    def _lay_out(self) -> None:
        width, height = self.content_size.width, self.content_size.height
        if width < 20 or height < 4:
            return
        colors = palette(self.app)
        head, foot = self._head(width, colors), self._foot(width, colors)
        marks = self._marks(width, colors) if height - len(head) - len(foot) >= 9 and len(self.stats) else []
        room = height - len(head) - len(foot) - len(marks) - 2
        bars = self._bars(width, max(1, room), colors) if len(self.stats) else []
        self._lines = [*head, *bars, *foot, *marks]
        self.refresh()

    def _head(self, width: int, colors: Palette) -> list[Strip]:
        dim = Style(color=colors.dim)
        lines = []
        if self._doing:
            parts = []
            if self._share is not None:
                full, empty = figures.bar(self._share, 16, plain=figures.ascii_only())
                parts = [
                    Segment(full, Style(color=colors.accent)),
                    Segment(empty, Style(color=colors.border)),
                    Segment(" "),
                ]
            parts += [
                Segment(one_line(self._doing, 50), Style(color=colors.foreground)),
                Segment("  esc stops", dim),
            ]
            lines.append(Strip(parts))
        lines += [
            Strip([Segment(f"! {one_line(text, width - 2)}", Style(color=colors.warning))])
            for text in self._warnings
        ]
        if len(self.stats):
            stats = self.stats
            parts = [Segment(f"{len(stats):,} rows   ", Style(color=colors.foreground))]
            for name, value in (
                *((f"p{share}", stats.percentile(share / 100)) for share in (50, 90, 95, 99)),
                ("max", stats.ordered[-1]),
            ):
                parts += [Segment(f"{name} ", dim), Segment(f"{value:,}   ", Style(color=colors.foreground))]
            lines.append(Strip(parts))
        return lines

    def _foot(self, width: int, colors: Palette) -> list[Strip]:
        if not len(self.stats):
            return []
        cost = self.stats.cost(self.cut, self.overlong)
        color = colors.warning if cost.rows else colors.good
        return [Strip([Segment(cost.words(self.cut, self.overlong), Style(color=color, bold=True))])]

    def _marks(self, width: int, colors: Palette) -> list[Strip]:
        """What the common lengths would take away, as far as they take anything."""
        dim = Style(color=colors.dim)
        parts: list[Segment] = []
        for mark in MARKS:
            cost = self.stats.cost(mark, self.overlong)
            words = f"{mark}: {cost.rows:,} over, {percent(cost.rows, cost.of)}   "
            if sum(cell_len(part.text) for part in parts) + len(words) > width:
                break
            parts.append(Segment(words, dim))
            if not cost.rows:
                break
        return [Strip(parts)]

    def _bars(self, width: int, height: int, colors: Palette) -> list[Strip]:
        """`height` lines of bars, the line of the cut-off and the line of lengths."""
        columns = self._columns = width - _LEFT
        found = self.stats.ordered
        # Few rows in many narrow bins would be a fence, not a shape.
        bins = min(columns, max(10, 2 * isqrt(len(found))))
        self._edges = edges(found[0], found[-1], bins)
        counts = self.stats.bins(self._edges)
        most = max(counts)
        plain = figures.ascii_only()
        glyphs = _POOR if plain else _EIGHTHS
        grades = len(glyphs) - 1
        fills = [max(1, round(count * height * grades / most)) if count else 0 for count in counts]
        kept, cut = Style(color=colors.accent), Style(color=colors.bad)
        dim = Style(color=colors.dim)
        at = self._column(self.cut)
        lines = []
        for row in range(height):
            beneath = (height - 1 - row) * grades
            label = f"{most:,}" if row == 0 else ""
            segments = [Segment(f"{label[: _LEFT - 1]:>{_LEFT - 1}} ", dim)]
            for column in range(columns):
                glyph = glyphs[max(0, min(grades, fills[column * bins // columns] - beneath))]
                over = column > at
                if glyph == " " and column == at:
                    segments.append(Segment("|" if plain else "┊", Style(color=colors.warning)))
                else:
                    segments.append(Segment(glyph, cut if over else kept))
            lines.append(Strip(segments))
        return [*lines, self._cut_line(at, columns, colors, plain), self._axis_line(columns, colors)]

    def _column(self, length: int) -> int:
        """The column a length lies in; -1 left of the bars, the number of columns right of them."""
        known, bins = self._edges, len(self._edges) - 1
        if length < known[0]:
            return -1
        if length >= known[-1] - 1:
            return self._columns if length > known[-1] - 1 else self._columns - 1
        at = bisect_right(known, length) - 1
        within = (length - known[at]) / (known[at + 1] - known[at])
        return int((at + within) * self._columns / bins)

    def _length(self, column: int) -> int:
        """The shortest length in a column."""
        known, bins = self._edges, len(self._edges) - 1
        place = max(0, min(column, self._columns)) * bins / self._columns
        at = min(int(place), bins - 1)
        return ceil(known[at] + (place - at) * (known[at + 1] - known[at]))

    def _cut_line(self, at: int, columns: int, colors: Palette, plain: bool) -> Strip:
        rule, pointer = ("-", "^") if plain else ("─", "▲")
        style = Style(color=colors.border)
        place = max(0, min(columns - 1, at))
        mark = {-1: "<" if plain else "◀", columns: ">" if plain else "▶"}.get(at, pointer)
        return Strip(
            [
                Segment(" " * _LEFT),
                Segment(rule * place, style),
                Segment(mark, Style(color=colors.warning, bold=True)),
                Segment(rule * (columns - place - 1), style),
            ]
        )

    def _axis_line(self, columns: int, colors: Palette) -> Strip:
        """Lengths under the bars: both ends, and powers of two where there is room."""
        line = [" "] * columns
        first, last = str(self._edges[0]), f"{self._edges[-1] - 1}"
        for text, place in ((first, 0), (last, columns - len(last))):
            line[max(0, place) : place + len(text)] = text
        for power in range(20):
            length = 2**power
            if self._edges[0] < length < self._edges[-1] - 1:
                text = str(length)
                start = self._column(length) - len(text) // 2
                around = line[max(0, start - 1) : start + len(text) + 1]
                if start > 0 and start + len(text) < columns and all(c == " " for c in around):
                    line[start : start + len(text)] = text
        return Strip([Segment(" " * _LEFT), Segment("".join(line[:columns]), Style(color=colors.dim))])

    def render_line(self, y: int) -> Strip:
        background = Style(bgcolor=palette(self.app).background)
        width = self.content_size.width
        if y >= len(self._lines):
            return Strip.blank(width, background)
        grounded = [Segment(text, background + (style or Style())) for text, style, _ in self._lines[y]]
        return Strip(grounded).crop_extend(0, width, background)

"""What the checks found in the dataset: counts in plain words, rows to jump to, fixes of one key."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

from rich.cells import cell_len
from rich.segment import Segment
from rich.style import Style
from textual.message import Message
from textual.strip import Strip

from ftui.core.text import one_line
from ftui.ui.bindings import ordered
from ftui.ui.themes import palette
from ftui.ui.widgets import figures
from ftui.ui.widgets.captions import set_subtitle, set_title
from ftui.ui.widgets.page import wrap
from ftui.ui.widgets.quiet_scroll import QuietScrollView

if TYPE_CHECKING:
    from textual import events

    from ftui.data.checks.finding import Finding
    from ftui.ui.themes import Palette

_MARKS = {"error": ("✗", "bad"), "warning": ("!", "warning"), "hint": ("·", "dim")}
_INDENT = 10  # mark and count


@dataclass(frozen=True, slots=True)
class Checked:
    """The state of the checks on one dataset.

    missing: checks that did not run, with the reason. share: how far a running check is, else None; doing: in
    words. done, total: rows looked at. partial: stopped before the end. stale: rows have changed since.
    against: the file that must stay unseen, as words. examples: rows that can train, -1 while not known.
    """

    findings: tuple[Finding, ...] = ()
    missing: tuple[tuple[str, str], ...] = ()
    share: float | None = None
    doing: str = ""
    done: int = 0
    total: int = 0
    partial: bool = False
    stale: bool = False
    against: str = ""
    examples: int = -1
    labels: dict[str, str] = field(default_factory=dict)  # what each fix does, in words
    needs: tuple[tuple[str, int, int], ...] = ()  # (task, from, to) examples


class ChecksPanel(QuietScrollView, can_focus=True):
    """A Checked as a list; what a key asks for is posted as a message."""

    BINDINGS: ClassVar[list[Any]] = [
        ordered("up,k", "move(-1)", "finding up", id="data.check_up"),
        ordered("down,j", "move(1)", "finding down", id="data.check_down"),
        ordered("home", "move(-100000)", "first finding", id="data.check_first"),
        ordered("end,G", "move(100000)", "last finding", id="data.check_last"),
        ordered("enter", "jump", "its rows", id="data.check_jump", show=True),
        ordered("x", "fix", "fix them", id="data.check_fix", show=True),
        ordered("right_square_bracket", "group(1)", "next group", id="data.check_group", key_display="]"),
        ordered(
            "left_square_bracket", "group(-1)", "group before", id="data.check_group_before", key_display="["
        ),
        ordered("r", "ask('again')", "check again", id="data.check_again", show=True),
        ordered("v", "ask('against')", "compare with a file", id="data.check_against", show=True),
        ordered("m", "ask('model')", "model for lengths", id="data.check_model", show=True),
        ordered("escape", "ask('leave')", "stop, or close", id="data.check_leave", show=True),
    ]

    class Jump(Message):
        """The rows of a finding are wanted."""

        def __init__(self, finding: Finding) -> None:
            super().__init__()
            self.finding = finding

    class Fix(Jump):
        """A finding's fix is wanted."""

    class Group(Message):
        """The next group of a finding's duplicates is wanted, or the one before."""

        def __init__(self, finding: Finding, step: int) -> None:
            super().__init__()
            self.finding, self.step = finding, step

    class Asked(Message):
        """what: "again", "against", "model" or "leave"."""

        def __init__(self, what: str) -> None:
            super().__init__()
            self.what = what

    def __init__(self, state: Checked, cursor: int = 0) -> None:
        super().__init__(id="checks", classes="panel")
        self.state = state
        self.cursor = cursor
        self._lines: list[tuple[Strip, int]] = []

    def on_mount(self) -> None:
        set_title(self, "checks")
        self.show(self.state)

    def show(self, state: Checked) -> None:
        self.state = state
        self.cursor = max(0, min(self.cursor, self._count - 1))
        set_subtitle(self, summary(state.findings) or ("" if state.share is not None else "nothing found"))
        self._lay_out()
        self.refresh_bindings()

    @property
    def _count(self) -> int:
        return len(self.state.findings) + len(self.state.missing)

    @property
    def finding(self) -> Finding | None:
        """The finding under the cursor."""
        findings = self.state.findings
        return findings[self.cursor] if self.cursor < len(findings) else None

    # -- keys --------------------------------------------------------------------------------------

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        finding = self.finding
        if action == "fix":
            return finding is not None and bool(finding.fix) and self.state.share is None
        if action == "group":
            return finding is not None and bool(finding.groups)
        if action == "ask" and parameters == ("again",):
            return self.state.share is None
        return True

    def action_move(self, step: int) -> None:
        before = self.cursor
        self.cursor = max(0, min(self._count - 1, self.cursor + step))
        if self.cursor != before:
            self._lay_out()
            self.refresh_bindings()
        self._bring_into_sight(step)

    def _bring_into_sight(self, step: int) -> None:
        mine = [number for number, (_, item) in enumerate(self._lines) if item == self.cursor]
        if not mine:
            return
        first = 0 if self.cursor == 0 else mine[0]
        last = len(self._lines) - 1 if self.cursor == self._count - 1 else mine[-1]
        if first < self.top:
            self.scroll_to(y=first, animate=False, force=True)
        elif last >= self.top + self.page_height:
            self.scroll_to(y=last - self.page_height + 1, animate=False, force=True)

    def action_jump(self) -> None:
        if self.finding is not None:
            self.post_message(self.Jump(self.finding))
        elif self.cursor < self._count:
            name = self.state.missing[self.cursor - len(self.state.findings)][0]
            if asked := {"leakage": "against", "too-long": "model"}.get(name):
                self.post_message(self.Asked(asked))

    def action_fix(self) -> None:
        if self.finding is not None:
            self.post_message(self.Fix(self.finding))

    def action_group(self, step: int) -> None:
        if self.finding is not None:
            self.post_message(self.Group(self.finding, step))

    def action_ask(self, what: str) -> None:
        self.post_message(self.Asked(what))

    def on_click(self, event: events.Click) -> None:
        offset = event.get_content_offset(self)
        number = -1 if offset is None else offset.y + self.top
        if 0 <= number < len(self._lines) and (item := self._lines[number][1]) >= 0:
            again = item == self.cursor
            self.cursor = item
            self._lay_out()
            self.refresh_bindings()
            if again:
                self.action_jump()

    # -- drawing -----------------------------------------------------------------------------------

    def on_resize(self) -> None:
        self._lay_out()

    def watch_has_focus(self, has_focus: bool) -> None:
        super().watch_has_focus(has_focus)
        self._lay_out()

    def restyle(self) -> None:
        """Draws everything again in the colours of now."""
        self._lay_out()

    def _lay_out(self) -> None:
        width = self.scrollable_content_region.width
        if width <= 0:
            return
        colors = palette(self.app)
        lines = [(strip, -1) for strip in self._head(width, colors)]
        for number, finding in enumerate(self.state.findings):
            lines += [(strip, number) for strip in self._finding(finding, number, width, colors)]
        if self.state.missing:
            lines += [(Strip([]), -1), (_line("did not run", colors.special), -1)]
        for number, (name, why) in enumerate(self.state.missing, len(self.state.findings)):
            lines += [(strip, number) for strip in self._missing(name, why, number, width, colors)]
        lines += [(strip, -1) for strip in self._needs(width, colors)]
        self._lines = lines
        self.set_length(len(lines))
        self.refresh()

    def _head(self, width: int, colors: Palette) -> list[Strip]:
        """Where the checks stand: running, stopped half-way, or out of date."""
        state, dim = self.state, Style(color=colors.dim)
        if state.share is not None:
            full, empty = figures.bar(state.share, max(8, min(20, width // 4)), plain=figures.ascii_only())
            bar = [
                Segment(full, Style(color=colors.accent)),
                Segment(empty, Style(color=colors.border)),
                Segment(f" {state.share:>4.0%}  {state.doing}", Style(color=colors.foreground)),
                Segment("  esc stops", dim),
            ]
            return [Strip(bar), Strip([])]
        rows = f"{state.done:,} rows checked"
        strips = []
        if state.partial:
            words = f"! partial: stopped after {state.done:,} of {state.total:,} rows   r checks them all"
            strips.append(_line(words, colors.warning))
        elif not state.stale:
            against = f" against {state.against}" if state.against else ""
            strips.append(_line(one_line(f"{rows}{against}", width), colors.dim))
        if state.stale:
            strips.append(_line("! from before your edits   r checks again", colors.warning))
        return [*strips, Strip([])]

    def _finding(self, finding: Finding, number: int, width: int, colors: Palette) -> list[Strip]:
        mark, color = _MARKS[finding.severity]
        mark_style = Style(color=getattr(colors, color), bold=True)
        here = number == self.cursor
        count = f"{finding.count:,}" if finding.rows else "file"
        name = one_line(finding.check, 24)
        head = [
            Segment(f"{mark} ", mark_style),
            Segment(f"{count:>6}  ", Style(color=colors.foreground)),
            Segment(name, Style(color=colors.foreground, bold=True)),
        ]
        if finding.fix:
            label = self.state.labels.get(finding.fix, finding.fix)
            fix = one_line(label, max(4, width - _INDENT - len(name) - 5))
            room = width - _INDENT - len(name) - cell_len(fix) - 2
            head += [
                Segment(" " * max(1, room)),
                Segment("x ", Style(color=colors.accent if here else colors.dim, bold=here)),
                Segment(fix, Style(color=colors.good if here else colors.dim)),
            ]
        strips = [Strip(head), *self._words(one_line(finding.message, 400), width, colors.dim)]
        if finding.groups:
            strips.append(
                _line(f"{'':{_INDENT}}{len(finding.groups):,} groups   ] steps through", colors.dim)
            )
        return self._mark(strips, here, colors, width)

    def _missing(self, name: str, why: str, number: int, width: int, colors: Palette) -> list[Strip]:
        head = Strip(
            [
                Segment(f"{'-':<{_INDENT}}", Style(color=colors.dim)),
                Segment(name, Style(color=colors.foreground)),
            ]
        )
        strips = [head, *self._words(one_line(why, 300), width, colors.dim)]
        return self._mark(strips, number == self.cursor, colors, width)

    def _words(self, text: str, width: int, color: str) -> list[Strip]:
        return [_line(f"{'':{_INDENT}}{line}", color) for line in wrap(text, max(8, width - _INDENT))]

    def _mark(self, strips: list[Strip], here: bool, colors: Palette, width: int) -> list[Strip]:
        if not here:
            return strips
        ground = Style(bgcolor=colors.selection if self.has_focus else colors.panel)
        return [strip.adjust_cell_length(width).apply_style(ground) for strip in strips]

    def _needs(self, width: int, colors: Palette) -> list[Strip]:
        """The number of examples against what tasks usually need."""
        state = self.state
        if state.examples < 0 or not state.needs:
            return []
        good, dim = Style(color=colors.good), Style(color=colors.dim)
        heading = _line(f"{state.examples:,} examples; a task usually needs", colors.special)
        strips = [Strip([]), heading]
        for task, least, most in state.needs:
            enough = state.examples >= least
            parts = [
                Segment("✓ " if enough else "· ", good if enough else dim),
                Segment(f"{task:<12}", Style(color=colors.foreground) if enough else dim),
                Segment(f"{least:>7,} to {most:,}", dim),
            ]
            if not enough:
                parts.append(Segment(f"   {least - state.examples:,} short", dim))
            strips.append(Strip(parts).crop(0, width))
        return strips

    def render_line(self, y: int) -> Strip:
        background = Style(bgcolor=palette(self.app).background)
        width, number = self.scrollable_content_region.width, y + self.scroll_offset.y
        if number >= len(self._lines):
            return Strip.blank(width, background)
        strip = self._lines[number][0]
        grounded = [Segment(text, background + (style or Style())) for text, style, _ in strip]
        return Strip(grounded).crop_extend(0, width, background)


def _line(text: str, color: str) -> Strip:
    return Strip([Segment(text, Style(color=color))])


def summary(findings: tuple[Finding, ...]) -> str:
    """`1 error · 2 warnings`, "" when there is nothing."""
    counts = [(sum(one.severity == severity for one in findings), severity) for severity in _MARKS]
    return " · ".join(f"{count} {severity}{'s' if count > 1 else ''}" for count, severity in counts if count)

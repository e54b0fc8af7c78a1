"""What lint found, with the fix beside it: enter applies the one under the cursor."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from rich.cells import cell_len, set_cell_size
from rich.segment import Segment
from rich.style import Style
from textual.geometry import Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip

from ftui.core.recipe_fields import toml_value
from ftui.core.text import one_line
from ftui.ui.bindings import ordered
from ftui.ui.themes import palette
from ftui.ui.widgets.captions import set_subtitle
from ftui.ui.widgets.wrapping import wrap

if TYPE_CHECKING:
    from collections.abc import Sequence

    from textual import events

    from ftui.core.findings import Finding
    from ftui.ui.themes import Palette

_MARKS = {"error": ("✗", "bad"), "warning": ("!", "warning"), "hint": ("·", "dim")}


class FindingsList(ScrollView, can_focus=True):
    """Findings, errors first; the cursor is on one of them."""

    DEFAULT_CSS = "FindingsList { overflow-x: hidden; scrollbar-size-vertical: 1; }"

    BINDINGS: ClassVar[list[Any]] = [
        ordered("up,k", "move(-1)", "finding up", id="recipe.finding_up"),
        ordered("down,j", "move(1)", "finding down", id="recipe.finding_down"),
        ordered("enter", "apply", "apply the fix", id="recipe.apply_fix", show=True),
    ]

    class Apply(Message):
        """A finding's fix is wanted; one without a fix wants its field shown."""

        def __init__(self, finding: Finding) -> None:
            super().__init__()
            self.finding = finding

    def __init__(self, **arguments: Any) -> None:
        super().__init__(**arguments)
        self._findings: Sequence[Finding] = ()
        self._lines: list[tuple[Strip, int]] = []
        self.cursor = 0

    def show(self, findings: Sequence[Finding]) -> None:
        if list(findings) != list(self._findings):
            before = self._findings[self.cursor] if self._findings else None
            self._findings = findings
            self.cursor = max(0, min(self.cursor, len(findings) - 1))
            if self.has_focus and before in findings:  # others came or went above the one that is looked at
                self.cursor = list(findings).index(before)
            self._lay_out()
            set_subtitle(self, summary(findings))

    @property
    def first_fix(self) -> Finding | None:
        """The first finding that one key cures."""
        return next((finding for finding in self._findings if finding.fix), None)

    def action_move(self, step: int) -> None:
        self.cursor = max(0, min(len(self._findings) - 1, self.cursor + step))
        self._lay_out()
        mine = [number for number, (_, finding) in enumerate(self._lines) if finding == self.cursor]
        height, top = self.scrollable_content_region.height, round(self.scroll_y)
        if mine and not (top <= mine[0] and mine[-1] < top + height):
            self.scroll_to(y=mine[0] if mine[0] < top else mine[-1] - height + 1, animate=False, force=True)

    def action_apply(self) -> None:
        if self._findings:
            self.post_message(self.Apply(self._findings[self.cursor]))

    def on_click(self, event: events.Click) -> None:
        offset = event.get_content_offset(self)
        number = -1 if offset is None else offset.y + round(self.scroll_y)
        if 0 <= number < len(self._lines):
            again = self._lines[number][1] == self.cursor and self.has_focus
            self.cursor = self._lines[number][1]
            self._lay_out()
            if again:
                self.action_apply()

    def on_resize(self) -> None:
        self._lay_out()

    def notify_style_update(self) -> None:
        super().notify_style_update()
        self._lay_out()

    def watch_has_focus(self, has_focus: bool) -> None:
        super().watch_has_focus(has_focus)
        self._lay_out()

    def _lay_out(self) -> None:
        width = self.scrollable_content_region.width
        if width <= 0:
            return
        colors = palette(self.app)
        self._lines = []
        if not self._findings:
            self._lines = [(Strip([Segment("nothing to improve", Style(color=colors.good))]), 0)]
        for number, finding in enumerate(self._findings):
            self._lines += [(strip, number) for strip in self._finding(finding, number, width, colors)]
        self.virtual_size = Size(width, len(self._lines))
        self.refresh()

    def _finding(self, finding: Finding, number: int, width: int, colors: Palette) -> list[Strip]:
        here = number == self.cursor and self.has_focus
        mark, color = _MARKS[finding.severity]
        background = Style(bgcolor=colors.selection) if here else Style()
        lines = wrap(one_line(finding.message, 300), width - 2)
        strips = [
            Strip(
                [
                    Segment(
                        f"{mark} " if not index else "  ", Style(color=getattr(colors, color), bold=True)
                    ),
                    Segment(set_cell_size(line, width - 2), Style(color=colors.foreground)),
                ]
            ).apply_style(background)
            for index, line in enumerate(lines)
        ]
        action = (
            ", ".join(f"{name} = {toml_value(value)}" for name, value in finding.fix.items()) or finding.hint
        )
        if action:
            key = "enter" if here and finding.fix else ""
            room = width - 4 - (len(key) + 1 if key else 0)
            text = one_line(action, room)
            pad = " " * max(0, width - 4 - cell_len(text) - len(key))
            strips.append(
                Strip(
                    [
                        Segment("  → ", Style(color=colors.dim)),
                        Segment(text + pad, Style(color=colors.dim)),
                        Segment(key, Style(color=colors.accent, bold=True)),
                    ]
                ).apply_style(background)
            )
        return strips

    def render_line(self, y: int) -> Strip:
        number = y + self.scroll_offset.y
        background = Style(bgcolor=palette(self.app).background)
        width = self.scrollable_content_region.width
        if number >= len(self._lines):
            return Strip.blank(width, background)
        return self._lines[number][0].apply_style(background).crop_extend(0, width, background)


def summary(findings: Sequence[Finding]) -> str:
    """`1 error · 2 warnings`, "" when there is nothing."""
    counts = [(sum(f.severity == severity for f in findings), severity) for severity in _MARKS]
    return " · ".join(f"{count} {severity}{'s' if count > 1 else ''}" for count, severity in counts if count)

"""The fields that were found in a file's rows, one of them under the cursor."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from rich.segment import Segment
from rich.style import Style
from textual.message import Message
from textual.reactive import reactive
from textual.strip import Strip

from ftui.core.text import one_line
from ftui.ui.bindings import ordered
from ftui.ui.themes import palette
from ftui.ui.widgets.quiet_scroll import QuietScrollView

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from textual import events

    from ftui.core.shapes_survey import FoundField

_KIND = 6


class FoundFields(QuietScrollView, can_focus=True):
    """Where, what kind, in how many rows, and what the first one says."""

    BINDINGS: ClassVar[list[Any]] = [
        ordered("up,k", "move(-1)", "field up", id="data.map_up"),
        ordered("down,j", "move(1)", "field down", id="data.map_down"),
        ordered("home", "move(-1000)", "first field", id="data.map_first"),
        ordered("end", "move(1000)", "last field", id="data.map_last"),
    ]

    cursor: reactive[int] = reactive(0, repaint=False)

    class Moved(Message):
        """The cursor is on another field."""

    def __init__(self, **arguments: Any) -> None:
        super().__init__(**arguments)
        self._fields: Sequence[FoundField] = ()
        self._rows = 1
        self._marks: Mapping[str, str] = {}

    def show(self, fields: Sequence[FoundField], rows: int, marks: Mapping[str, str]) -> None:
        """marks: pointer -> the letter of what it is assigned to."""
        self._fields, self._rows, self._marks = fields, max(1, rows), marks
        self.set_length(len(fields))
        self.refresh()

    def field(self) -> FoundField | None:
        return self._fields[self.cursor] if self.cursor < len(self._fields) else None

    def go_to(self, pointer: str) -> None:
        """The cursor on the field at `pointer`, where there is one."""
        for at, field in enumerate(self._fields):
            if field.pointer == pointer:
                self.cursor = at

    def validate_cursor(self, at: int) -> int:
        return max(0, min(at, len(self._fields) - 1))

    def watch_cursor(self, _old: int, new: int) -> None:
        height = self.page_height
        if height and not self.top <= new < self.top + height:
            self.scroll_to(y=max(0, new - height // 2), animate=False, force=True)
        self.refresh()
        self.post_message(self.Moved())

    def action_move(self, step: int) -> None:
        self.cursor += step

    def on_click(self, event: events.Click) -> None:
        offset = event.get_content_offset(self)
        if offset is not None and offset.y + self.top < len(self._fields):
            self.cursor = offset.y + self.top

    def on_resize(self) -> None:
        self.set_length(len(self._fields))

    def render_line(self, y: int) -> Strip:
        colors = palette(self.app)
        width = self.scrollable_content_region.width
        at = y + self.scroll_offset.y
        background = Style(bgcolor=colors.background)
        if at >= len(self._fields):
            return Strip.blank(width, background)
        if at == self.cursor:
            background = Style(bgcolor=colors.selection)
        field = self._fields[at]
        longest = max(len(field.pointer) for field in self._fields)
        room = max(8, min(longest, (width - 14) * 6 // 10))
        share = round(100 * field.rows / self._rows)
        dim = Style(color=colors.dim)
        mark = self._marks.get(field.pointer, " ")
        parts = [
            Segment(f"{mark} ", Style(color=colors.accent, bold=True)),
            Segment(f"{_end(field.pointer, room):<{room}} ", Style(color=colors.foreground)),
            Segment(f"{field.kind:<{_KIND}}{share:>4}%  ", dim),
            Segment(one_line(field.sample, max(1, width - room - 15)), dim),
        ]
        return Strip(parts).apply_style(background).crop_extend(0, width, background)


def _end(pointer: str, width: int) -> str:
    """The end of a pointer says more than its beginning."""
    shown = one_line(pointer or "(the whole row)", 10_000)
    return shown if len(shown) <= width else "…" + shown[-(width - 1) :]

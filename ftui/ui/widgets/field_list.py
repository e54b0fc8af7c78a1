"""A form of any length as a list: only the lines in sight are drawn, and one editor serves all fields."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from rich.cells import cell_len, set_cell_size
from rich.segment import Segment
from rich.style import Style
from textual.geometry import Region, Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip

from ftui.ui.bindings import ordered
from ftui.ui.themes import palette
from ftui.ui.widgets.wrapping import wrap

if TYPE_CHECKING:
    from collections.abc import Sequence

    from textual import events

    from ftui.ui.recipe_rows import FieldRow, Section
    from ftui.ui.themes import Palette

LABEL = 18  # columns from the mark to the value
_EXPLAINED = 5  # lines under a field, at most in all but the narrowest terminals
_MARKS = {"error": ("✗", "bad"), "warning": ("!", "warning"), "hint": ("·", "warning")}


@dataclass(frozen=True, slots=True)
class _Line:
    """field: the dotted name the line belongs to; "" for headings. first: the line with its value."""

    strip: Strip
    field: str = ""
    first: bool = False


class FieldList(ScrollView, can_focus=True):
    """Sections of fields, one field under the cursor with its explanation below it."""

    DEFAULT_CSS = "FieldList { overflow-x: hidden; scrollbar-size-vertical: 1; scrollbar-gutter: stable; }"

    BINDINGS: ClassVar[list[Any]] = [
        ordered("up,k", "move(-1)", "field up", id="recipe.up"),
        ordered("down,j", "move(1)", "field down", id="recipe.down"),
        ordered("pageup", "move(-8)", "page up", id="recipe.pageup"),
        ordered("pagedown", "move(8)", "page down", id="recipe.pagedown"),
        ordered("home", "move(-1000)", "first field", id="recipe.first"),
        ordered("end", "move(1000)", "last field", id="recipe.last"),
        ordered("enter", "edit", "edit", id="recipe.edit", show=True),
        ordered("right,space", "step(1)", "next choice", id="recipe.next_choice"),
        ordered("left", "step(-1)", "previous choice", id="recipe.previous_choice"),
    ]

    class Moved(Message):
        """The cursor is on another field."""

        def __init__(self, field: str) -> None:
            super().__init__()
            self.field = field

    class Scrolled(Message):
        """The lines are in another place."""

    class Step(Message):
        """The next (1) or previous (-1) choice of a field is wanted."""

        def __init__(self, field: str, by: int) -> None:
            super().__init__()
            self.field, self.by = field, by

    def __init__(self, **arguments: Any) -> None:
        super().__init__(**arguments)
        self._sections: Sequence[Section] = ()
        self._lines: list[_Line] = []
        self._order: list[str] = []
        self._error = ""
        self.cursor = ""

    # -- what is shown

    def show(self, sections: Sequence[Section]) -> None:
        """Takes the fields; the cursor stays on its field, or goes to the nearest one left."""
        at = self._order.index(self.cursor) if self.cursor in self._order else 0
        self._sections = sections
        self._order = [row.field.name for section in sections for row in section.rows]
        if self.cursor not in self._order and self._order:
            self.cursor = self._order[min(at, len(self._order) - 1)]
        self._lay_out()

    def show_error(self, text: str) -> None:
        """Says under the focused field why what is typed is not accepted; "" takes it back."""
        if text != self._error:
            self._error = text
            self._lay_out()

    def go(self, field: str) -> None:
        """Puts the cursor on a field that is shown."""
        if field in self._order and field != self.cursor:
            self.cursor, self._error = field, ""
            self._lay_out()
            self.post_message(self.Moved(field))
        self._bring_into_view()

    @property
    def fields(self) -> list[str]:
        """The names of the fields shown, in order."""
        return list(self._order)

    def value_region(self) -> Region | None:
        """Where the focused field's value is drawn, within the widget; None while it is scrolled away."""
        mine = (n for n, one in enumerate(self._lines) if one.first and one.field == self.cursor)
        line = next(mine, None)
        top = 0 if line is None else line - round(self.scroll_y)
        if line is None or not 0 <= top < self.scrollable_content_region.height:
            return None
        return Region(LABEL + 2, top, max(10, self.scrollable_content_region.width - LABEL - 2), 1)

    # -- the cursor

    def action_move(self, step: int) -> None:
        if self._order:
            at = self._order.index(self.cursor) if self.cursor in self._order else 0
            self.go(self._order[max(0, min(len(self._order) - 1, at + step))])

    async def action_edit(self) -> None:
        """The editor is there before the next key is looked at."""
        await self.screen.run_action("edit_value")

    def action_step(self, by: int) -> None:
        if self.cursor:
            self.post_message(self.Step(self.cursor, by))

    async def on_click(self, event: events.Click) -> None:
        offset = event.get_content_offset(self)
        number = -1 if offset is None else offset.y + round(self.scroll_y)
        if 0 <= number < len(self._lines) and (field := self._lines[number].field):
            if field == self.cursor and self._lines[number].first:
                await self.action_edit()
            else:
                self.go(field)

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        super().watch_scroll_y(old_value, new_value)
        self.post_message(self.Scrolled())

    def on_resize(self) -> None:
        self._lay_out()
        self._bring_into_view()

    def notify_style_update(self) -> None:
        super().notify_style_update()
        self._lay_out()

    def watch_has_focus(self, has_focus: bool) -> None:
        super().watch_has_focus(has_focus)
        self._lay_out()

    def _bring_into_view(self) -> None:
        """Scrolls so that the focused field, its heading above and its explanation below are in sight."""
        height = self.scrollable_content_region.height
        mine = [number for number, line in enumerate(self._lines) if line.field == self.cursor]
        if not height or not mine:
            return
        first, last, top = mine[0], mine[-1], round(self.scroll_y)
        if first > 0 and not self._lines[first - 1].field:
            first = max(0, first - 2)
        wanted = first if first < top or last - first >= height else max(top, last - height + 1)
        if wanted != top:
            self.scroll_to(y=wanted, animate=False, immediate=True, force=True)

    # -- drawing

    def _lay_out(self) -> None:
        """Makes the lines anew and sends those in sight that changed."""
        width = self.scrollable_content_region.width
        if width <= 0:
            return
        colors, before = palette(self.app), self._lines
        self._lines = []
        for section in self._sections:
            if self._lines:
                self._lines.append(_Line(Strip.blank(width)))
            heading = Segment(section.title, Style(color=colors.special, bold=True))
            self._lines.append(_Line(Strip([heading])))
            for row in section.rows:
                self._field(row, width, colors)
        # Room for the longest explanation, so that a shorter one does not lay out the screen anew.
        explained = sum(1 for line in self._lines if line.field == self.cursor) - 1
        size = Size(width, len(self._lines) + max(0, _EXPLAINED - explained))
        if size != self.virtual_size:
            self.virtual_size = size
        top = self.scroll_offset.y
        for y in range(self.size.height):
            old = before[top + y].strip if top + y < len(before) else None
            new = self._lines[top + y].strip if top + y < len(self._lines) else None
            if old != new:
                self.refresh(Region(0, y, self.size.width, 1))

    def _field(self, row: FieldRow, width: int, colors: Palette) -> None:
        here = row.field.name == self.cursor
        self._lines.append(_Line(self._value_line(row, width, colors, here), row.field.name, first=True))
        if not here:
            return
        dim, why = Style(color=colors.dim), row.field.why
        if self._error:
            lines = [(text, Style(color=colors.bad)) for text in wrap(self._error, width - 2)]
        else:
            lines = [(text, dim) for text in wrap(why, width - 2)]
            lines += [(text, dim) for text in wrap(_limits(row), width - 2)]
        self._lines += [_Line(Strip([Segment(f"  {text}", style)]), row.field.name) for text, style in lines]

    def _value_line(self, row: FieldRow, width: int, colors: Palette, here: bool) -> Strip:
        mark, color = _MARKS.get(row.severity, (" ", "dim"))
        accent = Style(color=colors.accent, bold=True)
        label = accent if here and self.has_focus else Style(color=colors.foreground if here else colors.dim)
        room = width - LABEL - 2
        note = row.note if cell_len(row.note) + 14 <= room else ""
        value_room = room - (cell_len(note) + 2 if note else 0)
        changed = Style(color=colors.eval if row.changed else colors.foreground, bold=here)
        return Strip(
            [
                Segment("›" if here else mark, accent if here else Style(color=getattr(colors, color))),
                Segment(mark if here else " ", Style(color=getattr(colors, color))),
                Segment(set_cell_size(row.label, LABEL - 1) + " ", label),
                Segment(
                    _cropped(row.value, value_room), Style(color=colors.dim) if row.value == "–" else changed
                ),
                Segment(f"  {note}" if note else "", Style(color=colors.dim)),
            ]
        )

    def render_line(self, y: int) -> Strip:
        number = y + self.scroll_offset.y
        background = Style(bgcolor=palette(self.app).background)
        width = self.scrollable_content_region.width
        if number >= len(self._lines):
            return Strip.blank(width, background)
        return self._lines[number].strip.apply_style(background).crop_extend(0, width, background)


def _limits(row: FieldRow) -> str:
    """What the field accepts and what is usual, in one line."""
    field = row.field
    parts = [
        field.expected if not field.choices and field.expected != "text" else "",
        field.unit,
        f"usually {field.usual}" if field.usual else "",
    ]
    if field.choices:
        names = (
            ["on", "off"]
            if field.choices == (True, False)
            else [str(choice) or "–" for choice in field.choices]
        )
        parts[0] = "  ".join(names)
    return " · ".join(part for part in parts if part)


def _cropped(text: str, width: int) -> str:
    """`text` in exactly `width` cells, with an ellipsis where it goes on."""
    return set_cell_size(text, width) if cell_len(text) <= width else set_cell_size(text, width - 1) + "…"

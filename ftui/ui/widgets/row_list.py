"""The rows of a dataset as a list of any length: only the lines in sight exist.

Given summaries, it draws them; what it lacks it asks for with `Needed`. It reads nothing itself. It lists all
rows, or a view: some of them.
"""

from __future__ import annotations

from bisect import bisect_left
from typing import TYPE_CHECKING, Any, ClassVar

from rich.style import Style
from textual.message import Message
from textual.reactive import reactive
from textual.strip import Strip

from ftui.ui.bindings import ordered
from ftui.ui.themes import palette
from ftui.ui.widgets.quiet_scroll import QuietScrollView
from ftui.ui.widgets.row_line import Marks, row_line, waiting_line

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from textual import events

    from ftui.data.rows import RowSummary

_KEPT = 4096  # summaries kept in memory


class RowList(QuietScrollView, can_focus=True):
    """Rows 1 to `total`, or a view of them; one is under the cursor.

    cursor: a row's number, whatever is listed. Put on a row outside the view, all rows are listed again.
    """

    BINDINGS: ClassVar[list[Any]] = [
        ordered("up,k", "move(-1)", "row up", id="data.up"),
        ordered("down,j", "move(1)", "row down", id="data.down"),
        ordered("pageup,ctrl+b", "page(-1)", "page up", id="data.pageup"),
        ordered("pagedown,ctrl+f", "page(1)", "page down", id="data.pagedown"),
        ordered("home", "go(1)", "first row", id="data.first"),
        ordered("end,G", "go(-1)", "last row", id="data.last"),
    ]

    cursor: reactive[int] = reactive(1, repaint=False)
    total: reactive[int] = reactive(0, repaint=False)

    class Moved(Message):
        """The cursor is on another row."""

        def __init__(self, number: int) -> None:
            super().__init__()
            self.number = number

    class Needed(Message):
        """Rows to be supplied: their numbers, ascending."""

        def __init__(self, numbers: Sequence[int]) -> None:
            super().__init__()
            self.numbers = numbers

    class ViewLeft(Message):
        """The cursor went to a row that the view does not hold: all rows are listed."""

    def __init__(self, **arguments: Any) -> None:
        super().__init__(**arguments)
        self._rows: dict[int, RowSummary] = {}
        self._pending: set[int] = set()
        self._matches: frozenset[int] = frozenset()
        self._text = ""
        self._asked: Sequence[int] = ()
        self._numbers: Sequence[int] = range(1, 1)  # of the rows listed, ascending
        self._in_view = False

    # -- a view ------------------------------------------------------------------------------------

    @property
    def numbers(self) -> Sequence[int]:
        """The numbers of the rows listed, ascending."""
        return self._numbers

    @property
    def in_view(self) -> bool:
        """True while some of the rows are listed, False for all."""
        return self._in_view

    def show_only(self, numbers: Sequence[int]) -> None:
        """Lists these rows, ascending, at least one; the cursor goes to the first of them from where it is."""
        self._list(numbers, True)
        at = bisect_left(numbers, self.cursor)
        self.cursor = numbers[min(at, len(numbers) - 1)]
        self._to_cursor()

    def show_all(self) -> None:
        """Lists all rows again; the cursor stays on its row."""
        if self._in_view:
            self._list(range(1, self.total + 1), False)
            self._to_cursor()

    def holds(self, number: int) -> bool:
        """Whether row `number` is among those listed."""
        at = self.line_of(number)
        return at < len(self._numbers) and self._numbers[at] == number

    def line_of(self, number: int) -> int:
        """The line, from 0, of row `number`, or of the next one listed."""
        return bisect_left(self._numbers, number)

    def _list(self, numbers: Sequence[int], in_view: bool) -> None:
        self._numbers, self._in_view = numbers, in_view
        self._asked = ()
        self.set_length(len(numbers))
        self.refresh()

    def _to_cursor(self) -> None:
        """After other rows were listed: to the line of the cursor, wherever it was before."""
        line, height = self.line_of(self.cursor), self.page_height
        self.scroll_to(y=max(0, line - height // 2), animate=False, force=True)
        self._require()

    # -- what is shown -----------------------------------------------------------------------------

    def supply(self, page: Iterable[RowSummary]) -> None:
        """Takes summaries, new or changed, and draws those in sight."""
        if len(self._rows) > _KEPT:
            line = self.line_of(self.cursor)
            near = self._numbers[max(0, line - _KEPT // 4) : line + _KEPT // 4]
            self._rows = {number: self._rows[number] for number in near if number in self._rows}
        for row in page:
            changed = self._rows.get(row.number) != row or row.number in self._pending
            self._rows[row.number] = row
            self._pending.discard(row.number)
            if changed:
                self._redraw(row.number)

    def forget(self) -> None:
        """Drops every summary: the rows are to be read again."""
        self._rows.clear()
        self._pending.clear()
        self._asked = ()
        self.refresh()
        self._require()

    def row(self, number: int) -> RowSummary | None:
        return self._rows.get(number)

    def wait_for(self, number: int) -> None:
        """Marks a row whose decision is on its way to the disk."""
        self._pending.add(number)
        self._redraw(number)

    def waits(self, number: int) -> bool:
        """Whether a decision on a row is on its way: its summary is from before."""
        return number in self._pending

    def settle(self, number: int) -> None:
        """Takes the mark of `wait_for` away."""
        self._pending.discard(number)
        self._redraw(number)

    def mark_matches(self, numbers: Iterable[int], text: str) -> None:
        """Makes found rows and the text that was looked for stand out."""
        self._matches, self._text = frozenset(numbers), text
        self.refresh()

    def watch_total(self, before: int, total: int) -> None:
        """Only what was not there before is drawn: a list that grows behind the scenes costs nothing."""
        wider = len(str(before)) != len(str(total))
        if not self._in_view:
            self._numbers = range(1, total + 1)
            self.set_length(total)
        if self.cursor > total > 0:
            self.cursor = total
        if wider or min(before, total) < self.top + self.page_height:
            self.refresh()
        self._require()

    # -- the cursor --------------------------------------------------------------------------------

    def validate_cursor(self, number: int) -> int:
        return max(1, min(number, self.total)) if self.total else 1

    def watch_cursor(self, old: int, new: int) -> None:
        if self._in_view and not self.holds(new):
            self.show_all()
            self.post_message(self.ViewLeft())
        self._redraw(old)
        self._redraw(new)
        self._show_cursor()
        self.post_message(self.Moved(new))

    def _show_cursor(self) -> None:
        height = self.page_height
        if not height:
            return
        line, top = self.line_of(self.cursor), self.top
        if not top <= line < top + height:
            # To the middle: the rows around it are in sight, and the list is sent again once in half a page.
            self.scroll_to(y=max(0, line - height // 2), animate=False, force=True)

    def next_row(self, step: int) -> int:
        """The row `step` lines further down, or up; the last or the first one where there are not as many."""
        if not self._numbers:
            return self.cursor
        return self._numbers[max(0, min(self.line_of(self.cursor) + step, len(self._numbers) - 1))]

    def action_move(self, step: int) -> None:
        self.cursor = self.next_row(step)

    def action_page(self, step: int) -> None:
        self.cursor = self.next_row(step * max(1, self.page_height - 1))

    def action_go(self, end: int) -> None:
        self.cursor = self.next_row(-len(self._numbers) if end > 0 else len(self._numbers))

    def on_click(self, event: events.Click) -> None:
        offset = event.get_content_offset(self)
        if offset is not None and (line := offset.y + self.top) < len(self._numbers):
            self.cursor = self._numbers[line]

    # -- asking for rows ---------------------------------------------------------------------------

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        super().watch_scroll_y(old_value, new_value)
        self._require()

    def on_resize(self) -> None:
        self.set_length(len(self._numbers))
        self._show_cursor()
        self._require()

    def _require(self) -> None:
        """Asks for what is in sight, and a page around it, unless it is here or on its way."""
        height, top, listed = self.page_height, self.top, self._numbers
        if not height or not listed:
            return
        if all(number in self._rows for number in listed[top : top + height]):
            ahead = (top - height // 2, top + height + height // 2)
            if all(listed[line] in self._rows for line in ahead if 0 <= line < len(listed)):
                return
        wish = listed[max(0, top - height) : top + 2 * height]
        if wish != self._asked:
            self._asked = wish
            self.post_message(self.Needed(wish))

    # -- drawing -----------------------------------------------------------------------------------

    def _redraw(self, number: int) -> None:
        line = self.line_of(number) - self.top
        if 0 <= line < self.size.height:
            self.redraw_lines([line])

    def render_line(self, y: int) -> Strip:
        line = y + self.scroll_offset.y
        colors = palette(self.app)
        width = self.scrollable_content_region.width
        background = Style(bgcolor=colors.background)
        if line >= len(self._numbers):
            return Strip.blank(width, background)
        number = self._numbers[line]
        if number == self.cursor:
            background = Style(bgcolor=colors.selection if self.has_focus else colors.panel)
        row, digits = self._rows.get(number), max(3, len(str(self.total)))
        if row is None:
            parts = waiting_line(number, digits, colors)
        else:
            found = self._text if number in self._matches else None
            marks = Marks(number == self.cursor, number in self._pending, found)
            parts = row_line(row, marks, width, digits, colors)
        return Strip(parts).apply_style(background).crop_extend(0, width, background)

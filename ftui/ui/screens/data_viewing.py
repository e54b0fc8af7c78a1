"""Views: the list shows some of the rows, under a name, until esc shows all of them again.

A decided row stays in its view, with its new mark: the list does not jump under the cursor. Choosing the same
queue or filter again leaves it out.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual import on
from textual.message import Message

from ftui.ui.dataset_messages import Changed
from ftui.ui.screens.data_deciding import Deciding
from ftui.ui.widgets.row_list import RowList

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ftui.data.rows import RowSummary
    from ftui.ui.dataset_desk import DatasetDesk, Written


class Counted(Message):
    """How many rows of a view are undecided."""

    def __init__(self, desk: DatasetDesk, numbers: Sequence[int], undecided: int) -> None:
        super().__init__()
        self.desk, self.numbers, self.undecided = desk, numbers, undecided


class Viewing(Deciding):
    """The part of the Data pane that shows some of the rows."""

    def __init__(self) -> None:
        super().__init__()
        self._label = ""
        self._left: int | None = None  # undecided rows of the view, None until counted

    @property
    def viewing(self) -> bool:
        """True while the list shows some of the rows."""
        return self.rows.in_view

    @property
    def view_caption(self) -> tuple[str, int, int, int | None] | None:
        """(label, where in the view the cursor is, rows in it, how many are undecided); None without one."""
        if not self.viewing:
            return None
        rows = self.rows
        return self._label, rows.line_of(rows.cursor) + 1, len(rows.numbers), self._left

    def show_only(self, numbers: Sequence[int], label: str) -> None:
        """Lists just these rows (ascending), named `label`; esc shows all rows again.

        The cursor stays on its row where that is one of them, else goes to the next one. No rows: only said.
        """
        if not numbers:
            self.say(f"no rows: {label}")
            return
        self._label = label
        self.rows.show_only(numbers)
        self._view_changed()
        self._count_undecided()

    def show_all(self) -> None:
        """Lists all rows; the cursor stays where it is."""
        self.rows.show_all()
        self._view_changed()

    @on(RowList.ViewLeft)
    def view_left(self) -> None:
        self._view_changed()

    def _view_changed(self) -> None:
        self._left = None
        self._caption()
        self.refresh_bindings()

    def _after_the_last(self) -> str:
        if not self.viewing:
            return super()._after_the_last()
        left = f", {self._left:,} still undecided" if self._left else ""
        return f"that was the last row of this view{left}: esc shows all rows"

    # -- how many are left -------------------------------------------------------------------------

    def _count_undecided(self) -> None:
        desk, numbers = self.desk, self.rows.numbers
        if desk is None or desk.dataset is None or not self.viewing:
            return
        dataset = desk.dataset

        def count() -> None:
            self.post_message(Counted(desk, numbers, dataset.undecided_among(numbers)))

        self.run_worker(count, thread=True, exclusive=True, group="count", exit_on_error=False)

    @on(Counted)
    def show_counted(self, message: Counted) -> None:
        if message.desk is self.desk and message.numbers is self.rows.numbers:
            self._left = message.undecided
            self._caption()

    @on(Changed)
    def count_again(self, message: Changed) -> None:
        """Others have annotated."""
        if message.desk is self.desk:
            self._count_undecided()

    def before_supply(self, message: Written) -> None:
        """Keeps count of the undecided rows, from each row's summary before and after."""
        if not self.viewing:
            return
        change = 0
        for row in message.page:
            if not self.rows.holds(row.number):
                continue
            before = self.rows.row(row.number)
            if before is None:
                self._count_undecided()
                return
            change += _undecided(row) - _undecided(before)
        if not message.page:
            self._count_undecided()
        elif self._left is not None:
            self._left = max(0, self._left + change)

    def after_write(self, message: Written) -> None:
        """An undo of what this view does not hold says so in words; the view stays."""
        outside = self.viewing and message.numbers and not self.rows.holds(message.numbers[0])
        if not (outside and not message.ticket):
            super().after_write(message)


def _undecided(row: RowSummary) -> bool:
    return row.status == "undecided" and not row.deleted

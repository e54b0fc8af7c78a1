"""Queues: the rows still to be decided, the decided ones, those that annotators disagree about, each as a view."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual import on
from textual.message import Message

from ftui.core.text import one_line
from ftui.ui.screens.data_filtering import Filtering

if TYPE_CHECKING:
    from ftui.data.agreement import Agreement
    from ftui.data.operation import Op
    from ftui.ui.dataset_desk import DatasetDesk
    from ftui.ui.modals.choose_key import ChooseKey

# key -> (name, the query of its rows)
_QUEUES = {
    "u": ("undecided", "status:undecided"),
    "a": ("accepted", "status:accepted"),
    "x": ("rejected", "status:rejected"),
    "f": ("flagged", "is:flagged"),
    "e": ("edited", "is:edited"),
    "c": ("conflicts", "is:conflict"),
    "b": ("broken", "is:broken"),
    "d": ("deleted", "is:deleted"),
}


class QueuesCounted(Message):
    """How many rows each queue has, by key, and how far annotators agree; for the dialog that asked."""

    def __init__(
        self, desk: DatasetDesk, dialog: ChooseKey, counts: dict[str, int], agreed: Agreement | None
    ) -> None:
        super().__init__()
        self.desk, self.dialog, self.counts, self.agreed = desk, dialog, counts, agreed


class Queues(Filtering):
    """The part of the Data pane with the queues."""

    async def action_queues(self) -> None:
        from ftui.ui.modals.choose_key import Choice, ChooseKey

        desk = self.desk
        if desk is None or desk.dataset is None:
            return
        choices = [Choice(key, name, None) for key, (name, _) in _QUEUES.items()]
        dialog = ChooseKey("queues", choices)
        await self.app.push_screen(dialog, self._show_queue)
        self.run_worker(
            lambda: self._count_queues(desk, dialog),
            thread=True,
            exclusive=True,
            group="queues",
            exit_on_error=False,
        )

    def _count_queues(self, desk: DatasetDesk, dialog: ChooseKey) -> None:
        """In a thread; nothing is read."""
        from ftui.data.agreement import agreement_of
        from ftui.data.filtering import facets

        if desk.dataset is None:
            return
        found = facets(desk.dataset)
        by_name = found.status | found.marks | {"conflicts": found.marks["conflict"]}
        counts = {key: by_name[name] for key, (name, _) in _QUEUES.items()}
        self.post_message(QueuesCounted(desk, dialog, counts, agreement_of(desk.dataset)))

    @on(QueuesCounted)
    def show_queue_counts(self, message: QueuesCounted) -> None:
        from ftui.ui.modals.choose_key import Choice

        if message.desk is not self.desk or message.dialog is not self.app.screen:
            return
        agreed, note = message.agreed, ""
        if agreed is not None:
            people = " and ".join(one_line(name, 16) for name in agreed.annotators[:2])
            more = len(agreed.annotators) - 2
            note = f"{people}{f' and {more} more' if more > 0 else ''}: {agreed}"
        choices = [Choice(key, name, message.counts[key]) for key, (name, _) in _QUEUES.items()]
        message.dialog.show(choices, note)

    def _show_queue(self, key: str | None) -> None:
        from ftui.data.query import parse

        if key is not None:
            name, query = _QUEUES[key]
            self.look_for(parse(query), name, from_top=True)

    # -- a row in conflict -------------------------------------------------------------------------

    async def show_conflict(self, ops: list[Op]) -> None:
        """Above the example: who decided what, while annotators disagree about the row."""
        from ftui.ui.widgets.conflict_note import ConflictNote, conflict_in

        note = self.query("ConflictNote").first() if self.query("ConflictNote") else None
        found = conflict_in(ops)
        if found is None and note is None:
            return
        if note is None:
            note = ConflictNote()
            await self.query_one("#reading").mount(note, before=self.example)
        assert isinstance(note, ConflictNote)
        note.show(found)

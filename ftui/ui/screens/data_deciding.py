"""Deciding about rows: accept, reject, rate, flag, tag, note, undo. One key, on to the next row.

What only a key press needs is imported by it: the first paint does without.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from ftui.core.text import sanitize
from ftui.ui.screens.base import PaneScreen
from ftui.ui.widgets.example_view import ExampleView
from ftui.ui.widgets.row_list import RowList

if TYPE_CHECKING:
    from ftui.data.actions import Action
    from ftui.ui.dataset_desk import DatasetDesk, Facts, Refused, Written


class Deciding(PaneScreen):
    """The part of the Data pane that writes decisions. The cursor moves on at once; the mark follows the disk."""

    def __init__(self) -> None:
        super().__init__()
        self.desk: DatasetDesk | None = None
        self.facts: Facts | None = None
        self._shown = asyncio.Event()  # set while the row under the cursor is the one on the page
        self._known_tags: dict[str, None] = {}
        self._refused = 0  # the first row whose decision was not kept since the last key that decides

    @property
    def rows(self) -> RowList:
        return self.query_one(RowList)

    @property
    def example(self) -> ExampleView:
        return self.query_one(ExampleView)

    def _caption(self) -> None:
        """Brings the list's border up to date; the screen says how."""
        raise NotImplementedError

    def _want_row(self, number: int) -> None:
        """Has a row read and shown; the screen says how."""
        raise NotImplementedError

    def action_decide(self, status: str) -> None:
        from ftui.data import actions

        number = self.rows.cursor
        summary = self.rows.row(number)
        # A decision on a row in conflict settles it, even where it is the one that stood last.
        # So does one on a row whose last decision is not written yet.
        if summary is None or summary.status != status or summary.conflict or self.rows.waits(number):
            self._write(number, actions.accept() if status == "accepted" else actions.reject())
        self._move_on()

    def action_skip(self) -> None:
        self._move_on()

    def _move_on(self) -> None:
        following = self.rows.next_row(1)
        if following != self.rows.cursor:
            self.rows.cursor = following
        elif self.facts is not None and self.facts.complete:
            self.say(self._after_the_last())

    def _after_the_last(self) -> str:
        """What to say when there is no row to move on to."""
        return "that was the last row"

    def action_flag(self) -> None:
        from ftui.data import actions

        summary = self.rows.row(self.rows.cursor)
        self._write(self.rows.cursor, actions.flag(not (summary is not None and summary.flagged)))

    async def action_rate(self) -> None:
        from ftui.ui.widgets.prompt_line import KeyLine

        choices = [("1", ""), ("2", ""), ("3", ""), ("4", ""), ("5", "stars"), ("0", "none")]
        number = self.rows.cursor  # what is written meanwhile may move it
        await self.ask(KeyLine("rate", choices, lambda key: self._rate(number, int(key))))

    def action_rate_now(self, stars: int) -> None:
        self._rate(self.rows.cursor, stars)

    def _rate(self, number: int, stars: int) -> None:
        from ftui.data import actions

        row = self.example.row
        known = row is not None and row.number == number and not self.rows.waits(number)
        if row is None or not known or row.rating != (stars or None):
            self._write(number, actions.rate(stars or None))

    async def action_tag(self) -> None:
        from ftui.ui.widgets.prompt_line import PromptLine

        number = self.rows.cursor
        row = self.example.row
        tags = row.tags if row is not None and row.number == number else ()
        await self.ask(
            PromptLine(
                "tag",
                lambda text: self._tag(number, text, tags),
                placeholder="a word; one the row has is taken away" if tags else "a word",
                suggestions=[sanitize(tag, lines=False) for tag in self._known_tags],
            )
        )

    def _tag(self, number: int, text: str, tags: tuple[str, ...]) -> None:
        from ftui.data import actions

        if name := text.strip():
            self._note_tags((name,))
            self._write(number, actions.untag(name) if name in tags else actions.tag(name))

    def _note_tags(self, tags: tuple[str, ...]) -> None:
        """Remembers tags that were seen, to suggest them."""
        self._known_tags.update(dict.fromkeys(tags))

    async def action_note(self) -> None:
        from ftui.ui.widgets.prompt_line import PromptLine

        number = self.rows.cursor
        row = self.example.row
        before = sanitize(row.note, lines=False) if row is not None and row.number == number else ""
        await self.ask(
            PromptLine(
                "note",
                lambda text: self._note(number, text, before),
                value=before,
                placeholder="for whoever reads this row next",
            )
        )

    def _note(self, number: int, text: str, before: str) -> None:
        from ftui.data import actions

        if text != before:
            self._write(number, actions.note(text.strip()))

    def action_delete(self) -> None:
        from ftui.data import actions

        summary = self.rows.row(self.rows.cursor)
        gone = summary is not None and summary.deleted
        self._write(self.rows.cursor, actions.restore() if gone else actions.delete())

    def action_undo(self) -> None:
        if self.desk is not None:
            self.desk.undo()

    def action_redo(self) -> None:
        if self.desk is not None:
            self.desk.redo()

    def _write(self, number: int, action: Action, what: str = "") -> int:
        """Queues an action; its ticket, which `Written` or `Refused` will carry."""
        if self.desk is None:
            return 0
        self._refused = 0
        self.rows.wait_for(number)
        return self.desk.write(number, action, what)

    def after_write(self, message: Written) -> None:
        """Undo shows the row it changed."""
        if not message.ticket and message.numbers:
            self.rows.cursor = message.numbers[0]

    def after_refusal(self, message: Refused) -> None:
        """Back to the row whose decision was not kept; of several in a burst to the first."""
        if message.number:
            self._refused = min(message.number, self._refused or message.number)
            self.rows.cursor = self._refused

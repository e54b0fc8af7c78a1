"""Who sits at the Chat pane's sides, and how they answer."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from ftui.ui.chat_asking import Asking
from ftui.ui.chat_sides import Choices, Settings, side_of
from ftui.ui.screens.base import PaneScreen
from ftui.ui.widgets.reply_side import ReplySide

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ftui.ui.chat_sides import Side
    from ftui.ui.modals.chat_settings import Adjusted

LETTERS = "ABCD"  # one a side


class Seating(PaneScreen):
    """The part of the Chat pane that adds, removes and changes sides."""

    def __init__(self) -> None:
        super().__init__()
        self._asking = Asking(self.post_message, lambda turn: turn == self._turn)
        self._choices = Choices()
        self._settings = Settings()
        self._turn = 0  # counts questions, so that late words are told from current ones
        self._seated = False  # by the user or a request: defaults no longer apply
        self._here: ReplySide | None = None
        self._seats = asyncio.Lock()  # keys, a request and what was found in a thread may all want to seat

    @property
    def _rows(self) -> list[ReplySide]:
        return list(self.query(ReplySide))

    @property
    def _focused_row(self) -> ReplySide:
        rows = self._rows
        return self._here if self._here is not None and self._here in rows else rows[-1]

    def _turn_to(self, row: ReplySide) -> None:
        self._here = row
        self.set_focus(row)  # at once: the next key is for it

    async def _seat_default(self) -> None:
        """Seats whom there is, unless somebody was seated by the user or a request meanwhile."""
        async with self._seats:
            if not self._seated and not any(row.turns for row in self._rows):
                await self._place(self._choices.default())

    async def _seat(self, sides: Sequence[Side]) -> None:
        async with self._seats:
            await self._place(sides)

    async def _place(self, sides: Sequence[Side]) -> None:
        """As many rows as sides; a row that keeps its side keeps its conversation."""
        rows, box = self._rows, self.query_one("#sides")
        for row in rows[len(sides) :]:
            await row.remove()
        for row, side, letter in zip(rows, sides, LETTERS, strict=False):
            row.seat(side, letter)
        for index in range(len(rows), len(sides)):
            await box.mount(ReplySide(sides[index], self._settings, LETTERS[index]))
        self.refresh_bindings()

    def action_turn_to(self, by: int) -> None:
        rows = self._rows
        self._turn_to(rows[(rows.index(self._focused_row) + by) % len(rows)])

    def action_pick(self) -> None:
        from ftui.ui.modals.pick_side import PickSide

        row = self._focused_row

        def picked(side: Side | None) -> None:
            if side is not None:
                self._seated = True
                row.seat(side, row.letter)
                self._free_memory()

        self.app.push_screen(PickSide(self._choices.sides, row.letter, row.side), picked)

    async def action_add_side(self) -> None:
        """The next adapter that is not seated yet; where there is none, the user says who."""
        async with self._seats:
            taken, base = {row.side.adapter for row in self._rows}, self._rows[0].side.base
            free = [side for side in self._choices.sides if side.adapter and side.adapter not in taken]
            free.sort(key=lambda side: side.base != base)
            self._seated = True
            await self._place([*(row.side for row in self._rows), free[0] if free else side_of(base, "")])
        self._turn_to(self._rows[-1])
        if not free:
            self.action_pick()

    async def action_remove_side(self) -> None:
        self._seated = True
        async with self._seats:
            if len(self._rows) > 1:
                await self._focused_row.remove()
            for row, letter in zip(self._rows, LETTERS, strict=False):
                row.seat(row.side, letter)
        self._turn_to(self._rows[-1])
        self._free_memory()
        self.refresh_bindings()

    def action_settings(self) -> None:
        from ftui.ui.modals.chat_settings import ChatSettings

        row = self._focused_row

        def adjusted(answer: Adjusted | None) -> None:
            if answer is None:
                return
            if answer.everywhere:
                self._settings = answer.settings
            for one in self._rows if answer.everywhere else [row]:
                one.settings = answer.settings
                one.redraw()

        self.app.push_screen(ChatSettings(row.settings, row.letter), adjusted)

    def _free_memory(self) -> None:
        """Ends the servers nobody sits at any more."""
        bases = {row.side.base for row in self._rows}
        self._in_thread(lambda: self._asking.servers.keep_only(bases), "free")

    def _in_thread(self, work: Callable[[], None], group: str) -> None:
        self.run_worker(work, thread=True, group=group, exit_on_error=False)

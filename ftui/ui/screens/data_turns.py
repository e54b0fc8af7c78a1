"""Merging, splitting, adding, taking out turns, and saying who said one. One operation each, one undo."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ftui.core.errors import FtuiError
from ftui.ui.screens.data_editing import Editing

if TYPE_CHECKING:
    from ftui.data.rows import Row
    from ftui.data.turns import TurnAt
    from ftui.ui.reading import Block
    from ftui.ui.widgets.field_editor import FieldEditor

_ROLES = (("u", "user"), ("a", "assistant"), ("s", "system"), ("t", "tool"))


class Turning(Editing):
    """The part of the Data pane that works on whole turns: the one that holds the chosen block."""

    def __init__(self) -> None:
        super().__init__()
        self._new_turn_after = -1  # the block a turn being typed comes after

    async def _turn(self) -> tuple[Row, Block, TurnAt] | None:
        """The row, the chosen block and its turn; what stands in the way is said."""
        from ftui.data.turns import turn_at

        chosen = await self._chosen()
        if chosen is None:
            return None
        row, block = chosen
        try:
            return row, block, turn_at(row.value, block.pointer, row.mapping)
        except FtuiError as error:
            self.say_error(error)
            return None

    async def action_merge_turns(self) -> None:
        """The chosen turn and the next become one; asked about where that could be meant otherwise."""
        from ftui.data import turns
        from ftui.ui.widgets.prompt_line import KeyLine

        if (found := await self._turn()) is None:
            return
        row, _, at = found
        try:
            question, merged = turns.question(at), turns.merge(at)
        except FtuiError as error:
            self.say_error(error)
            return
        if not question:
            self._write(row.number, merged, "two turns are one now; u takes it back")
            return
        answer = lambda _key: self._write(row.number, merged)  # noqa: E731
        await self.ask(KeyLine(question, [("y", "yes")], answer))

    async def action_split_turn(self) -> None:
        """Opens the chosen turn; ctrl+s cuts it in two at the text cursor."""
        if (found := await self._turn()) is None:
            return
        row, block, at = found
        if block.kind != "text" or len(block.edit) < 2:
            self.say_error(FtuiError("there is nothing to split here", "choose the text of a turn"))
            return

        def finish(editor: FieldEditor) -> None:
            # Through the app's own queue: keys that move the text cursor, typed just before, are there too.
            self.app.call_later(self._ask_for_the_second, row.number, at, editor)

        if editor := await self._open_editor_to("split at the cursor", block, finish):
            editor.go_to(_likely_cut(block.edit))

    async def _ask_for_the_second(self, number: int, at: TurnAt, editor: FieldEditor) -> None:
        """Who says the second half."""
        from ftui.data import turns
        from ftui.ui.widgets.prompt_line import KeyLine

        text, offset = editor.value, editor.cursor_offset
        said_by = {"s": at.said_by(at.turn), "o": at.other_role}
        try:
            changes = {key: turns.split(at, text, offset, role) for key, role in said_by.items()}
        except FtuiError as error:
            self.say_error(error)
            return

        def write(key: str) -> None:
            self._ticket = self._write(number, changes[key], "one turn is two now; u takes it back")

        choices = [("s", f"the same ({said_by['s']})"), ("o", f"the other ({said_by['o']})")]
        await self.ask(KeyLine("the second half is said by", choices, write))

    async def action_new_turn(self) -> None:
        """An empty turn after the chosen one, to be typed; nothing is written before ctrl+s."""
        from ftui.data import turns
        from ftui.ui.reading import Block

        if (found := await self._turn()) is None:
            return
        row, block, at = found
        role = at.other_role

        def finish(editor: FieldEditor) -> None:
            if not editor.value.strip():
                self._close_editor()
                return
            what = f"a {role} turn was added"
            self._ticket = self._write(row.number, turns.insert(at, role, editor.value), what)

        last = self.example.chosen
        own = f"{at.container}/{at.index}/"
        while last + 1 < len(self.example.blocks) and (
            self.example.blocks[last + 1].pointer or ""
        ).startswith(own):
            last += 1
        self._new_turn_after = self.example.chosen
        new = Block("text", role, role, "", "new", column=block.column, pointer=f"{at.container}/-")
        self.example.add_block(new, last + 1)
        await self._open_editor_to("add this turn", new, finish)

    def _close_editor(self) -> None:
        """A turn that was not added is gone from the page: back to the one it was to follow."""
        if self._new_turn_after >= 0 and not self._ticket:
            self.example.chosen = self._new_turn_after
        self._new_turn_after = -1
        super()._close_editor()

    async def action_remove_turn(self) -> None:
        from ftui.data import turns

        if (found := await self._turn()) is None:
            return
        row, _, at = found
        try:
            self._write(row.number, turns.remove(at), "a turn was taken out")
        except FtuiError as error:
            self.say_error(error)

    async def action_turn_role(self) -> None:
        """Asks who said the chosen turn."""
        from ftui.data import turns
        from ftui.ui.widgets.prompt_line import KeyLine

        if (found := await self._turn()) is None:
            return
        row, _, at = found
        words = dict(_ROLES)

        def write(key: str) -> None:
            if words[key] != at.said_by(at.turn):
                self._write(row.number, turns.change_role(at, words[key]))

        await self.ask(KeyLine("this turn is said by", _ROLES, write))


def _likely_cut(text: str) -> int:
    """Where a turn is most likely cut: after the blank line (or the line's end) nearest to the middle."""
    for mark in ("\n\n", "\n", ". "):
        cuts = []
        at = text.find(mark)
        while at >= 0:
            cuts.append(at + len(mark))
            at = text.find(mark, at + 1)
        if cuts := [cut for cut in cuts if text[:cut].strip() and text[cut:].strip()]:
            return min(cuts, key=lambda cut: abs(cut - len(text) // 2))
    return 0

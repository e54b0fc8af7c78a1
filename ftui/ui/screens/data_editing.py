"""Editing a field where it stands, or in the user's own editor. Typed text is kept until the disk has it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from textual import on
from textual.app import SuspendNotSupported

from ftui.core.errors import FtuiError
from ftui.ui.screens.data_bulk import Bulk
from ftui.ui.widgets.captions import set_subtitle
from ftui.ui.widgets.example_view import ExampleView

if TYPE_CHECKING:
    from collections.abc import Callable

    from ftui.data.actions import Action
    from ftui.data.rows import Row
    from ftui.ui.dataset_desk import Refused, Written
    from ftui.ui.reading import Block
    from ftui.ui.widgets.field_editor import FieldEditor

_PATIENCE_SECONDS = 3.0


class Editing(Bulk):
    """The part of the Data pane that edits."""

    def __init__(self) -> None:
        super().__init__()
        self._editor: FieldEditor | None = None
        self._ticket = 0  # of the edit on its way to the disk
        self._came_from_example = False
        self._finish: Callable[[FieldEditor], None] | None = None  # what ctrl+s does, where it is no edit

    @property
    def editing(self) -> bool:
        return self._editor is not None and self._editor.block is not None

    def unsaved(self) -> str:
        if self._editor is not None and self._editor.changed:
            return f"row {self._editor.number:,} has an edit that is not saved"
        return ""

    async def action_edit(self) -> None:
        block = await self._editable()
        if block is not None:
            await self._open_editor(block)

    @on(ExampleView.EditAsked)
    async def edit_asked(self) -> None:
        if not self.editing:
            await self.action_edit()

    async def _editable(self) -> Block | None:
        """The chosen block, or the whole row where that has no place of its own.

        Waits until the row under the cursor is shown: what is typed after the key belongs into the editor.
        """
        from ftui.ui.reading import editable

        shown = await self._chosen()
        return editable(*shown) if shown is not None else None

    async def _chosen(self) -> tuple[Row, Block] | None:
        """The row under the cursor and its chosen block, once they are shown."""
        try:
            async with asyncio.timeout(_PATIENCE_SECONDS):
                while not self._row_is_shown():
                    self._shown.clear()
                    await self._shown.wait()
        except TimeoutError:
            self.say(f"row {self.rows.cursor:,} is still being read")
            return None
        row, block = self.example.row, self.example.block()
        return None if row is None or block is None else (row, block)

    def _row_is_shown(self) -> bool:
        row = self.example.row
        return self._shown.is_set() and row is not None and row.number == self.rows.cursor

    async def _open_editor(self, block: Block, text: str | None = None) -> None:
        """Opens on `block`, with `text` instead of its own."""
        from ftui.ui.widgets.safe_input import can_hold

        if len(block.edit) > 1_000_000 or not can_hold(block.edit):
            self.say_error(FtuiError("this text is too large or too odd to edit here", "press E for $EDITOR"))
            return
        row = self.example.row
        editor = self._editor = await self._make_room()
        now = self.example.row
        if (
            row is None
            or now is None
            or (now is not row and (now.number, now.value, now.raw) != (row.number, row.value, row.raw))
        ):
            self.say("another row is shown by now")  # an undo was on its way
            return
        self._came_from_example = self.focused is self.example
        editor.begin(block, row.number, text)
        self.set_focus(editor, scroll_visible=False)
        self._place_editor()
        set_subtitle(self.example, "ctrl+s save · esc back")
        self.refresh_bindings()

    async def _make_room(self) -> FieldEditor:
        """The editor, made with the first edit: the first paint does without."""
        from ftui.ui.widgets.field_editor import FieldEditor

        editor = self._editor
        if editor is None:
            editor = FieldEditor()
            await self.query_one("#reading").mount(editor)
        return editor

    async def _open_editor_to(
        self, what: str, block: Block, finish: Callable[[FieldEditor], None]
    ) -> FieldEditor | None:
        """Opens on `block` for something else than editing it: ctrl+s then calls `finish`."""
        await self._open_editor(block)
        if self._editor is None or not self.editing:
            return None
        self._finish = finish
        set_subtitle(self.example, f"ctrl+s {what} · esc back")
        return self._editor

    def _place_editor(self) -> None:
        """The editor lies over the field's own lines, as high as its text."""
        editor = self._editor
        if editor is None or editor.block is None:
            return
        region = self.example.open_gap(editor.wanted_height)
        corner = self.example.content_region.offset - self.query_one("#reading").region.offset
        editor.put(region.translate(corner))

    def on_text_area_changed(self) -> None:
        self._place_editor()

    def on_field_editor_resized(self) -> None:
        self._place_editor()

    def on_resize(self) -> None:
        self.call_after_refresh(self._place_editor)

    # -- leaving the editor ------------------------------------------------------------------------

    def on_field_editor_save(self) -> None:
        editor = self._editor
        if editor is None or editor.block is None or self._ticket:
            return
        if self._finish is not None:
            self._finish(editor)
            return
        if not editor.changed:
            self._close_editor()
            return
        try:
            action = _action(editor.block, editor.value)
        except FtuiError as error:
            self.say_error(error)
            return
        self._ticket = self._write(editor.number, action)

    async def on_field_editor_leave(self) -> None:
        editor = self._editor
        if editor is None or not editor.changed:
            self._close_editor()
            return
        from ftui.ui.widgets.prompt_line import KeyLine

        choices = [("s", "save it"), ("d", "discard it")]
        await self.ask(KeyLine("the edit is not saved", choices, self._answer_leaving))

    def _answer_leaving(self, key: str) -> None:
        if key == "s":
            self.on_field_editor_save()
        else:
            self._close_editor()

    def _close_editor(self) -> None:
        if self._editor is None or not self.editing:
            return
        self._ticket, self._finish = 0, None
        self._editor.end()
        self.example.close_gap()
        set_subtitle(self.example, "")
        self.set_focus(self.example if self._came_from_example else self.rows)
        self.refresh_bindings()
        self._want_row(self.rows.cursor)

    def after_write(self, message: Written) -> None:
        super().after_write(message)
        if message.ticket and message.ticket == self._ticket:
            self._close_editor()

    def after_refusal(self, message: Refused) -> None:
        """The editor stays open with what was typed."""
        if message.ticket == self._ticket:
            self._ticket = 0
        if not self.editing:
            super().after_refusal(message)

    # -- $EDITOR -----------------------------------------------------------------------------------

    async def action_edit_outside(self) -> None:
        block = await self._editable()
        if block is not None:
            await self._edit_outside(block, block.edit)

    async def on_field_editor_outside(self) -> None:
        editor = self._editor
        if editor is not None and editor.block is not None:
            await self._edit_outside(editor.block, editor.value)

    async def _edit_outside(self, block: Block, text: str) -> None:
        from ftui.ui.outside_editor import edit_outside

        number = self.rows.cursor
        try:
            with self.app.suspend():
                edited = edit_outside(text, ".json" if block.as_json else ".txt")
        except SuspendNotSupported:
            self.say_error(
                FtuiError("this terminal cannot be lent to another program", "press e to edit here")
            )
            return
        except FtuiError as error:
            self.say_error(error)
            return
        if self._editor is not None and self.editing:
            self._editor.fill(edited)
        elif edited != block.edit:
            await self._open_editor(block, edited)
            try:
                action = _action(block, edited)
            except FtuiError as error:
                self.say_error(error)
                return
            self._ticket = self._write(number, action)


def _action(block: Block, text: str) -> Action:
    """What saving `text` does to the row. Raises FtuiError where it is not what the field holds."""
    from ftui.data import actions
    from ftui.ui.widgets.field_editor import parse_edit

    if block.kind == "bytes":
        return actions.replace_raw(text)
    return actions.set_value(block.pointer or "", parse_edit(block, text))

"""Pasted text lands once, and never as terminal commands."""

from __future__ import annotations

from textual.app import App
from textual.events import Paste

from ftui.ui.widgets.safe_input import SafeInput, SafeTextArea


class Form(App):
    def compose(self):
        yield SafeInput()
        yield SafeTextArea()


async def test_a_paste_is_inserted_once():
    async with Form().run_test() as pilot:
        line, area = pilot.app.query_one(SafeInput), pilot.app.query_one(SafeTextArea)
        line.focus()
        pilot.app.post_message(Paste("ab"))  # where the terminal's pastes arrive
        await pilot.pause()
        area.focus()
        pilot.app.post_message(Paste("cd\x1b[2J"))
        await pilot.pause()
        assert line.value == "ab"
        assert area.value == "cd\x1b[2J"

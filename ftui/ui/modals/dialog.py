"""What every dialog shares: where it stands, and that it is answered once."""

from __future__ import annotations

from typing import TypeVar

from textual.await_complete import AwaitComplete
from textual.screen import ModalScreen

Answer = TypeVar("Answer")


class Dialog(ModalScreen[Answer]):
    """A dialog over the middle of a pane."""

    DEFAULT_CSS = "Dialog { align: center middle; }"

    def dismiss(self, result: Answer | None = None) -> AwaitComplete:
        """Closes it with an answer, once, and what lies over it too.

        A second key of the same burst, or the word of a thread, may come when it is closed already: Textual
        would close whatever is there instead, and has nothing to close where that is the pane.
        """
        if self not in self.app.screen_stack:
            return AwaitComplete.nothing()
        while not self.is_active:
            self.app.pop_screen()
        return super().dismiss(result)

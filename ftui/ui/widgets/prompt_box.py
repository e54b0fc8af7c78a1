"""Where a prompt is written: enter sends it, ctrl+j breaks the line, and whatever is pasted stays whole."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from textual.binding import Binding
from textual.message import Message

from ftui.ui.bindings import typed
from ftui.ui.widgets.safe_input import SafeTextArea, can_hold

if TYPE_CHECKING:
    from textual import events


class PromptBox(SafeTextArea):
    """Grows to five lines; posts Sent with the text exactly as it was written, pasted or filled in."""

    DEFAULT_CSS = """
    PromptBox {
        height: auto;
        min-height: 1;
        max-height: 5;
        padding: 0;
        border: none;
        background: $background;
        scrollbar-size-vertical: 1;
    }
    PromptBox:focus { border: none; }
    """
    BINDINGS: ClassVar[list[Any]] = [
        Binding("enter", "send", "send", key_display="enter", id="chat.send", priority=True),
        Binding("ctrl+j", "newline", "new line", show=False, id="chat.newline", priority=True),
    ]

    class Sent(Message):
        def __init__(self, text: str) -> None:
            super().__init__()
            self.text = text

    class Typed(Message):
        """The text changed; `empty` is whether none is left."""

        def __init__(self, empty: bool) -> None:
            super().__init__()
            self.empty = empty

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(
            "", id=id, soft_wrap=True, show_line_numbers=False, tab_behavior="focus", compact=True,
            highlight_cursor_line=False, placeholder="ask all sides at once",
        )  # fmt: skip

    def put(self, text: str) -> None:
        """Replaces the text, leaving the cursor at its end."""
        self.fill(text if can_hold(text) else "".join(c for c in text if can_hold(c)))
        self.move_cursor(self.document.end)

    async def action_send(self) -> None:
        await typed(self)
        if text := self.value.strip():
            self.fill("")
            self.post_message(self.Sent(text))

    async def action_newline(self) -> None:
        await typed(self)
        self.insert("\n")

    async def _on_paste(self, event: events.Paste) -> None:
        event.prevent_default()  # every class in the line would insert it once more
        await super()._on_paste(event)

    def on_text_area_changed(self) -> None:
        self.post_message(self.Typed(not self.text))

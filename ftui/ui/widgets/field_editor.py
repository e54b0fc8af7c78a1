"""The editor that opens in the place of a field: the rest of the example stays where it is."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, ClassVar

from textual.binding import Binding
from textual.message import Message

from ftui.core.errors import FtuiError
from ftui.ui.widgets.safe_input import SafeTextArea

if TYPE_CHECKING:
    from textual.geometry import Region

    from ftui.ui.reading import Block


class FieldEditor(SafeTextArea):
    """Edits one block of row `number`; None when closed. It stays open, text and all, until the disk has it."""

    DEFAULT_CSS = """
    FieldEditor {
        position: absolute; layer: above;
        border: none; padding: 0; background: $panel; color: $foreground;
        scrollbar-size-vertical: 1;
    }
    FieldEditor:focus { border: none; }
    FieldEditor .text-area--cursor-line { background: $panel; }
    FieldEditor .text-area--cursor { background: $accent; color: $background; }
    FieldEditor .text-area--selection { background: $selection; }
    """

    # With priority: TextArea takes esc as a wish to leave for the next widget.
    BINDINGS: ClassVar[list[Any]] = [
        Binding("ctrl+s", "save", "save", id="data.save_edit", priority=True),
        Binding("escape", "leave", "leave", id="data.leave_edit", priority=True),
        Binding("ctrl+o", "outside", "go on in $EDITOR", id="data.go_outside", priority=True),
    ]

    class Save(Message):
        """ctrl+s."""

    class Leave(Message):
        """esc."""

    class Resized(Message):
        """Its text is wrapped anew: another height may fit better."""

    class Outside(Message):
        """Go on in $EDITOR."""

    def __init__(self) -> None:
        super().__init__(soft_wrap=True, tab_behavior="indent", compact=True, highlight_cursor_line=False)
        self.block: Block | None = None
        self.number = 0
        self.display = False

    def begin(self, block: Block, number: int, text: str | None = None) -> None:
        """Opens on a block of row `number`; with `text`, on that instead of what the block holds."""
        self.block, self.number = block, number
        self.fill(block.edit if text is None else text)
        self.move_cursor(self.document.end)
        self.display = True

    def end(self) -> None:
        """Closes. The widget stays for the next edit."""
        self.block, self.display = None, False
        self.fill("")

    @property
    def changed(self) -> bool:
        return self.block is not None and self.value != self.block.edit

    @property
    def cursor_offset(self) -> int:
        """Where the text cursor is in `value`."""
        return self.document.get_index_from_location(self.cursor_location)  # type: ignore[attr-defined]

    def go_to(self, offset: int) -> None:
        """Puts the text cursor before character `offset`."""
        self.move_cursor(self.document.get_location_from_index(offset))  # type: ignore[attr-defined]

    @property
    def wanted_height(self) -> int:
        """Lines for the whole text and the one being typed."""
        return max(2, self.wrapped_document.height)

    def put(self, region: Region) -> None:
        """Moves to `region` of the container."""
        self.styles.offset = (region.x, region.y)
        self.styles.width, self.styles.height = region.width, region.height

    def on_resize(self) -> None:
        self.post_message(self.Resized())

    def action_save(self) -> None:
        self.post_message(self.Save())

    def action_leave(self) -> None:
        self.post_message(self.Leave())

    def action_outside(self) -> None:
        self.post_message(self.Outside())


def parse_edit(block: Block, text: str) -> Any:
    """The value that an edited text stands for. Raises FtuiError where JSON was expected and is not there."""
    if not block.as_json:
        return text
    try:
        return json.loads(text)
    except RecursionError:
        raise FtuiError("nested too deeply to read") from None
    except ValueError as error:
        place = getattr(error, "lineno", 0)
        where = f"line {place} of the field" if place else ""
        raise FtuiError(
            f"this is not JSON yet: {getattr(error, 'msg', error)}", "your text is kept", where
        ) from None

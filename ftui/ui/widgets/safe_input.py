"""One line and many lines of text to edit, whatever is in them.

Textual's Input and TextArea send what they hold to the terminal as it is; TextArea also splits lines at more
than newlines. Both would let a dataset command the terminal or lose characters; these do not.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any, ClassVar

from rich.text import Text
from textual.actions import SkipAction
from textual.binding import Binding
from textual.widgets import Input, TextArea

from ftui.core.text import sanitize

if TYPE_CHECKING:
    from textual import events

# Hostile characters travel through the editor as private-use ones, one for one, and come back unchanged.
_PLANE_15, _PLANE_16, _TAGS = 0xF0000, 0x100000, 0xE0000


# Printable keys whose characters Textual does not find by their names: it would let a binding have them.
UNNAMED_KEYS = frozenset({"slash", "backslash", "minus", "plus", "at", "underscore"})


async def _do_own(field: Input | TextArea, event: events.Key) -> None:
    """Does what a key means to `field` in the order of the keys.

    Textual has the app do it, which is later than the letters behind it: of `a b backspace c` typed in one burst
    the c would be taken away.
    """
    for binding in field._bindings.key_to_bindings.get(event.key, ()):
        if not binding.priority and await field.app.run_action(binding.action, field):
            event.stop()
            event.prevent_default()
            return


class SafeInput(Input):
    """An Input whose pasted text is shown, never obeyed. A value set by code is sanitized by whoever sets it."""

    def check_consume_key(self, key: str, character: str | None) -> bool:
        return key in UNNAMED_KEYS or super().check_consume_key(key, character)

    async def _on_key(self, event: events.Key) -> None:
        await _do_own(self, event)

    def _on_paste(self, event: events.Paste) -> None:
        event.prevent_default()  # Textual calls every class's handler: the text would be inserted twice
        lines = event.text.splitlines() or [""]
        event.text = sanitize(lines[0], lines=False)
        super()._on_paste(event)


class SafeTextArea(TextArea):
    """A TextArea for untrusted text: `fill` it, and `value` gives back exactly what was not edited."""

    BINDINGS: ClassVar[list[Any]] = [
        Binding("ctrl+home", "end_of_text(False)", "start of the text", show=False),
        Binding("ctrl+end", "end_of_text(True)", "end of the text", show=False),
    ]

    def check_consume_key(self, key: str, character: str | None = None) -> bool:
        return key in UNNAMED_KEYS or super().check_consume_key(key, character)

    async def _on_key(self, event: events.Key) -> None:
        await _do_own(self, event)

    def action_end_of_text(self, last: bool) -> None:
        self.move_cursor(self.document.end if last else (0, 0))

    def fill(self, text: str) -> None:
        """Replaces the whole text. Check `can_hold(text)` first."""
        self.load_text(_hide(text))

    @property
    def value(self) -> str:
        """The text as it would be saved."""
        return _unhide(self.text)

    def get_line(self, line_index: int) -> Text:
        line = super().get_line(line_index)
        if line.plain.isascii() and line.plain.isprintable():
            return line
        return Text("".join(map(_mark, line.plain)), end="", no_wrap=True)

    async def _on_paste(self, event: events.Paste) -> None:
        event.prevent_default()
        event.text = _hide(event.text.replace("\r\n", "\n").replace("\r", "\n"))
        await super()._on_paste(event)

    def action_copy(self) -> None:
        if not self.selected_text:
            raise SkipAction
        self.app.copy_to_clipboard(_unhide(self.selected_text))


def can_hold(text: str) -> bool:
    """False for text with the very private-use characters that the editor needs for itself."""
    return text.isascii() or not any(_unhidden(character) != character for character in text)


def _hide(text: str) -> str:
    """`text` with every hostile character but newline and tab as a private-use one."""
    return "".join(map(_hidden, text))


def _unhide(text: str) -> str:
    return text if text.isascii() else "".join(map(_unhidden, text))


@lru_cache(4096)
def _is_hostile(character: str) -> bool:
    return character not in "\n\t" and sanitize(character, lines=False) != character


@lru_cache(4096)
def _hidden(character: str) -> str:
    if not _is_hostile(character):
        return character
    code = ord(character)
    return chr(_PLANE_16 + code - _TAGS if code >= _TAGS else _PLANE_15 + code)


@lru_cache(4096)
def _unhidden(character: str) -> str:
    code = ord(character)
    if code < _PLANE_15:
        return character
    original = chr(code - _PLANE_15) if code < _PLANE_16 else chr(min(_TAGS + code - _PLANE_16, 0x10FFFF))
    return original if _is_hostile(original) and _hidden(original) == character else character


@lru_cache(4096)
def _mark(character: str) -> str:
    """What is drawn for one character of the editor: one cell for one."""
    original = _unhidden(character)
    if not _is_hostile(original):
        return character
    code = ord(original)
    return chr(0x2400 + code) if code < 0x20 else "\u2421" if code == 0x7F else "\ufffd"

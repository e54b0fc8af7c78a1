"""How the sides of the chat answer: system prompt, sampling, length, seed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from textual.binding import Binding
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.widgets import Static

from ftui.ui.bindings import typed
from ftui.ui.chat_sides import Settings
from ftui.ui.modals.dialog import Dialog
from ftui.ui.widgets.safe_input import SafeInput, SafeTextArea, can_hold

if TYPE_CHECKING:
    from textual.app import ComposeResult


@dataclass(frozen=True, slots=True)
class Adjusted:
    """everywhere: for all sides, else for the focused one."""

    settings: Settings
    everywhere: bool


# field, what it is called, what to say of it, its type, least, greatest
_NUMBERS: tuple[tuple[str, str, str, type, float, float], ...] = (
    ("temperature", "temperature", "0 is greedy: the same reply every time; 0.7 is lively", float, 0.0, 5.0),
    ("top_p", "top p", "1 considers every token; 0.9 leaves out unlikely ones", float, 0.01, 1.0),
    ("max_new_tokens", "max tokens", "the longest reply", int, 1, 32768),
    ("seed", "seed", "the same seed draws the same reply", int, 0, 2**31 - 1),
)


class ChatSettings(Dialog[Adjusted | None]):
    """Returns what was set, or None."""

    DEFAULT_CSS = """
    ChatSettings > Vertical { width: 76; max-width: 94%; height: auto; background: $surface; padding: 1 2; }
    ChatSettings SafeTextArea { height: 4; border: none; padding: 0 1; background: $panel; margin-bottom: 1; }
    ChatSettings SafeTextArea:focus { background: $selection; }
    ChatSettings Horizontal { height: 1; }
    ChatSettings .name { width: 14; color: $foreground; }
    ChatSettings .why { width: 1fr; padding-left: 2; color: $dim; }
    ChatSettings SafeInput { width: 12; padding: 0 1; }
    ChatSettings #wrong { height: 1; margin-top: 1; color: $bad; }
    """
    BINDINGS: ClassVar[list[Any]] = [
        Binding("escape", "dismiss", "close", id="chat.settings.close"),
        Binding("ctrl+s", "take(True)", "all sides", priority=True, id="chat.settings.all"),
        Binding("ctrl+o", "take(False)", "this side only", priority=True, id="chat.settings.one"),
    ]

    def __init__(self, settings: Settings, letter: str) -> None:
        super().__init__()
        self._settings, self._letter = settings, letter

    def compose(self) -> ComposeResult:
        with Vertical(classes="panel") as panel:
            yield Static("system prompt", classes="name")
            yield SafeTextArea(id="system", soft_wrap=True, tab_behavior="focus", compact=True)
            for name, label, why, *_ in _NUMBERS:
                with Horizontal():
                    yield Static(label, classes="name", markup=False)
                    yield SafeInput(f"{getattr(self._settings, name):g}", id=name)
                    yield Static(why, classes="why", markup=False)
            yield Static("", id="wrong", markup=False)
        panel.border_title = Content("how they answer")
        panel.border_subtitle = Content(f"ctrl+s all sides · ctrl+o only {self._letter} · esc closes")

    def on_mount(self) -> None:
        if can_hold(self._settings.system):
            self.query_one("#system", SafeTextArea).fill(self._settings.system)
        self.query_one("#temperature", SafeInput).focus()

    def on_input_submitted(self) -> None:
        self._take(True)

    async def action_take(self, everywhere: bool) -> None:
        await typed(self.focused)
        self._take(everywhere)

    def _take(self, everywhere: bool) -> None:
        values: dict[str, Any] = {}
        for name, label, _, kind, least, greatest in _NUMBERS:
            text = self.query_one(f"#{name}", SafeInput).value.strip()
            try:
                value = kind(text)
            except ValueError:
                value = None
            if value is None or not least <= value <= greatest:
                kinds = "a whole number" if kind is int else "a number"
                self.query_one("#wrong", Static).update(f"{label}: {kinds} from {least:g} to {greatest:g}")
                self.query_one(f"#{name}", SafeInput).focus()
                return
            values[name] = value
        system = self.query_one("#system", SafeTextArea).value.strip()
        self.dismiss(Adjusted(Settings(system=system, **values), everywhere))

"""The demo's first screen: what will happen, how long it takes, and one key to start."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from rich.style import Style
from rich.text import Text
from textual.binding import Binding
from textual.widgets import Static

from ftui.ui.modals.dialog import Dialog
from ftui.ui.themes import palette

if TYPE_CHECKING:
    from textual.app import ComposeResult

_STEPS = (
    ("the model", "SmolLM2-135M-Instruct in 4 bits, fetched once (93 MB)"),
    ("the data", "200 support tickets of an invented outdoor shop"),
    ("the run", "a QLoRA adapter, in the background, under 3 minutes"),
    ("the proof", "base and adapter answer a ticket neither has seen"),
)


class DemoWelcome(Dialog[bool]):
    """True when the demo is to start."""

    DEFAULT_CSS = """
    DemoWelcome > Static { width: 72; max-width: 96%; height: auto; padding: 1 2; background: $surface; }
    """
    BINDINGS: ClassVar[list[Any]] = [
        Binding("enter", "answer(True)", "start", id="demo.start"),
        Binding("escape", "answer(False)", "look around first", id="demo.look"),
    ]

    def compose(self) -> ComposeResult:
        card = Static(self._text(), classes="panel", markup=False)
        card.border_title = "ftui demo"
        yield card

    def action_answer(self, answer: bool) -> None:
        self.dismiss(answer)

    def _text(self) -> Text:
        colors = palette(self.app)  # type: ignore[arg-type]
        plain, dim = Style(color=colors.foreground), Style(color=colors.dim)
        strong, key = Style(color=colors.foreground, bold=True), Style(color=colors.accent, bold=True)
        text = Text.assemble(
            ("Teach a small language model a house style.", strong),
            ("\nIt is real: real model, real training, nothing recorded.\n\n", dim),
        )
        for name, what in _STEPS:
            text.append_text(
                Text.assemble((f"{name:<11}", Style(color=colors.special)), (f"{what}\n", plain))
            )
        text.append_text(
            Text.assemble(
                ("\nClose the terminal if you like: training goes on,\nand ", dim),
                ("ftui demo", plain),
                (" finds it again.\n\n", dim),
                ("enter", key),
                (" start   ", dim),
                ("esc", key),
                (" look around first", dim),
            )
        )
        return text

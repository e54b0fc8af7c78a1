"""Asks once before a run is stopped, and says what will be kept."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from rich.style import Style
from rich.text import Text
from textual.binding import Binding
from textual.widgets import Static

from ftui.core.text import one_line
from ftui.ui.modals.dialog import Dialog
from ftui.ui.themes import palette

if TYPE_CHECKING:
    from textual.app import ComposeResult

    from ftui.runs.state import RunSummary


class ConfirmStop(Dialog[bool]):
    """True when the run is to be stopped. `now`: by force, without waiting long for a checkpoint.

    checkpoints: their steps; None while they are not known.
    """

    DEFAULT_CSS = """
    ConfirmStop > Static.panel {
        width: 64;
        max-width: 90%;
        height: auto;
        padding: 1 2;
        border: round $accent;
        background: $surface;
    }
    """
    BINDINGS: ClassVar[list[Any]] = [
        Binding("enter,y", "answer(True)", "stop it", id="train.stop.confirm"),
        Binding("escape,n,q", "answer(False)", "let it run", id="train.stop.cancel"),
    ]

    def __init__(self, run: RunSummary, *, now: bool, checkpoints: tuple[int, ...] | None = ()) -> None:
        super().__init__()
        self._run, self._now, self._checkpoints = run, now, checkpoints

    def compose(self) -> ComposeResult:
        yield Static(self._question(), classes="panel", markup=False)

    def action_answer(self, answer: bool) -> None:
        self.dismiss(answer)

    def _question(self) -> Text:
        colors = palette(self.app)
        dim, key = Style(color=colors.dim), Style(color=colors.accent, bold=True)
        plainly, strong = Style(color=colors.foreground), Style(color=colors.foreground, bold=True)
        question = Text.assemble(
            ("Stop ", plainly), (one_line(self._run.name, 40), strong), ("?\n\n", plainly)
        )
        if not self._now:
            question.append("A checkpoint is saved at the step it is at; R goes on from there.", dim)
        else:
            question.append("It gets a few seconds to save a checkpoint, then it is ended by force.\n", dim)
            kept = "the start: nothing is saved yet" if self._checkpoints == () else "its last checkpoint"
            if self._checkpoints:
                kept = f"step {self._checkpoints[-1]}"
            question.append(f"If it cannot save in time, R goes on from {kept}.", dim)
        question.append_text(
            Text.assemble("\n\n", ("enter", key), (" stop it   ", dim), ("esc", key), (" let it run", dim))
        )
        return question

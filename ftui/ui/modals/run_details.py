"""What a run was made of: its recipe, data, versions and the command that repeats it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from rich.style import Style
from rich.text import Text
from textual.binding import Binding

from ftui.core.text import sanitize
from ftui.ui.modals.dialog import Dialog
from ftui.ui.themes import palette
from ftui.ui.widgets.captions import set_subtitle, set_title
from ftui.ui.widgets.flow import Flow

if TYPE_CHECKING:
    from pathlib import Path

    from textual.app import ComposeResult

    from ftui.ui.run_facts import RunFacts


class RunDetails(Dialog[None]):
    """Scrolls; esc or D closes it. folder: where the command is written."""

    DEFAULT_CSS = """
    RunDetails > Flow { width: 100; max-width: 96%; height: 92%; background: $surface; }
    """
    BINDINGS: ClassVar[list[Any]] = [
        Binding("escape,D,q", "dismiss", "close", id="train.details.close"),
        Binding("y,c", "copy_command", "copy the command", id="train.details.copy"),
        Binding("w", "write_command", "write it to a file", id="train.details.write"),
    ]

    def __init__(self, name: str, facts: RunFacts, folder: Path) -> None:
        super().__init__()
        self._name, self._facts, self._folder = name, facts, folder

    def compose(self) -> ComposeResult:
        yield Flow(follow=False)

    def on_mount(self) -> None:
        flow, colors = self.query_one(Flow), palette(self.app)
        heading, plainly = Style(color=colors.special, bold=True), Style(color=colors.foreground)
        paragraphs = []
        for title, lines in self._facts.parts:
            paragraphs += [Text(title, heading), *(Text(line or " ", plainly) for line in lines), Text(" ")]
        set_title(flow, sanitize(self._name, lines=False))
        can = " · y copies the command · w writes it to a file" if self._facts.command else ""
        set_subtitle(flow, f"esc closes{can}")
        flow.show(paragraphs)
        flow.focus()

    def action_copy_command(self) -> None:
        if self._facts.command:
            self.app.copy_to_clipboard(self._facts.command)
            self.notify("copied, where your terminal allows it", timeout=4)

    def action_write_command(self) -> None:
        if not self._facts.command:
            return
        path = self._folder / f"repeat-{self._name}.sh"
        try:
            path.write_text(f"#!/bin/sh\n{self._facts.command}\n", encoding="utf-8")
        except OSError as error:
            words, severity = f"cannot write it: {error.strerror}\n{path}", "error"
        else:
            words, severity = f"wrote {path}", "information"
        self.notify(sanitize(words), severity=severity, markup=False, timeout=8)  # type: ignore[arg-type]

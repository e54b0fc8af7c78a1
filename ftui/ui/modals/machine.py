"""The machine: what GPUs, host and disk have, and who uses it; new every second."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from rich.style import Style
from rich.text import Text
from textual.binding import Binding
from textual.message import Message

from ftui.ui.machine_facts import Usage, read_usage, sections
from ftui.ui.modals.dialog import Dialog
from ftui.ui.themes import palette
from ftui.ui.widgets import figures
from ftui.ui.widgets.captions import set_subtitle, set_title
from ftui.ui.widgets.flow import Flow

if TYPE_CHECKING:
    from textual.app import ComposeResult

    from ftui.runs.state import RunSummary
    from ftui.ui.machine_facts import Line
    from ftui.ui.themes import Palette

_SECONDS = 1.0
_LABEL, _BAR = 13, 14


class MachineModal(Dialog[None]):
    """Figures of the machine and of `run`, the one chosen; esc or g closes it."""

    DEFAULT_CSS = """
    MachineModal > Flow { width: 76; max-width: 96%; height: auto; max-height: 94%; background: $surface; }
    """
    BINDINGS: ClassVar[list[Any]] = [
        Binding("escape,g,q", "dismiss", "close", id="train.machine.close"),
    ]

    class Used(Message):
        """What the run uses now."""

        def __init__(self, usage: Usage) -> None:
            super().__init__()
            self.usage = usage

    def __init__(self, run: RunSummary | None) -> None:
        super().__init__()
        self._run = run
        self._usage: Usage | None = None

    def compose(self) -> ComposeResult:
        yield Flow(follow=False)

    def on_mount(self) -> None:
        flow = self.query_one(Flow)
        set_title(flow, "machine")
        set_subtitle(flow, "esc closes")
        flow.focus()
        self.set_interval(_SECONDS, self._look)
        self._look()

    def on_machine_modal_used(self, message: Used) -> None:
        self._usage = message.usage
        self._show()

    def _look(self) -> None:
        pulse = self.app.pulse  # type: ignore[attr-defined]
        if self._run is not None:
            run = self._run = next((one for one in pulse.runs if one.id == self._run.id), self._run)  # type: ignore[union-attr]
            self.run_worker(
                lambda: self.post_message(self.Used(read_usage(run))),
                thread=True, exclusive=True, group="usage", exit_on_error=False,
            )  # fmt: skip
        self._show()

    def _show(self) -> None:
        flow, colors = self.query_one(Flow), palette(self.app)
        heading = Style(color=colors.special, bold=True)
        paragraphs = []
        for title, lines in sections(self.app.pulse, self._run, self._usage):  # type: ignore[attr-defined]
            paragraphs += [Text(title, heading), *(_drawn(line, colors) for line in lines)]
        flow.show(paragraphs)
        height = sum(len(text.plain.split("\n")) for text in paragraphs) + 2
        if flow.styles.height is None or flow.styles.height.value != height:
            flow.styles.height = height


def _drawn(line: Line, colors: Palette) -> Text:
    dim = Style(color=colors.dim)
    value = Style(color=colors.warning if line.loud else colors.foreground)
    text = Text.assemble((f"  {line.label:<{_LABEL}}", dim), (line.value, value))
    if line.share is not None:
        filled, empty = figures.bar(line.share, _BAR, plain=figures.ascii_only())
        text.append(" " * max(2, 32 - text.cell_len))
        text.append(filled, Style(color=colors.warning if line.loud else colors.accent))
        text.append(empty, Style(color=colors.border))
    return text

"""Pane 3, Train: the runs on the left, the chosen one's curves and words on the right, live."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar

from rich.style import Style
from rich.text import Text
from textual.binding import Binding
from textual.containers import Horizontal, Vertical
from textual.message import Message
from textual.widgets import Static

from ftui.core.errors import FtuiError
from ftui.ui.bindings import ordered
from ftui.ui.run_layers import Beside, Together, read_together
from ftui.ui.run_reader import RunReader
from ftui.ui.run_troubles import loudest
from ftui.ui.screens.train_keeping import Keeping
from ftui.ui.screens.train_log import ReadingLog
from ftui.ui.screens.train_looking import ACTIONS as LOOKING
from ftui.ui.screens.train_looking import KEYS as LOOKING_KEYS
from ftui.ui.screens.train_looking import Looking
from ftui.ui.screens.train_notes import ACTIONS as READING
from ftui.ui.screens.train_notes import KEYS as READING_KEYS
from ftui.ui.screens.train_notes import Reading
from ftui.ui.themes import palette
from ftui.ui.widgets.chart import Chart
from ftui.ui.widgets.gauge import Gauge
from ftui.ui.widgets.phases import Phases
from ftui.ui.widgets.run_list import RunList
from ftui.ui.widgets.run_notes import RunNotes

if TYPE_CHECKING:
    from textual.app import ComposeResult
    from textual.timer import Timer
    from textual.worker import Worker

    from ftui.gpu.nvml import Gpu
    from ftui.ui.pulse import Pulse
    from ftui.ui.run_reader import RunView

PERIOD_SECONDS = 1.0


class TrainScreen(Looking, Reading, ReadingLog, Keeping):
    """Follows the chosen run once a second, and only while the pane is showing."""

    PANE = "train"
    CSS = """
    TrainScreen #train { height: 1fr; }
    TrainScreen RunList { width: 30; height: 1fr; }
    TrainScreen #right { width: 1fr; }
    TrainScreen #loss { height: 8fr; }
    TrainScreen #phases { height: 16fr; }
    TrainScreen .charts { height: 4fr; }
    TrainScreen #notes { height: 5fr; }
    TrainScreen #none { width: 1fr; height: 1fr; content-align: center middle; text-align: center; }
    TrainScreen.-narrow RunList { width: 24; }
    TrainScreen.-short Gauge { display: none; }
    TrainScreen.-big .charts { display: none; }
    TrainScreen.-big #notes { display: none; }
    TrainScreen.-words #notes { height: 24fr; }
    """
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (100, "-wide")]  # noqa: RUF012
    VERTICAL_BREAKPOINTS = [(0, "-short"), (30, "-tall")]  # noqa: RUF012
    BINDINGS: ClassVar[list[Any]] = [
        ordered("s", "stop(False)", "stop+save", id="train.stop", show=True),
        ordered("S", "stop(True)", "stop now", id="train.kill"),
        ordered("R", "resume", "resume", id="train.resume", show=True),
        ordered("R", "start_now", "start it now", id="train.start", show=True),
        *READING_KEYS,
        ordered("D", "details", "details", id="train.details", show=True),
        Binding("escape", "let_go", "no force", show=False, id="train.let_go"),
        *LOOKING_KEYS,
    ]

    class Read(Message):
        """The chosen run, and those laid over it, as they are now."""

        def __init__(self, reader: RunReader, found: Together) -> None:
            super().__init__()
            self.reader, self.found = reader, found

    def __init__(self) -> None:
        super().__init__()
        self._reader: RunReader | None = None
        self._reading: Worker[None] | None = None
        self._timer: Timer | None = None

    # -- what is shown ----------------------------------------------------------

    def compose_body(self) -> ComposeResult:
        with Horizontal(id="train"):
            yield RunList(id="runs")
            with Vertical(id="right"):
                yield Chart(id="loss", x_axis=True)
                with Horizontal(classes="charts"):
                    yield Chart(id="speed")
                    yield Chart(id="gradient")
                with Horizontal(classes="charts"):
                    yield Chart(id="memory")
                    yield Chart(id="rate")
                yield Phases(id="phases")
                yield RunNotes(id="notes")
                yield Gauge(id="gauge")
        yield Static(id="none", markup=False)

    def on_mount(self) -> None:
        self._timer = self.set_interval(PERIOD_SECONDS, self._tick)
        self.query_one("#none", Static).update(self._nothing())
        self.show_parts()
        self.query_one(RunList).focus()

    def receive_pulse(self, pulse: Pulse) -> None:
        super().receive_pulse(pulse)
        worries = {name: loudest([one.severity for one in alarms]) for name, alarms in pulse.alarms.items()}
        runs = self.query_one(RunList)
        if self.app.run_to_show:
            runs.expect(self.app.run_to_show)
            self.app.run_to_show = ""
        runs.show(pulse.runs, worries, hold=self.asking or not self.is_active)
        self.forget_missing(pulse.runs)
        if not pulse.runs:
            self._reader = self._view = None  # the last one was deleted
        elif self._view is not None and self._view.run.state == "queued":
            self.query_one(Phases).show(self._as_listed(self._view))
        self.query_one(Gauge).show(pulse)
        self.show_parts()
        self.refresh_bindings()

    def on_screen_resume(self) -> None:
        super().on_screen_resume()
        if self._timer:
            self._timer.resume()
        self._tick()

    def on_screen_suspend(self) -> None:
        if self._timer:
            self._timer.pause()

    def on_run_list_chosen(self, message: RunList.Chosen) -> None:
        self._reader, self._reading, self._view = RunReader(message.run.path), None, None
        self.look_at_another()
        self.refresh_bindings()
        self._tick()

    def on_train_screen_read(self, message: Read) -> None:
        if message.reader is not self._reader:
            return  # another run was chosen meanwhile
        self._layers = tuple(layer for layer in message.found.layers if layer.run_id in self._beside)
        view = message.found.view
        if view is None:
            self.draw()
            return
        other = self._view is None or self._view.run.id != view.run.id
        self._view = view
        self.query_one(Phases).show(self._as_listed(view))
        self.draw()
        notes = self.query_one(RunNotes)
        before = notes.trouble
        notes.show_view(view, other_run=other)
        if notes.trouble != before:
            self.refresh_bindings()
        self.show_parts()

    def _as_listed(self, view: RunView) -> RunView:
        """What a queued run waits for is known to the list of all runs alone."""
        listed = self._chosen()
        if listed is None or listed.id != view.run.id or listed.state != "queued":
            return view
        return replace(view, run=listed)

    def show_parts(self) -> None:
        """Charts, or the phases before the first step, or what to press when there is no run at all."""
        any_run = bool(self.app.pulse.runs)
        stepped = self._view is None or bool(self._view.series)
        self.query_one("#train").display = any_run
        self.query_one("#none").display = not any_run
        self.query_one(Phases).display = not stepped
        words = self.has_class("-words")
        self.query_one("#loss").display = stepped and not (words and self.has_class("-short"))
        for row in self.query(".charts"):
            row.display = stepped and not words and not self.has_class("-big")

    def _nothing(self) -> Text:
        colors = palette(self.app)  # type: ignore[arg-type]
        dim, key = Style(color=colors.dim), Style(color=colors.accent, bold=True)
        return Text.assemble(
            ("No runs yet.\n\n", Style(color=colors.foreground, bold=True)),
            ("Press ", dim), ("2", key), (" to write a recipe and start one,\n", dim),
            ("or run ", dim), ("ftui demo", key), (" to see a whole one in a few minutes.", dim),
            justify="center",
        )  # fmt: skip

    # -- reading ----------------------------------------------------------

    def _tick(self) -> None:
        reader = self._reader
        if reader is None or not self.is_current or (self._reading and self._reading.is_running):
            return
        beside, gpus = tuple(self._beside.values()), self.app.pulse.lately
        self._reading = self.run_worker(
            lambda: self._read(reader, beside, gpus), thread=True, group="run", exit_on_error=False
        )

    def _read(self, reader: RunReader, beside: tuple[Beside, ...], gpus: tuple[tuple[Gpu, ...], ...]) -> None:
        """In a thread: posts the runs as they are now; a long one comes in pieces."""
        try:
            while reader is self._reader:
                lens = self._lens
                found = read_together(reader, beside, lens, gpus)
                if found.view is not None or found.layers != self._layers:
                    self.post_message(self.Read(reader, found))
                more = reader.more or any(other.more for other in beside)
                if not more and lens is self._lens:
                    return
        except OSError as error:
            what = f"cannot read the run: {error.strerror}"
            raise FtuiError(what, "", str(error.filename or reader.rundir.path)) from None

    def read_again(self) -> None:
        self._tick()

    # -- keys ----------------------------------------------------------

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Only what makes sense for the chosen run is offered."""
        if self.asking:
            return False  # delete and the arrows are for the answer
        if action == "hide_cursor":
            return self.cursor_shown
        if action in LOOKING or action in READING:
            return self._chosen() is not None
        return self.can_act(action)

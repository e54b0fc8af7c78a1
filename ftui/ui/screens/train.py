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
from ftui.ui.run_reader import RunReader, RunView
from ftui.ui.screens.train_acting import Acting
from ftui.ui.themes import palette
from ftui.ui.widgets import figures
from ftui.ui.widgets.chart import Chart
from ftui.ui.widgets.gauge import Gauge
from ftui.ui.widgets.phases import Phases
from ftui.ui.widgets.run_charts import MOST_ZOOM, SMOOTHINGS, Lens, charts
from ftui.ui.widgets.run_list import RunList
from ftui.ui.widgets.run_notes import RunNotes

if TYPE_CHECKING:
    from textual.app import ComposeResult
    from textual.timer import Timer
    from textual.worker import Worker

    from ftui.gpu.nvml import Gpu
    from ftui.ui.pulse import Pulse
    from ftui.ui.widgets.run_notes import Tab

PERIOD_SECONDS = 1.0


class TrainScreen(Acting):
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
    """
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (100, "-wide")]  # noqa: RUF012
    VERTICAL_BREAKPOINTS = [(0, "-short"), (30, "-tall")]  # noqa: RUF012
    BINDINGS: ClassVar[list[Any]] = [
        Binding("s", "stop(False)", "stop+save", id="train.stop"),
        Binding("S", "stop(True)", "stop now", show=False, id="train.kill"),
        Binding("R", "resume", "resume", id="train.resume"),
        Binding("l", "tab('log')", "log", id="train.log"),
        Binding("m", "tab('samples')", "samples", id="train.samples"),
        Binding("n", "tab('notices')", "notices", id="train.notices"),
        Binding("D", "details", "details", id="train.details"),
        Binding("b", "big", "big", id="train.big"),
        Binding("plus", "zoom(1)", "zoom in", key_display="+", id="train.zoom_in"),
        Binding("equals_sign", "zoom(1)", "zoom in", show=False, id="train.zoom_in_too"),
        Binding("minus", "zoom(-1)", "out", key_display="-", id="train.zoom_out"),
        Binding("y", "log_axis", "log y", id="train.log_axis"),
        Binding("e", "smooth", "smooth", id="train.smooth"),
    ]

    class Read(Message):
        """The chosen run as it is now."""

        def __init__(self, view: RunView) -> None:
            super().__init__()
            self.view = view

    def __init__(self) -> None:
        super().__init__()
        self._reader: RunReader | None = None
        self._lens = Lens()
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
        self._show_parts()
        self.query_one(RunList).focus()

    def receive_pulse(self, pulse: Pulse) -> None:
        super().receive_pulse(pulse)
        self.query_one(RunList).show(pulse.runs)
        self.query_one(Gauge).show(pulse)
        self._show_parts()
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
        self.refresh_bindings()
        self._tick()

    def on_train_screen_read(self, message: Read) -> None:
        view = message.view
        if self._reader is None or view.run.path != self._reader.rundir.path:
            return  # another run was chosen meanwhile
        other = self._view is None or self._view.run.id != view.run.id
        self._view = view
        self._draw()
        self.query_one(RunNotes).show_view(view, other_run=other)
        self._show_parts()

    def _draw(self) -> None:
        if self._view is None:
            return
        self.query_one(Phases).show(self._view)
        for name, data in charts(self._view, self._lens, self.app.pulse.gpus).items():
            chart = self.query_one(f"#{name}", Chart)
            chart.log_axis = self._lens.log and name == "loss"
            chart.show(data)

    def _show_parts(self) -> None:
        """Charts, or the phases before the first step, or what to press when there is no run at all."""
        any_run = bool(self.app.pulse.runs)
        stepped = self._view is None or bool(self._view.series)
        self.query_one("#train").display = any_run
        self.query_one("#none").display = not any_run
        self.query_one(Phases).display = not stepped
        self.query_one("#loss").display = stepped
        for row in self.query(".charts"):
            row.display = stepped and not self.has_class("-big")

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
        smoothing, gpus = self._lens.smoothing, self.app.pulse.lately
        self._reading = self.run_worker(
            lambda: self._read(reader, smoothing, gpus), thread=True, group="run", exit_on_error=False
        )

    def _read(self, reader: RunReader, smoothing: float, gpus: tuple[tuple[Gpu, ...], ...]) -> None:
        """In a thread: posts the run as it is now; a long one comes in pieces."""
        try:
            while True:
                view = reader.read(smoothing=smoothing, gpus=gpus)
                if view is not None:
                    self.post_message(self.Read(view))
                if not reader.more or reader is not self._reader:
                    return
        except OSError as error:
            what = f"cannot read the run: {error.strerror}"
            raise FtuiError(what, "", str(error.filename or reader.rundir.path)) from None

    # -- keys ----------------------------------------------------------

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Only what makes sense for the chosen run is offered."""
        run = self._chosen()
        if (
            action in ("stop", "resume", "details", "log_axis", "zoom", "smooth", "tab", "big")
            and run is None
        ):
            return False
        if action == "stop" and run is not None:
            return run.state in figures.ACTIVE
        if action == "resume" and run is not None:
            return run.state in ("stopped", "failed", "crashed")
        return True

    def action_log_axis(self) -> None:
        self._look(replace(self._lens, log=not self._lens.log))

    def action_zoom(self, by: int) -> None:
        self._look(replace(self._lens, zoom=max(0, min(MOST_ZOOM, self._lens.zoom + by))))

    def action_smooth(self) -> None:
        after = SMOOTHINGS.index(self._lens.smoothing) + 1
        self._look(replace(self._lens, smoothing=SMOOTHINGS[after % len(SMOOTHINGS)]))

    def action_tab(self, tab: Tab) -> None:
        self.query_one(RunNotes).tab = tab

    def action_big(self) -> None:
        self.toggle_class("-big")
        self._show_parts()

    def _look(self, lens: Lens) -> None:
        again = lens.smoothing != self._lens.smoothing
        self._lens = lens
        self._tick() if again else self._draw()

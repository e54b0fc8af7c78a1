"""Runs side by side: their curves on one axis, what came of each, and what was different."""

from __future__ import annotations

from dataclasses import replace
from threading import Lock
from typing import TYPE_CHECKING, Any, ClassVar

from textual.binding import Binding

from ftui.core.errors import FtuiError
from ftui.core.text import one_line, sanitize
from ftui.runs.rundir import RunDir
from ftui.runs.state import summarize
from ftui.ui.lens import SMOOTHINGS, X_AXES, Lens
from ftui.ui.modals.dialog import Dialog
from ftui.ui.themes import palette
from ftui.ui.widgets.captions import set_subtitle, set_title
from ftui.ui.widgets.chart import Chart, ChartData
from ftui.ui.widgets.comparison_text import comparison_lines
from ftui.ui.widgets.flow import Flow
from ftui.ui.widgets.run_charts import FIRST, LAYERS, WRITE_X, overlay

if TYPE_CHECKING:
    from collections.abc import Sequence

    from textual.app import ComposeResult
    from textual.worker import Worker

    from ftui.runs.compare import Comparison
    from ftui.runs.live import LiveHistory
    from ftui.runs.state import RunSummary
    from ftui.runs.workspace import Workspace
    from ftui.ui.run_curves import Curves

PERIOD_SECONDS = 2.0
_MARK_THEM = "o on runs in the list chooses which"


def to_compare(
    chosen: RunSummary, marked: Sequence[RunSummary], runs: Sequence[RunSummary], workspace: Workspace
) -> tuple[list[RunSummary], str]:
    """The runs that are meant, the chosen one first, and why these where the user did not say.

    The marked ones; else the chosen one and the last run of its name or recipe before it, or just before it.
    Reads manifests: for a thread.
    """
    from ftui.ui.run_facts import parent_of

    if beside := [run for run in marked if run.id != chosen.id]:
        return [chosen, *beside][: 1 + len(LAYERS)], ""
    others = [run for run in runs if run.id != chosen.id and run.state != "queued"]
    rundir = RunDir(chosen.path)
    parent = parent_of(rundir, rundir.read_manifest(), workspace)
    for run in others:
        if parent is not None and run.path == parent.path:
            return [chosen, run], f"with the last run like it; {_MARK_THEM}"
    before = [run for run in others if (run.started or 0) <= (chosen.started or 0)]
    return [chosen, *(before[:1] or others[-1:])], f"with the run before it; {_MARK_THEM}"


class RunCompare(Dialog[None]):
    """The whole screen; esc or C closes it. marked: the runs the user has chosen besides the one shown."""

    DEFAULT_CSS = """
    RunCompare { background: $background; layout: vertical; }
    RunCompare > Chart { height: 2fr; min-height: 8; }
    RunCompare > Flow { height: 3fr; }
    """
    BINDINGS: ClassVar[list[Any]] = [
        Binding("escape,C,q", "dismiss", "close", id="train.compare.close"),
        Binding("y", "log_axis", "log y", id="train.compare.log_axis"),
        Binding("e", "smooth", "smooth", id="train.compare.smooth"),
        Binding("X", "x_axis", "x axis", id="train.compare.x_axis"),
    ]

    def __init__(
        self,
        chosen: RunSummary,
        marked: Sequence[RunSummary],
        runs: Sequence[RunSummary],
        workspace: Workspace,
    ) -> None:
        super().__init__()
        self._asked = chosen, tuple(marked), tuple(runs), workspace
        self._why = ""
        self._runs: list[RunSummary] = []
        self._lives: list[LiveHistory] = []
        self._reading = Lock()  # a history is read by one thread at a time
        self._reader: Worker[None] | None = None
        self._found: Comparison | None = None
        self._lens = Lens()

    def compose(self) -> ComposeResult:
        yield Chart(x_axis=True)
        yield Flow(follow=False, wrap=False)

    def on_mount(self) -> None:
        self.query_one(Chart).show(ChartData(title="loss", empty="reading the runs"))
        set_title(self.query_one(Flow), "compare")
        set_subtitle(self.query_one(Flow), "esc closes · y log · e smooth · X x axis · ↑↓ scroll")
        self.query_one(Flow).focus()
        self._reader = self.run_worker(self._read, thread=True, group="read", exit_on_error=False)
        self.set_interval(PERIOD_SECONDS, self._follow)

    def _follow(self) -> None:
        """Reads on while a run is at work, unless that is still being done."""
        if any(run.active for run in self._runs) and not (self._reader and self._reader.is_running):
            self._reader = self.run_worker(self._read, thread=True, group="read", exit_on_error=False)

    def on_resize(self) -> None:
        self.call_after_refresh(self._show_table)

    def action_log_axis(self) -> None:
        self._lens = replace(self._lens, log=not self._lens.log)
        self._draw()

    def action_smooth(self) -> None:
        after = SMOOTHINGS.index(self._lens.smoothing) + 1
        self._lens = replace(self._lens, smoothing=SMOOTHINGS[after % len(SMOOTHINGS)])
        self._draw()

    def action_x_axis(self) -> None:
        after = X_AXES.index(self._lens.x_axis) + 1
        self._lens = replace(self._lens, x_axis=X_AXES[after % len(X_AXES)])
        self._draw()

    # -- reading, in threads ----------------------------------------------------

    def _read(self) -> None:
        from ftui.runs.compare import compare
        from ftui.runs.live import LiveHistory

        try:
            with self._reading:
                if not self._runs:
                    runs, self._why = to_compare(*self._asked)
                    self._lives = [LiveHistory(RunDir(run.path).events_path) for run in runs]
                else:
                    runs = self._runs
                runs = [summarize(RunDir(run.path)) for run in runs]  # before their files: those may say more
                for live in self._lives:
                    while live.refresh() and live.more:
                        pass
                    live.keep()
                found = compare([RunDir(run.path) for run in runs], [live.history for live in self._lives])
        except (FtuiError, OSError) as error:
            words = str(error) if isinstance(error, FtuiError) else f"cannot read a run: {error.strerror}"
            self.app.call_from_thread(self._fail, words)
            return
        self.app.call_from_thread(self._take, runs, found)

    def _curves(self, lens: Lens) -> list[Curves]:
        from ftui.ui.run_curves import curves_of, reach_of

        with self._reading:
            histories = [live.history for live in self._lives]
            reaches = [
                reach_of(history, lens, run.steps or 0, ended=not run.active)
                for run, history in zip(self._runs, histories, strict=True)
            ]
            shared = reaches[0]
            for reach in reaches[1:]:
                shared = shared.with_(reach)
            return [curves_of(history, lens, shared) for history in histories]

    def _draw(self) -> None:
        if self._runs:
            lens = self._lens
            self.run_worker(
                lambda: self._drawn(lens), thread=True, exclusive=True, group="draw", exit_on_error=False
            )

    def _drawn(self, lens: Lens) -> None:
        self.app.call_from_thread(self._show_curves, lens, self._curves(lens))

    # -- showing ----------------------------------------------------------

    def _fail(self, words: str) -> None:
        self.notify(sanitize(words), severity="error", markup=False, timeout=10)
        self.dismiss()

    def _take(self, runs: list[RunSummary], found: Comparison) -> None:
        self._runs, self._found = runs, found
        set_title(self.query_one(Flow), f"compare {self._why}".strip())
        self._show_table()
        self._draw()

    def _show_curves(self, lens: Lens, curves: list[Curves]) -> None:
        chart = self.query_one(Chart)
        drawn = [
            (name, ink, marker, one)
            for name, (ink, marker), one in zip(self._names(), (FIRST, *LAYERS), curves, strict=False)
        ]
        lines, titles = overlay("loss", drawn)
        start, end = curves[0].window
        chart.log_axis = lens.log
        chart.show(
            ChartData(lines, start, end, title=titles, empty="no step yet", write_x=WRITE_X[lens.x_axis])
        )

    def _names(self) -> list[str]:
        """Names where they tell the runs apart, else ids."""
        names = [one_line(run.name, 24) for run in self._runs]
        return names if len(set(names)) == len(names) else [one_line(run.id, 24) for run in self._runs]

    def _show_table(self) -> None:
        if self._found is not None:
            flow = self.query_one(Flow)
            marks = list(zip(self._names(), (FIRST, *LAYERS), strict=False))
            flow.show(comparison_lines(self._found, marks, flow.size.width - 2, palette(self.app)))

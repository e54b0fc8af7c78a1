"""How the curves are looked at: which part, over what, how smooth, at which step, beside which other runs."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from textual.binding import Binding

from ftui.core.text import one_line
from ftui.ui.bindings import ordered
from ftui.ui.lens import SMOOTHINGS, X_AXES, Lens, panned, zoomed_by
from ftui.ui.run_layers import MOST, Beside
from ftui.ui.screens.base import PaneScreen
from ftui.ui.widgets.chart import Chart
from ftui.ui.widgets.cursor import moved, over, place_of, step_near
from ftui.ui.widgets.run_charts import LAYERS, charts
from ftui.ui.widgets.run_list import RunList

if TYPE_CHECKING:
    from ftui.runs.state import RunSummary
    from ftui.ui.run_reader import RunView
    from ftui.ui.widgets.run_charts import Layer

KEYS: list[Any] = [
    ordered("b", "big", "big", id="train.big", show=True),
    ordered("plus", "zoom(1)", "zoom in", key_display="+", id="train.zoom_in", show=True),
    ordered("equals_sign", "zoom(1)", "zoom in", id="train.zoom_in_too"),
    ordered("minus", "zoom(-1)", "out", key_display="-", id="train.zoom_out", show=True),
    ordered("y", "log_axis", "log y", id="train.log_axis", show=True),
    ordered("e", "smooth", "smooth", id="train.smooth", show=True),
    ordered("X", "x_axis", "x axis", id="train.x_axis"),
    Binding("left", "cursor(-1)", "read earlier", show=False, id="train.cursor_left"),
    Binding("right", "cursor(1)", "read later", show=False, id="train.cursor_right"),
    Binding("escape", "hide_cursor", "newest figures", show=False, id="train.hide_cursor"),
    ordered("comma,shift+left", "pan(-1)", "earlier part", key_display=",", id="train.pan_left"),
    ordered("full_stop,shift+right", "pan(1)", "later part", key_display=".", id="train.pan_right"),
    ordered("o", "overlay", "overlay", id="train.overlay", show=True),
    ordered("C", "compare", "compare", id="train.compare", show=True),
]
# Actions that need a run to look at.
ACTIONS = frozenset({"big", "zoom", "log_axis", "smooth", "x_axis", "cursor", "pan", "overlay", "compare"})


class Looking(PaneScreen):
    """The part of the Train pane that changes how the curves are shown, and nothing else."""

    def __init__(self) -> None:
        super().__init__()
        self._view: RunView | None = None
        self._lens = Lens()
        self._cursor: float | None = None  # a step
        self._pinned = False  # the cursor stays when the mouse leaves
        self._beside: dict[str, Beside] = {}
        self._layers: tuple[Layer, ...] = ()

    def read_again(self) -> None:
        """Asks for the run anew, for a lens that needs other figures."""
        raise NotImplementedError

    def show_parts(self) -> None:
        """Shows and hides the parts of the pane."""
        raise NotImplementedError

    @property
    def cursor_shown(self) -> bool:
        return self._cursor is not None

    def draw(self) -> None:
        """Shows the charts as they were last read."""
        view = self._view
        if view is None:
            return
        lens = replace(view.curves.lens, log=self._lens.log)
        view = replace(view, curves=replace(view.curves, lens=lens))
        at = None if self._cursor is None else place_of(view.curves, self._cursor)
        for name, data in charts(view, self.app.pulse.gpus, self._layers, at).items():
            chart = self.query_one(f"#{name}", Chart)
            chart.log_axis = lens.log and name == "loss"
            chart.show(data)

    def look_at_another(self) -> None:
        """Another run was chosen: what was a place in the last one means nothing in it."""
        self._cursor, self._pinned = None, False
        self._lens = replace(self._lens, at=None)

    def forget_missing(self, runs: tuple[RunSummary, ...]) -> None:
        """Takes runs that are gone out of the overlay."""
        listed = {run.id for run in runs}
        if gone := self._beside.keys() - listed:
            for run_id in gone:
                del self._beside[run_id]
            self._mark()

    # -- scale ----------------------------------------------------------

    def action_log_axis(self) -> None:
        self._look(replace(self._lens, log=not self._lens.log))

    def action_smooth(self) -> None:
        after = SMOOTHINGS.index(self._lens.smoothing) + 1
        self._look(replace(self._lens, smoothing=SMOOTHINGS[after % len(SMOOTHINGS)]))

    def action_x_axis(self) -> None:
        after = X_AXES.index(self._lens.x_axis) + 1
        axis = X_AXES[after % len(X_AXES)]
        lens = replace(self._lens, x_axis=axis, at=None)
        self._look(over(self._view.curves, self._lens, axis, self._cursor) if self._view else lens)

    def action_zoom(self, by: int) -> None:
        if self._view is not None:
            curves = self._view.curves
            middle = None if self._cursor is None else place_of(curves, self._cursor)
            shown = curves.reach.window(self._lens)  # the window of keys not read for yet
            self._look(zoomed_by(self._lens, by, shown, self._view.run.step or 0, middle))

    def action_pan(self, by: int) -> None:
        if self._view is None:
            return
        if not self._lens.zoom:
            self.say("+ zooms in; then , and . move along the run")
            return
        reach = self._view.curves.reach
        newest = reach.window(replace(self._lens, at=None))
        self._look(panned(self._lens, by, reach.window(self._lens), newest))

    def action_big(self) -> None:
        self.toggle_class("-big")
        self.show_parts()

    def _look(self, lens: Lens) -> None:
        self._lens = lens
        self.draw()
        self.read_again()

    # -- the cursor ----------------------------------------------------------

    def action_cursor(self, by: int) -> None:
        if self._view is not None:
            columns = self.query_one("#loss", Chart).columns
            self._put_cursor(moved(self._view.curves, self._cursor, by, columns), pinned=True)

    def action_hide_cursor(self) -> None:
        self._put_cursor(None, pinned=False)

    def on_chart_pointed(self, message: Chart.Pointed) -> None:
        if self._view is None or (message.x is None and self._pinned):
            return
        if self._pinned and not message.firmly:
            return
        step = None if message.x is None else step_near(self._view.curves, message.x)
        self._put_cursor(step, pinned=message.firmly and step is not None)

    def _put_cursor(self, step: float | None, *, pinned: bool) -> None:
        if (step, pinned) != (self._cursor, self._pinned):
            self._cursor, self._pinned = step, pinned
            self.draw()

    # -- other runs ----------------------------------------------------------

    def action_overlay(self) -> None:
        run = self.query_one(RunList).chosen
        if run is None:
            return
        if run.id in self._beside:
            del self._beside[run.id]
        elif len(self._beside) == MOST:
            self.say(f"{MOST} runs are laid over each other already; o on one of them takes it away")
            return
        else:
            taken = {other.place for other in self._beside.values()}
            self._beside[run.id] = Beside(run, min(set(range(MOST)) - taken))
            if len(self._beside) == 1:
                self.say(f"{one_line(run.name, 40)} stays in the chart: choose another run")
        self._mark()
        self.read_again()

    def action_compare(self) -> None:
        from ftui.ui.modals.run_compare import RunCompare

        chosen, runs = self.query_one(RunList).chosen, self.app.pulse.runs
        if chosen is None:
            return
        if len(runs) < 2:
            self.say("there is no other run to compare it with yet")
            return
        marked = [run for run in runs if run.id in self._beside]
        self.app.push_screen(RunCompare(chosen, marked, runs, self.app.workspace))

    def _mark(self) -> None:
        """Shows in the list which runs are in the chart, by their colour."""
        marks = {run_id: LAYERS[other.place] for run_id, other in self._beside.items()}
        self._layers = tuple(layer for layer in self._layers if layer.run_id in marks)
        self.query_one(RunList).mark_layers(marks)
        self.draw()

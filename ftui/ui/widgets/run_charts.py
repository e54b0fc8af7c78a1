"""What the Train pane's five charts show of a run: curves, axes, titles and the figures in their borders."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from textual.content import Content

from ftui.core.text import one_line
from ftui.runs.devices import gpus_of
from ftui.ui.run_curves import Series
from ftui.ui.widgets import figures
from ftui.ui.widgets.captions import shortened
from ftui.ui.widgets.chart import ChartData, Curve
from ftui.ui.widgets.readout import readout

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ftui.gpu.nvml import Gpu
    from ftui.ui.lens import Lens, XAxis
    from ftui.ui.run_curves import Curves
    from ftui.ui.run_reader import RunView
    from ftui.ui.widgets.captions import Caption
    from ftui.ui.widgets.chart import Ink

WRITE_X: dict[XAxis, Callable[[float], str]] = {
    "step": "{:.0f}".format, "tokens": figures.rate, "time": figures.duration,
}  # fmt: skip
FIRST: tuple[Ink, tuple[str, str]] = ("accent", ("●", "o"))
# Runs laid over the chosen one: their colour, and the mark of their evaluations with its ASCII form.
LAYERS: tuple[tuple[Ink, tuple[str, str]], ...] = (
    ("special", ("◆", "*")), ("warning", ("▲", "^")), ("good", ("■", "#")), ("bad", ("▼", "v")),
)  # fmt: skip
_NAME = 18
_NAMES = (24, 12, 8, 4)  # characters of each in the legend of runs laid over each other, as there is room
Part = tuple[Content | str, int]  # a text, and how soon it goes where there is no room: 0 never


@dataclass(frozen=True, slots=True)
class Layer:
    """A run laid over the chosen one. name: safe to show; place: in LAYERS."""

    run_id: str
    name: str
    place: int
    curves: Curves

    @property
    def ink(self) -> Ink:
        return LAYERS[self.place][0]

    @property
    def marker(self) -> tuple[str, str]:
        return LAYERS[self.place][1]


def charts(
    view: RunView, gpus: tuple[Gpu, ...], layers: Sequence[Layer] = (), cursor: float | None = None
) -> dict[str, ChartData]:
    """A ChartData for each chart by its id: loss, speed, gradient, memory, rate. cursor: an x to read at."""
    frame = _Frame(view.curves, cursor)
    return {
        "loss": _loss(view, layers, frame),
        "speed": frame.one("tokens_per_second", "tokens/s", "good", figures.rate),
        "gradient": frame.one("grad_norm", "grad norm", "special", figures.number),
        "memory": _memory(view, gpus, frame),
        "rate": frame.one("learning_rate", "learning rate", "warning", figures.number),
    }


@dataclass(frozen=True, slots=True)
class _Frame:
    """What all charts share: the curves, their window, the cursor."""

    curves: Curves
    cursor: float | None

    def series(self, name: str) -> Series:
        return self.curves.series.get(name) or Series()

    def now(self, name: str) -> float | None:
        """The value at the cursor, the newest without one; None where none is known."""
        if self.cursor is None:
            return self.curves.latest.get(name)
        return self.series(name).at(self.cursor) if len(self.series(name).xs) else None

    def data(self, curves: tuple[Curve, ...], title: Caption, subtitle: Caption, **more: float) -> ChartData:
        start, end = self.curves.window
        return ChartData(
            curves, start, end, title=title, subtitle=subtitle, cursor=self.cursor, empty="–",
            write_x=WRITE_X[self.curves.lens.x_axis], low=more.get("low"), high=more.get("high"),
        )  # fmt: skip

    def one(self, name: str, title: str, ink: Ink, write: figures.Writer) -> ChartData:
        series, now = self.series(name), self.now(name)
        curves = (Curve(series.xs, series.ys, ink),) if len(series.xs) else ()
        return self.data(curves, title, write(now) if now is not None else "")


def _loss(view: RunView, layers: Sequence[Layer], frame: _Frame) -> ChartData:
    if layers:
        own = "" if any(layer.run_id == view.run.id for layer in layers) else one_line(view.run.name, _NAME)
        chosen = [(own, *FIRST, view.curves)] if own else []
        drawn = chosen + [(layer.name, layer.ink, layer.marker, layer.curves) for layer in layers]
        curves, titles = overlay(_loss_title(view), drawn)
        return frame.data(curves, titles, readout(view, frame.cursor, layers))
    loss, smoothed, evals = frame.series("loss"), view.curves.smoothed, view.curves.evals
    if len(smoothed.xs):
        lines = [Curve(loss.xs, loss.ys, "border"), Curve(smoothed.xs, smoothed.ys, "accent")]
    else:
        lines = [Curve(loss.xs, loss.ys, "accent")]
    if len(evals.xs):
        lines.append(Curve(evals.xs, evals.ys, "eval", "markers"))
    plain = figures.ascii_only()
    dash = Content.styled("-" if plain else "━", "$accent")
    words: list[Part] = [(_loss_title(view), 0), (Content.assemble(dash, " train"), 2)]
    if len(evals.xs):
        words.append((Content.assemble(Content.styled("o" if plain else "●", "$eval"), " eval"), 2))
    words += _marks(view.curves.lens)
    return frame.data(tuple(lines), shortened(words, "  "), readout(view, frame.cursor))


def _loss_title(view: RunView) -> str:
    return "loss" if view.share == 1 else f"loss  reading {view.share:.0%}"


def overlay(
    title: str, runs: Sequence[tuple[str, Ink, tuple[str, str], Curves]]
) -> tuple[tuple[Curve, ...], list[Content]]:
    """The losses of several runs, (name, ink, eval marker, curves), and a title with the legend of them.

    Where there is no room, what is worth least is left out first; then the names are cut.
    """
    lines, markers, plain = [], [], figures.ascii_only()
    keys: list[tuple[Content, str]] = []
    for name, ink, marker, of in runs:
        raw = of.series.get("loss") or Series()
        line = of.smoothed if len(of.smoothed.xs) else raw
        lines.append(Curve(line.xs, line.ys, ink))
        markers.append(Curve(of.evals.xs, of.evals.ys, ink, "markers", marker))
        keys.append((Content.styled(f"{'-' if plain else '━'}{marker[plain]}", f"${ink}"), name))
    marks, titles = _marks(runs[0][3].lens) if runs else [], []
    for most in _NAMES:
        names = [(Content.assemble(key, f" {one_line(name, most)}"), 0) for key, name in keys]
        titles += shortened([(title, 0), *names, *marks], "  ")
    return tuple(curve for curve in (*lines, *markers) if len(curve.xs)), titles


def _marks(lens: Lens) -> list[Part]:
    """What of the lens is worth a word; how soon it goes."""
    marks: list[Part] = [(f"smooth {lens.smoothing:g}", 3)] if lens.smoothing else []
    marks += [("log", 1)] if lens.log else []
    if lens.zoom:
        marks.append((f"{'last ' if lens.at is None else ''}1/{2**lens.zoom}", 1))
    return marks + ([(f"over {lens.x_axis}", 1)] if lens.x_axis != "step" else [])


def _memory(view: RunView, gpus: tuple[Gpu, ...], frame: _Frame) -> ChartData:
    """What torch has of the GPU, with the whole card as the axis; the trainer's host memory without one."""
    reserved, allocated = frame.series("memory_reserved"), frame.series("memory_allocated")
    if not frame.now("memory_reserved") and not frame.now("memory_allocated"):
        host, used = frame.series("memory_rss"), frame.now("memory_rss")
        curve = (Curve(host.xs, _gigabytes(host), "accent"),) if len(host.xs) else ()
        words = f"{figures.gib(used)} used" if used is not None else ""
        return frame.data(curve, "memory GB  no GPU", words, low=0)
    gpu = _gpu_of(view, gpus)
    # What NVML counts is everybody's, and only known while somebody looks: a figure, not a curve.
    in_use = gpu.memory_used if gpu and view.run.state in figures.ACTIVE and frame.cursor is None else None
    now: list[Part] = [(f"{figures.gib(in_use)} in use", 0)] if in_use else []
    if peak := frame.now("memory_peak"):
        now.append((f"torch peak {figures.gib(peak)}", 1 if in_use else 0))
    curves = (
        Curve(reserved.xs, _gigabytes(reserved), "accent"),
        Curve(allocated.xs, _gigabytes(allocated), "special"),
    )
    ends = {"low": 0.0}
    if gpu and gpu.memory_total:
        ends["high"] = gpu.memory_total / figures.GIB
    return frame.data(curves, "VRAM GB", shortened(now, " · "), **ends)


def _gpu_of(view: RunView, gpus: tuple[Gpu, ...]) -> Gpu | None:
    """The GPU of its first process, whose memory the trainer tells; the first there is where that is not known."""
    return next(iter(gpus_of(view.run.devices, gpus, view.run.pid)), gpus[0] if gpus else None)


def _gigabytes(series: Series) -> tuple[float, ...]:
    return tuple(size / figures.GIB for size in series.ys)

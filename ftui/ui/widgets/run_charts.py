"""What the Train pane's five charts show of a run: curves, axes, titles and the figures in their borders."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from textual.content import Content

from ftui.ui.run_reader import Series
from ftui.ui.widgets import figures
from ftui.ui.widgets.braille import domain, zoomed
from ftui.ui.widgets.chart import ChartData, Curve

if TYPE_CHECKING:
    from ftui.gpu.nvml import Gpu
    from ftui.ui.run_reader import RunView
    from ftui.ui.widgets.chart import Ink

MOST_ZOOM = 6
SMOOTHINGS = (0.0, 0.6, 0.9, 0.97)


@dataclass(frozen=True, slots=True)
class Lens:
    """How curves are looked at. zoom: the newest 1/2**zoom of the steps. smoothing: weight of the past."""

    zoom: int = 0
    smoothing: float = 0.6
    log: bool = False


def charts(view: RunView, lens: Lens, gpus: tuple[Gpu, ...]) -> dict[str, ChartData]:
    """A ChartData for each chart by its id: loss, speed, gradient, memory, rate."""
    loss = _series(view, "loss")
    start, end = _window(view, loss, lens)
    return {
        "loss": _loss(view, loss, lens, start, end),
        "speed": _one(view, "tokens_per_second", "tokens/s", "good", start, end, figures.rate),
        "gradient": _one(view, "grad_norm", "grad norm", "special", start, end, figures.number),
        "memory": _memory(view, gpus, start, end),
        "rate": _one(view, "learning_rate", "learning rate", "warning", start, end, figures.number),
    }


def _window(view: RunView, loss: Series, lens: Lens) -> tuple[float, float]:
    latest = max([*loss.xs[-1:], *view.evals.xs[-1:], 0])
    ended = view.run.state not in figures.ACTIVE
    start, end = (0.0, max(latest, 1.0)) if ended else domain(0, latest, view.run.steps or 0)
    return zoomed(start, end, latest, lens.zoom) if lens.zoom else (start, end)


def _loss(view: RunView, loss: Series, lens: Lens, start: float, end: float) -> ChartData:
    curves = []
    if len(view.smoothed.xs):
        curves += [Curve(loss.xs, loss.ys, "border"), Curve(view.smoothed.xs, view.smoothed.ys, "accent")]
    else:
        curves.append(Curve(loss.xs, loss.ys, "accent"))
    if len(view.evals.xs):
        curves.append(Curve(view.evals.xs, view.evals.ys, "eval", "markers"))
    plain = figures.ascii_only()
    title: list[Content | str] = ["loss", "  ", Content.styled("-" if plain else "━", "$accent"), " train"]
    if len(view.evals.xs):
        title += ["  ", Content.styled("o" if plain else "●", "$eval"), " eval"]
    marks = [f"smooth {lens.smoothing:g}"] if lens.smoothing else []
    marks += ["log"] if lens.log else []
    marks += [f"last 1/{2**lens.zoom}"] if lens.zoom else []
    title.append("".join(f"  {mark}" for mark in marks))
    now = [f"step {view.run.step or 0}"]
    if loss.last is not None:
        now.append(f"train {figures.number(loss.last)}")
    if view.evals.last is not None:
        now.append(f"eval {figures.number(view.evals.last)}")
    if view.perplexity is not None:
        now.append(f"ppl {figures.number(view.perplexity)}")
    if (margin := _series(view, "rewards/margins").last) is not None:
        right = _series(view, "rewards/accuracies").last
        now.append(
            f"margin {figures.number(margin)}" + (f" ({right:.0%} right)" if right is not None else "")
        )
    return ChartData(
        tuple(curves), start, end,
        title=Content.assemble(*title), subtitle=" · ".join(now), empty="no step yet",
    )  # fmt: skip


def _one(
    view: RunView, name: str, title: str, ink: Ink, start: float, end: float, write: figures.Writer
) -> ChartData:
    series = _series(view, name)
    curves = (Curve(series.xs, series.ys, ink),) if len(series.xs) else ()
    now = write(series.last) if series.last is not None else ""
    return ChartData(curves, start, end, title=title, subtitle=now, empty="–")


def _memory(view: RunView, gpus: tuple[Gpu, ...], start: float, end: float) -> ChartData:
    """What torch has of the GPU, with the whole card as the axis; the trainer's host memory without one."""
    reserved, allocated = _series(view, "memory_reserved"), _series(view, "memory_allocated")
    if not reserved.last and not allocated.last:
        host = _series(view, "memory_rss")
        curve = (Curve(host.xs, _gigabytes(host), "accent"),) if len(host.xs) else ()
        used = f"{figures.gib(host.last)} used" if host.last is not None else ""
        return ChartData(curve, start, end, low=0, title="memory GB  no GPU", subtitle=used, empty="–")
    gpu = _gpu_of(view, gpus)
    # What NVML counts is everybody's, and only known while somebody looks: a figure, not a curve.
    in_use = gpu.memory_used if gpu and view.run.state in figures.ACTIVE else None
    now = [f"{figures.gib(in_use)} in use"] if in_use else []
    if peak := _series(view, "memory_peak").last:
        now.append(f"torch peak {figures.gib(peak)}")
    curves = (
        Curve(reserved.xs, _gigabytes(reserved), "accent"),
        Curve(allocated.xs, _gigabytes(allocated), "special"),
    )
    total = gpu.memory_total / figures.GIB if gpu and gpu.memory_total else None
    return ChartData(
        curves, start, end, low=0, high=total, title="VRAM GB", subtitle=" · ".join(now), empty="–"
    )


def _gpu_of(view: RunView, gpus: tuple[Gpu, ...]) -> Gpu | None:
    """The GPU the trainer says it is on ("cuda:1"), else the first."""
    device = str(view.facts.get("attempt", {}).get("device") or "")
    number = device.rpartition(":")[2]
    return next((gpu for gpu in gpus if number == str(gpu.index)), gpus[0] if gpus else None)


def _gigabytes(series: Series) -> tuple[float, ...]:
    return tuple(size / figures.GIB for size in series.ys)


def _series(view: RunView, name: str) -> Series:
    return view.series.get(name) or Series()

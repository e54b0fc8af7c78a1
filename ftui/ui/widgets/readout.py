"""The figures in the border of the loss chart: the newest ones, or those where the cursor stands."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from ftui.runs.history import SECONDS, STEP, TOKENS
from ftui.ui.run_curves import Series
from ftui.ui.widgets import figures
from ftui.ui.widgets.captions import shortened

if TYPE_CHECKING:
    from collections.abc import Sequence

    from textual.content import Content

    from ftui.ui.run_curves import Curves
    from ftui.ui.run_reader import RunView
    from ftui.ui.widgets.run_charts import Layer


Part = tuple[str, int]  # a text, and how soon it goes where there is no room: 0 never


def readout(view: RunView, cursor: float | None, layers: Sequence[Layer] = ()) -> list[Content]:
    """One line, as long as there is room for. cursor: an x of the view's axis, None for the newest figures."""
    return shortened(_newest(view) if cursor is None else _at(view, cursor, layers), " · ")


def step_at(curves: Curves, x: float) -> float:
    """The step at an x of the curves' axis."""
    return x if curves.lens.x_axis == "step" else _place(curves, STEP).at(x)


def _newest(view: RunView) -> list[Part]:
    curves = view.curves
    now = [(f"step {view.run.step or 0}", 1)]
    if (loss := curves.latest.get("loss")) is not None:
        now.append((f"train {figures.number(loss)}", 0))
    if curves.latest_eval is not None:
        now.append((f"eval {figures.number(curves.latest_eval)}", 0))
    if view.perplexity is not None:
        now.append((f"ppl {figures.number(view.perplexity)}", 3))
    if (margin := curves.latest.get("rewards/margins")) is not None:
        right = curves.latest.get("rewards/accuracies")
        often = f" ({right:.0%} right)" if right is not None else ""
        now.append((f"margin {figures.number(margin)}{often}", 2))
    return now


def _at(view: RunView, cursor: float, layers: Sequence[Layer]) -> list[Part]:
    """What was at the cursor, and of runs laid over each other the losses of all."""
    curves = view.curves
    step = step_at(curves, cursor)
    line = "|" if figures.ascii_only() else "│"
    words = [(f"{line} before the first step" if math.isnan(step) else f"{line} step {step:.0f}", 0)]
    losses = [_side_by_side(view, cursor, layers)] if layers else _losses(curves, cursor)
    words += [(loss, 0) for loss in losses]
    tokens, seconds = _place(curves, TOKENS).at(cursor), _place(curves, SECONDS).at(cursor)
    if not math.isnan(tokens):
        words.append((f"{figures.rate(tokens)} tok", 2))
    if not math.isnan(seconds):
        words.append((figures.duration(seconds), 1))
    return words


def _losses(curves: Curves, cursor: float) -> list[str]:
    words = []
    if series := curves.series.get("loss"):
        words.append(f"train {figures.number(series.at(cursor))}")
    if not math.isnan(evaluated := curves.evals.at(cursor)):
        words.append(f"eval {figures.number(evaluated)}")
    return words


def _side_by_side(view: RunView, cursor: float, layers: Sequence[Layer]) -> str:
    """Train and eval loss of every run: ● 0.85/0.89 ◆ 0.72/0.70."""
    plain, told = figures.ascii_only(), []
    runs = [] if any(layer.run_id == view.run.id for layer in layers) else [(("●", "o"), view.curves)]
    for marker, curves in [*runs, *((layer.marker, layer.curves) for layer in layers)]:
        line = curves.smoothed if len(curves.smoothed.xs) else curves.series.get("loss") or Series()
        values = [value for value in (line.at(cursor), curves.evals.at(cursor)) if not math.isnan(value)]
        if values and cursor <= line.xs[-1]:
            told.append(f"{marker[plain]} {'/'.join(map(figures.number, values))}")
    return " ".join(told)


def _place(curves: Curves, name: str) -> Series:
    return curves.places.get(name) or Series()

"""Where the read-out cursor stands: on a step of the run, moved by at least a cell and at least a step."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from typing import TYPE_CHECKING

from ftui.runs.history import STEP
from ftui.ui.run_curves import Series

if TYPE_CHECKING:
    from ftui.ui.run_curves import Curves


def place_of(curves: Curves, step: float) -> float:
    """The x of a step on the curves' axis."""
    steps = curves.places.get(STEP) or Series()
    if curves.lens.x_axis == "step" or not len(steps.xs):
        return step
    return steps.xs[min(bisect_left(steps.ys, step), len(steps.xs) - 1)]


def step_near(curves: Curves, x: float) -> float | None:
    """The step drawn nearest to `x`; None before the first."""
    steps = curves.places.get(STEP) or Series()
    if not len(steps.xs):
        return None
    after = min(bisect_left(steps.xs, x), len(steps.xs) - 1)
    before = max(0, after - 1)
    nearest = before if x - steps.xs[before] < steps.xs[after] - x else after
    return steps.ys[nearest]


def moved(curves: Curves, step: float | None, by: int, columns: int) -> float | None:
    """The step `by` to the right of one, negative to the left; from None the newest one in sight.

    columns: the cells that the x axis takes.
    """
    steps, (start, end) = curves.places.get(STEP) or Series(), curves.window
    first = bisect_left(steps.xs, start)
    last = bisect_right(steps.xs, end) - 1
    if last < first:
        return step
    x = None if step is None else place_of(curves, step)
    if x is None or not start <= x <= end:
        return steps.ys[last]
    cells = by * (end - start) / max(columns, 1)
    if by < 0:
        at = min(bisect_right(steps.xs, x + cells), bisect_left(steps.xs, x)) - 1
    else:
        at = max(bisect_left(steps.xs, x + cells), bisect_right(steps.xs, x))
    return steps.ys[max(first, min(last, at))]

"""Where the read-out cursor stands: on a step of the run, moved by at least a cell and at least a step."""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from dataclasses import replace
from typing import TYPE_CHECKING

from ftui.runs.history import STEP
from ftui.ui.lens import COLUMN
from ftui.ui.run_curves import Reach, Series

if TYPE_CHECKING:
    from ftui.ui.lens import Lens, XAxis
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


def over(curves: Curves, lens: Lens, x_axis: XAxis, step: float | None) -> Lens:
    """`lens` over another x axis, on the same part of the run: `step`, else its middle, stays where it is."""
    newest = replace(lens, x_axis=x_axis, at=None)
    if curves.lens.x_axis != lens.x_axis:  # changed again before the run was read for it
        lens = replace(lens, x_axis=curves.lens.x_axis, at=curves.lens.at)
    here, there = curves.latest.get(COLUMN[lens.x_axis]), curves.latest.get(COLUMN[x_axis])
    if not lens.zoom or not here or not there or (lens.at is None and step is None):
        return newest
    start, end = curves.reach.window(lens)
    x = None if step is None else place_of(curves, step)
    if x is None or not start <= x <= end:
        x = (start + end) / 2
    reach = Reach(curves.reach.latest * there / here, curves.reach.planned * there / here, curves.reach.ended)
    begin, stop = reach.window(newest)
    place = (curves.places.get(COLUMN[x_axis]) or Series()).at(x)
    at = place - (x - start) / (end - start) * (stop - begin)
    followed = lens.at is None and begin <= place <= stop
    return newest if followed or math.isnan(at) or at >= begin else replace(newest, at=max(0.0, at))

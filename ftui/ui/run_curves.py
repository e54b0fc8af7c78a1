"""A run's curves through a lens: what is in sight of each, small enough to draw however long the run is."""

from __future__ import annotations

import itertools
import math
import operator
from bisect import bisect_left, bisect_right
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ftui.core.series import extremes, means, smooth
from ftui.runs.history import SECONDS, STEP, TOKENS
from ftui.ui.lens import COLUMN, Lens, window

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ftui.runs.columns import Columns
    from ftui.runs.history import History

# What of a step is drawn.
STEP_FIELDS = (
    "loss", "tokens_per_second", "grad_norm", "learning_rate",
    "memory_allocated", "memory_reserved", "memory_peak", "memory_rss",
    "rewards/margins", "rewards/accuracies",
)  # fmt: skip
_STRETCHES = 4096  # a long curve is reduced to


@dataclass(frozen=True, slots=True)
class Series:
    """A curve: xs ascend; ys may hold NaN."""

    xs: Sequence[float] = ()
    ys: Sequence[float] = ()

    def at(self, x: float) -> float:
        """The value at `x` or the newest before it, NaN where there is none."""
        index = bisect_right(self.xs, x) - 1
        return self.ys[index] if index >= 0 else math.nan

    def with_places(self, xs: Sequence[float], ys: Sequence[float], places: Sequence[int]) -> Series:
        """With some more points of the same curve."""
        return Series((*self.xs, *map(xs.__getitem__, places)), (*self.ys, *map(ys.__getitem__, places)))


@dataclass(frozen=True, slots=True)
class Reach:
    """How far a run has come on an x axis, how far it is planned to (0: unknown), whether it is over."""

    latest: float = 0.0
    planned: float = 0.0
    ended: bool = True

    def with_(self, other: Reach) -> Reach:
        """Of two runs on one axis."""
        latest, planned = max(self.latest, other.latest), max(self.planned, other.planned)
        return Reach(latest, planned, self.ended and other.ended)

    def window(self, lens: Lens) -> tuple[float, float]:
        return window(lens, self.latest, self.planned, ended=self.ended)


@dataclass(frozen=True, slots=True)
class Curves:
    """What is in sight of a run's curves.

    window: the part of the x axis that `reach` and `lens` leave. series: by field of a step. smoothed: the
    loss's moving average, empty when smoothing is off. latest: the newest value of each field, in sight or not.
    places: `step`, `num_tokens` and `seconds` over x, as far as they are known.
    """

    lens: Lens = field(default_factory=Lens)
    window: tuple[float, float] = (0.0, 1.0)
    reach: Reach = field(default_factory=Reach)
    series: Mapping[str, Series] = field(default_factory=dict)
    smoothed: Series = field(default_factory=Series)
    evals: Series = field(default_factory=Series)
    latest: Mapping[str, float] = field(default_factory=dict)
    latest_eval: float | None = None
    places: Mapping[str, Series] = field(default_factory=dict)


class Reduced:
    """Long curves made small: of each stretch the lowest and the highest value, in their order.

    Remembers the stretches of a growing curve that are full, so that following a million steps costs no more
    than following a thousand. Use from one thread at a time.
    """

    def __init__(self) -> None:
        self._of: tuple[object, ...] = ()
        self._full: dict[str, tuple[int, int, Series]] = {}  # name: width, how far, what of that

    def begin(self, table: Columns, lens: Lens) -> None:
        """Forgets what does not hold any more."""
        of = (table, table.cuts, lens.x_axis)
        if self._of != of:
            self._of = of
            self._full = {}

    def series(self, name: str, xs: Sequence[float], ys: Sequence[float], start: int, stop: int) -> Series:
        """A frozen copy of a part."""
        count = stop - start
        if count <= 2 * _STRETCHES:
            return Series(tuple(xs[start:stop]), tuple(ys[start:stop]))
        width = 1 << math.ceil(math.log2(count / _STRETCHES))
        known = self._full.get(name)
        if start or known is None or known[0] != width or known[1] > stop:
            known = (width, start, Series())
        _, done, full = known
        whole = start + count // width * width
        if whole > done:
            full = full.with_places(xs, ys, extremes(ys, done, whole, width))
            if not start:
                self._full[name] = (width, whole, full)
        rest = extremes(ys, whole, stop, width)
        # The newest value is what the border says.
        return full.with_places(xs, ys, rest if rest[-1:] == [stop - 1] else [*rest, stop - 1])


def reach_of(history: History, lens: Lens, planned_steps: float, *, ended: bool) -> Reach:
    """How far a run has come on the lens's x axis."""
    steps = history.steps.column(STEP)
    last_step = max([*steps[-1:], *history.evals.column(STEP)[-1:], 0.0])
    if lens.x_axis == "step":
        return Reach(last_step, planned_steps, ended)
    latest = max([*_axis(history.steps, lens)[-1:], 0.0])
    planned = latest / last_step * planned_steps if last_step else 0.0
    return Reach(latest, planned, ended)


def curves_of(history: History, lens: Lens, reach: Reach, reduced: Reduced | None = None) -> Curves:
    """The curves of a run; `reach` is its own, or that of all the runs that share the axis.

    reduced: what was worked out of the same history before.
    """
    reduced = reduced or Reduced()
    reduced.begin(history.steps, lens)
    table, shown = history.steps, reach.window(lens)
    xs = _axis(table, lens)
    # One point more at each side: curves go on to the edge.
    start = max(0, bisect_left(xs, shown[0]) - 1)
    stop = min(len(xs), bisect_right(xs, shown[1]) + 1)
    known = [name for name in STEP_FIELDS if name in table.names and len(xs)]
    loss = table.column("loss")
    smoothed = _smoothed(xs, loss, start, stop, lens.smoothing) if lens.smoothing else Series()
    places = [name for name in (STEP, TOKENS, SECONDS) if name in table.names]
    return Curves(
        lens=lens,
        window=shown,
        reach=reach,
        series={name: reduced.series(name, xs, table.column(name), start, stop) for name in known},
        smoothed=smoothed,
        evals=_evals(history, xs, shown),
        latest={name: column[-1] for name in (*known, *places) if len(column := table.column(name))},
        latest_eval=history.evals.last("eval_loss"),
        places={name: reduced.series(name, xs, table.column(name), start, stop) for name in places},
    )


def _axis(table: Columns, lens: Lens) -> Sequence[float]:
    """The x of every step; steps again where the run has not told what the lens asks for."""
    name = COLUMN[lens.x_axis]
    if name == STEP or name not in table.names:
        return table.column(STEP)
    return _ascending(table.column(name))


def _ascending(values: Sequence[float]) -> Sequence[float]:
    """`values` with those left out or lower than one before repeating the highest so far."""
    if len(values) > 2 * _STRETCHES:
        import numpy as np

        known = np.frombuffer(values, dtype=np.float64)  # type: ignore[call-overload]
        if bool((known[1:] >= known[:-1]).all()):
            return values
        highest: Sequence[float] = np.fmax.accumulate(np.concatenate(([0.0], known)))[1:].tolist()
        return highest
    if all(map(operator.le, values, itertools.islice(values, 1, None))) and not math.isnan(sum(values)):
        return values
    highs = itertools.accumulate((0.0 if math.isnan(value) else value for value in values), max)
    return list(highs)


def _evals(history: History, xs: Sequence[float], shown: tuple[float, float]) -> Series:
    """Evaluations: at the x of their step, or of the last one before it."""
    steps, table = history.steps.column(STEP), history.evals
    at = table.column(STEP)
    if xs is not steps:
        places = [bisect_right(steps, step) - 1 for step in at]
        at = [xs[place] if place >= 0 else 0.0 for place in places]
    start = max(0, bisect_left(at, shown[0]) - 1)
    return Reduced().series("", at, table.column("eval_loss"), start, bisect_right(at, shown[1]))


def _smoothed(xs: Sequence[float], ys: Sequence[float], start: int, stop: int, weight: float) -> Series:
    """The moving average; over a long curve of the means of its stretches, with the same memory in steps.

    It begins some way before what is in sight, so that moving the window does not change it.
    """
    run_up = min(start, math.ceil(math.log(1e-3) / math.log(weight)))
    begin, count = start - run_up, stop - start + run_up
    if count <= 2 * _STRETCHES:
        average = smooth(ys[begin:stop], weight)
        return Series(tuple(xs[start:stop]), tuple(average[run_up:]))
    middles, averages = means(ys, start, stop, _STRETCHES)
    memory = weight ** ((stop - start) / _STRETCHES)
    return Series(tuple(map(xs.__getitem__, middles)), tuple(smooth(averages, memory)))

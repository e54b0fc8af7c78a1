"""Curves as numbers: downsampling that keeps every peak, and smoothing."""

from __future__ import annotations

import itertools
import math
from array import array
from bisect import bisect_left, bisect_right
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True, slots=True)
class Bucket:
    """What one pixel column of a chart shows.

    low, high: the smallest and largest finite value in it, NaN when it has none. first, last: the finite
    values at its ends, which neighbouring columns are joined by. holes: values that are NaN or infinite.
    """

    low: float
    high: float
    first: float
    last: float
    holes: int = 0

    @property
    def empty(self) -> bool:
        return math.isnan(self.low)


def buckets(
    xs: Sequence[float],
    ys: Sequence[float],
    columns: int,
    start: float | None = None,
    end: float | None = None,
) -> list[Bucket | None]:
    """The curve (xs, ys) in `columns` equal slices of [start, end] (default: all of it); None has no point.

    xs never decreases. Minima and maxima survive, however many points share a column: a one-step spike in a
    million steps is seen. Costs a binary search and one pass at C speed for each column.
    """
    count = min(len(xs), len(ys))
    if count == 0 or columns <= 0:
        return [None] * max(0, columns)
    left = xs[0] if start is None else start
    right = xs[count - 1] if end is None else end
    width = (right - left) / columns
    edges = [bisect_left(xs, left + width * column, 0, count) for column in range(columns)]
    edges.append(count if end is None else bisect_right(xs, right, 0, count))
    return [_bucket(ys[a:b]) if b > a else None for a, b in itertools.pairwise(edges)]


def smooth(ys: Sequence[float], weight: float) -> list[float]:
    """Exponential moving average with the start-up bias divided out, as TensorBoard draws it.

    weight: 0 is the curve itself, towards 1 is smoother. A NaN or infinite value is passed over and repeats
    the average so far.
    """
    if weight <= 0:
        return list(ys)
    smoothed, average, share = [], 0.0, 0.0
    for y in ys:
        if math.isfinite(y):
            average = weight * average + (1 - weight) * y
            share = weight * share + (1 - weight)
        smoothed.append(average / share if share else math.nan)
    return smoothed


def extremes(ys: Sequence[float], start: int, stop: int, width: int) -> list[int]:
    """The places in ys[start:stop] that keep its shape, ascending.

    The lowest and the highest finite value and the first hole of every stretch of `width` values.
    """
    import numpy as np  # only a long curve is worth its import

    values = np.asarray(memoryview(ys) if isinstance(ys, array) else ys, dtype=np.float64)[start:stop]
    whole = len(values) // width * width
    kept = []
    for begin, part in ((0, values[:whole].reshape(-1, width)), (whole, values[whole:].reshape(1, -1))):
        if not part.size:
            continue
        first = begin + np.arange(len(part)) * width
        finite = np.isfinite(part)
        if finite.all():
            kept += [first + part.argmin(axis=1), first + part.argmax(axis=1)]
            continue
        kept += [
            first + np.where(finite, part, np.inf).argmin(axis=1),
            first + np.where(finite, part, -np.inf).argmax(axis=1),
            (first + finite.argmin(axis=1))[~finite.all(axis=1)],
        ]
    if not kept:
        return []
    places: list[int] = (start + np.unique(np.concatenate(kept))).tolist()
    return places


def means(ys: Sequence[float], start: int, stop: int, stretches: int) -> tuple[list[int], list[float]]:
    """The middle and the mean finite value of each stretch of ys[start:stop], NaN where it has none."""
    import numpy as np

    count = stop - start
    values = np.asarray(memoryview(ys) if isinstance(ys, array) else ys, dtype=np.float64)[start:stop]
    edges = np.linspace(0, count, min(stretches, count) + 1).astype(np.int64)
    finite = np.isfinite(values)
    sums = np.add.reduceat(np.where(finite, values, 0.0), edges[:-1])
    counts = np.add.reduceat(finite.astype(np.int64), edges[:-1])
    with np.errstate(invalid="ignore", divide="ignore"):
        averages = sums / counts
    return (start + (edges[:-1] + edges[1:]) // 2).tolist(), averages.tolist()


def _bucket(values: Sequence[float]) -> Bucket:
    # One non-finite value makes the sum non-finite: the common case pays for one pass and no list.
    if math.isfinite(sum(values)):
        return Bucket(min(values), max(values), values[0], values[-1])
    finite = [value for value in values if math.isfinite(value)]
    holes = len(values) - len(finite)
    if not finite:
        return Bucket(math.nan, math.nan, math.nan, math.nan, holes)
    return Bucket(min(finite), max(finite), finite[0], finite[-1], holes)

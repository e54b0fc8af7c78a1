"""Where in a run's figures an alarm may have gone off: cheap looks at all of them, however many there are.

What is found is a suspicion. The check itself, shown what was known at that moment, decides.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

LOOKBACK = 130  # rows before a moment that the checks of a recent window can see, and some
STRIDE = 10
_FIRST_TREND = 40


@dataclass(slots=True)
class Suspicion:
    """Goes through a run piece by piece, `lowest` and `highest` being the level and the rate of before."""

    lowest: float = math.inf
    highest: float = 0.0

    def of(self, piece: Mapping[str, Sequence[float]]) -> dict[str, list[int]]:
        """By check, how many rows of `piece` were known at each moment in question, ascending.

        Each piece begins at a multiple of STRIDE, with LOOKBACK rows or more of the one before.
        """
        import numpy as np  # not worth its import to whoever only wants the names

        columns = {name: np.asarray(values, dtype=float) for name, values in piece.items()}
        found = {
            "not-a-number": _not_finite(columns),
            "zero": _zeros(columns),
            "divergence": self._climbs(columns),
            "gradient-spike": _spikes(columns),
            "step-time-cliff": _cliffs(columns),
            "loader-bound": _waits(columns),
            "learning-rate-spent": self._spent(columns),
        }
        return {check: rows for check, rows in found.items() if rows}

    def _climbs(self, columns: Mapping[str, Any]) -> list[int]:
        import numpy as np

        rows, values = _told(columns, "loss")
        if len(values) < 10:
            return []
        levels = np.median(_windows(values, 10)[::5], axis=1)
        best = np.minimum(np.minimum.accumulate(levels), self.lowest)
        self.lowest = float(best[-1])
        return [int(rows[5 * at + 9]) + 1 for at in np.flatnonzero(levels > 1.5 * best + 0.1)]

    def _spent(self, columns: Mapping[str, Any]) -> list[int]:
        import numpy as np

        rows, values = _told(columns, "learning_rate")
        if len(values) < 3:
            return []
        top = np.maximum(np.maximum.accumulate(values), self.highest)
        self.highest = float(top[-1])
        low = values < 1e-3 * top
        return [int(rows[at + 2]) + 1 for at in np.flatnonzero(low[2:] & low[1:-1] & low[:-2])]


def trend_moments() -> Iterator[int]:
    """Row counts at which the trend of a run is judged: closer together while it is young."""
    count = _FIRST_TREND
    while True:
        yield count
        count += max(5, count // 10)


def _told(columns: Mapping[str, Any], name: str) -> tuple[Any, Any]:
    """(rows, values) of a column's finite values."""
    import numpy as np

    values = columns.get(name, np.empty(0))
    rows = np.flatnonzero(np.isfinite(values))
    return rows, values[rows]


def _windows(values: Any, width: int) -> Any:
    import numpy as np

    return np.lib.stride_tricks.sliding_window_view(values, width)


def _not_finite(columns: Mapping[str, Any]) -> list[int]:
    import numpy as np

    found: set[int] = set()
    for name in ("loss", "grad_norm"):
        values = columns.get(name, np.empty(0))
        bad = ~np.isfinite(values)
        if not bad.all() or np.isinf(values).any():
            found.update((np.flatnonzero(bad) + 1).tolist())
    return sorted(found)


def _zeros(columns: Mapping[str, Any]) -> list[int]:
    import numpy as np

    found: set[int] = set()
    for name in ("loss", "grad_norm"):
        rows, values = _told(columns, name)
        if len(values) >= 3:
            none = values == 0
            found.update((rows[np.flatnonzero(none[2:] & none[1:-1] & none[:-2]) + 2] + 1).tolist())
    return sorted(found)


def _spikes(columns: Mapping[str, Any]) -> list[int]:
    """Norms of five times the usual before them: half of what is asked of an alarm."""
    import numpy as np

    rows, values = _told(columns, "grad_norm")
    if len(values) < 20:
        return []
    usual = np.repeat(_usual(values, 95, 15), STRIDE)[: len(values)]
    high = np.flatnonzero((values > 5 * usual) & (usual > 0))
    return [int(rows[max(19, at)]) + 1 for at in high if at >= 15]


def _cliffs(columns: Mapping[str, Any]) -> list[int]:
    import numpy as np

    rows, values = _told(columns, "tokens_per_second")
    if len(values) < 30:
        return []
    now = np.median(_windows(values, 10)[::STRIDE], axis=1)  # of rows 10 k to 10 k + 9
    usual = _usual(values, 100, 20)[: len(now)]  # of those before row 10 k
    slow = np.flatnonzero((usual > 2 * now) & (now > 0))
    return [int(rows[STRIDE * at + 9]) + 1 for at in slow if at >= 2]


def _waits(columns: Mapping[str, Any]) -> list[int]:
    import numpy as np

    waited, whole = (columns.get(name, np.empty(0)) for name in ("data_time", "step_time"))
    if len(waited) != len(whole):
        return []
    rows = np.flatnonzero(np.isfinite(waited) & np.isfinite(whole))
    if len(rows) < 10:
        return []
    sums = [_windows(column[rows], 10).sum(axis=1) for column in (waited, whole)]
    long = np.flatnonzero(sums[0] > 0.2 * np.maximum(1e-9, sums[1]))
    return [int(rows[at + 9]) + 1 for at in long]


def _usual(values: Any, width: int, least: int) -> Any:
    """The median of up to `width` values before every tenth; of the first `least` where there are fewer."""
    import numpy as np

    starts = range(0, len(values), STRIDE)
    young = [float(np.median(values[: max(least, at)])) for at in starts if at < width]
    first = len(young) * STRIDE - width
    old = np.median(_windows(values, width)[first::STRIDE], axis=1) if len(young) < len(starts) else []
    return np.concatenate([young, old])[: len(starts)]

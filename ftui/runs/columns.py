"""A growing table of numbers: what charts are drawn from and alarms look at."""

from __future__ import annotations

import itertools
import math
import operator
from array import array
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

STEP = "step"

_NOT_CHARTED = frozenset({"v", "seq", "attempt", "type", "t"})


class Columns:
    """Floats by column name, 8 bytes a value, NaN where an event did not tell.

    Rows are in the order of their step, which increases.
    """

    def __init__(self) -> None:
        self._columns: dict[str, array[float]] = {STEP: array("d")}

    def __len__(self) -> int:
        return len(self._columns[STEP])

    @property
    def names(self) -> list[str]:
        return list(self._columns)

    def column(self, name: str) -> Sequence[float]:
        """The values under `name`; NaN throughout for a name that no event has told. Not to be written to."""
        known = self._columns.get(name)
        return known if known is not None else array("d", [math.nan]) * len(self)

    def last(self, name: str) -> float | None:
        """The newest value under `name` that was told, None when there is none."""
        values = self._columns.get(name, array("d"))
        return next((value for value in reversed(values) if not math.isnan(value)), None)

    def add(self, events: Sequence[dict[str, Any]], extra: dict[str, Sequence[float]]) -> None:
        """Adds a row an event: every number in it, and the columns of `extra`, which has a value an event.

        An event without a step is left out; one whose step is there already replaces it and what follows.
        """
        start = 0
        for shape, group in itertools.groupby(events, key=tuple):
            rows = list(group)
            piece = {name: values[start : start + len(rows)] for name, values in extra.items()}
            start += len(rows)
            if not self._add_alike(list(shape), rows, piece):
                for number, row in enumerate(rows):
                    self._add_one(row, {name: values[number] for name, values in piece.items()})

    def cut_after(self, step: float) -> None:
        """Forgets the rows after `step`: a resumed run does them again."""
        steps = self._columns[STEP]
        keep = len(steps)
        while keep and steps[keep - 1] > step:
            keep -= 1
        for column in self._columns.values():
            del column[keep:]

    def _add_alike(
        self, names: list[str], rows: list[dict[str, Any]], extra: dict[str, Sequence[float]]
    ) -> bool:
        """Adds rows of the same fields a column at a time; False, with nothing done, where one is unusual."""
        told: dict[str, Sequence[float]] = dict(extra)
        for name in names:
            if name not in _NOT_CHARTED and not isinstance(rows[0][name], str | list | dict):
                told[name] = list(map(operator.itemgetter(name), rows))
        steps = told.get(STEP, ())
        try:
            last = self._columns[STEP][-1] if len(self) else -math.inf
            if not steps or not steps[0] > last or not all(map(operator.lt, steps, steps[1:])):
                return False
            columns = {name: array("d", values) for name, values in told.items()}
        except TypeError:  # a None or a word among the numbers
            return False
        if math.isinf(steps[-1]):
            return False
        count = len(self)
        for name in columns.keys() - self._columns.keys():
            self._columns[name] = array("d", [math.nan]) * count
        missing = array("d", [math.nan]) * len(rows)
        for name, column in self._columns.items():
            column.extend(columns.get(name, missing))
        return True

    def _add_one(self, event: dict[str, Any], extra: dict[str, float]) -> None:
        step = event.get(STEP)
        if not isinstance(step, int | float) or not math.isfinite(step):
            return
        self.cut_after(math.nextafter(step, -math.inf))
        values = {
            name: float(value)
            for name, value in event.items()
            if name not in _NOT_CHARTED and isinstance(value, int | float)
        }
        values |= extra
        count = len(self)
        for name in values.keys() - self._columns.keys():
            self._columns[name] = array("d", [math.nan]) * count
        for name, column in self._columns.items():
            column.append(values.get(name, math.nan))

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
        self.cuts = 0  # how often rows were forgotten

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
        if keep == len(steps):
            return
        self.cuts += 1
        for column in self._columns.values():
            del column[keep:]

    def _add_alike(
        self, names: list[str], rows: list[dict[str, Any]], extra: dict[str, Sequence[float]]
    ) -> bool:
        """Adds rows of the same fields a column at a time; False, with nothing done, where one is unusual."""
        told: dict[str, Sequence[Any]] = {
            name: values
            for name, values in zip(names, zip(*map(dict.values, rows), strict=True), strict=True)
            if name not in _NOT_CHARTED and not _words(values)
        }
        told |= extra
        steps = told.get(STEP, ())
        try:
            last = self._columns[STEP][-1] if len(self) else -math.inf
            if not steps or not steps[0] > last or not all(map(operator.lt, steps, steps[1:])):
                return False
            columns = {
                name: numbers for name, values in told.items() if (numbers := _numbers(values)) is not None
            }
        except TypeError:  # a word among the numbers
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

    @classmethod
    def of(cls, columns: dict[str, array[float]]) -> Columns:
        """A table of columns as they were in one. Raises ValueError where they are no table."""
        if STEP not in columns or len({len(column) for column in columns.values()}) != 1:
            raise ValueError("not the columns of a table")
        table = cls()
        table._columns = dict(columns)
        return table


def _words(values: Sequence[Any]) -> bool:
    """Whether a column has nothing to chart, which its first value tells of all but damaged ones."""
    return isinstance(values[0], str | list | dict) and all(
        isinstance(value, str | list | dict) for value in values
    )


def _numbers(values: Sequence[Any]) -> array[float] | None:
    """`values` as floats, NaN for None; None where no number was told. Raises TypeError for a word."""
    try:
        return array("d", values)
    except TypeError:
        known = [value is not None for value in values]
        if not any(known):
            return None
        return array("d", [value if told else math.nan for value, told in zip(values, known, strict=True)])

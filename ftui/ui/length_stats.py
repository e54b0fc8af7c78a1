"""How long rows are in tokens: percentiles, and what a longest length would cost. Pure."""

from __future__ import annotations

import math
from array import array
from bisect import bisect_left, bisect_right
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

MARKS = (512, 1024, 2048, 4096, 8192, 16384, 32768)


@dataclass(frozen=True, slots=True)
class Cost:
    """What a longest length takes away. lost: tokens, of all `tokens`."""

    rows: int
    of: int
    lost: int
    tokens: int

    def words(self, length: int, overlong: str) -> str:
        """ "2,048 truncates 37 rows, 1.8%, loses 3.1% of tokens"."""
        if not self.rows:
            return f"{length:,} holds every row"
        verb = "drops" if overlong == "drop" else "truncates"
        rows = f"{self.rows:,} row{'s' if self.rows != 1 else ''}"
        return (
            f"{length:,} {verb} {rows}, {percent(self.rows, self.of)}, "
            f"loses {percent(self.lost, self.tokens)} of tokens"
        )


class LengthStats:
    """Lengths by row, from (row number, tokens)."""

    def __init__(self, rows: Iterable[tuple[int, int]] = ()) -> None:
        self.numbers, self.tokens = array("q"), array("q")
        for number, length in rows:
            self.numbers.append(number)
            self.tokens.append(length)
        self.ordered = sorted(self.tokens)
        self._sums = [0, *accumulate(self.ordered)]

    def __len__(self) -> int:
        return len(self.ordered)

    @property
    def total(self) -> int:
        return self._sums[-1]

    def percentile(self, share: float) -> int:
        """The shortest length that `share` (0 to 1) of the rows do not exceed; 0 without rows."""
        if not self.ordered:
            return 0
        return self.ordered[max(0, math.ceil(share * len(self.ordered)) - 1)]

    def cost(self, length: int, overlong: str) -> Cost:
        """What max_length = `length` takes away: "truncate" the ends, "drop" whole rows."""
        at = bisect_right(self.ordered, length)
        over = len(self.ordered) - at
        beyond = self.total - self._sums[at]
        lost = beyond if overlong == "drop" else beyond - over * length
        return Cost(over, len(self.ordered), lost, self.total)

    def rows_over(self, length: int) -> list[int]:
        """The numbers of the rows of more than `length` tokens, ascending."""
        return sorted(
            number for number, tokens in zip(self.numbers, self.tokens, strict=True) if tokens > length
        )

    def bins(self, edges: list[int]) -> list[int]:
        """How many rows there are from each edge up to below the next; the last edge only ends."""
        places = [bisect_left(self.ordered, edge) for edge in edges]
        return [after - before for before, after in pairwise(places)]


def percent(part: int, whole: int) -> str:
    """1.8%, and never 0% of something or 100% of less than all."""
    if not whole:
        return "0%"
    share = 100 * part / whole
    if 0 < share < 0.1:
        return "under 0.1%"
    if 99.9 < share < 100:
        return "over 99.9%"
    return f"{share:.1f}%" if share < 100 else "100%"


def edges(low: int, high: int, columns: int) -> list[int]:
    """columns + 1 lengths from `low` to above `high`, evenly on a logarithmic scale, each above the last."""
    low, high = max(1, low), max(2, high + 1, low + 1)
    step = (math.log(high) - math.log(low)) / columns
    found = [low]
    for column in range(1, columns):
        found.append(max(found[-1] + 1, round(low * math.exp(step * column))))
    return [*found, max(found[-1] + 1, high)]

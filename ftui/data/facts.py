"""What is known of every row after reading it once: its shape, or that it is broken."""

from __future__ import annotations

from array import array
from collections import Counter
from typing import TYPE_CHECKING, Any

from ftui.core import shapes

if TYPE_CHECKING:
    from collections.abc import Callable

    from ftui.data.index import Index
    from ftui.data.source import Bytes

BROKEN = "broken"


class Facts:
    """Grows row by row behind the index. codes: one byte a row, an index into `names`.

    recognise: names the shape of a row's value; by default the one it has by itself.
    """

    def __init__(self, recognise: Callable[[Any], str] = shapes.recognise) -> None:
        self._recognise = recognise
        self.codes = array("B")
        self.names: list[str] = [BROKEN]
        self.counts: Counter[str] = Counter()

    def __len__(self) -> int:
        return len(self.codes)

    @property
    def broken(self) -> int:
        return self.counts[BROKEN]

    def shape_of(self, row: int) -> str:
        """The shape of row `row` (from 0), "" when not read yet."""
        return self.names[self.codes[row]] if row < len(self.codes) else ""

    def step(self, index: Index, source: Bytes, count: int) -> None:
        """Reads up to `count` rows more."""
        parse, recognise = index.format.parse, self._recognise
        codes = bytearray()
        for raw in index.raws(source, len(self.codes), count):
            value, broken = parse(raw, False)
            codes.append(self._code(BROKEN if broken else recognise(value)))
        self.codes.extend(codes)
        self.counts.update({self.names[code]: times for code, times in Counter(codes).items()})

    def recount(self) -> None:
        """Works out `counts` after `codes` were filled from a cache."""
        self.counts = Counter({self.names[code]: times for code, times in Counter(self.codes).items()})

    def dominant(self) -> str:
        """The shape of most rows that could be read, "unknown" for none; ties go to the first seen."""
        votes = [
            (count, -self.names.index(name), name) for name, count in self.counts.items() if name != BROKEN
        ]
        return max(votes, default=(0, 0, "unknown"))[2]

    def _code(self, name: str) -> int:
        if name not in self.names:
            self.names.append(name)
        return self.names.index(name)

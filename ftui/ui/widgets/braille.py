"""Drawing curves with characters: the pure part of a chart, without Textual.

A cell holds 2 x 4 braille dots, or 1 x 2 in the ASCII mode of poor terminals. Curves come as buckets
(`core.series`), one a dot column, that keep the lowest and the highest value: no spike is lost.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ftui.core.series import Bucket

Cell = tuple[str, int]
_MOST = 1e300  # an axis cannot reach further, its ends are rounded outwards; nor be finer than 1 / _MOST

# Bit of each dot in a braille cell, by [row][column] (Unicode 2800 block).
_BITS = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))


@dataclass(frozen=True, slots=True)
class Axis:
    """A value axis from `low` to `high`, linear or logarithmic."""

    low: float
    high: float
    log: bool = False

    def place(self, value: float, dots: int) -> int:
        """The dot row of `value`, 0 at the top."""
        if self.log:
            share = (math.log10(max(value, self.low)) - math.log10(self.low)) / (
                math.log10(self.high) - math.log10(self.low)
            )
        else:
            # Into the axis first: the largest floats less a negative low are infinite.
            share = (min(max(value, self.low), self.high) - self.low) / (self.high - self.low)
        return dots - 1 - max(0, min(dots - 1, round(share * (dots - 1))))

    def value(self, share: float) -> float:
        """The value at `share` of the height, 0 at the bottom."""
        if self.log:
            return float(self.low * (self.high / self.low) ** share)
        return self.low + share * (self.high - self.low)


def axis(values: Sequence[float], *, log: bool = False) -> Axis:
    """An axis around `values` with round ends, so that it stays put while the values move a little.

    A constant sits in the middle. A logarithmic axis leaves out what is not positive.
    """
    finite = [_moderate(value) for value in values if math.isfinite(value)]
    if log:
        finite = [value for value in finite if value > 0]
    if not finite:
        return Axis(1.0, 10.0, log=True) if log else Axis(0.0, 1.0)
    low, high = min(finite), max(finite)
    if log:
        return _log_axis(low, high)
    span = high - low
    if span <= 1e-9 * max(abs(low), abs(high)):
        pad = abs(high) * 0.5 or 1.0
        return Axis(low - pad, high + pad)
    step = _nice(span / 5)
    return Axis(_snap(math.floor(low / step + 1e-9), step), _snap(math.ceil(high / step - 1e-9), step))


def domain(first: float, latest: float, planned: float = 0) -> tuple[float, float]:
    """The steps an x axis shows: from `first` to a round number past `latest`, never past the plan.

    The end moves in jumps of about a third: between two of them a curve grows instead of being squeezed,
    which is calmer to look at and cheap to send.
    """
    reach = max(latest - first, 1)
    scale = 10.0 ** math.floor(math.log10(reach))
    ladder = (1, 1.5, 2, 3, 4, 6, 8, 10)
    end = first + next(rung * scale for rung in ladder if rung * scale >= reach * 0.999)
    end = max(end, first + 10)
    if planned:
        end = min(end, planned)
    return first, max(end, latest, first + 1)


def zoomed(start: float, end: float, latest: float, times: int) -> tuple[float, float]:
    """The newest 1/2**times of an x axis, moving on in jumps of a quarter of itself."""
    width = (end - start) / 2**times
    begin = max(start, start + math.floor((latest - start - 0.75 * width) / (width / 4)) * (width / 4))
    return begin, begin + width


def _moderate(value: float) -> float:
    return max(-_MOST, min(_MOST, value)) if abs(value) > 1 / _MOST else 0.0


def _nice(size: float) -> float:
    scale = 10.0 ** math.floor(math.log10(size))
    return next(rung * scale for rung in (1, 2, 2.5, 5, 10) if rung * scale >= size * 0.999)


def _snap(count: int, step: float) -> float:
    return float(f"{count * step:.12g}")


def _log_axis(low: float, high: float) -> Axis:
    """Within a decade its ends are as close as those of a linear one: else a loss of 5 to 5.6 is a flat line."""
    if high / low <= 1 + 1e-9:
        return Axis(low / 2, high * 2, log=True)
    if high / low < 10:
        near = axis((low, high))
        low = near.low if near.low > 0 else _round_log(low, up=False)
        return Axis(low, near.high, log=True)
    return Axis(_round_log(low, up=False), _round_log(high, up=True), log=True)


def _round_log(value: float, *, up: bool) -> float:
    scale = 10.0 ** math.floor(math.log10(value))
    ladder = (1, 2, 5, 10) if up else (5, 2, 1)
    for rung in ladder:
        if (up and rung * scale >= value * 0.999) or (not up and rung * scale <= value * 1.001):
            return float(f"{rung * scale:.12g}")
    return scale


class Canvas:
    """Cells being drawn on. An ink is a small number that becomes a colour; the last one wins a cell."""

    def __init__(self, columns: int, rows: int, *, plain: bool = False) -> None:
        self.columns, self.rows, self.plain = columns, rows, plain
        self.across, self.down = (1, 2) if plain else (2, 4)
        self.width, self.height = columns * self.across, rows * self.down
        self._bits = [[0] * columns for _ in range(rows)]
        self._inks = [[0] * columns for _ in range(rows)]
        self._glyphs: dict[tuple[int, int], Cell] = {}

    def dot(self, x: int, y: int, ink: int) -> None:
        if not (0 <= x < self.width and 0 <= y < self.height):
            return
        row, column = y // self.down, x // self.across
        bit = 1 << (y % 2) if self.plain else _BITS[y % 4][x % 2]
        self._bits[row][column] |= bit
        self._inks[row][column] = ink

    def stroke(self, x0: int, y0: int, x1: int, y1: int, ink: int) -> None:
        """A straight line of dots (Bresenham's)."""
        dx, dy = abs(x1 - x0), -abs(y1 - y0)
        sx, sy = (1 if x1 > x0 else -1), (1 if y1 > y0 else -1)
        error = dx + dy
        while True:
            self.dot(x0, y0, ink)
            if x0 == x1 and y0 == y1:
                return
            twice = 2 * error
            if twice >= dy:
                error += dy
                x0 += sx
            if twice <= dx:
                error += dx
                y0 += sy

    def glyph(self, x: int, y: int, character: str, ink: int) -> None:
        """Puts a whole character where dot (x, y) lies."""
        row, column = y // self.down, x // self.across
        if 0 <= row < self.rows and 0 <= column < self.columns:
            self._glyphs[row, column] = character, ink

    def curve(self, points: Sequence[Bucket | None], scale: Axis, ink: int, sick_ink: int) -> None:
        """Joins buckets, one a dot column; a gap is a gap, marked at the foot in `sick_ink`."""
        before: tuple[int, int] | None = None
        for x, bucket in enumerate(points):
            if bucket is None:
                continue
            if bucket.holes:
                self.glyph(x, self.height - 1, "x" if self.plain else "×", sick_ink)
            if bucket.empty:
                before = None
                continue
            first, last = scale.place(bucket.first, self.height), scale.place(bucket.last, self.height)
            if before is not None:
                self.stroke(*before, x, first, ink)
            self.stroke(
                x, scale.place(bucket.low, self.height), x, scale.place(bucket.high, self.height), ink
            )
            before = (x, last)

    def markers(self, points: Sequence[Bucket | None], scale: Axis, character: str, ink: int) -> None:
        """One character a bucket, at its last value."""
        for x, bucket in enumerate(points):
            if bucket is not None and not bucket.empty:
                self.glyph(x, scale.place(bucket.last, self.height), character, ink)

    def hairline(self, column: int, character: str, ink: int) -> None:
        """A vertical line of characters behind what was drawn."""
        column = min(column, self.columns - 1)
        for row in range(self.rows):
            if not self._bits[row][column] and (row, column) not in self._glyphs:
                self._glyphs[row, column] = character, ink

    def cells(self) -> list[list[Cell]]:
        """The rows as (character, ink) pairs."""
        return [
            [
                self._glyphs.get((row, column)) or (self._character(bits), self._inks[row][column])
                for column, bits in enumerate(self._bits[row])
            ]
            for row in range(self.rows)
        ]

    def _character(self, bits: int) -> str:
        if not bits:
            return " "
        return " '.:"[bits] if self.plain else chr(0x2800 + bits)

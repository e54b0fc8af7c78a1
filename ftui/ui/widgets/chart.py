"""A chart of curves in braille dots, or in ASCII where the terminal is poor.

It draws only what it is given and sends only the cells that changed.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from rich.segment import Segment
from rich.style import Style
from textual.geometry import Region
from textual.message import Message
from textual.strip import Strip
from textual.widget import Widget

from ftui.core.series import Bucket, buckets
from ftui.ui.themes import palette
from ftui.ui.widgets import figures
from ftui.ui.widgets.braille import Axis, Canvas, Cell, axis
from ftui.ui.widgets.captions import Caption, fitting, set_subtitle, set_title

if TYPE_CHECKING:
    from collections.abc import Sequence

    from textual import events

Ink = Literal["foreground", "dim", "border", "accent", "eval", "good", "special", "warning", "bad"]
_INKS: tuple[Ink, ...] = (
    "foreground", "dim", "border", "accent", "eval", "good", "special", "warning", "bad"
)  # fmt: skip
_INK = {name: number for number, name in enumerate(_INKS)}
_TALL = 7  # rows from which there is room for a label in the middle and one for the x axis


@dataclass(frozen=True, slots=True)
class Curve:
    """One series: xs ascend, ys may hold NaN. kind "line" joins its points, "markers" does not.

    marker: the character of a marker and its ASCII form.
    """

    xs: Sequence[float]
    ys: Sequence[float]
    ink: Ink
    kind: Literal["line", "markers"] = "line"
    marker: tuple[str, str] = ("●", "o")


@dataclass(frozen=True, slots=True)
class ChartData:
    """What a chart shows.

    start, end: the x axis. low, high: fixed ends of the y axis, else they follow the curves.
    title, subtitle: what the borders say. empty: what to say while there is nothing to draw.
    cursor: where a hairline stands. write_x: how the ends of the x axis are written.
    """

    curves: tuple[Curve, ...] = ()
    start: float = 0.0
    end: float = 1.0
    low: float | None = None
    high: float | None = None
    title: Caption = ""
    subtitle: Caption = ""
    empty: str = ""
    cursor: float | None = None
    write_x: Callable[[float], str] = "{:.0f}".format


class Chart(Widget):
    """Shows a ChartData; `log_axis` switches to a logarithmic y axis.

    label: writes a y value. x_axis: writes the ends of the x axis under the curves where there is room.
    """

    DEFAULT_CSS = "Chart { width: 1fr; height: 1fr; }"

    class Pointed(Message):
        """The mouse is at `x`, or at None for outside. firmly: a button was pressed."""

        def __init__(self, x: float | None, *, firmly: bool = False) -> None:
            super().__init__()
            self.x, self.firmly = x, firmly

    def __init__(
        self,
        *,
        id: str | None = None,
        label: Callable[[float], str] = figures.axis_label,
        x_axis: bool = False,
    ) -> None:
        super().__init__(id=id, classes="panel")
        self._label = label
        self._x_axis = x_axis
        self._data = ChartData()
        self._log_axis = False
        self._rows: list[list[Cell]] = []
        self._margin = 0  # cells of y labels before the curves

    @property
    def columns(self) -> int:
        """Cells that the x axis takes."""
        return max(1, self.size.width - self._margin)

    def on_mouse_move(self, event: events.MouseMove) -> None:
        self.post_message(self.Pointed(self._x_at(event)))

    def on_click(self, event: events.Click) -> None:
        self.post_message(self.Pointed(self._x_at(event), firmly=True))

    def on_leave(self) -> None:
        self.post_message(self.Pointed(None))

    def _x_at(self, event: events.MouseEvent) -> float | None:
        offset = event.get_content_offset(self)
        column = offset.x - self._margin if offset is not None else -1
        if column < 0:
            return None
        return self._data.start + (column + 0.5) / self.columns * (self._data.end - self._data.start)

    @property
    def data(self) -> ChartData:
        return self._data

    @property
    def log_axis(self) -> bool:
        return self._log_axis

    @log_axis.setter
    def log_axis(self, log_axis: bool) -> None:
        if log_axis != self._log_axis:
            self._log_axis = log_axis
            self._redraw()

    def show(self, data: ChartData) -> None:
        """Draws `data`; the same data again costs nothing."""
        self._write_captions(data)
        if data != self._data:
            self._data = data
            self._redraw()

    def on_resize(self) -> None:
        self._write_captions(self._data)

    def _write_captions(self, data: ChartData) -> None:
        set_title(self, fitting(self, data.title))
        set_subtitle(self, fitting(self, data.subtitle))

    def render_line(self, y: int) -> Strip:
        width = self.size.width
        if len(self._rows) != self.size.height or (self._rows and len(self._rows[0]) != width):
            self._rows = self._draw()
        return self._strip(self._rows[y]) if y < len(self._rows) else Strip.blank(width, self.rich_style)

    def _redraw(self) -> None:
        """Draws again and asks for those cells to be sent that differ from what the terminal shows."""
        if not self.is_mounted or not self.size or len(self._rows) != self.size.height:
            self._rows = []
            self.refresh()
            return
        before, self._rows = self._rows, self._draw()
        regions = []
        for y, (old, new) in enumerate(zip(before, self._rows, strict=True)):
            changed = [x for x, (was, now) in enumerate(zip(old, new, strict=False)) if was != now]
            if len(old) != len(new):
                changed = [0, len(new) - 1]
            if changed:
                regions.append(Region(changed[0], y, changed[-1] - changed[0] + 1, 1))
        if regions:
            self.refresh(*regions)

    def _draw(self) -> list[list[Cell]]:
        columns, rows = self.size
        if columns < 8 or rows < 1:
            return [[(" ", 0)] * columns for _ in range(rows)]
        data = self._data
        if not any(len(curve.xs) for curve in data.curves):
            return _message(data.empty, columns, rows)
        with_x = self._x_axis and rows >= _TALL
        height = rows - with_x
        scale = self._scale()
        labels = self._labels(scale, height)
        margin = max(len(text) for text in labels.values()) + 1
        plain = figures.ascii_only()
        self._margin = margin
        canvas = Canvas(max(1, columns - margin), height, plain=plain)
        for curve in data.curves:
            self._trace(canvas, curve, scale, plain)
        if data.cursor is not None and data.start <= data.cursor <= data.end:
            share = (data.cursor - data.start) / max(data.end - data.start, 1e-300)
            canvas.hairline(int(share * canvas.columns), "|" if plain else "│", _INK["foreground"])
        cells = []
        for row, drawn in enumerate(canvas.cells()):
            label = labels.get(row, "").rjust(margin - 1) + " "
            cells.append([*((character, _INK["dim"]) for character in label), *drawn])
        if with_x:
            cells.append(_x_labels(data, margin, columns))
        return cells

    def _trace(self, canvas: Canvas, curve: Curve, scale: Axis, plain: bool) -> None:
        data = self._data
        points: list[Bucket | None] = buckets(curve.xs, curve.ys, canvas.width, data.start, data.end)
        if scale.log:
            points = [_positive(point) for point in points]
        ink = _INK[curve.ink]
        if curve.kind == "markers":
            canvas.markers(points, scale, curve.marker[plain], ink)
        else:
            canvas.curve(points, scale, ink, _INK["bad"])

    def _scale(self) -> Axis:
        data = self._data
        seen: list[float] = []
        for curve in data.curves:
            start, stop = bisect_left(curve.xs, data.start), bisect_right(curve.xs, data.end)
            part = curve.ys[start:stop]
            if part and math.isfinite(sum(part)) and (not self._log_axis or min(part) > 0):
                part = (min(part), max(part))
            seen += part
        found = axis(seen, log=self._log_axis)
        if self._log_axis or (data.low is None and data.high is None):
            return found
        low = found.low if data.low is None else data.low
        high = found.high if data.high is None else data.high
        return Axis(low, high if high > low else low + 1)

    def _labels(self, scale: Axis, height: int) -> dict[int, str]:
        """y labels by row: both ends, and the middle where there is room."""
        if height < 2:
            return {0: self._label(scale.high)}
        places = {0: scale.high, height - 1: scale.low}
        if height >= _TALL - 2 and height % 2:
            places[height // 2] = scale.value(0.5)
        return {row: self._label(value) for row, value in places.items()}

    def _strip(self, row: list[Cell]) -> Strip:
        colors, ground = palette(self.app), self.rich_style
        segments, text, ink = [], "", -1
        for character, cell_ink in row:
            if cell_ink != ink and character != " " and text:
                segments.append(Segment(text, ground + Style(color=getattr(colors, _INKS[max(ink, 0)]))))
                text = ""
            if character != " ":
                ink = cell_ink
            text += character
        segments.append(Segment(text, ground + Style(color=getattr(colors, _INKS[max(ink, 0)]))))
        return Strip(segments, len(row))


def _positive(point: Bucket | None) -> Bucket | None:
    """What of a bucket a logarithmic axis can show."""
    if point is None or point.empty or point.low > 0:
        return point
    if point.high <= 0:
        return None
    high, first, last = point.high, point.first, point.last
    return Bucket(high, high, first if first > 0 else high, last if last > 0 else high, point.holes)


def _message(text: str, columns: int, rows: int) -> list[list[Cell]]:
    cells: list[list[Cell]] = [[(" ", 0)] * columns for _ in range(rows)]
    for x, character in enumerate(text[:columns].center(columns)):
        cells[(rows - 1) // 2][x] = (character, _INK["dim"])
    return cells


def _x_labels(data: ChartData, margin: int, columns: int) -> list[Cell]:
    room = columns - margin
    left, right = data.write_x(data.start), data.write_x(data.end)
    middle = data.write_x((data.start + data.end) / 2)
    line = [" "] * room
    for text, at in ((left, 0), (middle, (room - len(middle)) // 2), (right, room - len(right))):
        line[at : at + len(text)] = text
    return [(" ", 0)] * margin + [(character, _INK["dim"]) for character in line[:room]]

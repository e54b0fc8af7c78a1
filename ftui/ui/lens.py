"""How curves are looked at: which part, over what, how smooth. Pure: no Textual, nothing of a run but figures."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from ftui.ui.widgets.braille import domain, zoomed

if TYPE_CHECKING:
    from collections.abc import Mapping

XAxis = Literal["step", "tokens", "time"]
X_AXES: tuple[XAxis, ...] = ("step", "tokens", "time")
COLUMN: Mapping[XAxis, str] = {"step": "step", "tokens": "num_tokens", "time": "seconds"}
MOST_ZOOM = 12
SMOOTHINGS = (0.0, 0.6, 0.9, 0.97)
_FEWEST_STEPS = 8  # in the closest zoom


@dataclass(frozen=True, slots=True)
class Lens:
    """zoom: 1/2**zoom of the x axis is shown. at: where that begins, None is wherever the newest part begins.

    smoothing: weight of the past. x_axis: what the curves are drawn over.
    """

    zoom: int = 0
    at: float | None = None
    smoothing: float = 0.6
    log: bool = False
    x_axis: XAxis = "step"


def window(lens: Lens, latest: float, planned: float = 0, *, ended: bool) -> tuple[float, float]:
    """The part of the x axis that is shown.

    latest, planned: in units of that axis, planned 0 is unknown. A run at work is given room to grow into.
    """
    start, end = (0.0, max(latest, 1.0)) if ended else domain(0, latest, planned)
    if not lens.zoom:
        return start, end
    width = (end - start) / 2**lens.zoom
    begin, stop = (end - width, end) if ended else zoomed(start, end, latest, lens.zoom)
    if lens.at is not None and lens.at < begin:
        return max(start, lens.at), max(start, lens.at) + stop - begin
    return begin, stop


def zoomed_by(lens: Lens, by: int, shown: tuple[float, float], steps: float, middle: float | None) -> Lens:
    """Closer or further. shown: the window now; steps: of the run; middle: what stays in it, else the newest."""
    most = min(MOST_ZOOM, max(0, math.floor(math.log2(max(steps, 1) / _FEWEST_STEPS))))
    zoom = max(0, min(most, lens.zoom + by))
    if middle is None and lens.at is not None:
        middle = (shown[0] + shown[1]) / 2
    if zoom == lens.zoom or middle is None:
        return replace(lens, zoom=zoom)
    half = (shown[1] - shown[0]) / 2.0 ** (zoom - lens.zoom) / 2
    return replace(lens, zoom=zoom, at=middle - half if zoom else None)


def panned(lens: Lens, by: int, shown: tuple[float, float], newest: tuple[float, float]) -> Lens:
    """Half a window to the left or right; at the right end the newest steps are followed again."""
    if not lens.zoom:
        return lens
    at = max(0.0, shown[0] + by * (shown[1] - shown[0]) / 2)
    return replace(lens, at=None if at >= newest[0] else at)

"""Runs laid over the chosen one, read beside it and drawn on the same axis. Threads; nothing here knows the screen."""

from __future__ import annotations

import threading
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ftui.core.text import one_line
from ftui.ui.run_reader import RunReader
from ftui.ui.widgets.run_charts import LAYERS, Layer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ftui.gpu.nvml import Gpu
    from ftui.runs.state import RunSummary
    from ftui.ui.lens import Lens
    from ftui.ui.run_curves import Reach
    from ftui.ui.run_reader import RunView

MOST = len(LAYERS)
_NAME = 18


class Beside:
    """A run laid over another. Safe to use from several threads."""

    def __init__(self, run: RunSummary, place: int) -> None:
        self.run_id, self.name, self.place = run.id, one_line(run.name, _NAME), place
        self.path = run.path
        self._reader = RunReader(run.path)
        self._lock = threading.Lock()
        self._drawn: tuple[Lens, Reach] | None = None
        self._layer: Layer | None = None

    @property
    def more(self) -> bool:
        """True while there are events not yet read."""
        return self._reader.more

    def advance(self, lens: Lens) -> Reach:
        """Takes in what is new, for at most about half a second. Raises OSError."""
        with self._lock:
            if self._reader.advance():
                self._drawn = None
            return self._reader.reach(lens)

    def layer(self, lens: Lens, reach: Reach) -> Layer:
        """The run's curves in the window of `reach`; the same object while nothing has changed."""
        with self._lock:
            if self._layer is None or self._drawn != (lens, reach):
                curves = self._reader.curves(lens, reach)
                self._layer = Layer(self.run_id, self.name, self.place, curves)
                self._drawn = lens, reach
            return self._layer


@dataclass(frozen=True, slots=True)
class Together:
    """The chosen run, None where it has not changed, and those laid over it."""

    view: RunView | None
    layers: tuple[Layer, ...]


def read_together(
    reader: RunReader, beside: Sequence[Beside], lens: Lens, gpus: Sequence[Sequence[Gpu]]
) -> Together:
    """All of them as they are now, on one axis. Raises OSError."""
    lens = replace(lens, log=False)  # changes no curve
    reach = None
    for other in beside:
        own = other.advance(lens)
        reach = own.with_(reach) if reach else own
    view = reader.read(lens=lens, gpus=gpus, beside=reach)
    if reach is None:
        return Together(view, ())
    reach = reader.reach(lens).with_(reach)
    return Together(view, tuple(other.layer(lens, reach) for other in beside))

"""The pulse: what runs and GPUs are doing, gathered once a second off the screen's thread.

One producer for all panes: a frozen snapshot travels as a message, widgets only draw it.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from threading import Event
from typing import TYPE_CHECKING

from textual.message import Message

from ftui.core.errors import FtuiError

if TYPE_CHECKING:
    from ftui.gpu.host import HostSnapshot
    from ftui.gpu.nvml import Gpu
    from ftui.runs.state import RunSummary
    from ftui.ui.app import FtuiApp

PERIOD_SECONDS = 1.0
_SLICES = 10
_LATELY = 60  # readings of the GPUs kept for alarms
# A loss within this share of its running mean is "flat": no arrow rather than a nervous one.
_FLAT = 0.01


@dataclass(frozen=True, slots=True)
class Pulse:
    """runs newest first; gpus empty where there is no driver; host None before the first reading.

    trend: where the loss of the run at work is going: "down", "up", "flat", or "" while nobody can say.
    trouble: why the runs could not be listed; "" normally. lately: `gpus` of the last minute, oldest first.
    """

    runs: tuple[RunSummary, ...] = ()
    gpus: tuple[Gpu, ...] = ()
    host: HostSnapshot | None = None
    trend: str = ""
    trouble: str = ""
    lately: tuple[tuple[Gpu, ...], ...] = field(default=(), compare=False)


EMPTY_PULSE = Pulse()


class PulseMessage(Message):
    def __init__(self, pulse: Pulse) -> None:
        super().__init__()
        self.pulse = pulse


def pulse_loop(app: FtuiApp) -> None:
    """Posts a Pulse a second until the app ends; a thread worker.

    Only a changed one: an idle screen is quiet. The wait is taken in slices, so that quitting is prompt.
    """
    from textual.worker import get_current_worker

    from ftui.gpu import host, nvml
    from ftui.runs.state import list_runs

    worker, pause = get_current_worker(), Event()
    runs: tuple[RunSummary, ...] = ()
    trend, last = Trend(), EMPTY_PULSE
    lately: deque[tuple[Gpu, ...]] = deque(maxlen=_LATELY)
    while not worker.is_cancelled:
        trouble = ""
        try:
            runs = tuple(list_runs(app.workspace))
        except FtuiError as error:  # an unreadable folder: the last known runs stay, with why
            trouble = error.message
        except OSError as error:
            trouble = f"cannot read the runs: {error.strerror}"
        gpus = nvml.snapshot()
        if gpus:
            lately.append(gpus)
        seen = host.snapshot(app.workspace.root)
        pulse = Pulse(runs, gpus, seen, trend.of(runs), trouble, tuple(lately))
        if pulse != last:
            last = pulse
            app.post_message(PulseMessage(pulse))
        for _ in range(_SLICES):
            if worker.is_cancelled:
                break
            pause.wait(PERIOD_SECONDS / _SLICES)


class Trend:
    """Where a noisy loss is going: its last value against an exponential mean of the ones before."""

    def __init__(self, weight: float = 0.1) -> None:
        self._weight = weight
        self._run, self._step, self._mean, self._answer = "", -1, 0.0, ""

    def of(self, runs: tuple[RunSummary, ...]) -> str:
        run = next((run for run in runs if run.state == "running"), None)
        if run is None or run.loss is None or run.loss != run.loss:
            return ""
        if run.id != self._run or (run.step or 0) < self._step:
            self._run, self._mean, self._answer = run.id, run.loss, ""
        elif run.step != self._step:
            change = run.loss - self._mean
            limit = _FLAT * max(abs(self._mean), 1e-9)
            self._answer = "down" if change < -limit else "up" if change > limit else "flat"
            self._mean += self._weight * change
        self._step = run.step or 0
        return self._answer

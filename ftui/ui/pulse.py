"""The pulse: what runs and GPUs are doing, gathered once a second off the screen's thread.

One producer for all panes: a frozen snapshot travels as a message, widgets only draw it.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field, replace
from threading import Event
from typing import TYPE_CHECKING

from textual.message import Message

from ftui.core.errors import FtuiError
from ftui.core.text import one_line
from ftui.ui.hung_up import end_if_hung_up

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ftui.core.vitals import Alarm
    from ftui.gpu.host import HostSnapshot
    from ftui.gpu.nvml import Gpu
    from ftui.runs.state import RunSummary
    from ftui.runs.workspace import Workspace
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
    alarms: what the run doctor says of the runs at work, by run id.
    """

    runs: tuple[RunSummary, ...] = ()
    gpus: tuple[Gpu, ...] = ()
    host: HostSnapshot | None = None
    trend: str = ""
    trouble: str = ""
    lately: tuple[tuple[Gpu, ...], ...] = field(default=(), compare=False)
    alarms: Mapping[str, tuple[Alarm, ...]] = field(default_factory=dict)


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

    worker, pause = get_current_worker(), Event()
    looker, last = _Looker(app.workspace), EMPTY_PULSE
    while not worker.is_cancelled:
        end_if_hung_up()
        try:
            pulse = looker.look()
        except Exception as error:  # noqa: BLE001 - the last line of defence: a strip that stands still lies
            pulse = replace(last, trouble=one_line(f"{type(error).__name__}: {error}", 160))
        if pulse != last:
            last = pulse
            app.post_message(PulseMessage(pulse))
        for _ in range(_SLICES):
            if worker.is_cancelled:
                break
            pause.wait(PERIOD_SECONDS / _SLICES)


class _Looker:
    """One look after the other at a workspace's runs and this machine; keeps what the next one compares with."""

    def __init__(self, workspace: Workspace) -> None:
        from ftui.gpu import nvml
        from ftui.gpu.latest import Latest
        from ftui.runs.watch import Watch

        self._workspace = workspace
        self._runs: tuple[RunSummary, ...] = ()
        self._trend, self._watch, self._latest = Trend(), Watch(), Latest(nvml.snapshot)
        self._lately: deque[tuple[Gpu, ...]] = deque(maxlen=_LATELY)

    def look(self) -> Pulse:
        from ftui.gpu import host

        trouble = self._list_runs()
        gpus = self._latest.snapshot()
        if gpus:
            self._lately.append(gpus)
        return Pulse(
            self._runs,
            gpus,
            host.snapshot(self._workspace.root),
            self._trend.of(self._runs),
            trouble,
            tuple(self._lately),
            self._watch.look(self._runs, self._lately),
        )

    def _list_runs(self) -> str:
        """Why the runs cannot be listed, "" when they can; the last known ones stay meanwhile."""
        from ftui.runs.queue_kick import kick
        from ftui.runs.state import list_runs

        try:
            self._runs = tuple(list_runs(self._workspace, self._latest.snapshot))
            if any(run.state == "queued" for run in self._runs):
                kick(self._workspace)
        except FtuiError as error:
            return error.message
        except OSError as error:
            return f"cannot read the runs: {error.strerror}"
        return ""


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

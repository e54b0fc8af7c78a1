"""The run doctor on duty: looks at every run that is at work, whichever of them is on the screen."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ftui.runs.examine import examine_run
from ftui.runs.live import LiveHistory
from ftui.runs.rundir import RunDir

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from ftui.core.vitals import Alarm
    from ftui.gpu.nvml import Gpu
    from ftui.runs.state import RunSummary

Alarms = dict[str, "tuple[Alarm, ...]"]
_EVERY_SECONDS = 5.0  # what depends on the clock alone (silence, GPU, disk) is looked at this often
_LOOK_EVENTS = 10_000


@dataclass(slots=True)
class _Patient:
    live: LiveHistory
    looked: float = float("-inf")
    alarms: tuple[Alarm, ...] = field(default=())


class Watch:
    """Keeps the history of each run at work. Use from one thread.

    A long run is taken in over several looks, and judged once all of it is known.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._patients: dict[Path, _Patient] = {}

    def look(self, runs: Sequence[RunSummary], gpus: Sequence[Sequence[Gpu]] = ()) -> Alarms:
        """The alarms of every run at work that has any, by run id. gpus: readings of the last minute."""
        active = [run for run in runs if run.active]
        self._patients = {
            run.path: self._patients.get(run.path) or _Patient(LiveHistory(RunDir(run.path).events_path))
            for run in active
        }
        found = {run.id: self._examine(run, gpus) for run in active}
        return {run_id: alarms for run_id, alarms in found.items() if alarms}

    def _examine(self, run: RunSummary, gpus: Sequence[Sequence[Gpu]]) -> tuple[Alarm, ...]:
        patient, now = self._patients[run.path], self._clock()
        try:
            changed = patient.live.refresh(_LOOK_EVENTS)
            if not patient.live.more and (changed or now - patient.looked >= _EVERY_SECONDS):
                patient.looked = now
                rundir, history = RunDir(run.path), patient.live.history
                patient.alarms = examine_run(rundir, history, run.state, gpus, run.pid).alarms
        except OSError:
            return patient.alarms  # the pane that shows the run says that it cannot be read
        return patient.alarms

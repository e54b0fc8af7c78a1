"""Gathers what is known about a run: its records, its processes, and how long it has been silent."""

from __future__ import annotations

import itertools
import threading
import time
from typing import TYPE_CHECKING, Any

from ftui.runs import process
from ftui.runs.lifecycle import Evidence
from ftui.runs.process import Liveness, ProcessId
from ftui.runs.queue_files import is_waiting
from ftui.runs.rundir import RunDir, checkpoint_step, end_event, events_backwards, last_attempt

if TYPE_CHECKING:
    from pathlib import Path

_STEPPING = frozenset({"plan", "step", "eval", "checkpoint", "sample"})
# A long evaluation says how far it is often enough to push the last step out of sight.
_STEPPING_STAGES = ("train", "evaluate", "checkpoint", "sample", "save")
_RECENT_EVENTS = 50


def gather(rundir: RunDir) -> Evidence:
    """The evidence about a run as of now.

    Processes are looked at before files: a trainer that ends in between has then left its last word already.
    """
    record = rundir.read_proc()
    attempt = record.get("attempt")
    if not isinstance(attempt, int):  # none was begun, or proc.json is damaged: the other files tell
        attempt = last_attempt(rundir)
    if exit_record := _exit_of(rundir, attempt):
        return Evidence(attempt, exit=exit_record)
    if not attempt and is_waiting(rundir):
        return Evidence(0, queued=True)
    supervisor = process.from_dict(record.get("supervisor"))
    # One look at the supervisor for both: seen alive first and dead a moment later, it would leave a trainer
    # that was never written down unlooked for.
    supervising = _liveness(supervisor)
    trainer = _trainer(rundir, record, supervising)
    if trainer is not None:
        attempt = max(1, attempt)
    living = _liveness(trainer)
    recent = itertools.islice(events_backwards(rundir.events_path), _RECENT_EVENTS)
    return Evidence(
        attempt,
        supervisor=supervising,
        trainer=living,
        exit=_exit_of(rundir, attempt),
        end=end_event(rundir.events_path, attempt),
        stop_requested="stop" in rundir.requests(),
        stepping=any(_is_stepping(event) for event in recent if event.get("attempt") == attempt),
        silent_seconds=_silence.seconds(rundir),
        age_seconds=abs(time.time() - modified(rundir.path)),  # made in the future: the clock was set back
        rebooted=supervisor is not None and supervisor.boot_id != process.boot_id(),
        host=supervisor.host if supervisor else "",
        run=rundir.id,
        # Not read at each look at a run that goes on, here or elsewhere.
        saved=checkpoint_step(rundir) if {supervising, living} <= {None, Liveness.DEAD} else 0,
    )


def supervisor_of(rundir: RunDir) -> ProcessId | None:
    """The supervisor of the newest attempt, as recorded."""
    return process.from_dict(rundir.read_proc().get("supervisor"))


def trainer_of(rundir: RunDir) -> ProcessId | None:
    """The trainer of the newest attempt: as recorded, or found by its environment.

    The search is needed only where the supervisor died between starting the trainer and writing it down, and
    where proc.json is damaged.
    """
    record = rundir.read_proc()
    return _trainer(rundir, record, _liveness(process.from_dict(record.get("supervisor"))))


def _trainer(rundir: RunDir, record: dict[str, Any], supervising: Liveness | None) -> ProcessId | None:
    supervisor, known = process.from_dict(record.get("supervisor")), process.from_dict(record.get("trainer"))
    if known is not None:
        return known
    if supervisor is not None and (
        supervisor.boot_id != process.boot_id() or supervising is not Liveness.DEAD
    ):
        return None  # gone with the last boot, or not started yet, or about to be written down
    # It may have been written down by a supervisor that ended after `record` was read.
    if (written := process.from_dict(rundir.read_proc().get("trainer"))) is not None:
        return written
    # Processes come and go while they are listed: "none" is believed only the second time. The oldest is the
    # trainer, the others are its workers.
    for _ in range(2):
        found = list(process.processes_of(rundir.path))
        if found:
            return min(found, key=lambda one: one.start_ticks)
    return None


def _is_stepping(event: dict[str, Any]) -> bool:
    return event["type"] in _STEPPING or event.get("stage") in _STEPPING_STAGES


def modified(path: Path) -> float:
    """When a file was last written, in seconds since the epoch; 0 when it is not there."""
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0


def _exit_of(rundir: RunDir, attempt: int) -> dict[str, object]:
    record = rundir.read_exit()
    return record if record.get("attempt") == attempt else {}


def _liveness(who: ProcessId | None) -> Liveness | None:
    return None if who is None else process.liveness(who)


class _Silence:
    """How long a trainer has written nothing, as seen by this process.

    The first look can only compare file times with the clock; from then on the monotonic clock counts, so
    that a clock that jumps makes no run look stalled.
    """

    def __init__(self) -> None:
        self._seen: dict[Path, tuple[tuple[float, ...], float, float]] = {}
        self._lock = threading.Lock()

    def seconds(self, rundir: RunDir) -> float:
        times = tuple(modified(path) for path in (rundir.events_path, rundir.status_path, rundir.proc_path))
        now = time.monotonic()
        with self._lock:
            known = self._seen.get(rundir.path)
            if known is None:
                last = max(times) or modified(rundir.path)
                known = times, now, max(0.0, time.time() - last)
            elif known[0] != times:
                known = times, now, 0.0
            self._seen[rundir.path] = known
        return known[2] + now - known[1]


_silence = _Silence()


def silent_seconds(rundir: RunDir) -> float:
    """How long nothing was heard of the run's trainer."""
    return _silence.seconds(rundir)

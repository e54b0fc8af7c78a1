"""Gathers what is known about a run: its records, its processes, and how long it has been silent."""

from __future__ import annotations

import itertools
import threading
import time
from typing import TYPE_CHECKING

from ftui.runs import process
from ftui.runs.lifecycle import Evidence
from ftui.runs.process import Liveness, ProcessId
from ftui.runs.rundir import RunDir, end_event, events_backwards

if TYPE_CHECKING:
    from pathlib import Path

_STEPPING = frozenset({"plan", "step", "eval", "checkpoint", "sample"})
_RECENT_EVENTS = 50


def gather(rundir: RunDir) -> Evidence:
    """The evidence about a run as of now.

    Processes are looked at before files: a trainer that ends in between has then left its last word already.
    """
    record = rundir.read_proc()
    attempt = record.get("attempt")
    attempt = attempt if isinstance(attempt, int) else 0
    if exit_record := _exit_of(rundir, attempt):
        return Evidence(attempt, exit=exit_record)
    supervisor = process.from_dict(record.get("supervisor"))
    trainer = trainer_of(rundir)
    alive = _liveness(supervisor), _liveness(trainer)
    recent = itertools.islice(events_backwards(rundir.events_path), _RECENT_EVENTS)
    return Evidence(
        attempt,
        supervisor=alive[0],
        trainer=alive[1],
        exit=_exit_of(rundir, attempt),
        end=end_event(rundir.events_path, attempt),
        stop_requested="stop" in rundir.requests(),
        stepping=any(event["type"] in _STEPPING for event in recent if event.get("attempt") == attempt),
        silent_seconds=_silence.seconds(rundir),
        age_seconds=max(0.0, time.time() - modified(rundir.path)),
        rebooted=supervisor is not None and supervisor.boot_id != process.boot_id(),
        host=supervisor.host if supervisor else "",
    )


def supervisor_of(rundir: RunDir) -> ProcessId | None:
    """The supervisor of the newest attempt, as recorded."""
    return process.from_dict(rundir.read_proc().get("supervisor"))


def trainer_of(rundir: RunDir) -> ProcessId | None:
    """The trainer of the newest attempt: as recorded, or found by its environment.

    The search is needed only where the supervisor died between starting the trainer and writing it down.
    """
    record = rundir.read_proc()
    known = process.from_dict(record.get("trainer"))
    supervisor = process.from_dict(record.get("supervisor"))
    if known is not None or supervisor is None or supervisor.boot_id != process.boot_id():
        return known
    if process.liveness(supervisor) is not Liveness.DEAD:
        return None  # not started yet, or about to be written down
    # Processes come and go while they are listed: "none" is believed only the second time. The oldest is the
    # trainer, the others are its workers.
    for _ in range(2):
        found = [one for one in process.processes_of(rundir.path) if one.pid != supervisor.pid]
        if found:
            return min(found, key=lambda one: one.start_ticks)
    return None


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
                known = times, now, max(0.0, time.time() - max(times))
            elif known[0] != times:
                known = times, now, 0.0
            self._seen[rundir.path] = known
        return known[2] + now - known[1]


_silence = _Silence()


def silent_seconds(rundir: RunDir) -> float:
    """How long nothing was heard of the run's trainer."""
    return _silence.seconds(rundir)

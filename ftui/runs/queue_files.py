"""The queue on disk: `queue.json` in each waiting run's directory, and the lock under which it changes.

A run is queued when it has a `queue.json` and no attempt was ever started. Its place is a number in that
file, so that moving one run replaces one file, and a crash in between leaves an order that somebody wanted.
"""

from __future__ import annotations

import contextlib
import math
import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeGuard

from ftui.core.errors import FtuiError
from ftui.runs.locks import hold_file
from ftui.runs.rundir import RunDir, last_attempt, read_json, replace_json

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from ftui.runs.workspace import Workspace

# What of the environment decides what a run does, and is no secret: a run is started by whoever looks, from
# another shell, perhaps days later.
KEPT_VARIABLES = ("CUDA_VISIBLE_DEVICES", "HF_HOME", "HF_HUB_CACHE", "HF_HUB_OFFLINE", "FTUI_CACHE")
_LOCK = ".queue.lock"
_PAUSED = ".queue-paused"
# The lock is held while a run is started, which takes up to half a minute on a machine that is busy.
_LOCK_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Entry:
    """A run's place in the queue. order: lower is earlier; infinite for a file that cannot be read.

    needs: bytes that must be free, as the user said. estimate: as computed; None when not known.
    processes: GPUs it takes. environment: variables it is started with, None to unset one.
    """

    order: float = math.inf
    needs: int | None = None
    estimate: int | None = None
    processes: int = 1
    queued: float | None = None
    environment: Mapping[str, str | None] | None = None


def is_waiting(rundir: RunDir) -> bool:
    """Whether a run is queued: put in the queue, and no attempt of it was ever started."""
    return rundir.queue_path.is_file() and not rundir.read_exit() and last_attempt(rundir) == 0


def waiting_dirs(runs: Path) -> list[RunDir]:
    """The queued runs in a workspace's folder of runs, in no particular order."""
    try:
        with os.scandir(runs) as entries:
            found = [RunDir(Path(entry.path)) for entry in entries if entry.name[:1] != "."]
    except OSError:
        return []
    return [rundir for rundir in found if is_waiting(rundir)]


def at_home(rundir: RunDir, root: Path) -> bool:
    """Whether a run was queued in the workspace at `root`. One in a copy of it does not start by itself: all
    would be trained twice, and a stranger's by being looked at."""
    return rundir.read_manifest().get("workspace") == str(root)


def startable(workspace: Workspace) -> bool:
    """Whether there is anything for a runner to do, now or later."""
    return not is_paused(workspace) and any(
        at_home(rundir, workspace.root) for rundir in waiting_dirs(workspace.runs)
    )


def read_entry(rundir: RunDir) -> Entry:
    """The entry of a queued run. A damaged file is one without wishes, at the end of the queue."""
    record = read_json(rundir.queue_path)
    order, queued, processes = record.get("order"), record.get("queued"), record.get("processes")
    variables = record.get("environment")
    return Entry(
        order=float(order) if _finite(order) else math.inf,
        needs=_bytes(record.get("needs")),
        estimate=_bytes(record.get("estimate")),
        processes=processes if isinstance(processes, int) and 0 < processes <= 64 else 1,
        queued=float(queued) if _finite(queued) else None,
        environment=_variables(variables) if isinstance(variables, dict) else None,
    )


def write_entry(rundir: RunDir, entry: Entry) -> None:
    """Replaces a run's entry. Raises OSError."""
    record: dict[str, Any] = {
        "order": entry.order,
        "needs": entry.needs,
        "estimate": entry.estimate,
        "processes": entry.processes,
        "queued": entry.queued,
        "environment": dict(entry.environment or {}),
    }
    replace_json(rundir.queue_path, record, durable=True)


def in_order(rundirs: Sequence[RunDir]) -> list[tuple[RunDir, Entry]]:
    """Queued runs as they will be started. Equal places go by time, then by id: everybody sees one order."""
    entries = [(rundir, read_entry(rundir)) for rundir in rundirs]
    return sorted(entries, key=lambda pair: (pair[1].order, pair[1].queued or math.inf, pair[0].id))


def next_order(entries: Sequence[tuple[RunDir, Entry]]) -> float:
    """A place behind all others."""
    return 1 + max((entry.order for _, entry in entries if math.isfinite(entry.order)), default=0.0)


def place(entries: Sequence[tuple[RunDir, Entry]], index: int, to: int) -> list[tuple[RunDir, Entry]]:
    """The entries to write so that the run at `index` comes to stand at `to`: one, as a rule.

    All of them where there is no number left between two neighbours, or one has none.
    """
    moved = list(entries)
    rundir, entry = moved.pop(index)
    before = moved[to - 1][1].order if to > 0 else None
    after = moved[to][1].order if to < len(moved) else None
    low = after - 2 if before is None and after is not None else before
    high = before + 2 if after is None and before is not None else after
    if low is None or high is None:
        return []
    middle = (low + high) / 2
    if math.isfinite(middle) and abs(middle) < 2**52 and low < middle < high:
        return [(rundir, replace(entry, order=middle))]
    moved.insert(to, (rundir, entry))
    return [(one, replace(old, order=float(number))) for number, (one, old) in enumerate(moved, 1)]


def is_paused(workspace: Workspace) -> bool:
    return (workspace.runs / _PAUSED).exists()


def set_paused(workspace: Workspace, paused: bool) -> None:
    """Stops new runs from being started, or lets them again. Raises FtuiError."""
    try:
        if paused:
            workspace.runs.mkdir(parents=True, exist_ok=True)
            (workspace.runs / _PAUSED).touch()
        else:
            (workspace.runs / _PAUSED).unlink(missing_ok=True)
    except OSError as error:
        raise FtuiError(f"cannot change the queue: {error.strerror}", "", str(workspace.runs)) from None


@contextlib.contextmanager
def locked(runs: Path, seconds: float = _LOCK_SECONDS) -> Iterator[None]:
    """Holds the queue's lock: no run is queued, moved, taken out or started by anybody else meanwhile.

    runs: the workspace's folder of runs. Raises FtuiError where it cannot be written, or when somebody holds
    the lock for longer than `seconds`.
    """
    try:
        runs.mkdir(parents=True, exist_ok=True)
        descriptor = hold_file(runs / _LOCK, seconds)
    except OSError as error:
        raise FtuiError(f"cannot change the queue: {error.strerror}", "", str(runs)) from None
    if descriptor is None:
        raise FtuiError("the queue is busy: a run is being started", "try again", str(runs))
    try:
        yield
    finally:
        os.close(descriptor)


def _finite(value: Any) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 2**52


def _bytes(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 < value < 2**60 else None


def _variables(found: Mapping[str, Any]) -> dict[str, str | None]:
    """Only those that are kept, whatever else the file holds."""
    values = {name: found[name] for name in KEPT_VARIABLES if name in found}
    return {name: value for name, value in values.items() if value is None or _plain(value)}


def _plain(value: Any) -> bool:
    return isinstance(value, str) and "\0" not in value and len(value) < 4096

"""A run directory: its layout, its one event writer, and the requests left in `control/`.

Both sides of a run share this module and nothing else: the trainer writes events and status and reads
requests; launcher, screen and command line do the opposite. Every file but `events.jsonl` and `out.log` is
replaced atomically, so a reader sees the old text or the new, never half of one.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ftui.core.durable import replace_bytes
from ftui.core.events import SCHEMA, decode, encode

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

# How the trainer's exit code reads; anything else is a crash unless an `end` event says otherwise.
EXIT_FINISHED = 0
EXIT_FAILED = 3
EXIT_STOPPED = 10
# The hint of every notice about a disk that takes no more, by which it is known.
FREE_DISK = "free disk space"

_TAIL_BYTES = 65_536


@dataclass(frozen=True, slots=True)
class RunDir:
    """One run's directory. Holds no state: every answer is read from disk when asked."""

    path: Path

    @property
    def id(self) -> str:
        return self.path.name

    @property
    def recipe_path(self) -> Path:
        return self.path / "recipe.toml"

    @property
    def manifest_path(self) -> Path:
        return self.path / "manifest.json"

    @property
    def proc_path(self) -> Path:
        return self.path / "proc.json"

    @property
    def events_path(self) -> Path:
        return self.path / "events.jsonl"

    @property
    def status_path(self) -> Path:
        return self.path / "status.json"

    @property
    def exit_path(self) -> Path:
        return self.path / "exit.json"

    @property
    def control(self) -> Path:
        return self.path / "control"

    @property
    def log_path(self) -> Path:
        return self.path / "out.log"

    @property
    def labels_path(self) -> Path:
        return self.path / "labels.json"

    @property
    def queue_path(self) -> Path:
        return self.path / "queue.json"

    @property
    def checkpoints(self) -> Path:
        return self.path / "checkpoints"

    @property
    def adapter(self) -> Path:
        return self.path / "adapter"

    def read_manifest(self) -> dict[str, Any]:
        """What the run was made of; the paths under `data` are absolute. {} when missing."""
        return read_json(self.manifest_path)

    def update_manifest(self, **fields: Any) -> None:
        """Adds or replaces top-level manifest fields, such as a template hash known only after loading."""
        replace_json(self.manifest_path, {**self.read_manifest(), **fields}, durable=True)

    def read_proc(self) -> dict[str, Any]:
        """The newest attempt's processes: {attempt, started, supervisor{}, trainer{}}; {} when missing."""
        return read_json(self.proc_path)

    def read_status(self) -> dict[str, Any]:
        """The trainer's latest figures; {} when it has not written any."""
        return read_json(self.status_path)

    def write_status(self, **fields: Any) -> None:
        """Replaces status.json, the latest figures at a glance.

        Readers know stage, step, steps, loss, eval_loss, tokens_per_second and eta_seconds. Costs a file and
        a rename: write it at most about once a second, and once at the end. A full disk loses the figure,
        not the run.
        """
        with contextlib.suppress(OSError):
            replace_json(self.status_path, {**fields, "updated": time.time()})

    def read_exit(self) -> dict[str, Any]:
        """How the newest ended attempt ended: {attempt, code, signal, ended, outcome, reason}; {} before."""
        return read_json(self.exit_path)

    def current_attempt(self) -> int:
        """The attempt being run, from 1: the supervisor's word, else one more than the events tell."""
        attempt = self.read_proc().get("attempt")
        return attempt if isinstance(attempt, int) else last_attempt(self) + 1

    def requests(self) -> set[str]:
        """What has been asked of the trainer and not yet cleared, such as {"stop", "checkpoint"}."""
        try:
            return {name for name in os.listdir(self.control) if not name.startswith(".")}  # noqa: PTH208
        except OSError:
            return set()

    def last_log_line(self) -> str:
        """The last line in out.log, at most 500 characters: of a traceback, the one that says what."""
        try:
            with self.log_path.open("rb") as file:
                file.seek(max(0, file.seek(0, os.SEEK_END) - 8192))
                lines = file.read().decode("utf-8", "replace").splitlines()
        except OSError:
            return ""
        return next((line.strip()[:500] for line in reversed(lines) if line.strip()), "")

    def request(self, name: str) -> None:
        """Asks the trainer for `name`. Raises OSError when the directory cannot be written."""
        self.control.mkdir(exist_ok=True)
        (self.control / name).touch()

    def clear(self, name: str) -> None:
        """Takes a request back, or marks it as done."""
        (self.control / name).unlink(missing_ok=True)


class EventWriter:
    """Appends events to a run's `events.jsonl`, one `os.write` a line; safe to share between threads.

    Continues `seq` from the file. A line torn by a crash is closed first, so that it spoils itself only.
    A write that fails (full disk, quota) is taken back and counted in `lost`; the next one that succeeds is
    preceded by a notice. Telemetry never stops a training run.
    """

    def __init__(self, rundir: RunDir, attempt: int | None = None) -> None:
        self.attempt = rundir.current_attempt() if attempt is None else attempt
        self.lost = 0
        self._lock = threading.Lock()
        seq = last_event(rundir.events_path).get("seq", 0)
        self._seq = seq if isinstance(seq, int) else 0
        self._fd = os.open(rundir.events_path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)
        size = os.fstat(self._fd).st_size
        self._torn = size > 0 and os.pread(self._fd, 1, size - 1) != b"\n"

    def emit(self, kind: str, /, **fields: Any) -> bool:
        """Writes one event of type `kind` (see core.events). False when the disk would not take it."""
        with self._lock:
            if self.lost:
                message = f"{self.lost} events could not be written"
                notice = {"level": "warning", "message": message, "hint": FREE_DISK}
                if self._append("notice", notice):
                    self.lost = 0
            written = self._append(kind, fields)
            self.lost += not written
            if written and kind in ("checkpoint", "end"):
                with contextlib.suppress(OSError):
                    os.fdatasync(self._fd)
            return written

    def _append(self, kind: str, fields: Mapping[str, Any]) -> bool:
        when = round(time.time(), 3)
        head = {"v": SCHEMA, "seq": self._seq + 1, "t": when, "attempt": self.attempt, "type": kind}
        line = encode({**head, **fields})
        if self._torn:
            line = b"\n" + line
        before = os.fstat(self._fd).st_size
        try:
            whole = os.write(self._fd, line) == len(line)
        except OSError:
            whole = False
        if whole:
            self._seq += 1
            self._torn = False
            return True
        try:
            os.ftruncate(self._fd, before)
        except OSError:
            self._torn = True
        return False

    def close(self) -> None:
        os.close(self._fd)

    def __enter__(self) -> EventWriter:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


def events_backwards(path: Path) -> Iterator[dict[str, Any]]:
    """The readable events of a file, newest first, reading only as far back as the caller goes."""
    try:
        with path.open("rb") as file:
            end = file.seek(0, os.SEEK_END)
            rest = b""
            while end > 0:
                start = max(0, end - _TAIL_BYTES)
                file.seek(start)
                lines = (file.read(end - start) + rest).split(b"\n")
                # The first piece may have begun before this block: it is finished by the next one.
                rest = lines.pop(0) if start > 0 else b""
                for line in reversed(lines):
                    if line and (event := decode(line)) is not None:
                        yield event
                end = start
    except OSError:
        return  # not there yet, or not to be read: a reader shows what else there is


def last_event(path: Path) -> dict[str, Any]:
    """The newest readable event; {} when there is none."""
    return next(events_backwards(path), {})


def events_unreadable(rundir: RunDir) -> bool:
    """Whether the run's file of events holds something, and no event."""
    try:
        return rundir.events_path.stat().st_size > 0 and not last_event(rundir.events_path)
    except OSError:
        return False


def last_attempt(rundir: RunDir) -> int:
    """The highest attempt any of the run's records tells of; 0 when it never started."""
    records = (rundir.read_proc(), rundir.read_exit(), last_event(rundir.events_path))
    attempts = [record.get("attempt") for record in records]
    return max((attempt for attempt in attempts if isinstance(attempt, int)), default=0)


def end_event(path: Path, attempt: int) -> dict[str, Any]:
    """The `end` event of an attempt; {} when it has not said how it ended."""
    for event in itertools.islice(events_backwards(path), 100):
        if event.get("attempt") != attempt:
            break
        if event["type"] == "end":
            return event
    return {}


def checkpoint_step(rundir: RunDir) -> int:
    """The step of the newest complete checkpoint, 0 when there is none.

    A checkpoint is `checkpoints/step-N/` whose last file, `complete`, is there: the trainer takes no other.
    """
    with contextlib.suppress(OSError):
        names = [path.parent.name for path in rundir.checkpoints.glob("step-*/complete")]
        steps = [name.removeprefix("step-") for name in names]
        return max((int(step) for step in steps if step.isdecimal()), default=0)
    return 0


def resuming(run: str, step: int) -> str:
    """What resuming a run does, as a hint. step: of its newest complete checkpoint, 0 when there is none."""
    return f"`ftui runs resume {run}` " + (
        f"goes on from step {step}" if step else "starts it over from step 0"
    )


def read_json(path: Path) -> dict[str, Any]:
    """The JSON object in a file; {} when it is missing, unreadable or not an object."""
    try:
        value = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def replace_json(path: Path, value: Mapping[str, Any], *, durable: bool = False) -> None:
    """Replaces a file with `value` as JSON, as `replace_bytes` does."""
    replace_bytes(path, encode(value), durable=durable)

"""What a run says while it works: events, the status file, and trackers such as TensorBoard."""

from __future__ import annotations

import contextlib
import signal
import threading
import time
from typing import TYPE_CHECKING, Any

from ftui.core.eta import Pace
from ftui.core.text import one_line

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ftui.engine.trackers import Tracker
    from ftui.runs.rundir import EventWriter, RunDir

_HEARTBEAT_SECONDS = 5.0
_PROGRESS_SECONDS = 0.5
_STATUS_SECONDS = 1.0
# One call (a step of a large model on a small machine) may be silent for long; after this much it is stuck.
_QUIET_SECONDS = 15.0
_STUCK_SECONDS = 1800.0


class StopRequested(Exception):
    """Somebody asked for a graceful stop; `reason` says how."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Control:
    """What is asked of the trainer: by files in `control/`, by SIGTERM, or by ctrl+c.

    Of several processes only the first listens; it tells the others.
    """

    def __init__(self, rundir: RunDir, *, listens: bool = True) -> None:
        self._rundir = rundir
        self._listens = listens
        self._signal = ""
        if not listens:
            return
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._remember)

    def _remember(self, number: int, _frame: object) -> None:
        self._signal = signal.Signals(number).name

    @property
    def stopping(self) -> bool:
        return bool(self._signal) or "stop" in self._rundir.requests()

    def check(self) -> None:
        """Raises StopRequested when a stop has been asked for. Costs a directory listing."""
        if not self._listens:
            return
        if self._signal:
            raise StopRequested(f"{self._signal} received")
        if "stop" in self._rundir.requests():
            raise StopRequested("stop requested")

    def take_checkpoint_request(self) -> bool:
        if not self._listens or "checkpoint" not in self._rundir.requests():
            return False
        self._rundir.clear("checkpoint")
        return True


class Reporter:
    """Writes events, keeps status.json fresh, feeds the trackers."""

    def __init__(self, rundir: RunDir, writer: EventWriter) -> None:
        self._rundir = rundir
        self._writer = writer
        self.trackers: list[Tracker] = []
        self._progress_due = 0.0
        self._status_due = 0.0
        self._beat_due = 0.0
        self._active = time.monotonic()
        self.status: dict[str, Any] = {}
        self.pace = Pace()

    def emit(self, kind: str, **fields: Any) -> None:
        self._writer.emit(kind, **fields)
        self.pace.feed([{"type": kind, **fields}])
        self._active = time.monotonic()
        self._beat_due = self._active + _HEARTBEAT_SECONDS
        if kind in ("step", "eval"):
            step = int(fields["step"])
            numbers = {name: value for name, value in fields.items() if isinstance(value, int | float)}
            for tracker in list(self.trackers):
                try:
                    tracker.log(step, numbers)
                except Exception as error:  # noqa: BLE001 - a lost network or a full disk costs a curve, not the run
                    self.trackers.remove(tracker)
                    told = one_line(f"{tracker.name} failed and is not told any more: {error}", 300)
                    self.notice(told, "the run goes on; its own curves are complete")

    def notice(self, message: str, hint: str = "", level: str = "warning") -> None:
        self.emit("notice", level=level, message=message, hint=hint)

    def progress(self, stage: str, done: int = 0, total: int = 0, unit: str = "", note: str = "") -> None:
        """A progress event, at most two a second; the first and the last of a stage always pass."""
        now = time.monotonic()
        if now < self._progress_due and 0 < done < (total or done + 1):
            return
        self._progress_due = now + _PROGRESS_SECONDS
        self.emit("progress", stage=stage, done=done, total=total, unit=unit, note=note)
        self.show(stage=stage)

    def beat(self, stage: str) -> None:
        """A heartbeat, when nothing has been said for a while: steps may take minutes."""
        self._active = time.monotonic()
        if time.monotonic() >= self._beat_due:
            self.emit("heartbeat", stage=stage)

    def show(self, **fields: Any) -> None:
        """Updates status.json, at most once a second."""
        self.status.update(fields)
        now = time.monotonic()
        if now >= self._status_due:
            self._status_due = now + _STATUS_SECONDS
            self._rundir.write_status(**self.status)

    @contextlib.contextmanager
    def alive(self) -> Iterator[None]:
        """Heartbeats while a single micro-batch takes long, until it has taken so long that it must be stuck."""
        done = threading.Event()

        def beat() -> None:
            while not done.wait(_HEARTBEAT_SECONDS):
                if _QUIET_SECONDS < time.monotonic() - self._active < _STUCK_SECONDS:
                    self._writer.emit("heartbeat", stage=str(self.status.get("stage", "")))

        thread = threading.Thread(target=beat, name="alive", daemon=True)
        thread.start()
        try:
            yield
        finally:
            done.set()
            thread.join()

    @contextlib.contextmanager
    def phase(self, stage: str) -> Iterator[None]:
        """Heartbeats while one long call runs that cannot report by itself."""
        done = threading.Event()

        def beat() -> None:
            while not done.wait(_HEARTBEAT_SECONDS):
                self._writer.emit("heartbeat", stage=stage)

        thread = threading.Thread(target=beat, name=f"heartbeat {stage}", daemon=True)
        thread.start()
        self.show(stage=stage)
        try:
            yield
        finally:
            done.set()
            thread.join()

    def close(self) -> None:
        self._rundir.write_status(**self.status)
        for tracker in self.trackers:
            try:
                tracker.close()
            except Exception as error:  # noqa: BLE001 - as above
                self.notice(one_line(f"{tracker.name} could not be closed: {error}", 300))


class Silent(Reporter):
    """The reporter of a process that is not the first: the first speaks for all."""

    def __init__(self) -> None:
        self.status = {}
        self.trackers = []
        self.pace = Pace()

    def emit(self, kind: str, **fields: Any) -> None:
        pass

    def progress(self, stage: str, done: int = 0, total: int = 0, unit: str = "", note: str = "") -> None:
        pass

    def beat(self, stage: str) -> None:
        pass

    def show(self, **fields: Any) -> None:
        pass

    @contextlib.contextmanager
    def alive(self) -> Iterator[None]:
        yield

    @contextlib.contextmanager
    def phase(self, stage: str) -> Iterator[None]:
        yield

    def close(self) -> None:
        pass

"""Talks to an engine process: JSON lines out to its stdin, JSON lines back from its stdout.

One `EngineClient` owns one child, the chat server (`ftui.engine.serve`) or the encoder
(`ftui.engine.encode`). Safe to use from several threads. The child ends when its stdin does, so nothing
outlives a killed screen.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import queue
import signal
import subprocess
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from ftui.core.errors import FtuiError, ModelError
from ftui.core.text import one_line
from ftui.runs.devices import devices_here
from ftui.runs.lease import take
from ftui.runs.process import child_environment, python_command

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator, Sequence
    from typing import Self

    Event = dict[str, Any]
    Progress = Callable[[str, int, int], None]

# Events that are followed by more of the same request; any other one is its last.
_PARTIAL = frozenset({"progress", "token", "done", "lengths"})
# Idle threads must sleep rather than spin: beside a training run that makes CPU replies five times faster.
_DEFAULTS = {"OMP_WAIT_POLICY": "PASSIVE", "TOKENIZERS_PARALLELISM": "false"}
_LOG_TAIL_BYTES = 8192
_CLOSE_SECONDS = 3.0


@dataclass(frozen=True, slots=True)
class Reply:
    """One side's whole answer. finish: "stop", "length" or "cancelled"; side: the name `sides` gives it."""

    side: str
    text: str
    tokens: int
    ttft_seconds: float
    tokens_per_second: float
    finish: str


class EngineClient:
    """A running engine process. Close it, or use it as a context manager."""

    def __init__(self, module: str = "ftui.engine.serve", log_path: Path | None = None) -> None:
        """Starts `python -m module`. log_path: where its stderr goes; None keeps only what errors quote."""
        self.sides: tuple[str, ...] = ()
        self.loaded: Event = {}
        self._log: IO[bytes] = log_path.open("a+b") if log_path else tempfile.TemporaryFile()  # noqa: SIM115
        self._process = subprocess.Popen(
            python_command(module),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            # Its own group: a ctrl+c meant for the screen must not reach it, and close() can end all of it.
            start_new_session=True,
            env=_DEFAULTS | child_environment(),
        )
        self._ids = itertools.count(1)
        self._waiting: dict[int, queue.SimpleQueue[Event | None]] = {}
        self._lock = threading.Lock()
        self._ending = threading.Lock()
        self._lease: int | None = None
        self._dead = False
        self._closed = False
        self._reader = threading.Thread(target=self._read, name=f"{module} reader", daemon=True)
        self._reader.start()

    @classmethod
    def serve(
        cls,
        base: str,
        adapters: Sequence[str | Path] = (),
        progress: Progress | None = None,
        log_path: Path | None = None,
    ) -> Self:
        """A chat server with `base` and `adapters` loaded; raises FtuiError or ModelError, leaving none."""
        client = cls(log_path=log_path)
        client._lease = take("chat", base, devices_here())
        try:
            client.load(base, adapters, progress)
        except BaseException:
            client.close()
            raise
        return client

    def load(
        self, base: str, adapters: Sequence[str | Path] = (), progress: Progress | None = None, **options: Any
    ) -> Event:
        """Loads, or changes the adapters of the loaded base; returns the `ready` event.

        `sides` then names what can answer, "base" first, then the adapters in the order given.
        """
        if progress:
            progress("start", 0, 0)
        ready: Event = {}
        for event in self.call("load", base=base, adapters=[str(path) for path in adapters], **options):
            if event.get("event") == "progress" and progress:
                progress(str(event.get("stage")), int(event.get("done") or 0), int(event.get("total") or 0))
            ready = event
        self.loaded, self.sides = ready, tuple(ready.get("sides", ()))
        return ready

    def stream(self, sides: Sequence[dict[str, Any]]) -> Iterator[Event]:
        """Asks all sides at once; yields `token` and `done` events as they come, `finished` last.

        sides: {"adapter": name or None, "messages": [...], "sampling": {...}} each. Closing the iterator
        cancels the request.
        """
        return self.call("generate", sides=list(sides))

    def generate(self, sides: Sequence[dict[str, Any]]) -> list[Reply]:
        """Asks all sides at once and waits for every whole reply, in the order of `sides`."""
        replies: dict[int, Reply] = {}
        for event in self.stream(sides):
            if event.get("event") == "done":
                replies[int(event["side"])] = to_reply(event, sides)
        return [replies[number] for number in sorted(replies)]

    def call(self, op: str, **fields: Any) -> Generator[Event]:
        """Sends one request and yields its events up to the last one.

        Raises FtuiError where the request was wrong, ModelError where the engine failed or died. Closing
        the iterator early cancels the request.
        """
        number = next(self._ids)
        inbox: queue.SimpleQueue[Event | None] = queue.SimpleQueue()
        with self._lock:
            self._waiting[number] = inbox
            if self._dead:
                inbox.put(None)
        # Sent now rather than at the first next(): a caller may start several before reading any.
        try:
            self._send({"id": number, "op": op, **fields})
        except ModelError:
            self._waiting.pop(number, None)
            raise
        return self._events(number, inbox)

    def cancel(self) -> None:
        """Ends every request under way within a token; their iterators still end as usual."""
        with self._lock:
            numbers = list(self._waiting)
        for number in numbers:
            with contextlib.suppress(ModelError):
                self._send({"op": "cancel", "id": number})

    @property
    def alive(self) -> bool:
        """Whether the process can still answer."""
        return not (self._dead or self._closed)

    def close(self, patience: float = _CLOSE_SECONDS) -> None:
        """Ends the process and whatever it started: asks, `patience` seconds later insists.

        Returns when it is gone.
        """
        self._closed = True
        with contextlib.suppress(ModelError):
            self._send({"op": "shutdown"})
        with contextlib.suppress(OSError), self._lock:
            if self._process.stdin:
                self._process.stdin.close()
        self._end(patience)
        self._reader.join(_CLOSE_SECONDS)
        self._log.close()
        lease, self._lease = self._lease, None
        if lease is not None:
            os.close(lease)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def _events(self, number: int, inbox: queue.SimpleQueue[Event | None]) -> Generator[Event]:
        over = False
        try:
            while not over:
                event = inbox.get()
                if event is None:
                    over = True
                    raise self._death()
                over = event.get("event") not in _PARTIAL
                if event.get("event") == "error":
                    kind = FtuiError if event.get("kind") == "input" else ModelError
                    raise kind(*(str(event.get(name) or "") for name in ("message", "hint", "where")))
                yield event
        finally:
            with self._lock:
                self._waiting.pop(number, None)
            if not over:
                with contextlib.suppress(ModelError):
                    self._send({"op": "cancel", "id": number})

    def _send(self, request: dict[str, Any]) -> None:
        line = json.dumps(request).encode() + b"\n"
        try:
            with self._lock:
                assert self._process.stdin
                self._process.stdin.write(line)
                self._process.stdin.flush()
        except (OSError, ValueError):  # the pipe is broken, or closed by close()
            raise self._death() from None

    def _read(self) -> None:
        """The reader thread: hands each event to whoever waits for it; at the end wakes them all."""
        assert self._process.stdout
        for line in self._process.stdout:
            try:
                event = json.loads(line)
                inbox = self._waiting.get(event.get("id"))
            except (ValueError, AttributeError):
                continue
            if inbox:
                inbox.put(event)
        with self._lock:
            self._dead = True
            inboxes = list(self._waiting.values())
        for inbox in inboxes:
            inbox.put(None)

    def _death(self) -> ModelError:
        """Why the process is gone, with the last thing it said."""
        if self._closed:
            return ModelError("the engine was closed")
        self._end(_CLOSE_SECONDS)
        code = self._process.returncode
        if code == -signal.SIGKILL:
            return ModelError(
                "the engine was killed", "usually the memory was full: try a smaller model or context"
            )
        said = self._last_words()
        return ModelError(f"the engine stopped unexpectedly{f': {said}' if said else f' (exit code {code})'}")

    def _last_words(self) -> str:
        with contextlib.suppress(OSError, ValueError):
            size = os.fstat(self._log.fileno()).st_size
            tail = os.pread(self._log.fileno(), _LOG_TAIL_BYTES, max(0, size - _LOG_TAIL_BYTES))
            lines = [line for line in tail.decode("utf-8", "replace").splitlines() if line.strip()]
            return one_line(lines[-1], 200) if lines else ""
        return ""

    def _end(self, patience: float) -> None:
        """Waits `patience` seconds, then kills. Reaps last: until then the group's id cannot be another's."""
        with self._ending:
            if self._process.returncode is not None:
                return
            for step, seconds in ((None, patience), (signal.SIGTERM, 1.0), (signal.SIGKILL, 60.0)):
                if step is not None:
                    self._signal(step)
                if self._gone(seconds):
                    break
            self._signal(signal.SIGKILL)  # children it left, a download for instance
            self._process.wait()

    def _signal(self, number: int) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, number)

    def _gone(self, seconds: float) -> bool:
        """Whether the process ends within `seconds`; it is left a zombie."""
        deadline = time.monotonic() + seconds
        pause = threading.Event()
        while True:
            with contextlib.suppress(ChildProcessError):
                if os.waitid(os.P_PID, self._process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
                    if time.monotonic() > deadline:
                        return False
                    pause.wait(0.01)
                    continue
            return True


def to_reply(event: dict[str, Any], sides: Sequence[dict[str, Any]]) -> Reply:
    """A `done` event as a Reply; `sides` is what was asked."""
    return Reply(
        side=sides[int(event["side"])].get("adapter") or "base",
        text=str(event["text"]),
        tokens=int(event["tokens"]),
        ttft_seconds=float(event["ttft_seconds"]),
        tokens_per_second=float(event["tokens_per_second"]),
        finish=str(event["finish"]),
    )

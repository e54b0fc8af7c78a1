"""Requests from stdin, read by a thread of their own: a long answer can be cancelled, and lets short ones pass."""

from __future__ import annotations

import json
import queue
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Any

Request = dict[str, Any]


class Requests:
    """The requests of JSON lines, in order; iterating ends after the last line, or at once at a "shutdown".

    say: told what is wrong with a line that is no JSON object. "cancel" requests are not handed on: they are
    remembered for `cancelled`.
    """

    def __init__(self, lines: Iterable[bytes], say: Callable[[dict[str, Any]], None]) -> None:
        self._lines, self._say = lines, say
        self._inbox: queue.SimpleQueue[Request | None] = queue.SimpleQueue()
        self._later: deque[Request] = deque()
        self._cancelled: set[Any] = set()
        self._shut_down = False
        threading.Thread(target=self._read, name="requests", daemon=True).start()

    def __iter__(self) -> Iterator[Request]:
        while not self._shut_down:
            request = self._later.popleft() if self._later else self._inbox.get()
            if request is None:
                return
            if request.get("id") not in self._cancelled:
                yield request
            self._cancelled.discard(request.get("id"))

    def cancelled(self, number: Any) -> bool:
        """Whether request `number` is not wanted any more."""
        return self._shut_down or number in self._cancelled

    def passing(self, op: str) -> Iterator[Request]:
        """The requests for `op` that have come in meanwhile; all others keep their turn."""
        while True:
            try:
                request = self._inbox.get_nowait()
            except queue.Empty:
                return
            if request is None:
                self._inbox.put(None)
                return
            if request.get("op") != op:
                self._later.append(request)
            elif request.get("id") not in self._cancelled:
                yield request

    def _read(self) -> None:
        for line in self._lines:
            try:
                request = json.loads(line)
            except (ValueError, RecursionError):
                request = None
            if not isinstance(request, dict):
                if line.strip():
                    said = {"message": "not a JSON object", "hint": "", "where": ""}
                    self._say({"id": None, "event": "error", "kind": "input", **said})
            elif request.get("op") == "shutdown":
                self._shut_down = True
                break
            elif request.get("op") == "cancel":
                self._cancelled.add(request.get("id"))
            else:
                self._inbox.put(request)
        self._inbox.put(None)

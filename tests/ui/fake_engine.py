"""A chat server without a model: answers what it was told to, as slowly as a test wants."""

from __future__ import annotations

import queue
import threading
from typing import TYPE_CHECKING, Any

from ftui.core.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


class FakeClient:
    """Stands in for runs.clients.EngineClient in a screen's test; keeps what it was asked."""

    def __init__(self, engine: FakeEngine, base: str, adapters: Sequence[str]) -> None:
        self._engine = engine
        self.base = base
        self.alive = True
        self.closed = threading.Event()
        self._cancelled = threading.Event()
        self.sides: tuple[str, ...] = ()
        self.load(base, adapters)

    def load(self, base: str, adapters: Sequence[str], progress: Any = None) -> None:
        self._engine.loads.append((base, tuple(adapters)))
        self.sides = ("base", *(f"adapter {number}" for number in range(len(adapters))))

    def stream(self, sides: Sequence[dict[str, Any]]) -> Iterator[dict[str, Any]]:
        engine = self._engine
        engine.asked.append(list(sides))
        self._cancelled.clear()
        replies = [engine.reply_of(side) for side in sides]
        said = ["" for _ in sides]
        for position in range(max(map(len, replies), default=0)):
            engine.wait()
            if engine.dies:
                self.alive = False
                raise ModelError("the engine was killed", "usually the memory was full")
            if self._cancelled.is_set():
                break
            for number, pieces in enumerate(replies):
                if position < len(pieces):
                    said[number] += pieces[position]
                    yield {"event": "token", "side": number, "text": pieces[position]}
        finish = "cancelled" if self._cancelled.is_set() else engine.finish
        for number, text in enumerate(said):
            yield {
                "event": "done",
                "side": number,
                "text": text,
                "tokens": len(replies[number]),
                "ttft_seconds": 0.31,
                "tokens_per_second": 41.0,
                "finish": finish,
            }
        yield {"event": "finished"}

    def cancel(self) -> None:
        self._cancelled.set()
        self._engine.step(1)

    def close(self) -> None:
        self.alive = False
        self.closed.set()


class FakeEngine:
    """Makes FakeClients; `serve` takes the place of EngineClient.serve.

    replies: by adapter name ("base" for none), else every reply is "ok". paced: a token is said only when
    the test calls `step`. dies: the server is killed at its next token.
    """

    def __init__(self, replies: dict[str, str] | None = None, *, paced: bool = False) -> None:
        self.replies = replies or {}
        self.paced = paced
        self.dies = False
        self.finish = "stop"
        self.clients: list[FakeClient] = []
        self.loads: list[tuple[str, tuple[str, ...]]] = []
        self.asked: list[list[dict[str, Any]]] = []
        self.loading: queue.SimpleQueue[tuple[str, int, int]] | None = None
        self._steps = threading.Semaphore(0)

    def serve(self, base: str, adapters: Sequence[str] = (), progress: Any = None) -> FakeClient:
        while self.loading is not None and (stage := self.loading.get()) != ("", 0, 0):
            progress(*stage)
        client = FakeClient(self, base, adapters)
        self.clients.append(client)
        return client

    def reply_of(self, side: dict[str, Any]) -> list[str]:
        text = self.replies.get(side["adapter"] or "base", "ok")
        return [piece + " " for piece in text.split(" ")]

    def step(self, count: int = 1) -> None:
        for _ in range(count):
            self._steps.release()

    def wait(self) -> None:
        if self.paced:
            assert self._steps.acquire(timeout=120), "the test never let the server speak"

"""The newest GPU figures without waiting for a driver that hangs: a lost GPU can hold a call for minutes."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from ftui.gpu.nvml import Gpu

# A healthy driver answers in milliseconds. Whoever looks waits this long for it.
_WAIT_SECONDS = 0.25
# Figures older than this are not shown as if they were true.
_OLD_SECONDS = 10.0


@dataclass(slots=True)
class _Question:
    asked: float
    answered: threading.Event
    answer: tuple[Gpu, ...] = ()


class Latest:
    """Asks in a thread of its own, one question at a time: none queue up behind one that hangs.

    The thread is a daemon and lasts as long as its question, so that a driver that never answers does not keep
    the program from ending. ask: answers with every GPU. Use from one thread.
    """

    def __init__(
        self,
        ask: Callable[[], tuple[Gpu, ...]],
        *,
        wait_seconds: float = _WAIT_SECONDS,
        old_seconds: float = _OLD_SECONDS,
    ) -> None:
        self._ask = ask
        self._wait = wait_seconds
        self._old = old_seconds
        self._question: _Question | None = None
        self._known: tuple[Gpu, ...] = ()

    def snapshot(self) -> tuple[Gpu, ...]:
        """Every GPU as of now; as of the last answer while the driver is late, without figures once that is old."""
        question = self._question
        if question is None:
            question = self._question = _Question(time.monotonic(), threading.Event())
            threading.Thread(target=self._answer, args=(question,), name="gpu", daemon=True).start()
            question.answered.wait(self._wait)
        if question.answered.is_set():
            self._known, self._question = question.answer, None
        elif time.monotonic() - question.asked > self._old:
            self._known = tuple(Gpu(gpu.index, gpu.name, mig=gpu.mig, uuid=gpu.uuid) for gpu in self._known)
        return self._known

    def _answer(self, question: _Question) -> None:
        try:
            question.answer = self._ask()
        finally:
            question.answered.set()

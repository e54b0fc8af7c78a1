"""A run's history in memory: numbers in compact columns for charts and alarms, words in short lists."""

from __future__ import annotations

import itertools
import math
from collections import deque
from typing import TYPE_CHECKING, Any

from ftui.runs.columns import STEP, Columns
from ftui.runs.tail import EventTail

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

__all__ = ["SECONDS", "STEP", "TOKENS", "Columns", "History", "LiveHistory"]

# Columns a chart may be drawn over, besides STEP.
TOKENS, SECONDS = "num_tokens", "seconds"

_KEPT_WORDS = 500


class History:
    """Everything a run has told, fed event by event.

    steps: one row a `step` event, evals: one an `eval` event; every number in the event is a column, and
    `seconds` is the time trained so far, pauses between attempts left out. samples, checkpoints, notices:
    the newest few hundred events. newest: the newest event of each other type.
    """

    def __init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        """Forgets everything, for a file that was replaced."""
        self.steps, self.evals = Columns(), Columns()
        self.samples: deque[dict[str, Any]] = deque(maxlen=_KEPT_WORDS)
        self.checkpoints: deque[dict[str, Any]] = deque(maxlen=_KEPT_WORDS)
        self.notices: deque[dict[str, Any]] = deque(maxlen=_KEPT_WORDS)
        self.newest: dict[str, dict[str, Any]] = {}
        self.attempts = 0
        self.last_time = 0.0
        self._clock = 0.0
        self._since: float | None = None

    @property
    def plan(self) -> dict[str, Any] | None:
        return self.newest.get("plan")

    @property
    def model(self) -> dict[str, Any] | None:
        return self.newest.get("model")

    @property
    def data(self) -> dict[str, Any] | None:
        return self.newest.get("data")

    @property
    def progress(self) -> dict[str, Any] | None:
        return self.newest.get("progress")

    @property
    def end(self) -> dict[str, Any] | None:
        """How the newest attempt ended; None while it has not."""
        return self.newest.get("end")

    def feed(self, events: Iterable[dict[str, Any]]) -> None:
        """Takes in events in the order they were written."""
        for kind, group in itertools.groupby(events, key=lambda event: event["type"]):
            if kind in ("step", "eval"):
                rows = list(group)
                clock = [self._advance(row.get("t")) for row in rows]
                (self.steps if kind == "step" else self.evals).add(rows, {SECONDS: clock})
                self.newest[kind] = rows[-1]
                continue
            for event in group:
                self._take(kind, event)

    def _take(self, kind: str, event: dict[str, Any]) -> None:
        if kind == "attempt":
            self._since = None  # the pause before it does not count
            self._begin(event)
        self._advance(event.get("t"))
        if kind == "sample":
            self.samples.append(event)
        elif kind == "checkpoint":
            self.checkpoints.append(event)
        elif kind == "notice":
            self.notices.append(event)
        if kind != "heartbeat":
            self.newest[kind] = event

    def _advance(self, when: Any) -> float:
        """The seconds trained so far, at an event of time `when`; a clock set back adds none."""
        if isinstance(when, int | float) and math.isfinite(when):
            if self._since is not None:
                self._clock += max(0.0, when - self._since)
            self._since = self.last_time = float(when)
        return self._clock

    def _begin(self, event: dict[str, Any]) -> None:
        """A new attempt: what lies after its checkpoint is done again, and will be told again."""
        self.attempts += 1
        step = _step(event)
        for table in (self.steps, self.evals):
            table.cut_after(step)
        for words in (self.samples, self.checkpoints):
            while words and _step(words[-1]) > step:
                words.pop()
        for kind in ("end", "stopping", "progress"):
            self.newest.pop(kind, None)


class LiveHistory:
    """The history of a run's file, brought up to date in bounded pieces."""

    def __init__(self, path: Path) -> None:
        self.history = History()
        self._tail = EventTail(path)
        self._resets = 0

    @property
    def bad(self) -> int:
        """Lines that were no event."""
        return self._tail.bad

    @property
    def more(self) -> bool:
        """True while the file holds events not taken in yet."""
        return self._tail.more

    def refresh(self, max_events: int = 20_000) -> bool:
        """Takes in what was written since, at most `max_events`; True when that changed anything."""
        events = self._tail.read(max_events)
        if self._tail.resets != self._resets:
            self._resets = self._tail.resets
            self.history.clear()
        self.history.feed(events)
        return bool(events)


def read_history(path: Path) -> History:
    """The whole history of a run's events, however long that takes."""
    live = LiveHistory(path)
    while live.refresh() and live.more:
        pass
    return live.history


def _step(event: dict[str, Any]) -> float:
    step = event.get("step")
    return step if isinstance(step, int | float) and math.isfinite(step) else 0.0

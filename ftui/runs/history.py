"""A run's history in memory: numbers in compact columns for charts and alarms, words in short lists."""

from __future__ import annotations

import itertools
import math
import operator
from collections import deque
from typing import TYPE_CHECKING, Any

from ftui.runs import stages
from ftui.runs.columns import STEP, Columns

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["SECONDS", "STEP", "TOKENS", "Columns", "History"]

# Columns a chart may be drawn over, besides STEP.
TOKENS, SECONDS = "num_tokens", "seconds"

_KEPT_WORDS = 500


class History:
    """Everything a run has told, fed event by event.

    steps: one row a `step` event, evals: one an `eval` event; every number in the event is a column, and
    `seconds` is the time trained so far, pauses between attempts left out. samples, checkpoints, notices:
    the newest few hundred events. newest: the newest event of each other type. stages: the phases before the
    first step of the newest attempt.
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
        self.stages: list[stages.Stage] = []
        self.attempts = 0
        self.last_time = 0.0
        self.clock = 0.0  # seconds trained, and the moment up to which they are counted
        self.since: float | None = None

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
                clock = self._advance_all([row.get("t") for row in rows])
                (self.steps if kind == "step" else self.evals).add(rows, {SECONDS: clock})
                self.newest[kind] = rows[-1]
                continue
            for event in group:
                self._take(kind, event)

    def _take(self, kind: str, event: dict[str, Any]) -> None:
        if kind == "attempt":
            self.since = None  # the pause before it does not count
            self._begin(event)
        self._advance(event.get("t"))
        if kind in stages.KINDS:
            self.stages = stages.follow(self.stages, event)
        if kind == "sample":
            self._keep_sample(event)
        elif kind == "checkpoint":
            self.checkpoints.append(event)
        elif kind == "notice":
            self.notices.append(event)
        if kind != "heartbeat":
            self.newest[kind] = event

    def _keep_sample(self, event: dict[str, Any]) -> None:
        """Makes room by forgetting the oldest, but not the replies of the first step: all are compared with them."""
        if len(self.samples) == self.samples.maxlen:
            first = _step(self.samples[0])
            later = next((n for n, one in enumerate(self.samples) if _step(one) != first), 0)
            if later:
                del self.samples[later]
        self.samples.append(event)

    def _advance(self, when: Any) -> float:
        """The seconds trained so far, at an event of time `when`; a clock set back adds none."""
        if isinstance(when, int | float) and math.isfinite(when):
            if self.since is not None:
                self.clock += max(0.0, when - self.since)
            self.since = self.last_time = float(when)
        return self.clock

    def _advance_all(self, moments: list[Any]) -> list[float]:
        """`_advance` by many moments: what opening a long run waits for, so without a loop of ours."""
        if not {float}.issuperset(map(type, moments)) or not math.isfinite(sum(moments)):
            return [self._advance(when) for when in moments]
        before = moments[0] if self.since is None else self.since
        passed = map(max, itertools.repeat(0.0), map(operator.sub, moments, [before, *moments[:-1]]))
        clock = list(itertools.accumulate(passed, initial=self.clock))[1:]
        self.clock, self.since = clock[-1], moments[-1]
        self.last_time = moments[-1]
        return clock

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


def _step(event: dict[str, Any]) -> float:
    step = event.get("step")
    return step if isinstance(step, int | float) and math.isfinite(step) else 0.0

"""How long a run still takes, by what its steps and what comes between them have taken lately."""

from __future__ import annotations

import math
from collections import deque
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

_STEPS = 50  # the newest reports of steps that count
_PAUSES = 5
_FEWEST = 3  # the first step of an attempt warms up: two more show it for what it is
# What interrupts the steps: the event that tells of it, and its field with the seconds.
_SECONDS = {"eval": "eval_seconds", "checkpoint": "seconds", "sample": "seconds"}


class Pace:
    """The pace of a run, from its events in the order they are told.

    evaluate_every, save_every: steps from one evaluation or scheduled checkpoint to the next; 0 is never.
    Prompts are answered at every scheduled checkpoint, and at the last step as it is saved.
    """

    def __init__(self, evaluate_every: int = 0, save_every: int = 0) -> None:
        self._every = {"eval": evaluate_every, "checkpoint": save_every, "sample": save_every}
        self._steps: deque[float] = deque(maxlen=_STEPS)
        self._pauses: dict[str, deque[float]] = {kind: deque(maxlen=_PAUSES) for kind in _SECONDS}
        self._sampled: Any = None

    def feed(self, events: Iterable[Mapping[str, Any]]) -> None:
        for event in events:
            kind = str(event.get("type"))
            seconds = event.get(_SECONDS.get(kind, "step_time"))
            if not isinstance(seconds, int | float) or not 0 <= seconds < math.inf:
                continue
            if kind == "step":
                self._steps.append(seconds)
            elif kind == "sample" and self._pauses[kind] and self._sampled == event.get("step"):
                self._pauses[kind][-1] += seconds  # one prompt of several
            elif kind in _SECONDS:
                self._pauses[kind].append(seconds)
            if kind == "sample":
                self._sampled = event.get("step")

    def remaining(self, step: int, steps: int) -> float | None:
        """Seconds from `step`, done but for what is due at it, to the end of the run; None is not known yet.

        What has not happened yet, such as the first evaluation, is left out: nobody knows how long it takes.
        """
        if len(self._steps) < _FEWEST:
            return None
        left = (steps - step) * _typical(self._steps)
        for kind, every in self._every.items():
            if (each := self._pauses[kind]) and (every or kind != "eval"):
                left += _due(step, steps, every) * _typical(each)
        return left


def _typical(seconds: Collection[float]) -> float:
    """The mean of the middle half: long and short steps both count, one that stalled does not."""
    ordered = sorted(seconds)
    cut = (len(ordered) + 1) // 4
    middle = ordered[cut : len(ordered) - cut]
    return sum(middle) / len(middle)


def _due(step: int, steps: int, every: int) -> int:
    """How often something is due from `step` to `steps`, both included, the last one always."""
    scheduled = steps // every - (step - 1) // every if every else 0
    return scheduled + (not every or steps % every > 0)

"""A run's latest figures, read from the end of its events."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ftui.runs.rundir import events_backwards

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ftui.runs.rundir import RunDir

# An evaluation may lie this many events back; what lies further is taken from status.json.
_RECENT_EVENTS = 400
_LARGEST = 2**63
_LAST_MOMENT = 250_000_000_000  # in the year 9892


@dataclass(frozen=True, slots=True)
class Figures:
    """None is not known (yet). stage: what a trainer without steps is doing, such as "load"."""

    step: int | None = None
    steps: int | None = None
    loss: float | None = None
    eval_loss: float | None = None
    tokens_per_second: float | None = None
    eta_seconds: float | None = None
    stage: str = ""


def latest_figures(rundir: RunDir, attempt: int, started: float) -> Figures:
    """The newest figures of a run, from its last events first and status.json for the rest.

    attempt, started: the one being run; the stage is told of no earlier one, whose records may be the last yet.
    A full disk loses events: where status.json was written after the last of them and is further, it is right.
    """
    status, found, stage, newest = rundir.read_status(), _Found(), "", 0.0
    missing = {"step", "eval"} if number(status.get("eval_loss")) is None else {"step"}
    for event in itertools.islice(events_backwards(rundir.events_path), _RECENT_EVENTS):
        kind = event["type"]
        newest = newest or number(event.get("t")) or 0.0
        if kind == "step":
            found.take(event, "step", "steps", "loss", "tokens_per_second")
            found.offer("eta_seconds", _eta(event))
        elif kind == "eval":
            found.take(event, "eval_loss")
        elif kind == "plan":
            found.take(event, "steps")
        elif kind in ("progress", "heartbeat") and not stage and event.get("attempt") == attempt:
            stage = str(event.get("stage") or "")
        missing.discard(kind)
        if not missing or kind == "attempt":
            break
    if not stage and (number(status.get("updated")) or 0.0) >= started:
        stage = str(status.get("stage") or "")
    written, step = number(status.get("updated")) or 0.0, number(status.get("step")) or 0.0
    if round(written, 3) >= newest and step > found.values.get("step", math.inf):
        found.values.clear()
    found.take(status, "step", "steps", "loss", "eval_loss", "tokens_per_second")
    return Figures(
        step=whole(found.values.get("step")),
        steps=whole(found.values.get("steps")),
        loss=found.values.get("loss"),
        eval_loss=found.values.get("eval_loss"),
        tokens_per_second=found.values.get("tokens_per_second"),
        # The trainer knows more than its last step tells, and says nothing while it cannot know.
        eta_seconds=number(status.get("eta_seconds")) if status else found.values.get("eta_seconds"),
        stage=stage,
    )


def number(value: Any) -> float | None:
    """`value` when it is a number (NaN and infinity included), else None. A damaged one may fit no float."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return value if isinstance(value, float) or abs(value) <= _LARGEST else None


def whole(value: Any) -> int | None:
    """`value` as a whole number when it is a finite number of a size that counts have, else None."""
    known = number(value)
    return int(known) if known is not None and math.isfinite(known) and abs(known) <= _LARGEST else None


def moment(value: Any) -> float | None:
    """`value` when it is a time that a calendar knows, in seconds since the epoch; else None."""
    when = number(value)
    return when if when is not None and 0 < when < _LAST_MOMENT else None


class _Found:
    """Keeps the first value offered under each name: the newest, since events are read backwards."""

    def __init__(self) -> None:
        self.values: dict[str, float] = {}

    def take(self, record: Mapping[str, Any], *names: str) -> None:
        for name in names:
            self.offer(name, number(record.get(name)))

    def offer(self, name: str, value: float | None) -> None:
        if value is not None:
            self.values.setdefault(name, value)


def _eta(event: Mapping[str, Any]) -> float | None:
    step, steps, each = (number(event.get(name)) for name in ("step", "steps", "step_time"))
    return None if step is None or steps is None or each is None else max(0.0, (steps - step) * each)

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


def latest_figures(rundir: RunDir) -> Figures:
    """The newest figures of a run, from its last events first and status.json for the rest."""
    status, found, stage = rundir.read_status(), _Found(), ""
    missing = {"step", "eval"} if number(status.get("eval_loss")) is None else {"step"}
    for event in itertools.islice(events_backwards(rundir.events_path), _RECENT_EVENTS):
        kind = event["type"]
        if kind == "step":
            found.take(event, "step", "steps", "loss", "tokens_per_second")
            found.offer("eta_seconds", _eta(event))
        elif kind == "eval":
            found.take(event, "eval_loss")
        elif kind == "plan":
            found.take(event, "steps")
        elif kind in ("progress", "heartbeat") and not stage:
            stage = str(event.get("stage") or "")
        missing.discard(kind)
        if not missing or kind == "attempt":
            break
    found.take(status, "step", "steps", "loss", "eval_loss", "tokens_per_second")
    return Figures(
        step=_whole(found.values.get("step")),
        steps=_whole(found.values.get("steps")),
        loss=found.values.get("loss"),
        eval_loss=found.values.get("eval_loss"),
        tokens_per_second=found.values.get("tokens_per_second"),
        eta_seconds=number(status.get("eta_seconds")) or found.values.get("eta_seconds"),
        stage=stage or str(status.get("stage") or ""),
    )


def number(value: Any) -> float | None:
    """`value` when it is a number (NaN and infinity included), else None."""
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None


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


def _whole(value: float | None) -> int | None:
    return int(value) if value is not None and math.isfinite(value) else None

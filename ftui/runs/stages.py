"""What a trainer did before its first step: which phase, how far, how long."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from ftui.core.text import one_line

if TYPE_CHECKING:
    from collections.abc import Sequence

KINDS = frozenset({"attempt", "progress", "plan", "end"})  # the events that move stages


@dataclass(frozen=True, slots=True)
class Stage:
    """A phase before the first step: total 0 is unknown; seconds since it began, or that it took."""

    name: str
    done: float
    total: float
    unit: str
    note: str
    began: float
    ended: float | None = None


def follow(stages: Sequence[Stage], event: dict[str, Any]) -> list[Stage]:
    """The newest attempt's phases after one more event of the KINDS. All text is safe to show."""
    kind, when = event["type"], _number(event.get("t"))
    if kind == "attempt":
        return []
    if kind != "progress":
        return _closed(stages, when)
    name = one_line(str(event.get("stage", "")), 40)
    done, total = _number(event.get("done")), _number(event.get("total"))
    unit, note = (one_line(str(event.get(key) or ""), 60) for key in ("unit", "note"))
    if stages and stages[-1].name == name:
        return [*stages[:-1], replace(stages[-1], done=done, total=total, unit=unit, note=note)]
    return [*_closed(stages, when), Stage(name, done, total, unit, note, began=when)]


def _closed(stages: Sequence[Stage], when: float) -> list[Stage]:
    if stages and stages[-1].ended is None:
        return [*stages[:-1], replace(stages[-1], ended=when)]
    return list(stages)


def _number(value: Any) -> float:
    known = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    return float(value) if known else 0.0

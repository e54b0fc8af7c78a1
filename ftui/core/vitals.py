"""What is known of a run, and what an alarm says: what the run doctor works with."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Literal

Severity = Literal["error", "warning", "hint"]
Action = Literal["", "stop", "stop_now", "checkpoint", "recipe", "machine"]


@dataclass(frozen=True, slots=True)
class Change:
    """What to change in a run's recipe: its value times `factor`, or `value`; neither is "look at it"."""

    field: str
    factor: float = 0.0
    value: bool | int | float | None = None


@dataclass(frozen=True, slots=True)
class Alarm:
    """One thing to look at.

    check: its stable name. message: what is seen; hint: what to do. action: what one key can do about it
    while the run is at work. step: where it began, 0 when it is about the run as a whole. change: what the
    next run's recipe had better say; "recipe" proposes it, and so does any alarm of a run that has ended.
    """

    check: str
    severity: Severity
    message: str
    hint: str
    action: Action = ""
    step: int = 0
    change: Change | None = None


@dataclass(frozen=True, slots=True)
class GpuFigures:
    """Recent samples of the run's GPU, the oldest first; a figure that cannot be had is left out of its list.

    utilization: percent. throttle: the reasons named in each sample. memory: bytes used of `memory_total`.
    """

    utilization: Sequence[float] = ()
    throttle: Sequence[tuple[str, ...]] = ()
    memory: Sequence[float] = ()
    memory_total: float = 0.0


@dataclass(frozen=True, slots=True)
class Vitals:
    """What is known of a run.

    steps, evals: columns of equal length by name, NaN where not told; "step" ascends. total_steps: 0 when not
    known. silence: seconds since the run was last heard of, None when it has ended. disk_free,
    checkpoint_bytes: None when not known. patience: seconds of silence that are still usual. clip: the norm
    gradients are clipped to, 0 when they are not. refused: says that the newest checkpoint could not be saved.
    """

    steps: Mapping[str, Sequence[float]] = field(default_factory=dict)
    evals: Mapping[str, Sequence[float]] = field(default_factory=dict)
    total_steps: int = 0
    active: bool = True
    silence: float | None = None
    patience: float = 120.0
    clip: float = 1.0
    gpu: GpuFigures | None = None
    disk_free: float | None = None
    checkpoint_bytes: float | None = None
    refused: str = ""


class Unchecked(Exception):
    """A check lacks what it needs; the text says what."""


def column(table: Mapping[str, Sequence[float]], name: str) -> Sequence[float]:
    values = table.get(name, ())
    if not values:
        raise Unchecked(f"no {name} yet")
    return values


def finite(
    table: Mapping[str, Sequence[float]], name: str, least: int, rows: str = "steps"
) -> tuple[list[float], list[float]]:
    """(steps, values) of the finite values under `name`. rows: what they are one each of, to a person."""
    pairs = [
        (x, y)
        for x, y in zip(table.get("step", ()), table.get(name, ()), strict=False)
        if math.isfinite(x) and math.isfinite(y)
    ]
    if len(pairs) < least:
        raise Unchecked(f"fewer than {least} {rows}" if pairs else f"no {name} yet")
    return [x for x, _ in pairs], [y for _, y in pairs]


def noise(values: Sequence[float]) -> float:
    """The spread of a curve around its own trend: the median step-to-step change, as a standard deviation.

    For independent normal noise of deviation s, neighbours differ by s * sqrt(2), and the median of the
    absolute value of that is 0.6745 of it.
    """
    changes = [abs(b - a) for a, b in itertools.pairwise(values)]
    return median(changes) / (0.6745 * math.sqrt(2)) if changes else 0.0

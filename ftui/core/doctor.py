"""The run doctor: what is going wrong in a run, in plain words, from its history alone.

Each check asks for what it needs and says so when it is not there: silence means "looked, found nothing".
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from ftui.core import alarms_machine as machine
from ftui.core import alarms_training as training
from ftui.core.vitals import Alarm, Severity, Unchecked, Vitals


@dataclass(frozen=True, slots=True)
class Examination:
    """alarms: gravest first. unchecked: (check, why it could not run)."""

    alarms: tuple[Alarm, ...]
    unchecked: tuple[tuple[str, str], ...]


CHECKS: Mapping[str, Callable[[Vitals], Alarm | None]] = {
    "not-a-number": training.not_a_number,
    "zero": training.zero,
    "divergence": training.divergence,
    "gradient-spike": training.gradient_spike,
    "no-progress": training.no_progress,
    "overfitting": training.overfitting,
    "plateau": training.plateau,
    "step-time-cliff": machine.step_time_cliff,
    "loader-bound": machine.loader_bound,
    "stalled": machine.stalled,
    "gpu-idle": machine.gpu_idle,
    "throttled": machine.throttled,
    "memory-near-limit": machine.memory_near_limit,
    "disk-nearly-full": machine.disk_nearly_full,
    "learning-rate-spent": training.learning_rate_spent,
}

_ORDER: tuple[Severity, ...] = ("error", "warning", "hint")


def examine(vitals: Vitals) -> Examination:
    """Runs every check."""
    alarms, unchecked = [], []
    for name, check in CHECKS.items():
        try:
            alarm = check(vitals)
        except Unchecked as missing:
            unchecked.append((name, str(missing)))
        else:
            if alarm is not None:
                alarms.append(alarm)
    return Examination(
        tuple(sorted(alarms, key=lambda alarm: _ORDER.index(alarm.severity))), tuple(unchecked)
    )

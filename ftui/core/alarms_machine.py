"""Alarms about the machine: speed, silence, GPU, disk."""

from __future__ import annotations

import math
from statistics import median

from ftui.core.vitals import Alarm, Change, GpuFigures, Unchecked, Vitals, finite

_WINDOW = 10  # steps
_SHORT_SECONDS = 0.1


def step_time_cliff(vitals: Vitals) -> Alarm | None:
    """Steps take much longer than they did, for the same number of tokens."""
    xs, speed = finite(vitals.steps, "tokens_per_second", 3 * _WINDOW)
    _, times = finite(vitals.steps, "step_time", 3 * _WINDOW)
    if median(times[-_WINDOW:]) < _SHORT_SECONDS:
        return None  # such steps are measured more by what else the machine does than by themselves
    usual, now = median(speed[:-_WINDOW][-10 * _WINDOW :]), median(speed[-_WINDOW:])
    if now > 0 and usual > 2 * now:
        return Alarm(
            "step-time-cliff",
            "warning",
            f"{now:,.0f} tokens a second, {usual / now:.1f} times fewer than before step {xs[-_WINDOW]:.0f}",
            "look for another process on the GPU, swapping, or a thermal limit",
            "machine",
            int(xs[-_WINDOW]),
        )
    return None


def loader_bound(vitals: Vitals) -> Alarm | None:
    """Much of a step is spent waiting for its data."""
    _, waited = finite(vitals.steps, "data_time", _WINDOW)
    _, whole = finite(vitals.steps, "step_time", _WINDOW)
    share = sum(waited[-_WINDOW:]) / max(1e-9, sum(whole[-_WINDOW:]))
    if share > 0.2:
        return Alarm(
            "loader-bound",
            "warning",
            f"{share:.0%} of the time is spent waiting for data",
            "put the workspace on a local disk: the encoded rows are read from there",
        )
    return None


def stalled(vitals: Vitals) -> Alarm | None:
    """Nothing is heard of a run that should be working."""
    if not vitals.active:
        return None
    if vitals.silence is None:
        raise Unchecked("not known when it was last heard of")
    times = vitals.steps.get("step_time", ())
    usual = max((time for time in list(times)[-_WINDOW:] if math.isfinite(time)), default=0.0)
    if vitals.silence > max(vitals.patience, 5 * usual):
        return Alarm(
            "stalled",
            "error",
            f"nothing was heard of it for {vitals.silence / 60:.0f} minutes",
            "read the log; S ends it, R resumes it",
            "stop_now",
        )
    return None


def gpu_idle(vitals: Vitals) -> Alarm | None:
    """The GPU has little to do while the run trains."""
    if not vitals.active or not vitals.steps.get("step"):
        return None
    used = _gpu(vitals).utilization
    if len(used) < 30:
        raise Unchecked("too few readings of the GPU")
    if (typical := median(used)) < 40:
        return Alarm(
            "gpu-idle",
            "warning",
            f"the GPU is {typical:.0f}% busy",
            "turn packing on, or raise training.micro_batch",
            "recipe",
            change=Change("data.packing", value=True),
        )
    return None


def throttled(vitals: Vitals) -> Alarm | None:
    """The GPU holds its clocks down for heat or lack of power."""
    if not vitals.active:
        return None  # what the GPU does now is not about this run
    samples = _gpu(vitals).throttle
    if len(samples) < 10:
        raise Unchecked("too few readings of the GPU")
    named = [reasons for reasons in samples[-30:] if reasons]
    if 2 * len(named) <= len(samples[-30:]):
        return None
    reasons = ", ".join(sorted({reason for several in named for reason in several}))
    return Alarm(
        "throttled",
        "warning",
        f"the GPU holds its clocks down: {reasons}",
        "cooling or the power supply: `nvidia-smi -q -d PERFORMANCE` tells more",
        "machine",
    )


def memory_near_limit(vitals: Vitals) -> Alarm | None:
    """The next long batch may not fit."""
    if not vitals.active:
        return None
    gpu = _gpu(vitals)
    if not gpu.memory or not gpu.memory_total:
        raise Unchecked("the GPU does not tell its memory")
    peak = max(gpu.memory)
    if peak > 0.97 * gpu.memory_total:
        return Alarm(
            "memory-near-limit",
            "hint",
            f"GPU memory was {peak / gpu.memory_total:.0%} full",
            "out of memory is survived (the micro-batch is halved); a lower data.max_length avoids it",
            "checkpoint",
            change=Change("data.max_length", factor=0.75),
        )
    return None


def disk_nearly_full(vitals: Vitals) -> Alarm | None:
    """Fewer than two checkpoints fit on the disk, or the newest could not be written."""
    if not vitals.active:
        return None
    if vitals.refused:
        return disk_refused(vitals.refused)
    if vitals.disk_free is None:
        raise Unchecked("the disk does not tell its free space")
    if not vitals.checkpoint_bytes:
        raise Unchecked("no checkpoint yet to know its size by")
    if vitals.disk_free < 2 * vitals.checkpoint_bytes:
        return Alarm(
            "disk-nearly-full",
            "error",
            f"{vitals.disk_free / 1e9:.1f} GB are free, a checkpoint takes {vitals.checkpoint_bytes / 1e9:.1f} GB",
            "free disk space before the next one is due: `ftui runs delete` old runs",
            "machine",
        )
    return None


def disk_refused(message: str, step: int = 0) -> Alarm:
    """The alarm of a disk that would not take what `message` says."""
    hint = "free disk space: `ftui runs delete` old runs"
    return Alarm("disk-nearly-full", "error", message, hint, "machine", step)


def _gpu(vitals: Vitals) -> GpuFigures:
    if vitals.gpu is None:
        raise Unchecked("no GPU figures")
    return vitals.gpu

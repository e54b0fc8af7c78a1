"""What the machine and a run on it use, as (heading, lines). Figures come in, words go out; no Textual."""

from __future__ import annotations

import contextlib
import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ftui.core.text import one_line
from ftui.runs.devices import gpus_of
from ftui.runs.rundir import RunDir, events_backwards
from ftui.ui.widgets import figures

if TYPE_CHECKING:
    from ftui.gpu.host import HostSnapshot
    from ftui.gpu.nvml import Gpu
    from ftui.runs.state import RunSummary
    from ftui.ui.pulse import Pulse

_LOOKED_AT = 200  # events from the end in which the last step is looked for
_BAR = 16


@dataclass(frozen=True, slots=True)
class Line:
    """label and value; share: for a bar, None for none. loud: worth a colour."""

    label: str
    value: str
    share: float | None = None
    loud: bool = False


@dataclass(frozen=True, slots=True)
class Usage:
    """What a run uses. figures: of its last step ("memory_allocated", ...). Sizes in bytes, None not known."""

    figures: dict[str, Any]
    trainer_memory: int | None = None
    checkpoints: int = 0
    checkpoint_bytes: int = 0


def read_usage(run: RunSummary) -> Usage:
    """Reads a run's files and its trainer's memory: for a thread. Never raises."""
    rundir = RunDir(run.path)
    step: dict[str, Any] = {}
    with contextlib.suppress(OSError):
        recent = itertools.islice(events_backwards(rundir.events_path), _LOOKED_AT)
        step = next((event for event in recent if event["type"] == "step"), {})
    count, size = 0, 0
    with contextlib.suppress(OSError):
        for folder in rundir.checkpoints.iterdir():
            count += 1
            size += sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
    return Usage(step, _resident(run.pid), count, size)


def sections(pulse: Pulse, run: RunSummary | None, usage: Usage | None) -> list[tuple[str, list[Line]]]:
    """GPUs with who is on them, the run, the host and the disk."""
    mine = gpus_of(run.devices, pulse.gpus, run.pid) if run and run.active and len(pulse.gpus) > 1 else ()
    found = [(_heading(gpu, gpu in mine), _gpu_lines(gpu, run)) for gpu in pulse.gpus]
    found = found or [("no NVIDIA GPU", [])]
    if run is not None and usage is not None:
        found.append((f"run {one_line(run.name, 40)}", _run_lines(run, usage)))
    if pulse.host is not None:
        found.append(("host", _host_lines(pulse.host)))
        found.append(("disk", _disk_lines(pulse.host, usage)))
    return found


def _heading(gpu: Gpu, mine: bool) -> str:
    return f"GPU{gpu.index}  {one_line(gpu.name, 40)}{'  this run' if mine else ''}"


def _gpu_lines(gpu: Gpu, run: RunSummary | None) -> list[Line]:
    share = gpu.memory_used / gpu.memory_total if gpu.memory_used is not None and gpu.memory_total else None
    limit = f" of {gpu.power_limit:.0f}" if gpu.power_limit else ""
    slowed = ", ".join(one_line(reason, 40) for reason in gpu.throttle)
    capped = "its power limit, as is usual under full load" if gpu.power_capped else "nothing"
    lines = [
        Line(
            "memory",
            f"{figures.gib(gpu.memory_used)} of {figures.gib(gpu.memory_total)} GB",
            share,
            loud=share is not None and share > 0.97,
        ),
        Line(
            "busy",
            _unit(gpu.utilization, "%"),
            gpu.utilization / 100 if gpu.utilization is not None else None,
        ),
        Line("temperature", _unit(gpu.temperature, " °C")),
        Line("power", "n/a" if gpu.power is None else f"{gpu.power:.0f}{limit} W"),
        Line("slowed by", slowed or capped, loud=bool(slowed)),
    ]
    for number, process in enumerate(gpu.processes):
        mine = "  this run" if run is not None and run.pid == process.pid else ""
        memory = "n/a" if process.memory is None else f"{figures.gib(process.memory)} GB"
        words = f"{process.pid:>8}  {one_line(process.name, 30):<30}  {memory}{mine}"
        lines.append(Line("" if number else "processes", words))
    return lines


def _run_lines(run: RunSummary, usage: Usage) -> list[Line]:
    told = [
        f"{word} {figures.gib(size)}"
        for word, name in (("allocated", "allocated"), ("reserved", "reserved"), ("at most", "peak"))
        if isinstance(size := usage.figures.get(f"memory_{name}"), int | float) and size > 0
    ]
    lines = [Line("torch", f"{', '.join(told)} GB")] if told else []
    if usage.trainer_memory is not None:
        lines.append(
            Line("trainer", f"{figures.size_of(usage.trainer_memory)} of host memory, pid {run.pid}")
        )
    elif isinstance(rss := usage.figures.get("memory_rss"), int | float):
        lines.append(Line("trainer", f"{figures.size_of(rss)} of host memory at its last step"))
    if run.state == "running" and (done := figures.finishing(run.eta_seconds)):
        lines.append(Line("ends", f"in {figures.duration(run.eta_seconds)}, at {done}"))
    return lines or [Line("", "has told nothing of its memory yet")]


def _host_lines(host: HostSnapshot) -> list[Line]:
    known = host.memory_used is not None and host.memory_total
    share = host.memory_used / host.memory_total if known else None  # type: ignore[operator]
    lines = [
        Line(
            "memory",
            f"{figures.gib(host.memory_used)} of {figures.gib(host.memory_total)} GB",
            share,
            loud=share is not None and share > 0.95,
        )
    ]
    if host.swap_used:
        lines.append(Line("swap", f"{figures.gib(host.swap_used)} GB"))
    busy = host.cpu_percent
    lines.append(Line("processor", _unit(busy, "%"), busy / 100 if busy is not None else None))
    return lines


def _disk_lines(host: HostSnapshot, usage: Usage | None) -> list[Line]:
    each = usage.checkpoint_bytes / usage.checkpoints if usage and usage.checkpoints else 0
    free = host.disk_free
    scarce = free is not None and each > 0 and free < 2 * each
    lines = [Line("free", "n/a" if free is None else f"{figures.gib(free)} GB", loud=scarce)]
    if usage is not None and usage.checkpoints:
        size = figures.size_of(usage.checkpoint_bytes)
        lines.append(
            Line("checkpoints", f"{usage.checkpoints} of this run: {size}, {figures.size_of(each)} each")
        )
    return lines


def _unit(value: float | None, unit: str) -> str:
    return "n/a" if value is None else f"{value:.0f}{unit}"


def _resident(pid: int | None) -> int | None:
    if pid is None:
        return None
    import psutil  # type: ignore[import-untyped]

    with contextlib.suppress(psutil.Error, OSError):
        return int(psutil.Process(pid).memory_info().rss)
    return None

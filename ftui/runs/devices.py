"""Which devices a run or a chat would compute on, by name, and how much memory they have free.

A GPU is called "gpu0" by its number in NVML, a MIG slice "gpu0.mig1"; the host is "cpu".
"""

from __future__ import annotations

import os
import tomllib
from typing import TYPE_CHECKING

from ftui.gpu import host, nvml

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from ftui.gpu.nvml import Gpu

CPU = "cpu"
VISIBLE = "CUDA_VISIBLE_DEVICES"


def device_name(gpu: Gpu) -> str:
    return f"gpu{gpu.index}" if gpu.mig is None else f"gpu{gpu.index}.mig{gpu.mig}"


def show_device(device: str) -> str:
    """A device as a person calls it: "GPU 0", "GPU 0 MIG 1", "the CPU"."""
    if device == CPU:
        return "the CPU"
    return device.replace("gpu", "GPU ", 1).replace(".mig", " MIG ", 1)


def devices_used(gpus: tuple[Gpu, ...], visible: str | None, processes: int = 1) -> tuple[str, ...]:
    """The devices that `processes` training processes take, in the way CUDA numbers them.

    visible: $CUDA_VISIBLE_DEVICES, None when not set. A GPU that is named there by its UUID keeps that name.
    """
    if not gpus:
        return (CPU,)
    names = list(dict.fromkeys(device_name(gpu) for gpu in gpus))
    if visible is not None:
        names = _visible(visible, names)
    return tuple(names[: max(1, processes)]) or (CPU,)


def _visible(visible: str, names: list[str]) -> list[str]:
    """CUDA reads the list up to the first entry that names nothing."""
    found: list[str] = []
    for word in (part.strip() for part in visible.split(",")):
        if word.startswith(("GPU-", "MIG-")):
            found.append(word[:80])
        elif word.isdecimal() and int(word) < len(names):
            found.append(names[int(word)])
        else:
            break
    return list(dict.fromkeys(found))


def devices_here(processes: int = 1, environment: Mapping[str, str] | None = None) -> tuple[str, ...]:
    """The devices a process started now with this environment, or `environment`, would take."""
    variables = os.environ if environment is None else environment
    return devices_used(nvml.snapshot(), variables.get(VISIBLE), processes)


def processes_of(recipe_path: Path) -> int:
    """`launch.processes` of a frozen recipe; 1 where it does not say."""
    try:
        launch = tomllib.loads(recipe_path.read_text("utf-8")).get("launch", {})
        count = launch.get("processes", 1)
    except (OSError, ValueError, AttributeError):
        return 1
    return count if isinstance(count, int) and 0 < count <= 64 else 1


def free_memory(device: str, gpus: tuple[Gpu, ...], root: Path) -> tuple[int | None, int | None]:
    """(free, total) bytes of a device as of now; None for what cannot be known."""
    if device == CPU:
        seen = host.snapshot(root)
        if seen.memory_total is None or seen.memory_used is None:
            return None, seen.memory_total
        return max(0, seen.memory_total - seen.memory_used), seen.memory_total
    for gpu in gpus:
        if device_name(gpu) == device and gpu.memory_total is not None and gpu.memory_used is not None:
            return max(0, gpu.memory_total - gpu.memory_used), gpu.memory_total
    return None, None

"""Which devices a run or a chat would compute on, by name, and how much memory they have free.

A GPU is called "gpu0" by its number in NVML, a MIG slice "gpu0.mig1"; the host is "cpu". NVML counts in the
order of the PCI bus, as nvidia-smi does, and so a number in $CUDA_VISIBLE_DEVICES is read here. CUDA itself
puts the fastest first: where ftui says which GPU a run gets, it says it by UUID, which is the same for both.
"""

from __future__ import annotations

import os
import tomllib
from typing import TYPE_CHECKING

from ftui.gpu import nvml

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from ftui.gpu.nvml import Gpu

CPU = "cpu"
VISIBLE = "CUDA_VISIBLE_DEVICES"
_ORDER = "CUDA_DEVICE_ORDER"


def device_name(gpu: Gpu) -> str:
    return f"gpu{gpu.index}" if gpu.mig is None else f"gpu{gpu.index}.mig{gpu.mig}"


def show_device(device: str) -> str:
    """A device as a person calls it: "GPU 0", "GPU 0 MIG 1", "the CPU"."""
    if device == CPU:
        return "the CPU"
    return device.replace("gpu", "GPU ", 1).replace(".mig", " MIG ", 1)


def show_devices(devices: Sequence[str]) -> str:
    """ "GPU 1", or "GPU 0 and GPU 1"."""
    return " and ".join(map(show_device, devices))


def visible_devices(gpus: Sequence[Gpu], visible: str | None) -> tuple[str, ...]:
    """The devices that CUDA shows to a process, in its order; the CPU where there are none.

    visible: $CUDA_VISIBLE_DEVICES, None when not set. A UUID that NVML does not know stays a name of its own.
    """
    if not gpus:
        return (CPU,)
    names = _names(gpus) if visible is None else _visible(visible, gpus)
    return tuple(names) or (CPU,)


def devices_used(gpus: Sequence[Gpu], visible: str | None, processes: int = 1) -> tuple[str, ...]:
    """The devices that `processes` training processes take where nobody chooses for them: the first."""
    return visible_devices(gpus, visible)[: max(1, processes)]


def variables_for(devices: Sequence[str], gpus: Sequence[Gpu]) -> dict[str, str]:
    """The environment in which CUDA sees exactly `devices`; {} where there is no other, or no name for one."""
    names = _names(gpus)
    if len(names) < 2 or not set(devices) <= set(names):
        return {}
    uuids = {device_name(gpu): gpu.uuid for gpu in gpus}
    if all(uuids[device] for device in devices):
        return {VISIBLE: ",".join(uuids[device] for device in devices)}
    numbers = (str(names.index(device)) for device in devices)
    return {VISIBLE: ",".join(numbers), _ORDER: "PCI_BUS_ID"}


def gpus_of(devices: Sequence[str], gpus: Sequence[Gpu], pid: int | None = None) -> tuple[Gpu, ...]:
    """The GPUs that a run is on: by the devices it was started on, else by its process.

    pid: of the trainer; looked for among those that hold memory, which a container may not show.
    """
    named = tuple(gpu for gpu in gpus if device_name(gpu) in devices)
    if named or CPU in devices or pid is None:
        return named
    return tuple(gpu for gpu in gpus if any(one.pid == pid for one in gpu.processes))


def _names(gpus: Sequence[Gpu]) -> list[str]:
    return list(dict.fromkeys(map(device_name, gpus)))


def _visible(visible: str, gpus: Sequence[Gpu]) -> list[str]:
    """CUDA reads the list up to the first entry that names nothing, or more than one."""
    names, found = _names(gpus), []
    for word in (part.strip() for part in visible.split(",")):
        if word.startswith(("GPU-", "MIG-")):
            meant = [gpu for gpu in gpus if gpu.uuid.lower().startswith(word.lower())]
            if len(meant) > 1:
                break
            found.append(device_name(meant[0]) if meant else word[:80])
        elif word.isdecimal() and int(word) < len(names):
            found.append(names[int(word)])
        else:
            break
    return list(dict.fromkeys(found))


def devices_here() -> tuple[str, ...]:
    """The device that a process started now with this environment would take."""
    return devices_used(nvml.snapshot(), os.environ.get(VISIBLE))


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
        from ftui.gpu import host  # not on the way to the first paint

        seen = host.snapshot(root)
        if seen.memory_total is None or seen.memory_used is None:
            return None, seen.memory_total
        return max(0, seen.memory_total - seen.memory_used), seen.memory_total
    for gpu in gpus:
        if device_name(gpu) == device and gpu.memory_total is not None and gpu.memory_used is not None:
            return max(0, gpu.memory_total - gpu.memory_used), gpu.memory_total
    return None, None

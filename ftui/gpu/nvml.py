"""NVIDIA GPUs through NVML. Never raises: a figure that cannot be had is None, no driver is no GPU.

One process-wide reader keeps its device handles; `snapshot` is meant for a thread, once a second.
"""

from __future__ import annotations

import importlib
import re
import threading
import time
from dataclasses import dataclass, replace
from typing import Any

from ftui.gpu.processes import GpuProcess, read_processes

# NVML's error codes after which handles are worthless and the library must be started again.
_LOST_CODES = frozenset(
    {
        1,  # uninitialized
        9,  # driver not loaded
        15,  # GPU is lost
        16,  # reset required
        18,  # driver and library versions differ: the driver was updated under us
        28,  # GPU not found
    }
)
_RETRY_SECONDS = 10.0

# What a driver in trouble says may be anything: figures beyond these are no figures.
_MOST_BYTES = 1 << 50
_MOST_MILLIWATTS = 100_000_000
_MOST_DEGREES = 1000
_MOST_REASONS = (1 << 32) - 1
_MOST_GPUS = 64
_MOST_SLICES = 16
_NAME_LENGTH = 128
# It is put into an environment variable, in a list with commas.
_UUID = re.compile(r"(GPU|MIG)-[0-9A-Za-z/-]{1,96}")

_TEMPERATURE_GPU = 0
_MEMORY_V2 = 0x02000028
# Clock event reasons that cost training time; idling and a user's own clock limits do not count.
_POWER_CAP = 0x04
_THROTTLE = {
    0x08: "hardware slowdown",
    0x20: "too hot (driver)",
    0x40: "too hot (hardware)",
    0x80: "power brake",
}


@dataclass(frozen=True, slots=True)
class Gpu:
    """One GPU, or one MIG slice of it, at one moment. None is "n/a".

    memory_used, memory_total: bytes. utilization: percent. temperature: degrees Celsius. power,
    power_limit: watts. throttle: why its clocks are held down, () when they are not. power_capped: held
    back by its power limit, which is usual under full load. mig: the slice's number, None for a whole GPU.
    processes: who holds memory on it, most first; () also where the driver does not tell. uuid: as
    $CUDA_VISIBLE_DEVICES takes it, "GPU-..." or "MIG-..."; "" where the driver does not tell.
    """

    index: int
    name: str
    memory_used: int | None = None
    memory_total: int | None = None
    utilization: int | None = None
    temperature: int | None = None
    power: float | None = None
    power_limit: float | None = None
    throttle: tuple[str, ...] = ()
    power_capped: bool | None = None
    mig: int | None = None
    processes: tuple[GpuProcess, ...] = ()
    uuid: str = ""


@dataclass(frozen=True, slots=True)
class _Device:
    """A handle kept between snapshots, None for a GPU that cannot be reached.

    board: the whole GPU's handle, for the figures that a MIG slice does not have.
    """

    index: int
    name: str
    handle: Any
    board: Any
    mig: int | None = None
    uuid: str = ""


class Reader:
    """Asks one NVML library. Safe to share between threads.

    nvml: the pynvml module or one that acts like it; None imports it when first needed.
    """

    def __init__(self, nvml: Any = None) -> None:
        self._nvml = nvml
        self._lock = threading.Lock()
        self._devices: tuple[_Device, ...] = ()
        self._ready = False
        self._lost = False
        self._not_before = 0.0

    def snapshot(self) -> tuple[Gpu, ...]:
        """Every GPU as of now; () where there is no driver. A lost GPU stays listed, its figures None."""
        with self._lock:
            self._ensure()
            return tuple(self._read(device) for device in self._devices)

    def driver(self) -> str:
        """The driver's version; "" where there is none."""
        with self._lock:
            self._ensure()
            return _text(self._ask("nvmlSystemGetDriverVersion")) if self._ready else ""

    def _ensure(self) -> None:
        """Starts NVML, or starts it again after a loss; at most every few seconds while that fails."""
        if (self._ready and not self._lost) or time.monotonic() < self._not_before:
            return
        self._not_before = time.monotonic() + _RETRY_SECONDS
        if self._nvml is None:
            try:
                self._nvml = importlib.import_module("pynvml")
            except ImportError:
                return
        if self._ready:
            self._ask("nvmlShutdown")
        self._lost = False
        self._ready = self._call("nvmlInit")[0]
        if self._ready:
            count = _whole(self._ask("nvmlDeviceGetCount"), _MOST_GPUS)
            found = [device for index in range(count or 0) for device in self._find(index)]
            # A GPU that fell off the bus is shown without figures rather than gone from the screen.
            there = {device.index for device in found}
            gone = [device for device in self._devices if device.index not in there]
            found += [replace(device, handle=None, board=None) for device in gone]
            self._devices = tuple(sorted(found, key=lambda device: (device.index, device.mig or 0)))
            self._lost |= count is None or any(device.handle is None for device in found)

    def _find(self, index: int) -> list[_Device]:
        handle = self._ask("nvmlDeviceGetHandleByIndex", index)
        if handle is None:
            return [_Device(index, "GPU", None, None)]
        name = _text(self._ask("nvmlDeviceGetName", handle)) or "GPU"
        board = _Device(index, name, handle, handle, uuid=self._uuid(handle))
        mode = self._ask("nvmlDeviceGetMigMode", handle)
        if not isinstance(mode, list | tuple) or not mode or not mode[0]:
            return [board]
        slices = []
        most = _whole(self._ask("nvmlDeviceGetMaxMigDeviceCount", handle), _MOST_SLICES)
        for number in range(most or 0):
            part = self._ask("nvmlDeviceGetMigDeviceHandleByIndex", handle, number)
            if part is not None:
                name = _text(self._ask("nvmlDeviceGetName", part)) or f"{board.name} MIG {number}"
                slices.append(_Device(index, name, part, handle, number, self._uuid(part)))
        return slices or [board]

    def _read(self, device: _Device) -> Gpu:
        if device.handle is None:
            return Gpu(device.index, device.name, mig=device.mig, uuid=device.uuid)
        memory = self._ask("nvmlDeviceGetMemoryInfo", device.handle, _MEMORY_V2)
        if memory is None:
            memory = self._ask("nvmlDeviceGetMemoryInfo", device.handle)
        rates = self._ask("nvmlDeviceGetUtilizationRates", device.handle)
        reasons = _whole(self._ask("nvmlDeviceGetCurrentClocksEventReasons", device.board), _MOST_REASONS)
        if reasons is None:  # drivers before 535 know it by its older name
            reasons = _whole(
                self._ask("nvmlDeviceGetCurrentClocksThrottleReasons", device.board), _MOST_REASONS
            )
        return Gpu(
            index=device.index,
            name=device.name,
            memory_used=_whole(getattr(memory, "used", None), _MOST_BYTES),
            memory_total=_whole(getattr(memory, "total", None), _MOST_BYTES) or None,
            utilization=_whole(getattr(rates, "gpu", None), 100),
            temperature=_whole(
                self._ask("nvmlDeviceGetTemperature", device.board, _TEMPERATURE_GPU), _MOST_DEGREES
            ),
            power=_watts(self._ask("nvmlDeviceGetPowerUsage", device.board)),
            power_limit=_watts(self._ask("nvmlDeviceGetEnforcedPowerLimit", device.board)),
            throttle=tuple(word for bit, word in _THROTTLE.items() if (reasons or 0) & bit),
            power_capped=None if reasons is None else bool(reasons & _POWER_CAP),
            mig=device.mig,
            processes=read_processes([*self._running("Compute", device), *self._running("Graphics", device)]),
            uuid=device.uuid,
        )

    def _uuid(self, handle: Any) -> str:
        text = _text(self._ask("nvmlDeviceGetUUID", handle))
        return text if _UUID.fullmatch(text) else ""

    def _running(self, kind: str, device: _Device) -> list[Any]:
        """NVML's records of the processes that compute or draw on a device."""
        name = f"nvmlDeviceGet{kind}RunningProcesses"
        listed = self._ask(name, device.handle)
        if listed is None:  # drivers before 510 know only the older form
            listed = self._ask(f"{name}_v2", device.handle)
        return listed if isinstance(listed, list) else []

    def _ask(self, function: str, *arguments: Any) -> Any:
        """The answer of an NVML function, None when it has none."""
        return self._call(function, *arguments)[1]

    def _call(self, function: str, *arguments: Any) -> tuple[bool, Any]:
        """(whether it worked, its answer). The one place where NVML is called and its errors end."""
        try:
            return True, getattr(self._nvml, function)(*arguments)
        except Exception as error:  # noqa: BLE001 - its errors, a function an older library lacks, broken text
            if getattr(error, "value", None) in _LOST_CODES:
                self._lost = True
        return False, None


_reader = Reader()


def snapshot() -> tuple[Gpu, ...]:
    """Every GPU of this machine as of now; () where there is no driver. Never raises; a few milliseconds."""
    return _reader.snapshot()


def driver() -> str:
    """The NVIDIA driver's version; "" where there is none."""
    return _reader.driver()


def _text(value: Any) -> str:
    text = value.decode("utf-8", "replace") if isinstance(value, bytes) else value
    return text[:_NAME_LENGTH] if isinstance(text, str) else ""


def _whole(value: Any, most: int) -> int | None:
    """`value` when it is a number from 0 to `most`: "not available" is often told as the largest there is."""
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= most else None


def _watts(milliwatts: Any) -> float | None:
    figure = _whole(milliwatts, _MOST_MILLIWATTS)
    return None if figure is None else figure / 1000

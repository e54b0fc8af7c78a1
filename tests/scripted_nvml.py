"""A driver made of Python: every NVML function that ftui calls, with errors and answers as a test wants them."""

from __future__ import annotations

import ctypes
from types import SimpleNamespace
from typing import Any

import pynvml

from ftui.gpu.nvml import Gpu

CODES = sorted(code for name, code in vars(pynvml).items() if name.startswith("NVML_ERROR_"))
GIB = 1 << 30

# Some through the driver's own kind of error, some that its Python module or ctypes makes of damage.
RAISED = [
    pynvml.NVMLError(12_345),
    pynvml.NVMLLibraryMismatchError("driver and library differ"),
    ctypes.ArgumentError("argument 1: wrong type"),
    UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid start byte"),
    AttributeError("no such function"),
    OSError(5, "Input/output error"),
    KeyError("handle"),
    MemoryError(),
]
SAID = [
    None, b"\xff\x00\x1b[31m", "\x1b[2J" * 5000, -1, 2**32 - 1, 2**64 - 1, 10**40, 0, 1, True, 1.5, float("nan"),
    [], {}, [None, 7, object()], object(), SimpleNamespace(), SimpleNamespace(used=2**64 - 1, total=0, gpu=900),
    SimpleNamespace(used=None, total="much", gpu=b"97"),
]  # fmt: skip


class ScriptedNvml:
    """A driver with two GPUs; counts how often each function was called.

    fails: NVML error codes to raise, by function. says: what to answer instead, by function; an exception is
    raised. mig: GPUs in two slices.
    """

    NVMLError = pynvml.NVMLError

    def __init__(self, count=2, mig=False):
        self.count, self.mig = count, mig
        self.fails: dict[str, int] = {}
        self.says: dict[str, Any] = {}
        self.calls: dict[str, int] = {}

    def __getattr__(self, name):
        answer = object.__getattribute__(self, f"_{name}")

        def call(*arguments):
            self.calls[name] = self.calls.get(name, 0) + 1
            if name in self.fails:
                raise pynvml.NVMLError(self.fails[name])
            if name in self.says:
                if isinstance(self.says[name], BaseException):
                    raise self.says[name]
                return self.says[name]
            return answer(*arguments)

        return call

    def _nvmlInit(self): ...
    def _nvmlShutdown(self): ...
    def _nvmlDeviceGetCount(self):
        return self.count

    def _nvmlSystemGetDriverVersion(self):
        return "570.1"

    def _nvmlDeviceGetHandleByIndex(self, index):
        return f"gpu{index}"

    def _nvmlDeviceGetName(self, handle):
        return b"NVIDIA Test" if handle == "gpu0" else f"NVIDIA {handle}"

    def _nvmlDeviceGetUUID(self, handle):
        return f"{'MIG' if '/' in handle else 'GPU'}-{handle.replace('/', '-')}-11aa".encode()

    def _nvmlDeviceGetMigMode(self, handle):
        if not self.mig:
            raise pynvml.NVMLError(pynvml.NVML_ERROR_NOT_SUPPORTED)
        return [1, 1]

    def _nvmlDeviceGetMaxMigDeviceCount(self, handle):
        return 7

    def _nvmlDeviceGetMigDeviceHandleByIndex(self, handle, index):
        if index > 1:
            raise pynvml.NVMLError(pynvml.NVML_ERROR_NOT_FOUND)
        return f"{handle}/slice{index}"

    def _nvmlDeviceGetMemoryInfo(self, handle, version=None):
        return SimpleNamespace(used=3 * GIB, total=24 * GIB)

    def _nvmlDeviceGetUtilizationRates(self, handle):
        if "/" in handle:
            raise pynvml.NVMLError(pynvml.NVML_ERROR_NOT_SUPPORTED)
        return SimpleNamespace(gpu=97, memory=50)

    def _nvmlDeviceGetTemperature(self, handle, sensor):
        return 71

    def _nvmlDeviceGetPowerUsage(self, handle):
        return 250_500

    def _nvmlDeviceGetEnforcedPowerLimit(self, handle):
        return 300_000

    def _nvmlDeviceGetCurrentClocksEventReasons(self, handle):
        return 0x04 | 0x40 | 0x01

    def _nvmlDeviceGetCurrentClocksThrottleReasons(self, handle):
        return 0x04 | 0x40 | 0x01

    def _nvmlDeviceGetComputeRunningProcesses(self, handle):
        return [
            SimpleNamespace(pid=1, usedGpuMemory=GIB, gpuInstanceId=0, computeInstanceId=0),
            SimpleNamespace(pid=2**22 - 5, usedGpuMemory=2 * GIB, gpuInstanceId=0, computeInstanceId=0),
        ]

    def _nvmlDeviceGetGraphicsRunningProcesses(self, handle):
        return []


FUNCTIONS = [name[1:] for name in vars(ScriptedNvml) if name.startswith("_nvml")]


def assert_plausible(gpu: Gpu) -> None:
    for value, most in (
        (gpu.memory_used, 2**50),
        (gpu.memory_total, 2**50),
        (gpu.utilization, 100),
        (gpu.temperature, 1000),
        (gpu.power, 100_000),
        (gpu.power_limit, 100_000),
    ):
        assert value is None or (type(value) in (int, float) and 0 <= value <= most)
    assert isinstance(gpu.name, str)
    assert 0 < len(gpu.name) < 200
    assert gpu.memory_total != 0, "a share of it is shown"
    assert gpu.uuid == "" or gpu.uuid[:4] in ("GPU-", "MIG-")
    assert gpu.uuid.isascii()
    assert not set(gpu.uuid) & set(",\0 "), "it is put into a variable"
    for process in gpu.processes:
        assert isinstance(process.pid, int)
        assert process.name
        assert process.memory is None or 0 <= process.memory < 2**50

"""The device a run computes on, the number format it does well, and what it has used of its memory."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import psutil
import torch

from ftui.core.errors import FtuiError

DTYPES = {"bfloat16": torch.bfloat16, "float16": torch.float16, "float32": torch.float32}

# Dense tensor-core FLOP/s in 16-bit formats with 32-bit accumulation, from the makers' data sheets; the
# first name found in the device's name counts, so longer names come first.
_PEAK_FLOPS = {
    "H200": 989e12, "H100 PCIe": 756e12, "H100 NVL": 835e12, "H100": 989e12, "GH200": 989e12,
    "B200": 2250e12, "A100": 312e12, "A800": 312e12, "A40": 150e12, "A30": 165e12, "A10G": 70e12,
    "A10": 125e12,
    "L40S": 362e12, "L40": 181e12, "L4": 121e12, "RTX 6000 Ada": 364e12, "RTX A6000": 155e12,
    "RTX 4090": 165e12, "RTX 4080": 97e12, "RTX 3090": 71e12, "V100": 125e12, "T4": 65e12,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Device:
    """torch: where tensors live. name: for people. peak_flops: 16-bit FLOP/s, None when not known."""

    torch: torch.device
    name: str
    peak_flops: float | None = None

    @property
    def is_cuda(self) -> bool:
        return self.torch.type == "cuda"


def find_device(number: int = 0) -> Device:
    """GPU `number` of those torch can use, else the CPU."""
    if torch.cuda.is_available():
        name = torch.cuda.get_device_name(number)
        peak = next((flops for part, flops in _PEAK_FLOPS.items() if part in name), None)
        return Device(torch.device("cuda", number), name, peak)
    return Device(torch.device("cpu"), f"CPU, {torch.get_num_threads()} threads")


# Below this many parameters bfloat16 gains nothing on a CPU that has it: matrix products are three times
# faster there, a training step of a 135M model is not, and the memory oneDNN keeps for every new length of a
# batch grows. float32 also gives every machine the same results.
_LARGE = 1_000_000_000


def choose_dtype(requested: str, device: Device, parameters: int = 0) -> torch.dtype:
    """`requested`, or for "auto" what this device does fast and well with a model of so many parameters.

    A GPU says so by its generation. A CPU that emulates bfloat16 is tens of times slower with it, so that is
    timed, and only for large models. Raises FtuiError for what the device cannot do.
    """
    if requested != "auto":
        dtype = DTYPES[requested]
        if dtype is torch.float16 and not device.is_cuda:
            raise FtuiError("float16 does not train on a CPU", 'set it to "auto" or "float32"', "model.dtype")
        return dtype
    if device.is_cuda:
        return torch.bfloat16 if torch.cuda.get_device_capability(device.torch)[0] >= 8 else torch.float16
    return torch.bfloat16 if parameters >= _LARGE and cpu_bfloat16_pays() else torch.float32


def cpu_bfloat16_pays() -> bool:
    """Whether bfloat16 matrix products are native here and at least twice as fast as float32 ones."""
    try:
        native = bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())
    except (AttributeError, RuntimeError):
        return False
    return native and 2 * _product_seconds(torch.bfloat16) < _product_seconds(torch.float32)


def _product_seconds(dtype: torch.dtype) -> float:
    one, other = torch.ones(512, 1024, dtype=dtype), torch.ones(1024, 1024, dtype=dtype)
    best = float("inf")
    for _ in range(5):
        begun = time.perf_counter()
        torch.matmul(one, other)
        best = min(best, time.perf_counter() - begun)
    return best


def memory(device: Device) -> dict[str, Any]:
    """Bytes of device memory for a step event; on a CPU the process's resident memory instead."""
    if device.is_cuda:
        return {
            "memory_allocated": torch.cuda.memory_allocated(device.torch),
            "memory_reserved": torch.cuda.memory_reserved(device.torch),
            "memory_peak": torch.cuda.max_memory_allocated(device.torch),
        }
    return {
        "memory_allocated": None,
        "memory_reserved": None,
        "memory_peak": None,
        "memory_rss": psutil.Process().memory_info().rss,
    }


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an exception says that memory ran out, on a GPU or on the host."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    words = str(error)
    return isinstance(error, RuntimeError) and ("can't allocate memory" in words or "out of memory" in words)


def free_memory(device: Device) -> None:
    """Returns cached blocks after an out-of-memory error."""
    if device.is_cuda:
        torch.cuda.empty_cache()

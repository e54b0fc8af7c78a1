"""The machine around the GPU: memory, processor and disk. Never raises."""

from __future__ import annotations

import contextlib
import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING

import psutil  # type: ignore[import-untyped]

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class HostSnapshot:
    """One moment of the machine. Sizes in bytes, cpu_percent of all cores since the last look.

    swap_used: 0 where there is no swap.
    """

    memory_used: int | None = None
    memory_total: int | None = None
    cpu_percent: float | None = None
    disk_free: int | None = None
    swap_used: int | None = None


def snapshot(path: Path) -> HostSnapshot:
    """The machine as of now; `path` says which disk, and need not exist yet."""
    used = total = cpu = swap = None
    with contextlib.suppress(OSError, psutil.Error, RuntimeError):
        memory = psutil.virtual_memory()
        used, total = memory.total - memory.available, memory.total
    with contextlib.suppress(OSError, psutil.Error, RuntimeError):
        cpu = psutil.cpu_percent(interval=None)
    with contextlib.suppress(OSError, psutil.Error, RuntimeError):
        swap = psutil.swap_memory().used
    return HostSnapshot(used, total, cpu, disk_free(path), swap)


def disk_free(path: Path) -> int | None:
    """Bytes this user may still write where `path` is, or will be; None when the disk does not tell."""
    for place in (path, *path.parents):
        try:
            return shutil.disk_usage(place).free
        except FileNotFoundError:
            continue
        except OSError:
            return None
    return None

"""Who holds memory on a GPU: the processes a driver lists, by names that a person knows. Never raises."""

from __future__ import annotations

import functools
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

# A process the driver knows but we cannot name: another container's, another user's, or gone already.
OTHER = "other"

# In a container the driver tells the host's pids: the process of that number here may be a different one. One
# that uses the GPU has its device open, under one of these.
_DEVICES = ("/dev/nvidia", "/dev/dxg")
_MOST_PROCESSES = 256
_MOST_BYTES = 1 << 50
_NAME_LENGTH = 64


@dataclass(frozen=True, slots=True)
class GpuProcess:
    """A process on a GPU. memory: bytes, None where the driver does not tell. name: OTHER when not known.

    The name is what the process calls itself: make it safe before showing it.
    """

    pid: int
    name: str
    memory: int | None = None


def read_processes(listed: Any) -> tuple[GpuProcess, ...]:
    """The processes in NVML's answers, each once, those with most memory first.

    listed: NVML's process records (pid, usedGpuMemory), in any state of damage. A process that computes and
    draws is in two lists, with the same memory.
    """
    if not isinstance(listed, Iterable):
        return ()
    memory: dict[int, int | None] = {}
    for record in listed:
        pid, used = getattr(record, "pid", None), getattr(record, "usedGpuMemory", None)
        if not isinstance(pid, int) or pid < 0 or len(memory) >= _MOST_PROCESSES:
            continue
        used = used if isinstance(used, int) and 0 <= used < _MOST_BYTES else None
        known = memory.get(pid)
        memory[pid] = used if known is None else known if used is None else max(known, used)
    found = [GpuProcess(pid, process_name(pid), used) for pid, used in memory.items()]
    return tuple(sorted(found, key=lambda process: (-(process.memory or 0), process.pid)))


def process_name(pid: int, proc: Path = Path("/proc")) -> str:
    """The program a process runs, a Python module or script by its own name; OTHER when it is not ours to know."""
    try:
        stat = (proc / str(pid) / "stat").read_bytes()
    except OSError:
        return OTHER
    # The command name, in parentheses, may hold spaces and parentheses: fields count from the last one.
    return _name(proc / str(pid), tuple(stat[stat.rfind(b")") :].split()[20:21]))


@functools.lru_cache(maxsize=_MOST_PROCESSES)
def _name(folder: Path, started: tuple[bytes, ...]) -> str:
    """The same process is looked at every second: `started` tells it from a later one of that number."""
    try:
        if not any(_uses_gpu(link) for link in (folder / "fd").iterdir()):
            return OTHER
        name = (folder / "comm").read_text("utf-8", "replace").strip()
        words = (folder / "cmdline").read_bytes().decode("utf-8", "replace").rstrip("\0").split("\0")
    except OSError:
        return OTHER
    if name.startswith(("python", "pt_main_thread")):
        name = _python_name(words) or name
    return name[:_NAME_LENGTH] or OTHER


def _uses_gpu(link: Path) -> bool:
    try:
        return str(link.readlink()).startswith(_DEVICES)
    except OSError:
        return False


def _python_name(words: list[str]) -> str:
    """`ftui.engine.train` of `python -m ftui.engine.train RUN`, `app.py` of `python -u /srv/app.py`."""
    for number, word in enumerate(words[1:], start=1):
        if word == "-m":
            return words[number + 1] if number + 1 < len(words) else ""
        if word == "-c":
            return ""
        if not word.startswith("-"):
            return Path(word).name
    return ""

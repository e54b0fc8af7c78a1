"""Processes that outlive the one that started them: who they are, whether they live, how they are signalled.

A pid alone is not an identity: it is reused. pid + boot id + start time in clock ticks is one (field 22 of
/proc/<pid>/stat, immune to clock changes). The host is kept because a workspace may be on a shared disk.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import site
import socket
import subprocess
import sys
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Any

import ftui

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

# Every process of a run carries the run's directory here, workers included: how a stray one is found.
RUN_VARIABLE = "FTUI_RUN_DIR"


class Liveness(Enum):
    ALIVE = "alive"
    DEAD = "dead"
    UNKNOWN = "unknown"  # it ran on another machine: only its heartbeat can tell


@dataclass(frozen=True, slots=True)
class ProcessId:
    """Which process was meant, on which machine, since which boot."""

    pid: int
    boot_id: str
    start_ticks: int
    host: str

    def to_dict(self) -> dict[str, Any]:
        return {"pid": self.pid, "boot_id": self.boot_id, "start_ticks": self.start_ticks, "host": self.host}


def from_dict(record: Any) -> ProcessId | None:
    """The identity kept in proc.json; None when there is none or it is damaged."""
    try:
        return ProcessId(
            int(record["pid"]), str(record["boot_id"]), int(record["start_ticks"]), str(record["host"])
        )
    except (TypeError, KeyError, ValueError):
        return None


def identify(pid: int) -> ProcessId | None:
    """The identity of a running process; None when there is no such process or it is a zombie."""
    stat = _stat(pid)
    if stat is None or stat[0] in "ZX":
        return None
    return ProcessId(pid, boot_id(), stat[1], socket.gethostname())


def liveness(process: ProcessId) -> Liveness:
    """Whether that very process still runs. A zombie is dead; so is anything from before the last boot."""
    if process.boot_id == boot_id():
        stat = _stat(process.pid)
        if stat is not None and stat[1] == process.start_ticks:
            return Liveness.DEAD if stat[0] in "ZX" else Liveness.ALIVE
        # Containers share the boot id but not the pids: another host name says it may live next door.
        return Liveness.DEAD if process.host == socket.gethostname() else Liveness.UNKNOWN
    return Liveness.DEAD if process.host == socket.gethostname() else Liveness.UNKNOWN


def boot_id() -> str:
    """The kernel's id of this boot; "" where it does not tell."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip()
    except OSError:
        return ""


def send(process: ProcessId, number: signal.Signals, *, group: bool = False) -> bool:
    """Signals that very process, or with `group` all of the process group it leads. False when gone."""
    with _pinned(process) as descriptor:
        if descriptor is None:
            return False
        try:
            if group and os.getpgid(process.pid) == process.pid:
                os.killpg(process.pid, number)
            signal.pidfd_send_signal(descriptor, number)
        except (ProcessLookupError, PermissionError):
            return False
        return True


def wait_dead(process: ProcessId, seconds: float) -> bool:
    """Waits up to `seconds` for a process of this machine to end; True when it has."""
    with _pinned(process) as descriptor:
        if descriptor is None:
            return True
        # A pidfd turns readable when its process ends, reaped or not.
        poll = select.poll()
        poll.register(descriptor, select.POLLIN)
        return bool(poll.poll(max(0, int(seconds * 1000))))


@contextlib.contextmanager
def _pinned(process: ProcessId) -> Iterator[int | None]:
    """A pidfd of that very process, or None when it is not alive here.

    It is opened before the identity is checked, so that no signal can reach a successor with the same pid.
    """
    try:
        descriptor = os.pidfd_open(process.pid)
    except ProcessLookupError:
        yield None
        return
    try:
        yield descriptor if liveness(process) is Liveness.ALIVE else None
    finally:
        os.close(descriptor)


def processes_of(run: Path) -> Iterator[ProcessId]:
    """Every living process that carries `run` in its environment: supervisor, trainer, workers."""
    mark = f"{RUN_VARIABLE}={run}".encode()
    for entry in Path("/proc").iterdir():
        if not entry.name.isdecimal() or int(entry.name) == os.getpid():
            continue
        with contextlib.suppress(OSError):
            if mark in (entry / "environ").read_bytes().split(b"\0") and (found := identify(int(entry.name))):
                yield found


def python_command(module: str, *arguments: str) -> list[str]:
    """The command line of one of our modules. -P: a `torch.py` in the current directory is not imported."""
    return [sys.executable, "-P", "-m", module, *arguments]


def child_environment(**extra: str) -> dict[str, str]:
    """This environment for a child of ours, which must find the same ftui, installed or in a checkout."""
    environment = {**os.environ, "PYTHONUNBUFFERED": "1", **extra}
    root = str(Path(ftui.__file__).parent.parent)
    if root not in {*site.getsitepackages(), site.getusersitepackages()}:
        environment["PYTHONPATH"] = os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH", "")]))
    return environment


def start_detached(
    command: list[str], *, log: Path, cwd: Path, environment: Mapping[str, str]
) -> subprocess.Popen[bytes]:
    """Starts a process in its own session that no hang-up reaches: stdin empty, output appended to `log`.

    Never a pipe: one that nobody drains blocks its writer once the reader is gone. Raises OSError.
    """
    with log.open("ab", buffering=0) as output:
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            cwd=cwd,
            env=dict(environment),
            start_new_session=True,
        )


def _stat(pid: int) -> tuple[str, int] | None:
    """(state letter, start ticks) from /proc/<pid>/stat, or None."""
    try:
        text = Path(f"/proc/{pid}/stat").read_bytes()
    except OSError:
        return None
    # The command name, in parentheses, may hold spaces and parentheses: fields count from the last one.
    fields = text[text.rindex(b")") + 2 :].split()
    return fields[0].decode("ascii"), int(fields[19])

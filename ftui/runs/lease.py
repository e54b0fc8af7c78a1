"""Who uses which GPU of this machine: a small file a holder, locked for as long as its process lives.

The lock is a `flock` on a descriptor that the holder inherits, so it ends with the last process that has it,
however that ends, and no pid has to be trusted. It hinders nobody: it lets chat and training, of any
workspace, know of each other.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import stat
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from ftui.core.text import one_line
from ftui.runs.locks import hold_file

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

Kind = Literal["train", "chat"]
_SUFFIX = ".lease"
_MOST_BYTES = 32_768
_ARRANGING_SECONDS = 60.0
_MOST_DEVICES = 64


@dataclass(frozen=True, slots=True)
class Lease:
    """What a living process said about itself. who: a run's id, or the model a chat has loaded; safe to show.

    devices: as `runs.devices` names them. memory: bytes it expects to use, None when it does not know.
    """

    kind: Kind
    who: str
    devices: tuple[str, ...]
    workspace: str = ""
    memory: int | None = None
    pid: int = 0


def take(
    kind: Kind, who: str, devices: Sequence[str], *, workspace: str = "", memory: int | None = None
) -> int | None:
    """Says that this process uses `devices`, until the returned descriptor and its copies are closed.

    None where the machine has no place for it: everything works without.
    """
    folder = _folder(make=True)
    if folder is None:
        return None
    record = {"kind": kind, "who": who[:500], "devices": list(devices), "workspace": workspace}
    path = ""
    descriptor = -1
    try:
        descriptor, path = tempfile.mkstemp(prefix=f"{kind}-{os.getpid()}-", dir=folder)
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.write(descriptor, json.dumps({**record, "memory": memory, "pid": os.getpid()}).encode())
        # Only now can others find it, locked and whole.
        Path(path).rename(f"{path}{_SUFFIX}")
    except OSError:
        if descriptor >= 0:
            os.close(descriptor)
        with contextlib.suppress(OSError):
            Path(path).unlink()
        return None
    return descriptor


def leases() -> list[Lease]:
    """Every lease of this user on this machine whose holder lives, oldest pid first; takes dead ones away."""
    folder = _folder(make=False)
    if folder is None:
        return []
    found: list[Lease] = []
    with contextlib.suppress(OSError):
        for path in sorted(folder.glob(f"*{_SUFFIX}")):
            found += _read(path)
    return sorted(found, key=lambda lease: lease.pid)


def holders(devices: Sequence[str], kind: Kind | None = None) -> list[Lease]:
    """The leases, of one kind or any, that share a device with `devices`."""
    wanted = set(devices)
    return [
        lease for lease in leases() if wanted & set(lease.devices) and (kind is None or lease.kind == kind)
    ]


@contextlib.contextmanager
def arranging() -> Iterator[None]:
    """Holds a lock of the whole machine (of this user) between finding a device free and leasing it.

    Waits a while for another holder, then goes on without: it only starts something, and may have died in it.
    """
    folder, descriptor = _folder(make=True), None
    if folder is not None:
        with contextlib.suppress(OSError):
            descriptor = hold_file(folder / ".arranging", _ARRANGING_SECONDS, 0o600)
    try:
        yield
    finally:
        if descriptor is not None:
            os.close(descriptor)


def _read(path: Path) -> Iterator[Lease]:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        if lease := _parse(os.read(descriptor, _MOST_BYTES)):
            yield lease
    except OSError:
        return
    else:
        with contextlib.suppress(OSError):  # the lock was free: its holder is gone
            path.unlink()
    finally:
        os.close(descriptor)


def _parse(content: bytes) -> Lease | None:
    try:
        record: dict[str, Any] = json.loads(content)
        kind, memory, pid = record["kind"], record.get("memory"), record.get("pid")
        devices = tuple(str(device) for device in record["devices"][:_MOST_DEVICES])
        who = one_line(str(record["who"]), 80)
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    if kind not in ("train", "chat"):
        return None
    return Lease(
        kind,
        who,
        devices,
        str(record.get("workspace") or ""),
        memory if isinstance(memory, int) else None,
        pid if isinstance(pid, int) else 0,
    )


def _folder(*, make: bool) -> Path | None:
    """Where leases lie: the user's run-time directory, else a folder of their own in /tmp.

    None when it is not there (and may not be made), or somebody else's: /tmp is everybody's.
    """
    runtime = _runtime()
    folder = runtime / "ftui-leases" if runtime else Path(f"/tmp/ftui-{os.getuid()}")
    try:
        if make:
            folder.mkdir(mode=0o700, exist_ok=True)
        found = folder.lstat()
    except OSError:
        return None
    return folder if stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid() else None


def _runtime() -> Path | None:
    """$XDG_RUNTIME_DIR, else where it would be: cron and su do not set it."""
    for text in (os.environ.get("XDG_RUNTIME_DIR", ""), f"/run/user/{os.getuid()}"):
        if text and Path(text).is_dir() and os.access(text, os.W_OK):
            return Path(text)
    return None

"""The annotation journal: the truth about what people decided. Appended to, never rewritten.

One file a session, so that two people (or two windows) never share one. An operation is acknowledged only
after its line is on the disk: one `write` on an O_APPEND descriptor, then `fdatasync`.
"""

from __future__ import annotations

import contextlib
import fcntl
import getpass
import os
import re
import secrets
import socket
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from ftui.core.durable import sync
from ftui.core.errors import FtuiError
from ftui.data.operation import Op, decode, encode, exactly

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


def default_who() -> str:
    """$FTUI_USER, else the login name."""
    if name := os.environ.get("FTUI_USER", "").strip():
        return name
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # no such user in the password database, as in some containers
        return f"uid{os.getuid()}"


def sidecar(path: Path) -> Path:
    """Where a dataset's journals and caches live: NAME.ftui/ beside it."""
    return path.with_name(path.name + ".ftui")


class Journal:
    """This session's journal file, made with the first operation.

    A file that an earlier session of the same person on this host left behind is continued: an exclusive
    lock, released when the process dies, tells whether its session is over.
    """

    def __init__(self, directory: Path, who: str) -> None:
        self._directory = directory
        self._prefix = f"journal-{_plain(who)}-{_plain(socket.gethostname())}-"
        self._fd = -1
        self._torn = False
        self._last = 0.0
        self.path: Path | None = None

    def now(self) -> float:
        """A time stamp later than every one given before, even where the clock steps back."""
        self._last = max(round(time.time(), 6), round(self._last + 1e-6, 6))
        return self._last

    def times(self, count: int) -> Iterator[float]:
        """`count` time stamps, each later than the one before."""
        first = self.now()
        self._last = round(first + (count - 1) * 1e-6, 6)
        return (round(first + nth * 1e-6, 6) for nth in range(count))

    def append(self, ops: Sequence[Op]) -> tuple[int, int]:
        """Writes `ops` and waits for the disk; where in the file they begin and end.

        All of them are written or none: a short write (a full disk) is cut back. Raises FtuiError then, or
        where the journal cannot be opened; nothing written earlier is harmed.
        """
        try:
            data = b"".join(map(encode, ops))
        except (RecursionError, ValueError) as error:
            raise FtuiError("this value cannot be written to the journal", str(error)) from None
        if self._fd < 0:
            self._open()
        start = os.fstat(self._fd).st_size
        if self._torn:
            data = b"\n" + data
        try:
            written = os.write(self._fd, data)
            if written != len(data):
                raise OSError(28, os.strerror(28))
            os.fdatasync(self._fd)
        except OSError as error:
            self._cut_back(start)
            raise FtuiError(
                f"not saved: {error.strerror or error}", "free some space and do it again", str(self.path)
            ) from None
        self._torn = False
        return start, start + len(data)

    def close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def _cut_back(self, size: int) -> None:
        try:
            os.ftruncate(self._fd, size)
        except OSError:
            self._torn = True  # the next line starts on a fresh one, and the torn one is skipped by readers

    def _open(self) -> None:
        try:
            self._directory.mkdir(exist_ok=True)
            for path in sorted(self._directory.glob(self._prefix + "*.jsonl"), reverse=True):
                if self._claim(path, os.O_RDWR):
                    return
            session = f"{time.strftime('%Y%m%dT%H%M%S')}-{secrets.token_hex(3)}"
            self._claim(
                self._directory / f"{self._prefix}{session}.jsonl", os.O_RDWR | os.O_CREAT | os.O_EXCL
            )
            sync(self._directory)
        except OSError as error:
            raise FtuiError(
                f"cannot write annotations here: {error.strerror or error}",
                "copy the dataset to a folder you may write to",
                str(self._directory),
            ) from None

    def _claim(self, path: Path, flags: int) -> bool:
        """Opens `path` for this session; False when another session holds it."""
        fd = os.open(path, flags | os.O_APPEND | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            if not flags & os.O_CREAT:
                os.close(fd)
                return False
            # A file system without locks: this session's file is new, so nobody else writes to it.
        size = os.fstat(fd).st_size
        self._torn = size > 0 and os.pread(fd, 1, size - 1) != b"\n"
        self._fd, self.path = fd, path
        return True


@dataclass
class JournalReader:
    """Reads every journal of a dataset, whole lines only, from where it stopped last time.

    bad: lines that could not be read (torn, damaged, or of a later version). They stay in their file.
    """

    directory: Path
    bad: int = 0
    _offsets: dict[str, tuple[int, int]] = field(default_factory=dict)  # name -> (inode, bytes consumed)

    def changed(self) -> bool:
        """True when a journal lost bytes or was replaced: everything must be read again."""
        for name, (inode, offset) in self._offsets.items():
            try:
                status = (self.directory / name).stat()
            except OSError:
                return True
            if status.st_ino != inode or status.st_size < offset:
                return True
        return False

    def reset(self) -> None:
        self._offsets.clear()
        self.bad = 0

    def read(self) -> list[Op]:
        """The operations added since the last call. Never raises: what cannot be read is counted."""
        ops: list[Op] = []
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            for entry in sorted(os.scandir(self.directory), key=lambda entry: entry.name):
                if entry.name.startswith("journal-") and entry.name.endswith(".jsonl"):
                    try:
                        ops += self._read_file(self.directory / entry.name)
                    except OSError:
                        self.bad += 1
        return ops

    def skip(self, path: Path, start: int, end: int) -> None:
        """Counts this session's own lines, bytes `start` to `end`, as read, where all before them was."""
        inode, offset = self._offsets.get(path.name, (path.stat().st_ino, 0))
        if offset == start:
            self._offsets[path.name] = (inode, end)

    def _read_file(self, path: Path) -> list[Op]:
        ops: list[Op] = []
        torn: bytes | None = None  # the line before gave nothing: its damaged byte may have become a newline
        lost = 0  # what was counted for it
        with path.open("rb") as file:
            inode = os.fstat(file.fileno()).st_ino
            offset = self._offsets.get(path.name, (inode, 0))[1]
            file.seek(offset)
            for line in file:
                if line[-1:] == b"\n" and (op := exactly(line[:-1])) is not None:  # nearly every line
                    ops.append(op)
                    torn = None
                    offset += len(line)
                    continue
                text = line.rstrip(b"\n")
                found, bad = decode(text)
                if not found and torn is not None and (whole := decode(torn + b"\n" + text)[0]):
                    found, bad = whole, -lost
                torn, lost = (None, 0) if found else (text, bad)
                ops += found
                if not line.endswith(b"\n"):
                    # Its writer may still be at it: read again next time. What is whole counts already, its
                    # newline may be lost for good (an operation read twice counts once, by its id).
                    break
                self.bad += bad
                offset += len(line)
        self._offsets[path.name] = (inode, offset)
        return ops


def _plain(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9._]", "_", name)[:40] or "_"

"""A dataset file as bytes: plain, or unpacked into the cache. Read with `pread`, never mapped.

A mapped file that somebody truncates kills the process with SIGBUS; a `pread` past the end returns less.
"""

from __future__ import annotations

import hashlib
import os
import stat
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from ftui.core.errors import FtuiError

if TYPE_CHECKING:
    from pathlib import Path

_ENDS = 64 * 1024


@dataclass(frozen=True, slots=True)
class Identity:
    """Tells one state of a file from another without reading it whole. ends: hash of its head and tail."""

    size: int
    mtime_ns: int
    inode: int
    ends: str

    @classmethod
    def of(cls, fd: int) -> Identity:
        status = os.fstat(fd)
        digest = hashlib.sha256(os.pread(fd, _ENDS, 0))
        if status.st_size > _ENDS:
            digest.update(os.pread(fd, _ENDS, max(_ENDS, status.st_size - _ENDS)))
        return cls(status.st_size, status.st_mtime_ns, status.st_ino, digest.hexdigest()[:32])


class Bytes(Protocol):
    """Where rows are read from: the file itself, or what it unpacks to."""

    def read(self, offset: int, count: int) -> bytes:
        """`count` bytes from `offset`; fewer only at the end. Raises FtuiError."""

    def ended(self, offset: int) -> bool:
        """True when no byte at or after `offset` is still to come."""

    def progress(self, offset: int) -> tuple[int, int]:
        """(bytes of the file used up by reading to `offset`, bytes in the file)."""

    def close(self) -> None: ...


def open_file(path: Path) -> int:
    """A descriptor for reading. Raises FtuiError for what is no readable regular file."""
    try:
        if path.is_dir():
            raise FtuiError("is a folder, not a dataset", "name a file in it", str(path))
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except FileNotFoundError:
        raise FtuiError("no such file", "", str(path)) from None
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise FtuiError(f"cannot read: {reason}", "", str(path)) from None
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        raise FtuiError("is not a regular file", "save it to a file first", str(path))
    return fd


class PlainBytes:
    """The file's own bytes."""

    def __init__(self, fd: int, path: Path) -> None:
        self._fd = fd
        self._path = path
        self._size = os.fstat(fd).st_size

    def read(self, offset: int, count: int) -> bytes:
        return read_exactly(self._fd, offset, count, self._path)

    def ended(self, offset: int) -> bool:
        return offset >= self._size

    def progress(self, offset: int) -> tuple[int, int]:
        return min(offset, self._size), self._size

    def close(self) -> None:
        """The descriptor belongs to the dataset."""


def read_exactly(fd: int, offset: int, count: int, path: Path) -> bytes:
    """`pread` until `count` bytes or the end. Raises FtuiError on a read error (a lost disk or mount)."""
    try:
        data = os.pread(fd, count, offset)
        while 0 < len(data) < count and (more := os.pread(fd, count - len(data), offset + len(data))):
            data += more
    except OSError as error:
        raise FtuiError(f"cannot read: {error.strerror}", "is its disk still there?", str(path)) from None
    return data

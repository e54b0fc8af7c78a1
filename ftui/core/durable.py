"""What must outlive a crash: files that are replaced whole, and what is on the disk itself."""

from __future__ import annotations

import contextlib
import os
import tempfile
from pathlib import Path


def replace_bytes(path: Path, content: bytes, *, durable: bool = False, mode: int = 0o644) -> None:
    """Replaces a file's content by renaming a temporary file over it. Raises OSError.

    durable: survives a power cut too (fsync of the file, then of the directory). mode: its permissions.
    """
    descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fchmod(file.fileno(), mode)
            if durable:
                os.fsync(file.fileno())
        Path(name).replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            Path(name).unlink()
        raise
    if durable:
        sync(path.parent)


def sync(path: Path) -> None:
    """Returns when a file's content, or the names in a directory, are on the disk itself. Raises OSError."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

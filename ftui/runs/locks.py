"""Locks between processes: a file that is held for as long as a descriptor of it lives, however that ends."""

from __future__ import annotations

import fcntl
import os
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

_AGAIN_SECONDS = 0.02


def hold_file(path: Path, seconds: float, mode: int = 0o644) -> int | None:
    """A descriptor that locks `path`, made if need be, until it and its copies are closed.

    None when somebody else has it for longer than `seconds`; 0 asks once. A file system without locks lets
    everybody have it. Raises OSError where the file cannot be opened.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, mode)
    deadline = time.monotonic() + seconds
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= deadline:
                os.close(descriptor)
                return None
            time.sleep(_AGAIN_SECONDS)
        except OSError:
            return descriptor
        else:
            return descriptor

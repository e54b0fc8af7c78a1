"""Folders ftui can make again, made once: in staging, under a lock, ending in one rename.

Whoever sees such a folder sees a whole one. What a killed process left behind, the next one removes.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import platformdirs
from filelock import FileLock, Timeout

from ftui.core.durable import sync
from ftui.core.errors import FtuiError

# (stage, done, total), total 0 = unknown. Stages: "wait" (another process is at it), "download" and "convert"
# (both in bytes), "load" (a model into memory), "adapter" (adapters into it).
Progress = Callable[[str, int, int], None]

_RECORD = "ftui.json"
_STAGING = ".staging-"


def silent(stage: str, done: int, total: int) -> None:
    """The progress of those who do not ask."""
    del stage, done, total


def cache_root() -> Path:
    """Where ftui keeps what it can make again: $FTUI_CACHE, else the platform's user cache directory."""
    if root := os.environ.get("FTUI_CACHE"):
        return Path(root).expanduser().absolute()
    return Path(platformdirs.user_cache_dir("ftui"))


def is_whole(folder: Path, version: int) -> bool:
    """Whether `folder` was finished by this `version` of its maker and every file still has its size."""
    try:
        record = json.loads((folder / _RECORD).read_bytes())
        sizes = record["files"].items()
        return record["version"] == version and all(
            (folder / name).stat().st_size == size for name, size in sizes
        )
    except (OSError, ValueError, KeyError, AttributeError, TypeError):
        return False


def make_once(
    folder: Path, version: int, needed: int, make: Callable[[Path, Path], None], progress: Progress
) -> Path:
    """Returns `folder`, made by `make(staging, model)` when it is not whole.

    `make` fills the empty folder `model`; `staging` around it is for temporary files. needed: bytes of disk
    that takes. Safe from several processes at once: one works, the others wait and say so. Raises FtuiError
    when the disk is too small or cannot be written, and whatever `make` raises.
    """
    if is_whole(folder, version):
        return folder
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with _alone(folder, progress):
            if not is_whole(folder, version):
                _make(folder, version, needed, make)
    except OSError as error:
        raise FtuiError(
            f"cannot write the model cache: {error.strerror or error}",
            "free some space, or set FTUI_CACHE to a folder you can write",
            str(folder.parent),
        ) from None
    return folder


@contextmanager
def _alone(folder: Path, progress: Progress) -> Iterator[None]:
    """Holds the lock of `folder`, telling "wait" while another process has it; a dead one frees it."""
    lock = FileLock(f"{folder}.lock")
    while True:
        try:
            lock.acquire(timeout=0.5)
            break
        except Timeout:
            progress("wait", 0, 0)
    try:
        yield
    finally:
        lock.release()


def _make(folder: Path, version: int, needed: int, make: Callable[[Path, Path], None]) -> None:
    """The caller holds the lock, so any staging folder found was left by a killed process."""
    for stale in folder.parent.glob(f"{_STAGING}{folder.name}-*"):
        shutil.rmtree(stale, ignore_errors=True)
    if (free := shutil.disk_usage(folder.parent).free) < needed:
        raise FtuiError(
            f"preparing the model needs {needed // 1_000_000} MB of disk, {free // 1_000_000} MB are free",
            "free some space, or set FTUI_CACHE to a roomier place",
            str(folder.parent),
        )
    staging = Path(tempfile.mkdtemp(prefix=f"{_STAGING}{folder.name}-", dir=folder.parent))
    try:
        model = staging / "model"
        model.mkdir()
        make(staging, model)
        _seal(model, version)
        if folder.exists():  # damaged, or of an older version
            folder.rename(staging / "old")
        model.rename(folder)
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def _seal(model: Path, version: int) -> None:
    """Records what a whole folder holds, and makes everything reach the disk."""
    sizes = {path.name: path.stat().st_size for path in sorted(model.iterdir())}
    (model / _RECORD).write_text(json.dumps({"version": version, "files": sizes}, indent=2))
    for path in [*model.iterdir(), model]:
        sync(path)

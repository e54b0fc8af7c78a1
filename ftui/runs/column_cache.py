"""What was read of a long run, kept beside it as plain columns, so that opening it again takes no time.

Disposable: whatever is missing, torn, stale or of another machine is as if it were not there. It holds for the
events file that begins with the same bytes and has the same ones before the place up to which it was read.
"""

from __future__ import annotations

import contextlib
import hashlib
import math
import os
import sys
import time
import zlib
from array import array
from collections import deque
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from ftui.core.events import decode, encode
from ftui.core.text import one_line
from ftui.gpu.host import disk_free
from ftui.runs.columns import Columns
from ftui.runs.history import History
from ftui.runs.stages import Stage

if TYPE_CHECKING:
    from pathlib import Path
    from typing import BinaryIO

FOLDER, NAME = ".cache", "columns-v1"
_WORDS = ("samples", "checkpoints", "notices")
_TABLES = ("steps", "evals")
_PRINT_BYTES = 65_536
_HEADER_BYTES = 64 << 20
_ABANDONED_SECONDS = 3600
# Free disk, in sizes of the cache, that is left to the run.
_ROOM = 20


@dataclass(frozen=True, slots=True)
class Kept:
    """A history as of `offset` bytes of its file; bad: lines of those that were no event."""

    history: History
    offset: int
    bad: int


def load(events: Path) -> Kept | None:
    """What was kept of an events file; None when there is nothing that still holds."""
    try:
        with (events.parent / FOLDER / NAME).open("rb") as file, events.open("rb") as source:
            header = _read_header(file)
            if header["order"] != sys.byteorder or header["print"] != _print(source, header["offset"]):
                return None
            history, crc = _read_history(file, header)
            if crc != header["crc"] or file.read(1):
                return None
            return Kept(history, int(header["offset"]), int(header["bad"]))
    except (OSError, EOFError, ValueError, TypeError, KeyError, AttributeError, OverflowError, MemoryError):
        return None


def save(events: Path, kept: Kept, inode: int = 0) -> bool:
    """Keeps a history for the next reader; False when it could not be, or was already.

    inode: of the file that it was read from, so that one put in its place meanwhile is not mistaken for it.
    """
    folder = events.parent / FOLDER
    part = folder / f"{NAME}.{os.getpid()}.part"
    header, columns = _describe(kept)
    room = disk_free(events.parent)
    if room is None or room < _ROOM * sum(8 * len(column) for column in columns):
        return False
    try:
        with events.open("rb") as source:
            if inode not in (0, os.fstat(source.fileno()).st_ino):
                return False
            header["print"] = _print(source, kept.offset)
        folder.mkdir(exist_ok=True)
        _sweep(folder)
        if _known(folder / NAME, header):
            return False
        with part.open("wb") as file:
            line = encode(header)
            file.write(b"%08x %012d\n" % (zlib.crc32(line), len(line)))
            file.write(line)
            for column in columns:
                column.tofile(file)
        part.replace(folder / NAME)
    except OSError:
        with contextlib.suppress(OSError):
            part.unlink()
        return False
    return True


def _describe(kept: Kept) -> tuple[dict[str, Any], list[array[float]]]:
    """The header, and the columns that follow it; one value throughout is told in the header."""
    history, columns, tables, crc = kept.history, [], {}, 0
    for table in _TABLES:
        rows: Columns = getattr(history, table)
        told: dict[str, Any] = {}
        for name in rows.names:
            column = rows.column(name)
            assert isinstance(column, array)
            if len(column) and _constant(column):
                told[name] = column[0]
            else:
                told[name] = None
                columns.append(column)
                crc = zlib.crc32(column, crc)
        tables[table] = {"rows": len(rows), "names": list(told), "values": list(told.values())}
    header = {
        "order": sys.byteorder,
        "offset": kept.offset,
        "bad": kept.bad,
        "crc": crc,
        "tables": tables,
        "attempts": history.attempts,
        "last_time": history.last_time,
        "clock": history.clock,
        "since": history.since,
        "stages": [asdict(stage) for stage in history.stages],
        **{name: [encode(event).decode() for event in getattr(history, name)] for name in _WORDS},
        "newest": {kind: encode(event).decode() for kind, event in history.newest.items()},
        "type": "columns",
    }
    return header, columns


def _read_header(file: BinaryIO) -> dict[str, Any]:
    crc, length = file.readline(32).split()
    line = file.read(min(int(length), _HEADER_BYTES))
    header = decode(line)
    if header is None or zlib.crc32(line) != int(crc, 16):
        raise ValueError("torn")
    return header


def _read_history(file: BinaryIO, header: dict[str, Any]) -> tuple[History, int]:
    history, crc = History(), 0
    left = os.fstat(file.fileno()).st_size
    for table in _TABLES:
        described = header["tables"][table]
        rows, columns = int(described["rows"]), {}
        if not 0 <= rows * 8 <= left:
            raise ValueError("torn")
        for name, value in zip(described["names"], described["values"], strict=True):
            if value is not None:
                columns[str(name)] = array("d", [float(value)]) * rows
                continue
            column = array("d")
            column.fromfile(file, rows)
            crc = zlib.crc32(column, crc)
            columns[str(name)] = column
        setattr(history, table, Columns.of(columns))
    for name in _WORDS:
        words: deque[dict[str, Any]] = getattr(history, name)
        words.extend(map(_event, header[name]))
    history.newest = {str(kind): _event(line) for kind, line in header["newest"].items()}
    history.stages = [_stage(**stage) for stage in header["stages"]]
    history.attempts, history.last_time = int(header["attempts"]), float(header["last_time"])
    history.clock = float(header["clock"])
    history.since = None if header["since"] is None else float(header["since"])
    return history, crc


def _event(line: str) -> dict[str, Any]:
    event = decode(line.encode())
    if event is None:
        raise ValueError("no event")
    return event


def _stage(name: str, unit: str, note: str, ended: float | None, **figures: float) -> Stage:
    name, unit, note = (one_line(str(word), 60) for word in (name, unit, note))
    known = {key: float(value) for key, value in figures.items()}
    return Stage(name=name, unit=unit, note=note, ended=None if ended is None else float(ended), **known)


def _constant(column: array[float]) -> bool:
    """Whether a column holds one number throughout, or nothing but NaN."""
    first, middle, last = column[0], column[len(column) // 2], column[-1]
    if math.isnan(first):
        return math.isnan(middle) and math.isnan(last) and all(map(math.isnan, column))
    return first == middle == last and column.count(first) == len(column)


def _print(source: BinaryIO, offset: int) -> str:
    """What tells one events file from another: its first bytes and those before `offset`. Raises EOFError."""
    if os.fstat(source.fileno()).st_size < offset:
        raise EOFError
    digest = hashlib.blake2b(digest_size=16)
    for start in (0, max(0, offset - _PRINT_BYTES)):
        digest.update(os.pread(source.fileno(), min(_PRINT_BYTES, offset - start), start))
    return digest.hexdigest()


def _known(path: Path, header: dict[str, Any]) -> bool:
    """Whether another reader has already kept as much of the same file."""
    try:
        with path.open("rb") as file:
            other = _read_header(file)
    except (OSError, ValueError):
        return False
    return all(other.get(name) == header[name] for name in ("offset", "print"))


def _sweep(folder: Path) -> None:
    """Takes away what a reader that was killed has left."""
    for part in folder.glob(f"{NAME}.*.part"):
        with contextlib.suppress(OSError):
            if time.time() - part.stat().st_mtime > _ABANDONED_SECONDS:
                part.unlink()

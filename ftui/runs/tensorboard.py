"""A run's figures as an event file that TensorBoard reads. Written by hand: the format is four fields and a sum.

A file is records of: length (8 bytes, little-endian), its masked CRC-32C, the data, its masked CRC-32C. The data
is an `Event` in protobuf: 1 wall_time double, 2 step int64, 3 file_version string, 5 summary {1 value {1 tag
string, 2 simple_value float}}.
"""

from __future__ import annotations

import math
import os
import struct
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ftui.core.errors import FtuiError
from ftui.runs.history import SECONDS, STEP
from ftui.runs.lifecycle import UNREADABLE
from ftui.runs.live import read_history
from ftui.runs.rundir import events_unreadable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ftui.runs.columns import Columns
    from ftui.runs.rundir import RunDir

_VERSION = b"brain.Event:2"
_REPORTED = 1000  # steps between two words of progress


@dataclass(frozen=True, slots=True)
class Exported:
    """path: of the event file. tags: the curves in it; steps, evals: their points."""

    path: Path
    tags: tuple[str, ...]
    steps: int
    evals: int


def export(rundir: RunDir, folder: Path, progress: Callable[[int, int], None] | None = None) -> Exported:
    """Writes every number a run has told into `folder`, in place of an earlier export. Raises OSError, and
    FtuiError where its events cannot be read.

    Steps that a resumed attempt did again are told once. Time is the time trained, pauses left out.
    progress: called with rows done and rows in all.
    """
    if events_unreadable(rundir):
        raise FtuiError(UNREADABLE, "", str(rundir.events_path))
    history = read_history(rundir.events_path)
    began = history.last_time - history.clock
    total = len(history.steps) + len(history.evals)
    tags: set[str] = set()
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"events.out.tfevents.{int(began)}.{rundir.id}"
    descriptor, name = tempfile.mkstemp(prefix=".tfevents.", dir=folder)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(_record(_double(1, began) + _bytes(3, _VERSION)))
            done = 0
            for table, prefix in ((history.steps, "train"), (history.evals, "eval")):
                for when, step, values in _rows(table, prefix):
                    tags.update(values)
                    file.write(_record(_event(began + when, step, values)))
                    done += 1
                    if progress and done % _REPORTED == 0:
                        progress(done, total)
            os.fchmod(file.fileno(), 0o644)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    return Exported(path, tuple(sorted(tags)), len(history.steps), len(history.evals))


def _rows(table: Columns, prefix: str) -> Iterator[tuple[float, int, dict[str, float]]]:
    """(seconds trained, step, value by tag); what was not told is left out, a loss that was NaN is not."""
    names = [name for name in table.names if name not in (STEP, SECONDS)]
    tags = [f"{prefix}/{name.removeprefix('eval_')}" for name in names]
    columns = [table.column(name) for name in names]
    loss = {index for index, name in enumerate(names) if name in ("loss", "eval_loss")}
    for when, step, *row in zip(table.column(SECONDS), table.column(STEP), *columns, strict=True):
        told = (index for index, value in enumerate(row) if index in loss or not math.isnan(value))
        yield when, int(step), {tags[index]: row[index] for index in told}


def _event(when: float, step: int, values: dict[str, float]) -> bytes:
    summary = b"".join(
        _bytes(1, _bytes(1, tag.encode("utf-8", "replace")) + b"\x15" + _float(value))
        for tag, value in values.items()
    )
    return _double(1, when) + b"\x10" + _varint(step) + _bytes(5, summary)


def _float(value: float) -> bytes:
    try:
        return struct.pack("<f", value)
    except OverflowError:
        return struct.pack("<f", math.copysign(math.inf, value))


def _double(field: int, value: float) -> bytes:
    return bytes([field << 3 | 1]) + struct.pack("<d", value)


def _bytes(field: int, value: bytes) -> bytes:
    return bytes([field << 3 | 2]) + _varint(len(value)) + value


def _varint(value: int) -> bytes:
    value &= (1 << 64) - 1
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def _record(data: bytes) -> bytes:
    length = struct.pack("<Q", len(data))
    return length + _masked_crc(length) + data + _masked_crc(data)


def _masked_crc(data: bytes) -> bytes:
    crc = 0xFFFFFFFF
    for byte in data:
        crc = _TABLE[(crc ^ byte) & 0xFF] ^ crc >> 8
    crc ^= 0xFFFFFFFF
    return struct.pack("<I", ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF)


def _crc_table() -> list[int]:
    """Of CRC-32C: Castagnoli's polynomial, reflected."""
    table = []
    for byte in range(256):
        crc = byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
        table.append(crc)
    return table


_TABLE = _crc_table()

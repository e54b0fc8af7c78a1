"""Reads a run's events as they grow: bounded pieces, whole lines only, never stopped by a bad one."""

from __future__ import annotations

import math
import operator
import os
from typing import TYPE_CHECKING, Any

import orjson

from ftui.core.events import decode

if TYPE_CHECKING:
    from pathlib import Path

_BLOCK_BYTES = 1 << 17  # small enough for its objects to stay in the processor's cache
# No event is this long; a longer line is damage and is skipped rather than kept in memory.
_LINE_BYTES = 4 << 20
_NOT_FINITE = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}


class EventTail:
    """A place in an `events.jsonl` that moves forward.

    bad: lines that were no event. resets: how often the file was replaced or cut short, so that everything
    read before no longer holds. more: the file may hold events not yet read.
    offset: where to begin, the start of a line.
    """

    def __init__(self, path: Path, offset: int = 0) -> None:
        self.path = path
        self.bad = 0
        self.resets = 0
        self.more = True
        self._offset = offset  # of the first byte not in `_events`
        self._inode = 0
        self._skipping = False
        self._events: list[dict[str, Any]] = []
        self._next = 0

    @property
    def offset(self) -> int:
        """How far the file was read; not all of that may have been handed out."""
        return self._offset

    @property
    def settled(self) -> bool:
        """True when all up to `offset` was handed out, and a line begins there."""
        return self._next == len(self._events) and not self._skipping

    @property
    def inode(self) -> int:
        """Of the file being read, 0 before the first read."""
        return self._inode

    def read(self, max_events: int = 2000) -> list[dict[str, Any]]:
        """The next events, at most `max_events`; [] when there is none yet. Raises OSError."""
        found: list[dict[str, Any]] = []
        while len(found) < max_events:
            resets = self.resets
            if self._next == len(self._events) and not self._read_block():
                self.more = False
                return found
            if self.resets != resets:
                found.clear()
            piece = self._events[self._next : self._next + max_events - len(found)]
            self._next += len(piece)
            found += piece
        self.more = True
        return found

    def _read_block(self) -> bool:
        """Fills `_events` from the next whole lines; False at the end of the file.

        A line without its newline is left where it is and read again next time: its writer may be about to
        finish it, or to take it back.
        """
        try:
            descriptor = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return False
        try:
            stat = os.fstat(descriptor)
            if self._inode not in (0, stat.st_ino) or stat.st_size < self._offset:
                self.resets += 1
                self._offset, self._skipping = 0, False
            self._inode = stat.st_ino
            lines = self._take_lines(descriptor)
        finally:
            os.close(descriptor)
        if lines is None:
            return False
        self._events, self._next = decode_lines(lines), 0
        self.bad += len(lines) - len(self._events)
        return True

    def _take_lines(self, descriptor: int) -> list[bytes] | None:
        """The next whole lines but for blank ones, about a block of them; None where there is none."""
        size = _BLOCK_BYTES
        while True:
            block = os.pread(descriptor, size, self._offset)
            if end := block.rfind(b"\n") + 1:
                self._offset += end
                lines = block[: end - 1].split(b"\n")
                if self._skipping:
                    self._skipping = False
                    lines[0] = b"\0"  # the end of the line too long to be an event: counted once
                return [line for line in lines if line]
            if len(block) < size:
                return None
            if size >= _LINE_BYTES:
                self._offset += len(block)
                self._skipping = True
            size = _LINE_BYTES


def decode_lines(lines: list[bytes]) -> list[dict[str, Any]]:
    """The events on `lines`, those that hold none left out.

    A block of undamaged lines is one JSON array away from being parsed in one call, which is what opening a
    run of a million steps waits for; anything unusual in it, and its lines are taken one by one.
    """
    block = b"[" + b",".join(lines) + b"]"
    if b'"NaN"' not in block and b'Infinity"' not in block:
        try:
            events = orjson.loads(block)
        except orjson.JSONDecodeError:
            events = []
        if len(events) == len(lines) and _are_events(events):
            return events  # type: ignore[no-any-return]
    return [event for line in lines if (event := _decode(line)) is not None]


def _decode(line: bytes) -> dict[str, Any] | None:
    """`events.decode`, several times faster on the lines that a trainer really writes."""
    try:
        event = orjson.loads(line)
    except orjson.JSONDecodeError:
        return decode(line)
    if not _is_event(event):
        return None
    if b'N"' in line or b'Infinity"' in line:
        return {
            key: _NOT_FINITE.get(value, value) if isinstance(value, str) else value
            for key, value in event.items()
        }
    return event  # type: ignore[no-any-return]


def _are_events(values: list[Any]) -> bool:
    try:
        return {str}.issuperset(map(type, map(operator.itemgetter("type"), values)))
    except (KeyError, TypeError, IndexError):
        return False


def _is_event(value: Any) -> bool:
    return isinstance(value, dict) and isinstance(value.get("type"), str)

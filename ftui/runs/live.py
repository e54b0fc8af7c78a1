"""A run's history brought up to date from its growing file, in bounded pieces."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from ftui.core.errors import FtuiError
from ftui.runs import column_cache
from ftui.runs.history import History
from ftui.runs.tail import EventTail

if TYPE_CHECKING:
    from pathlib import Path

# Less than this is read as quickly as a cache of it.
WORTH_KEEPING = 16 << 20

_BATCH = 1000  # events in memory at a time


class LiveHistory:
    """The history of a run's file.

    What an earlier reader of a long file has left beside it is taken over, so that only the rest is read.
    """

    def __init__(self, path: Path) -> None:
        self.history = History()
        self._path = path
        self._tail = EventTail(path)
        self._resets = 0
        self._bad = 0  # lines of what the cache held
        self._kept = 0  # bytes of the file that the cache holds
        self._began = False

    @property
    def bad(self) -> int:
        """Lines that were no event."""
        return self._bad + self._tail.bad

    @property
    def more(self) -> bool:
        """True while the file holds events not taken in yet."""
        return self._tail.more

    @property
    def behind(self) -> int:
        """Bytes of the file not taken in yet."""
        return max(0, _size(self._path) - self._tail.offset)

    @property
    def share(self) -> float:
        """How much of the file was taken in."""
        size = _size(self._path)
        return min(1.0, self._tail.offset / size) if size else 1.0

    def begin(self) -> None:
        """Takes over what was kept of the file, if that is still true."""
        if self._began:
            return
        self._began = True
        if _size(self._path) >= WORTH_KEEPING and (kept := column_cache.load(self._path)) is not None:
            self.history, self._bad, self._kept = kept.history, kept.bad, kept.offset
            self._tail = EventTail(self._path, kept.offset)

    def refresh(self, max_events: int = 20_000) -> bool:
        """Takes in what was written since, at most `max_events`; True when that changed anything."""
        self.begin()
        left = max_events
        while left > 0:
            events = self._tail.read(min(_BATCH, left))
            if self._tail.resets != self._resets:
                self._resets = self._tail.resets
                self._bad = self._kept = 0
                self.history.clear()
            self.history.feed(events)
            left -= len(events)
            if not self._tail.more:
                break
        return left < max_events

    def keep(self) -> bool:
        """Leaves the history beside the file for the next reader, where that would save it some reading.

        Rarely worth it, and then takes a moment: a long file that has grown by an eighth. False when nothing
        was written; a disk that is full or read-only is no error.
        """
        tail = self._tail
        if not tail.settled or tail.offset - self._kept < max(WORTH_KEEPING, self._kept // 8):
            return False
        self._kept = tail.offset
        return column_cache.save(
            self._path, column_cache.Kept(self.history, tail.offset, self.bad), tail.inode
        )


def read_history(path: Path) -> History:
    """The whole history of a run's events, however long that takes. Raises FtuiError."""
    live = LiveHistory(path)
    try:
        while live.refresh() and live.more:
            pass
    except OSError as error:
        raise FtuiError(f"cannot read the run's events: {error.strerror}", "", str(path)) from None
    live.keep()
    return live.history


def _size(path: Path) -> int:
    try:
        return os.stat(path).st_size  # noqa: PTH116
    except OSError:
        return 0

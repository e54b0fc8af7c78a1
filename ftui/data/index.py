"""Where every row is: offsets, sizes and a hash of each, in flat arrays (16 bytes a row)."""

from __future__ import annotations

import hashlib
import sys
from array import array
from bisect import bisect_right
from typing import TYPE_CHECKING

from ftui.core.errors import FtuiError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ftui.data.formats import Format
    from ftui.data.source import Bytes

_FIRST_WINDOW = 64 * 1024  # the first screen should not wait for more
_WINDOW = 1 << 20
_LONGEST_ROW = (1 << 32) - 2


class Index:
    """Grows by `step` until `complete`. Rows are counted from 0 here.

    starts, sizes: the bytes of each row. tags: the first 32 bits of its SHA-256, to look rows up by content.
    """

    def __init__(self, format: Format) -> None:
        self.format = format
        self.starts = array("Q")
        self.sizes = array("I")
        self.tags = array("I")
        self.position = format.start
        self.complete = False
        self._window = _FIRST_WINDOW
        self._mark_at = array("Q", [0])  # sparse: newlines before some offsets
        self._mark_lines = array("Q", [0])

    def __len__(self) -> int:
        return len(self.tags)  # the last array to grow: every row below it is whole

    def arrays(self) -> tuple[array[int], ...]:
        """Everything a finished index needs, for its cache."""
        return self.starts, self.sizes, self.tags, self._mark_at, self._mark_lines

    def step(self, source: Bytes) -> None:
        """Scans about a megabyte more. Raises FtuiError when the file cannot be read."""
        data = source.read(self.position, self._window)
        final = source.ended(self.position + len(data))
        if len(data) < self._window and not final:
            raise FtuiError("the file was cut while it was being read", "reload it")
        forced = final or len(data) >= _LONGEST_ROW
        (starts, ends), used = self.format.scan(data, forced)
        if used == 0 and not forced:
            self._window = min(self._window * 2, _LONGEST_ROW)
            return
        used = used or len(data)
        base, sha256 = self.position, hashlib.sha256
        tags = [sha256(data[a:b]).digest()[:4] for a, b in zip(starts, ends, strict=True)]
        self.starts.extend([base + start for start in starts])
        self.sizes.extend([end - start for start, end in zip(starts, ends, strict=True)])
        self.tags.frombytes(b"".join(tags))
        self._mark_at.append(base + used)
        self._mark_lines.append(self._mark_lines[-1] + data.count(b"\n", 0, used))
        self.position = base + used
        self._window = _WINDOW
        self.complete = final and used >= len(data)

    def raw(self, source: Bytes, row: int) -> bytes:
        """A row's bytes; fewer than they were when the file has been cut."""
        return source.read(self.starts[row], self.sizes[row])

    def raws(self, source: Bytes, start: int, count: int) -> Iterator[bytes]:
        """Consecutive rows, read in blocks of about a megabyte."""
        end = min(start + count, len(self))
        while start < end:
            base, stop = self.starts[start], start
            while stop < end and (stop == start or self.starts[stop] + self.sizes[stop] - base <= _WINDOW):
                stop += 1
            last = stop - 1
            block = source.read(base, self.starts[last] + self.sizes[last] - base)
            for row in range(start, stop):
                offset = self.starts[row] - base
                raw = block[offset : offset + self.sizes[row]]
                if len(raw) != self.sizes[row]:
                    raise FtuiError(f"row {row + 1} cannot be read whole: the file was cut", "reload it")
                yield raw
            start = stop

    def line(self, source: Bytes, row: int) -> int:
        """The line a row starts on, from 1."""
        offset = self.starts[row]
        mark = bisect_right(self._mark_at, offset) - 1
        at, lines = self._mark_at[mark], self._mark_lines[mark]
        while at < offset:
            block = source.read(at, min(_WINDOW, offset - at))
            if not block:
                break
            lines += block.count(b"\n")
            at += len(block)
        return lines + 1

    def rows_with_tag(self, sha: str, below: int | None = None) -> list[int]:
        """Rows whose hash begins like `sha` (nearly always: rows equal to it), in order."""
        tag = bytes.fromhex(sha[:8])
        packed, end = self.tags.tobytes() if below is None else self.tags[:below].tobytes(), 0
        found = []
        while (at := packed.find(tag, end)) >= 0:
            if at % 4 == 0:
                found.append(at // 4)
            end = at + 1
        return found

    def rows_by_tag(self, tags: set[int]) -> dict[int, list[int]]:
        """The rows with each of `tags`, in one pass over all rows."""
        found: dict[int, list[int]] = {tag: [] for tag in tags}
        for row, tag in enumerate(self.tags):
            if tag in tags:
                found[tag].append(row)
        return found


def tag_of(sha: str) -> int:
    """The first 32 bits of a hash as `Index.tags` holds them; 0 for what is no hash."""
    try:
        return int.from_bytes(bytes.fromhex(sha[:8]), sys.byteorder)
    except ValueError:
        return 0

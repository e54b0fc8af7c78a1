"""A dataset file while it is open: its bytes, its index, and whether it is still the same file."""

from __future__ import annotations

import os
import weakref
from typing import TYPE_CHECKING, Any

from ftui.core import shapes
from ftui.core.errors import FtuiError
from ftui.data.facts import Facts
from ftui.data.index import Index
from ftui.data.index_cache import load, save
from ftui.data.sniff import open_source
from ftui.data.source import Identity, open_file

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from ftui.core.example import Example
    from ftui.core.shapes_mapping import FieldMap
    from ftui.data.annotations import Annotations
    from ftui.data.placing import Placing
    from ftui.data.source import Bytes


class OpenedFile:
    """Rows are counted from 0 here. Not locked: `Dataset` does that."""

    def __init__(self, path: Path) -> None:
        """Opens `path` and finds its first rows. Raises FtuiError for what is no dataset."""
        self.path = path
        self._fd = open_file(path)
        try:
            self.identity = Identity.of(self._fd)
            self._source, format, self._meter = open_source(path, self._fd, self.identity)
            self.index = Index(format)
            self.holds_json = format.container in ("jsonl", "json")
            self.facts = Facts()
            self.mapping: FieldMap | None = None
            self._mapped: Facts | None = None  # the shapes as `mapping` makes them; never cached
            self._cached = load(path, self.identity, self.index, self.facts)
            if not self._cached:
                self.index.step(self._source)
        except BaseException:
            os.close(self._fd)
            raise
        # A search in another thread may still read from a file that was replaced: closed when nobody does.
        self._closer = weakref.finalize(self, _close, self._source, self._fd)

    def close(self) -> None:
        self._closer()

    @property
    def checked(self) -> bool:
        """True when every row was found and read once for its shape."""
        return self.index.complete and len(self.facts) == len(self.votes) == len(self.index)

    @property
    def votes(self) -> Facts:
        """The shapes of the rows as they are read: by the mapping where there is one."""
        return self.facts if self._mapped is None else self._mapped

    @property
    def share_read(self) -> float:
        """How much of the rows found was read for its shape, 0 to 1."""
        passes = 1 if self._mapped is None else 2
        done = len(self.facts) + (0 if self._mapped is None else len(self._mapped))
        return done / max(1, passes * len(self.index))

    def read_as(self, mapping: FieldMap | None) -> None:
        """Reads rows by `mapping` from now on; their shapes are counted anew."""
        if mapping != self.mapping:
            self.mapping = mapping
            self._mapped = Facts(mapping.shape_of) if mapping is not None else None

    def read_value(self, value: Any) -> tuple[str, Example | None]:
        """(shape, example) of a row's value, by the mapping where it fits."""
        if self.mapping is not None and (example := self.mapping.example(value)) is not None:
            return self.mapping.shape, example
        shape = shapes.recognise(value)
        return shape, shapes.to_example(value, shape)

    def shape_of(self, value: Any) -> str:
        return shapes.recognise(value) if self.mapping is None else self.mapping.shape_of(value)

    @property
    def losses(self) -> tuple[str, ...]:
        """What could not be unpacked, known once the index is complete."""
        return tuple(self._meter.losses)

    def step(self) -> None:
        """Scans about a megabyte more."""
        self._still_open()
        self.index.step(self._source)

    def read_facts(self, count: int) -> None:
        """Reads up to `count` rows more for their shape; keeps what was learned once all are read."""
        self._still_open()
        for facts in (self.facts, self._mapped):
            if facts is not None and len(facts) < len(self.index):
                facts.step(self.index, self._source, count)
        known = self.index.complete and len(self.facts) == len(self.index)
        if known and not self._cached and not self.changed():
            self._cached = True
            save(self.path, self.identity, self.index, self.facts)

    def progress(self) -> tuple[int, int]:
        """(bytes scanned, bytes in all) of the file as it lies on the disk."""
        return self._source.progress(self.index.position)

    def raw(self, at: int) -> bytes:
        """Row `at`'s bytes. Raises FtuiError when the file was cut."""
        self._still_open()
        raw = self.index.raw(self._source, at)
        if len(raw) != self.index.sizes[at]:
            self.check()
            raise FtuiError(f"row {at + 1} cannot be read whole", "reload the file", str(self.path))
        return raw

    def raws(self, start: int, count: int) -> Iterator[bytes]:
        """Consecutive rows. Raises FtuiError when the file was cut."""
        self._still_open()
        return self.index.raws(self._source, start, count)

    def parse(self, raw: bytes, exact: bool = True) -> tuple[Any, str]:
        return self.index.format.parse(raw, exact)

    def line(self, at: int) -> int:
        """The line row `at` starts on, from 1; in a Parquet file the row itself."""
        return at + 1 if self.index.format.container == "parquet" else self.index.line(self._source, at)

    def line_after(self, line: int, at: int, raw: bytes) -> int:
        """The line row `at` + 1 starts on, when row `at` is `raw` and starts on `line`."""
        if at + 1 >= len(self.index):
            return line
        end = self.index.starts[at] + self.index.sizes[at]
        between = self._source.read(end, self.index.starts[at + 1] - end)
        return line + raw.count(b"\n") + between.count(b"\n")

    def read(self, offset: int, count: int) -> bytes:
        """Bytes of the (unpacked) file, for searching."""
        self._still_open()
        return self._source.read(offset, count)

    def settle(self, placing: Placing, annotations: Annotations) -> list[int]:
        """Finds rows for annotations among those known now; which rows got one."""
        return placing.settle(self.index, self._source, annotations)

    def twins_before(self, at: int, raw: bytes, rows: Iterable[int]) -> int:
        """How many of `rows` lie before row `at` and are identical to it."""
        earlier = [row for row in rows if row < at]
        return sum(self.index.raw(self._source, row) == raw for row in earlier) if earlier else 0

    def _still_open(self) -> None:
        if not self._closer.alive:
            raise FtuiError("the dataset is closed", "", str(self.path))

    def changed(self) -> bool:
        """True when the path no longer names the file as it was opened."""
        try:
            status = self.path.stat()
        except OSError:
            return True
        known = self.identity
        return (status.st_size, status.st_mtime_ns, status.st_ino) != (
            known.size,
            known.mtime_ns,
            known.inode,
        )

    def check(self) -> None:
        """Raises FtuiError when the file changed since it was opened."""
        if self.changed():
            what = "changed on disk" if self.path.exists() else "was moved or deleted"
            raise FtuiError(
                f"the file {what} while it was open",
                "reload it: annotations follow their rows",
                str(self.path),
            )


def _close(source: Bytes, fd: int) -> None:
    source.close()
    os.close(fd)

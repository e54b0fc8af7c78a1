"""A dataset's rows: found, read with their decisions and edits applied, listed and searched."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Self

from ftui.core.errors import FtuiError
from ftui.data.decisions import Decisions
from ftui.data.facts import BROKEN
from ftui.data.opened import OpenedFile
from ftui.data.row_view import row_of, summary_of
from ftui.data.search import Needle, matching_rows

if TYPE_CHECKING:
    from pathlib import Path

    from ftui.core.shapes_mapping import FieldMap
    from ftui.data.rows import Row, RowSummary

Progress = Callable[[int, int], None]
Cancelled = Callable[[], bool]

_SUMMARIES = 8192  # kept, so that scrolling back costs nothing
_ROWS = 256  # read at a time: the lock, the cancel button and the screen never wait for more


class DatasetReading:
    """What `Dataset` can do without changing anything. Its lock guards the file and the decisions alike."""

    def __init__(self, path: Path, who: str) -> None:
        self.path = path
        self.who = who
        self._lock = threading.RLock()
        self._file = OpenedFile(path)
        self._decisions = Decisions(path, who)
        self._summaries: dict[int, RowSummary] = {}
        self._summarised_as: FieldMap | None = None
        self._replaced: tuple[str, ...] = ()
        self._decisions.read(self._file)

    def close(self) -> None:
        with self._lock:
            self._decisions.close()
            self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # ---- what is known so far

    @property
    def container(self) -> str:
        """ "jsonl", "json", "csv", "parquet" or "text"."""
        return self._file.index.format.container

    @property
    def delimiter(self) -> str:
        """What separates the fields of a CSV; "" in other containers."""
        return str(getattr(self._file.index.format, "delimiter", ""))

    @property
    def shape(self) -> str:
        """The shape of most rows read so far."""
        with self._lock:
            if not len(self._file.votes):
                self._file.read_facts(20)
            return self._file.votes.dominant()

    @property
    def shapes(self) -> dict[str, int]:
        """Rows by shape, most frequent first, of those read so far; broken ones are under "broken"."""
        with self._lock:
            return dict(self._file.votes.counts.most_common())

    @property
    def votes(self) -> dict[str, int]:
        """Rows by the shape they have by themselves, whatever the mapping says; broken ones left out."""
        with self._lock:
            return {
                name: count for name, count in self._file.facts.counts.items() if count and name != BROKEN
            }

    @property
    def mapping(self) -> FieldMap | None:
        """How the rows are read, where a person said so (`map_fields`); None: as they look."""
        return self._file.mapping

    @property
    def notices(self) -> tuple[str, ...]:
        """What the user should know about the file: it was replaced, or could not be unpacked whole."""
        return (*self._replaced, *self._file.losses)

    @property
    def complete(self) -> bool:
        """True when every row has been found: `rows_known` is then how many there are."""
        return self._file.index.complete

    @property
    def checked(self) -> bool:
        """True when every row has also been read once: `shapes` and `broken_known` are then final."""
        return self._file.checked

    @property
    def rows_known(self) -> int:
        return len(self._file.index)

    @property
    def broken_known(self) -> int:
        return self._file.facts.broken

    # ---- finding rows

    def build(self, progress: Progress | None = None, cancelled: Cancelled | None = None) -> None:
        """Finds every row, then reads each once for its shape; for a thread. Cancelled: it stops half-way.

        progress: called with (done, total) bytes; both passes count. Raises FtuiError when reading fails.
        """
        stop = cancelled or (lambda: False)
        tell = progress or (lambda done, total: None)
        while not self.complete and not stop():
            with self._lock:
                self._step()
                done, total = self._file.progress()
            tell(done, 2 * total)
            time.sleep(0)  # whoever waits for the lock goes first
        while self.complete and not self.checked and not stop():
            with self._lock:
                self._file.read_facts(_ROWS)
                _, total = self._file.progress()
                part = self._file.share_read
            tell(total + int(total * part), 2 * total)
            time.sleep(0)

    def find_all(self, cancelled: Cancelled | None = None) -> int:
        """Finds every row, however long that takes; how many there are. Cancelled: how many so far."""
        while not self.complete and not (cancelled and cancelled()):
            with self._lock:
                self._step()
        return self.rows_known

    def row(self, number: int) -> Row:
        """Row `number`, from 1, journal applied. Raises FtuiError when there is none."""
        with self._lock:
            at = self._find(number)
            file = self._file
            return row_of(file, at, file.raw(at), file.line(at), self._decisions.state(at))

    def rows(self) -> Iterator[Row]:
        """Every row, journal applied, read in blocks. Raises FtuiError when the file changes meanwhile."""
        at, line = 0, 1
        while True:
            with self._lock:
                file = self._file
                file.check()
                if at >= self._ensure(at + 1):
                    return
                page = []
                for raw in file.raws(at, _ROWS):
                    line = line if at else file.line(0)
                    page.append(row_of(file, at, raw, line, self._decisions.state(at)))
                    line = file.line_after(line, at, raw)
                    at += 1
            yield from page

    def rows_of(self, numbers: Sequence[int]) -> Iterator[Row]:
        """These rows, journal applied, read in blocks; their `line` is 0: it would take as long to count."""
        for start in range(0, len(numbers), _ROWS):
            with self._lock:
                file = self._file
                file.check()
                page = [
                    row_of(file, number - 1, file.raw(number - 1), 0, self._decisions.state(number - 1))
                    for number in numbers[start : start + _ROWS]
                ]
            yield from page

    def shape_codes(self) -> tuple[bytes, list[str]]:
        """A byte for each row read so far, in order: which of the names, "broken" among them. As in the file."""
        with self._lock:
            return self._file.votes.codes.tobytes(), list(self._file.votes.names)

    def summaries(self, start: int, count: int) -> list[RowSummary]:
        """Up to `count` rows from row `start` on, for a list. Cheap; shorter at the end of the file."""
        with self._lock:
            self._file.check()
            first = max(1, start)
            last = min(start + count - 1, self._ensure(start + count - 1))
            numbers = range(first, last + 1)
            self._forget_changed()
            known = self._summaries
            if any(number not in known for number in numbers):
                for number, raw in zip(numbers, self._file.raws(first - 1, len(numbers)), strict=False):
                    if number not in known:
                        known[number] = summary_of(
                            self._file, number - 1, raw, self._decisions.state(number - 1)
                        )
            return [known[number] for number in numbers if number in known]

    def summaries_of(self, numbers: Sequence[int]) -> list[RowSummary]:
        """These rows, ascending, for a list of some of them. Cheap; numbers beyond the end are left out."""
        found: list[RowSummary] = []
        start = 0
        while start < len(numbers):
            end = start + 1  # neighbours are read in one go
            while end < len(numbers) and numbers[end] == numbers[end - 1] + 1:
                end += 1
            found += self.summaries(numbers[start], end - start)
            start = end
        return found

    def search(
        self,
        text: str,
        ignore_case: bool = False,
        limit: int = 0,
        progress: Progress | None = None,
        cancelled: Cancelled | None = None,
    ) -> list[int]:
        """Numbers of the rows that contain `text`, in order; the first `limit` of them, 0 for all.

        Edited rows are searched as they are now. Cancelled: those found so far. Raises FtuiError for no text.
        """
        if not text:
            raise FtuiError("nothing to search for", "give a text")
        stop = cancelled or (lambda: False)
        while not self.complete and not stop():
            with self._lock:
                self._step()
        needle = Needle(text, ignore_case)
        with self._lock:
            file = self._file
            file.check()
            edited = self._decisions.edited()
        found = [at + 1 for at in edited if needle.within(self.row(at + 1).text)]
        matches = matching_rows(file, needle, progress or (lambda done, total: None), stop)
        unedited = (at + 1 for at in matches if at not in edited)
        found += islice(unedited, limit) if limit else unedited
        return sorted(found)[: limit or None]

    # ---- inside

    def _step(self) -> None:
        self._file.step()
        self._decisions.settle(self._file)

    def _ensure(self, number: int) -> int:
        """Looks for rows until `number` are known or there are no more; how many are known."""
        while self.rows_known < number and not self.complete:
            self._step()
        return self.rows_known

    def _find(self, number: int) -> int:
        """Row `number` counted from 0. Raises FtuiError when there is none."""
        self._file.check()
        if number < 1:
            raise FtuiError(f"there is no row {number}", "rows are numbered from 1", str(self.path))
        if number > (known := self._ensure(number)):
            raise FtuiError(f"there is no row {number}", f"the file has {known}", str(self.path))
        return number - 1

    def _forget_changed(self) -> None:
        if len(self._summaries) > _SUMMARIES or self._summarised_as != self._file.mapping:
            self._summaries.clear()
            self._summarised_as = self._file.mapping
        for row in self._decisions.changed:
            self._summaries.pop(row + 1, None)
        self._decisions.changed.clear()

"""A dataset as people work on it: the rows of a file with their journal applied."""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from typing import TYPE_CHECKING

from ftui.core.errors import FtuiError
from ftui.data.annotations import Annotations, RowState, apply_edits
from ftui.data.changes import operations
from ftui.data.facts import BROKEN
from ftui.data.journal import Journal, JournalReader, default_who, sidecar
from ftui.data.opened import OpenedFile
from ftui.data.operation import Op
from ftui.data.placing import Placing
from ftui.data.row_view import row_of, summary_of
from ftui.data.rows import Counts
from ftui.data.search import Needle, matching_rows

if TYPE_CHECKING:
    from pathlib import Path

    from ftui.data.actions import Action
    from ftui.data.rows import Row, RowSummary

Progress = Callable[[int, int], None]
Cancelled = Callable[[], bool]

_SUMMARIES = 8192  # kept, so that scrolling back costs nothing
_ROWS = 256  # read between two locks when all are wanted
_FACTS_STEP = 256  # rows read between two looks at the clock, the lock and the cancel button


class Dataset:
    """One file. Rows are numbered from 1, blank lines aside. Every method may be called from any thread.

    The first rows can be read at once; `build` (in a thread) finds the others. Methods that read rows raise
    FtuiError when the file was replaced, cut or deleted meanwhile; `refresh` then opens it anew.
    """

    def __init__(self, path: Path, who: str) -> None:
        self.path = path
        self.who = who
        self._lock = threading.RLock()
        self._file = OpenedFile(path)
        self._journal = Journal(sidecar(path), who)
        self._reader = JournalReader(sidecar(path))
        self._annotations = Annotations()
        self._placing = Placing()
        self._mended: set[RowState] = set()  # rows whose whole text was replaced
        self._summaries: dict[int, RowSummary] = {}
        self._replaced: tuple[str, ...] = ()
        self._take(self._reader.read())

    @classmethod
    def open(cls, path: Path, who: str | None = None) -> Dataset:
        """Opens `path` (cheaply: some kilobytes are read). Raises FtuiError for what is no dataset.

        who: the annotator; $FTUI_USER or the login name when not given.
        """
        return cls(path, who or default_who())

    def close(self) -> None:
        with self._lock:
            self._journal.close()
            self._file.close()

    def __enter__(self) -> Dataset:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # ---- what is known so far

    @property
    def container(self) -> str:
        """ "jsonl", "json", "csv", "parquet" or "text"."""
        return self._file.index.format.container

    @property
    def shape(self) -> str:
        """The shape of most rows read so far."""
        with self._lock:
            if not len(self._file.facts):
                self._file.read_facts(20)
            return self._file.facts.dominant()

    @property
    def shapes(self) -> dict[str, int]:
        """Rows by shape, most frequent first, of those read so far; broken ones are under "broken"."""
        with self._lock:
            return dict(self._file.facts.counts.most_common())

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
        return self._file.index.complete and len(self._file.facts) == len(self._file.index)

    @property
    def rows_known(self) -> int:
        return len(self._file.index)

    @property
    def broken_known(self) -> int:
        return self._file.facts.broken

    @property
    def bad_journal_lines(self) -> int:
        """Journal lines that could not be read. They stay where they are."""
        return self._reader.bad

    def orphans(self) -> list[tuple[Op, ...]]:
        """The operations on each row that is gone from the file; final once `complete` is."""
        with self._lock:
            return [
                tuple(state.ops) for state in self._annotations.states.values() if state.orphan and state.ops
            ]

    def conflicts(self) -> dict[int, dict[str, str]]:
        """Rows that one annotator accepted and another rejected: {row number: {who: status}}."""
        with self._lock:
            return {
                self._placing.row_of[state.key] + 1: dict(state.statuses)
                for state in self._annotations.states.values()
                if state.conflict and state.key in self._placing.row_of
            }

    def counts(self) -> Counts:
        """Rows by decision, from running totals: nothing is read."""
        with self._lock:
            tally = self._annotations.tally
            broken = self._file.facts.broken
            for state in self._mended:
                row = self._placing.row_of.get(state.key, -1)
                source_broken = self._file.facts.shape_of(row) == BROKEN
                broken += (apply_edits(None, "", state.edits, self._file.parse)[1] != "") - source_broken
            undecided = len(self._file.index) - tally.accepted - tally.rejected - tally.deleted
            return Counts(
                max(0, undecided),
                tally.accepted,
                tally.rejected,
                tally.flagged,
                tally.edited,
                tally.deleted,
                broken,
            )

    # ---- finding rows

    def build(self, progress: Progress | None = None, cancelled: Cancelled | None = None) -> None:
        """Finds every row, then reads each once for its shape; run it in a thread. Cancelled: it stops half-way.

        progress: called with (done, total) bytes; both passes count. Raises FtuiError when reading fails.
        """
        stop = cancelled or (lambda: False)
        tell = progress or (lambda done, total: None)
        while not self._file.index.complete and not stop():
            with self._lock:
                self._step()
                done, total = self._file.progress()
            tell(done, 2 * total)
            time.sleep(0)  # whoever waits for the lock goes first
        while not stop() and not self.checked and self._file.index.complete:
            with self._lock:
                self._file.read_facts(_FACTS_STEP)
                _, total = self._file.progress()
                part = len(self._file.facts) / max(1, len(self._file.index))
            tell(total + int(total * part), 2 * total)
            time.sleep(0)

    def row(self, number: int) -> Row:
        """Row `number`, from 1, journal applied. Raises FtuiError when there is none."""
        with self._lock:
            at = self._find(number)
            return row_of(
                self._file, at, self._file.raw(at), self._file.line(at), self._placing.state_at.get(at)
            )

    def rows(self) -> Iterator[Row]:
        """Every row, journal applied, read in blocks. Raises FtuiError when the file changes meanwhile."""
        at, line = 0, 1
        while True:
            with self._lock:
                self._file.check()
                if at >= self._ensure(at + 1):
                    return
                page = []
                for raw in self._file.raws(at, _ROWS):
                    line = line if at else self._file.line(0)
                    page.append(row_of(self._file, at, raw, line, self._placing.state_at.get(at)))
                    line = self._file.line_after(line, at, raw)
                    at += 1
            yield from page

    def find_all(self) -> int:
        """Finds every row, however long that takes; how many there are."""
        with self._lock:
            while not self.complete:
                self._step()
            return len(self._file.index)

    def summaries(self, start: int, count: int) -> list[RowSummary]:
        """Up to `count` rows from row `start` on, for a list. Cheap; rows not found yet are left out."""
        with self._lock:
            self._file.check()
            first = max(1, start)
            last = min(start + count - 1, self._ensure(start + count - 1))
            cached = [self._summaries.get(number) for number in range(first, last + 1)]
            if None not in cached:
                return [summary for summary in cached if summary]
            if len(self._summaries) > _SUMMARIES:
                self._summaries.clear()
            raws = self._file.raws(first - 1, last - first + 1)
            page = []
            for number, raw, known in zip(range(first, last + 1), raws, cached, strict=False):
                if known is None:
                    known = summary_of(self._file, number - 1, raw, self._placing.state_at.get(number - 1))
                    self._summaries[number] = known
                page.append(known)
            return page

    def search(
        self,
        text: str,
        ignore_case: bool = False,
        limit: int = 0,
        progress: Progress | None = None,
        cancelled: Cancelled | None = None,
    ) -> list[int]:
        """Numbers of the rows that contain `text`, in order; the first `limit` of them, 0 for all.

        Edited rows are searched as they are now. Cancelled: those found so far. Raises FtuiError for an empty text.
        """
        if not text:
            raise FtuiError("nothing to search for", "give a text")
        stop = cancelled or (lambda: False)
        while not self.complete and not stop():
            with self._lock:
                self._step()
        needle = Needle(text, ignore_case)
        with self._lock:
            self._file.check()
            edited = {at for at, state in self._placing.state_at.items() if state.edits}
        found = [at + 1 for at in edited if needle.within(self.row(at + 1).text)]
        matches = matching_rows(self._file, needle, progress or (lambda done, total: None), stop)
        unedited = (at + 1 for at in matches if at not in edited)
        found += islice(unedited, limit) if limit else unedited
        return sorted(found)[: limit or None]

    def annotations(self, number: int) -> list[Op]:
        """The operations on row `number` that are not undone, oldest first."""
        with self._lock:
            state = self._placing.state_at.get(self._find(number))
            return list(state.ops) if state else []

    # ---- deciding and editing

    def annotate(self, number: int, action: Action) -> Op:
        """Writes one action on row `number`; on the disk when this returns. Raises FtuiError, then nothing changed."""
        return self.annotate_many([number], action)[0]

    def annotate_many(self, numbers: Sequence[int], action: Action) -> list[Op]:
        """One action on many rows, one undo for all. Raises FtuiError, then nothing changed."""
        with self._lock:
            for number in (min(numbers), max(numbers)) if numbers else ():
                self._find(number)
            rows = [number - 1 for number in numbers]
            ops = operations(
                self._file, self._placing.state_at, self._annotations, self._journal, self.who, rows, action
            )
            return self._write(ops)

    def undo(self, count: int = 1) -> list[Op]:
        """Takes back this annotator's latest `count` actions, of earlier sessions too; what was undone, latest first."""
        with self._lock:
            self._read_journals()
            units = self._annotations.undoable(self.who, count)
            self._write(
                [
                    Op(
                        secrets.token_hex(8),
                        "undo",
                        self._journal.now(),
                        self.who,
                        op.sha,
                        op.occ,
                        op.n,
                        undoes=op.unit,
                    )
                    for op in (unit[0] for unit in units)
                ]
            )
            return [op for unit in units for op in unit]

    def log(self) -> Iterator[Op]:
        """Every operation of every annotator, undone ones and undos included, by time."""
        with self._lock:
            ops = self._annotations.log()
        yield from ops

    def refresh(self) -> bool:
        """Picks up other annotators' journals and a changed file; True when anything did change.

        Raises FtuiError when the file cannot be opened any more.
        """
        with self._lock:
            changed = self._read_journals()
            if self._file.changed():
                file = OpenedFile(self.path)
                rows, self._file = len(self._file.index), file
                self._replaced = (
                    *self._replaced,
                    f"the file changed on disk: read again ({rows} rows before)",
                )
                self._place_all()
                changed = True
            return changed

    # ---- inside

    def _read_journals(self) -> bool:
        if self._reader.changed():
            self._reader.reset()
            self._annotations = Annotations()
            self._mended.clear()
            self._place_all()
            self._take(self._reader.read())
            return True
        return self._take(self._reader.read())

    def _place_all(self) -> None:
        self._placing = Placing()
        self._summaries.clear()
        self._annotations.forget_places()
        self._placing.add(self._annotations.states.values())
        self._settle()

    def _take(self, ops: Iterable[Op]) -> bool:
        touched = self._annotations.add(ops)
        self._placing.add(touched)
        self._settle()
        for state in touched:
            self._summaries.pop(self._placing.row_of.get(state.key, -1) + 1, None)
            if any(op.op == "raw" for op in state.edits):
                self._mended.add(state)
            else:
                self._mended.discard(state)
        return bool(touched)

    def _settle(self) -> None:
        for row in self._file.settle(self._placing, self._annotations):
            self._summaries.pop(row + 1, None)

    def _step(self) -> None:
        self._file.step()
        self._settle()

    def _ensure(self, number: int) -> int:
        """Looks for rows until `number` are known or there are no more; how many are known."""
        while len(self._file.index) < number and not self.complete:
            self._step()
        return len(self._file.index)

    def _find(self, number: int) -> int:
        """Row `number` counted from 0. Raises FtuiError when there is none."""
        self._file.check()
        if number < 1 or number > self._ensure(number):
            known = len(self._file.index)
            hint = (
                "rows are numbered from 1"
                if number < 1
                else f"the last one is {known}"
                if known
                else "the file has none"
            )
            raise FtuiError(f"there is no row {number}", hint, str(self.path))
        return number - 1

    def _write(self, ops: list[Op]) -> list[Op]:
        if ops:
            start, end = self._journal.append(ops)
            if self._journal.path is not None:
                self._reader.skip(self._journal.path, start, end)
            for op in ops:
                if op.op != "undo":
                    self._place_new(op)
            self._take(ops)
        return ops

    def _place_new(self, op: Op) -> None:
        state = self._annotations.states.setdefault((op.sha, op.occ), RowState((op.sha, op.occ), op.n))
        if state.orphan:
            self._annotations.set_orphan(state, False)
        self._placing.put(state, op.n - 1)

"""A dataset as people work on it: the rows of a file with their journal applied."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

from ftui.data.dataset_reading import Cancelled, DatasetReading, Progress
from ftui.data.journal import default_who
from ftui.data.opened import OpenedFile

if TYPE_CHECKING:
    from pathlib import Path

    from ftui.core.shapes_mapping import FieldMap
    from ftui.data.actions import Action
    from ftui.data.annotations import RowState
    from ftui.data.operation import Op
    from ftui.data.rows import Counts

__all__ = ["Cancelled", "Dataset", "Progress"]

_STATES = 4096  # looked at in one go: the lock is never held for longer


class Dataset(DatasetReading):
    """One file. Rows are numbered from 1, blank lines aside. Every method may be called from any thread.

    The first rows can be read at once; `build` (in a thread) finds the others. Methods that read rows raise
    FtuiError when the file was replaced, cut or deleted meanwhile; `refresh` then opens it anew.
    """

    @classmethod
    def open(cls, path: Path, who: str | None = None) -> Dataset:
        """Opens `path` (cheaply: some kilobytes are read). Raises FtuiError for what is no dataset.

        who: the annotator; $FTUI_USER or the login name when not given.
        """
        return cls(path, who or default_who())

    # ---- what was decided

    @property
    def bad_journal_lines(self) -> int:
        """Journal lines that could not be read. They stay where they are."""
        return self._decisions.bad_lines

    def orphans(self) -> list[tuple[Op, ...]]:
        """The operations on each row that is gone from the file; final once `complete` is."""
        with self._lock:
            return self._decisions.orphans()

    def conflicts(self) -> dict[int, dict[str, str]]:
        """Rows that one annotator accepted and another rejected: {row number: {who: status}}."""
        with self._lock:
            return {row + 1: statuses for row, statuses in self._decisions.conflicts().items()}

    def decided_rows(self, wanted: Callable[[RowState], bool]) -> list[int]:
        """Numbers of the annotated rows for which `wanted` is true, in order. Nothing is read."""
        with self._lock:
            rows = sorted(self._decisions.placed())
        found: list[int] = []
        for start in range(0, len(rows), _STATES):
            with self._lock:
                states = map(self._decisions.state, part := rows[start : start + _STATES])
                found += [row + 1 for row, state in zip(part, states, strict=True) if state and wanted(state)]
        return found

    def undecided_among(self, numbers: Sequence[int]) -> int:
        """How many of these rows, ascending, are neither decided nor deleted."""
        done = self.decided_rows(lambda state: state.deleted or state.status != "undecided")
        return len(numbers) - sum(
            (at := bisect_left(numbers, number)) < len(numbers) and numbers[at] == number for number in done
        )

    def counts(self) -> Counts:
        """Rows by decision, from running totals: nothing is read."""
        with self._lock:
            return self._decisions.counts(self._file)

    def annotations(self, number: int) -> list[Op]:
        """The operations on row `number` that are not undone, oldest first."""
        with self._lock:
            state = self._decisions.state(self._find(number))
            return list(state.ops) if state else []

    # ---- deciding and editing

    def annotate(self, number: int, action: Action) -> Op:
        """Writes one action on row `number`: on the disk when this returns.

        Raises FtuiError where it cannot be applied or written; nothing has changed then.
        """
        return self.annotate_many([number], action)[0]

    def annotate_many(self, numbers: Sequence[int], action: Action) -> list[Op]:
        """One action on many rows, one undo for all. Raises FtuiError, then nothing changed."""
        return self.annotate_each([(number, action) for number in numbers])

    def annotate_each(self, changes: Sequence[tuple[int, Action]]) -> list[Op]:
        """(row number, action) each, one undo for all. Raises FtuiError, then nothing changed.

        Several edits of one row must name different places.
        """
        numbers = [number for number, _ in changes]
        with self._lock:
            for number in (min(numbers), max(numbers)) if numbers else ():
                self._find(number)
            return self._decisions.apply(self._file, [(number - 1, action) for number, action in changes])

    def map_fields(self, mapping: FieldMap | None) -> Op:
        """Has every row read by `mapping` from now on, None: as it looks; one undo takes it back.

        Rows that lack what the mapping needs keep the shape they have. Raises FtuiError where it cannot be
        written; nothing has changed then.
        """
        with self._lock:
            return self._decisions.map_fields(self._file, mapping)

    def undo(self, count: int = 1) -> list[Op]:
        """Takes back this annotator's latest `count` actions, those of earlier sessions too.

        Returns what was undone, latest first: one operation each, all of them for a bulk action.
        """
        with self._lock:
            return self._decisions.undo(self._file, count)

    def redo(self) -> list[Op]:
        """Does again what this annotator's latest `undo` took back, unless they did something else since.

        Returns the operations that are back, none where there is nothing to redo.
        """
        with self._lock:
            return self._decisions.redo(self._file)

    def log(self) -> Iterator[Op]:
        """Every operation of every annotator, undone ones and undos included, by time."""
        with self._lock:
            ops = self._decisions.log()
        yield from ops

    @property
    def times_replaced(self) -> int:
        """How often the file has been read anew since it was opened, because it had changed."""
        return len(self._replaced)

    def refresh(self) -> bool:
        """Picks up other annotators' journals and a changed file; True when anything did change.

        Raises FtuiError when the file cannot be opened any more.
        """
        with self._lock:
            changed = self._decisions.read(self._file)
            if self._file.changed():
                before = len(self._file.index)
                self._file = OpenedFile(self.path)
                self._decisions.place_all(self._file)
                self._summaries.clear()
                self._replaced += (f"the file changed on disk: read again ({before} rows before)",)
                changed = True
            return changed

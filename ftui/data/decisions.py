"""What people decided about a dataset's rows: journals read and written, and the rows they belong to."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

from ftui.core.shapes_mapping import parse
from ftui.data.annotations import Annotations, RowState, apply_edits
from ftui.data.changes import operations
from ftui.data.facts import BROKEN
from ftui.data.journal import Journal, JournalReader, sidecar
from ftui.data.no_collection import no_collection
from ftui.data.operation import Op
from ftui.data.placing import Placing
from ftui.data.rows import Counts

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from ftui.core.shapes_mapping import FieldMap
    from ftui.data.actions import Action
    from ftui.data.opened import OpenedFile


_ROWLESS = frozenset(("undo", "map", "commit"))  # operations that name no row of their own


class Decisions:
    """Rows are counted from 0 here. Not locked: `Dataset` does that.

    changed: rows whose decisions changed since the caller last emptied it.
    """

    def __init__(self, path: Path, who: str) -> None:
        self._who = who
        self._journal = Journal(sidecar(path), who)
        self._reader = JournalReader(sidecar(path))
        self._annotations = Annotations()
        self._placing = Placing()
        self._rewritten: set[RowState] = set()  # rows whose whole text was replaced
        self.changed: set[int] = set()

    def close(self) -> None:
        self._journal.close()

    def state(self, row: int) -> RowState | None:
        """What was decided about `row`, None for nothing ever."""
        return self._placing.state_at.get(row)

    def placed(self) -> list[int]:
        """Rows with a state, in no order."""
        return list(self._placing.state_at)

    @property
    def bad_lines(self) -> int:
        return self._reader.bad

    @property
    def mapping(self) -> FieldMap | None:
        """How the file's rows are to be read; None: as they look."""
        op = self._annotations.mapping
        return parse(op.after) if op is not None and op.after is not None else None

    def edited(self) -> set[int]:
        """Rows with edits."""
        return {row for row, state in self._placing.state_at.items() if state.edits}

    def orphans(self) -> list[tuple[Op, ...]]:
        return [tuple(state.ops) for state in self._annotations.states.values() if state.orphan and state.ops]

    def conflicts(self) -> dict[int, dict[str, str]]:
        """Rows that one annotator accepted and another rejected: {row: {who: status}}."""
        placed = self._placing.state_at.items()
        return {
            row: dict(state.statuses)
            for row, state in sorted(placed, key=lambda item: item[0])
            if state.conflict
        }

    def log(self) -> list[Op]:
        return self._annotations.log()

    def counts(self, file: OpenedFile) -> Counts:
        """From running totals; only rows whose whole text was replaced are looked at."""
        tally, broken = self._annotations.tally, file.facts.broken
        for state in self._rewritten:
            was_broken = file.facts.shape_of(self._placing.row_of.get(state.key, -1)) == BROKEN
            broken += (apply_edits(None, "", state.edits, file.parse)[1] != "") - was_broken
        undecided = max(0, len(file.index) - tally.accepted - tally.rejected - tally.deleted)
        return Counts(
            undecided,
            tally.accepted,
            tally.rejected,
            tally.flagged,
            tally.edited,
            tally.deleted,
            max(0, broken),
        )

    def read(self, file: OpenedFile) -> bool:
        """Reads what was added to the journals; True when anything was."""
        if self._reader.changed():
            self._reader.reset()
            self._annotations = Annotations()
            self._rewritten.clear()
            self.changed.update(self._placing.state_at)
            self._placing = Placing()
            self._take(self._reader.read(), file)
            return True
        with no_collection():
            return self._take(self._reader.read(), file)

    def settle(self, file: OpenedFile) -> None:
        """Finds rows for decisions among those the index knows by now."""
        self.changed.update(file.settle(self._placing, self._annotations))

    def place_all(self, file: OpenedFile) -> None:
        """Looks for every row again: the file is another one."""
        file.read_as(self.mapping)
        self._placing = Placing()
        self._annotations.forget_places()
        self._placing.add(self._annotations.states.values())
        self.settle(file)

    def apply(self, file: OpenedFile, changes: Sequence[tuple[int, Action]]) -> list[Op]:
        """(row from 0, action) each, written as one. Raises FtuiError, then nothing changed."""
        with no_collection():
            ops = operations(
                file,
                self._placing.state_at,
                self._annotations,
                self._journal,
                who=self._who,
                changes=changes,
            )
            self._write(ops, file)
        return ops[: len(changes)]  # without the commit

    def map_fields(self, file: OpenedFile, mapping: FieldMap | None) -> Op:
        """Writes how the file's rows are to be read from now on. Raises FtuiError, then nothing changed."""
        self.read(file)
        before = None if file.mapping is None else file.mapping.to_dict()
        after = None if mapping is None else mapping.to_dict()
        op = Op(
            secrets.token_hex(8), "map", self._journal.now(), self._who, "", 0, 0, before=before, after=after
        )
        self._write([op], file)
        return op

    def undo(self, file: OpenedFile, count: int) -> list[Op]:
        """Takes back the latest `count` units of this annotator; what they were, latest first."""
        self.read(file)
        units = self._annotations.undoable(self._who, count)
        firsts = [unit[0] for unit in units]
        now = self._journal.now
        self._write(
            [
                Op(secrets.token_hex(8), "undo", now(), self._who, op.sha, op.occ, op.n, undoes=op.unit)
                for op in firsts
            ],
            file,
        )
        return self._as_placed(op for unit in units for op in unit)

    def redo(self, file: OpenedFile) -> list[Op]:
        """Takes back this annotator's latest undo; what that brought back, none where there is nothing to redo."""
        self.read(file)
        found = self._annotations.redoable(self._who)
        if found is None:
            return []
        undo, ops = found
        now = self._journal.now()
        again = Op(secrets.token_hex(8), "undo", now, self._who, undo.sha, undo.occ, undo.n, undoes=undo.id)
        self._write([again], file)
        return self._as_placed(ops)

    def _as_placed(self, ops: Iterable[Op]) -> list[Op]:
        """Operations with `n` as it is now: rows may have moved since."""
        rows = self._placing.row_of
        return [op._replace(n=rows.get((op.sha, op.occ), op.n - 1) + 1) for op in ops]

    def _write(self, ops: list[Op], file: OpenedFile) -> None:
        if not ops:
            return
        start, end = self._journal.append(ops)
        if self._journal.path is not None:
            self._reader.skip(self._journal.path, start, end)
        for op in ops:
            if op.op not in _ROWLESS:
                self._place_new(op)
        self._take(ops, file)

    def _place_new(self, op: Op) -> None:
        key = (op.sha, op.occ)
        state = self._annotations.states.get(key)
        if state is None:
            state = self._annotations.states[key] = RowState(key, op.n)
        if state.orphan:
            self._annotations.set_orphan(state, False)
        self._placing.put(state, op.n - 1)

    def _take(self, ops: Iterable[Op], file: OpenedFile) -> bool:
        with no_collection():
            return self._taken(ops, file)

    def _taken(self, ops: Iterable[Op], file: OpenedFile) -> bool:
        touched = self._annotations.add(ops)
        remapped = self.mapping != file.mapping
        file.read_as(self.mapping)
        self._placing.add(touched)
        self.settle(file)
        for state in touched:
            if (row := self._placing.row_of.get(state.key)) is not None:
                self.changed.add(row)
            if state.edits and any(op.op == "raw" for op in state.edits):
                self._rewritten.add(state)
            elif self._rewritten:
                self._rewritten.discard(state)
        return remapped or bool(touched)

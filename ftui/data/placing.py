"""Finds the rows that annotations belong to: where last seen if that still fits, else by content."""

from __future__ import annotations

from collections import defaultdict
from operator import itemgetter
from typing import TYPE_CHECKING

from ftui.data.index import tag_of
from ftui.data.operation import row_sha

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ftui.data.annotations import Annotations, Key, RowState
    from ftui.data.index import Index
    from ftui.data.source import Bytes


_hint = itemgetter(0)


class Placing:
    """The two-way map of rows (from 0) and states, completed as the index grows.

    A state's hint (the row it was annotated at) is taken at once when the row there has its hash. The others
    wait until the index is complete, are looked up by content, and are orphans when their row is gone.
    """

    def __init__(self) -> None:
        self.state_at: dict[int, RowState] = {}
        self.row_of: dict[Key, int] = {}
        self._waiting: list[tuple[int, RowState]] = []  # by hint, the last one comes first
        self._lost: list[RowState] = []

    def add(self, states: Iterable[RowState]) -> None:
        new = [(state.hint - 1, state) for state in states if state.key not in self.row_of]
        if new:
            self._waiting += new
            self._waiting.sort(key=_hint, reverse=True)

    def put(self, state: RowState, row: int) -> None:
        self.state_at[row] = state
        self.row_of[state.key] = row

    def settle(self, index: Index, source: Bytes, annotations: Annotations) -> list[int]:
        """Places what can be placed with the rows known now; the rows that got an annotation."""
        known, placed = len(index), []
        waiting, complete = self._waiting, index.complete
        while waiting and (complete or waiting[-1][0] < known):
            row, state = waiting.pop()
            if state.key in self.row_of:
                continue
            if 0 <= row < known and row not in self.state_at and index.tags[row] == tag_of(state.key[0]):
                self.put(state, row)
                placed.append(row)
            else:
                self._lost.append(state)
        if index.complete and self._lost:
            placed += self._find_by_content(index, source, annotations)
        return placed

    def _find_by_content(self, index: Index, source: Bytes, annotations: Annotations) -> list[int]:
        placed: list[int] = []
        wanted: dict[str, list[RowState]] = defaultdict(list)
        for state in self._lost:
            wanted[state.key[0]].append(state)
        self._lost = []
        rows_by_tag = index.rows_by_tag({tag_of(sha) for sha in wanted})
        for sha, states in wanted.items():
            rows = [row for row in rows_by_tag[tag_of(sha)] if row_sha(index.raw(source, row)) == sha]
            for state in sorted(states, key=lambda state: state.key[1]):
                # Identical rows are interchangeable: where an earlier one is gone, its annotation moves over.
                exact = rows[state.key[1]] if state.key[1] < len(rows) else -1
                free = [row for row in rows if row not in self.state_at]
                if free:
                    placed.append(exact if exact in free else free[0])
                    self.put(state, placed[-1])
                annotations.set_orphan(state, not free)
        return placed

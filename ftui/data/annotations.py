"""What the journals say about each row, folded: the latest decision wins, edits are applied in order.

Nothing here reads a file: operations go in, states come out.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ftui.core.errors import FtuiError
from ftui.data import pointers

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from ftui.data.operation import Op

Key = tuple[str, int]  # (sha of the raw row, how many identical rows came before it)


@dataclass(eq=False)
class RowState:
    """Everything decided about one row. `ops` are those not undone, oldest first; the rest follows from them.

    hint: where the row was when last annotated. statuses: each annotator's latest decision.
    """

    key: Key
    hint: int
    ops: list[Op] = field(default_factory=list)
    status: str = "undecided"
    flagged: bool = False
    rating: int | None = None
    tags: tuple[str, ...] = ()
    note: str = ""
    deleted: bool = False
    edits: tuple[Op, ...] = ()
    statuses: dict[str, str] = field(default_factory=dict)
    orphan: bool = False

    def fold(self) -> None:
        """Works the facts out of `ops` again."""
        self.status, self.flagged, self.rating, self.note, self.deleted = "undecided", False, None, "", False
        tags: dict[str, None] = {}
        self.statuses = {}
        for op in self.ops:
            match op.op:
                case "status":
                    self.status = self.statuses[op.who] = op.after
                case "flag":
                    self.flagged = op.after
                case "rate":
                    self.rating = op.after
                case "note":
                    self.note = op.after
                case "tag":
                    tags[op.after] = None
                case "untag":
                    tags.pop(op.after, None)
                case "delete" | "restore":
                    self.deleted = op.op == "delete"
        self.tags = tuple(tags)
        self.edits = tuple(op for op in self.ops if op.op in ("set", "raw"))

    @property
    def empty(self) -> bool:
        return not self.ops

    @property
    def conflict(self) -> bool:
        """True when annotators disagree: one accepted what another rejected."""
        return {"accepted", "rejected"} <= set(self.statuses.values())


@dataclass
class Tally:
    """Running totals over states that are no orphans."""

    accepted: int = 0
    rejected: int = 0
    flagged: int = 0
    edited: int = 0
    deleted: int = 0

    def count(self, state: RowState, sign: int) -> None:
        if state.orphan:
            return
        self.deleted += sign * state.deleted
        self.flagged += sign * state.flagged
        self.edited += sign * bool(state.edits)
        self.accepted += sign * (state.status == "accepted" and not state.deleted)
        self.rejected += sign * (state.status == "rejected" and not state.deleted)


class Annotations:
    """The states of all annotated rows, and what can be undone."""

    def __init__(self) -> None:
        self.states: dict[Key, RowState] = {}
        self.tally = Tally()
        self._seen: set[str] = set()
        self._units: dict[str, list[Op]] = {}  # what one undo takes back
        self._undone: set[str] = set()
        self._undos: list[Op] = []
        self._by_who: dict[str, list[tuple[float, str]]] = {}  # units of each annotator, by time once sorted

    def add(self, ops: Iterable[Op]) -> list[RowState]:
        """Takes operations in any order, each counted once; the states they touched, each once."""
        touched: dict[Key, RowState] = {}
        for op in ops:
            if op.id in self._seen:
                continue
            self._seen.add(op.id)
            if op.op == "undo":
                self._undos.append(op)
                if op.undoes not in self._undone:
                    self._undone.add(op.undoes)
                    touched.update((state.key, state) for state in self._take_back(op.undoes))
                continue
            unit = self._units.setdefault(op.unit, [])
            if not unit:
                self._by_who.setdefault(op.who, []).append((op.ts, op.unit))
            unit.append(op)
            state = self.states.get((op.sha, op.occ))
            if state is None:
                state = self.states[op.sha, op.occ] = RowState((op.sha, op.occ), op.n)
            if op.unit not in self._undone:
                state.ops.append(op)
                touched[state.key] = state
        for state in touched.values():
            self._refold(state)
        return list(touched.values())

    def undoable(self, who: str, count: int) -> list[list[Op]]:
        """The latest `count` units of `who` that are not undone, latest first."""
        units = self._by_who.get(who, [])
        units.sort()  # nearly sorted already: linear
        found: list[list[Op]] = []
        for at in range(len(units) - 1, -1, -1):
            if len(found) == count:
                break
            unit = units[at][1]
            if unit in self._undone:
                if at == len(units) - 1:
                    units.pop()  # never looked at again
            else:
                found.append(self._units[unit])
        return found

    def log(self) -> list[Op]:
        """Every operation, undone ones and undos included, by time."""
        ops = [op for unit in self._units.values() for op in unit] + self._undos
        return sorted(ops, key=lambda op: (op.ts, op.id))

    def forget_places(self) -> None:
        """No state is an orphan until its row has been looked for again."""
        for state in self.states.values():
            self.set_orphan(state, False)

    def is_undone(self, op: Op) -> bool:
        return op.unit in self._undone

    def set_orphan(self, state: RowState, orphan: bool) -> None:
        self.tally.count(state, -1)
        state.orphan = orphan
        self.tally.count(state, 1)

    def _take_back(self, unit: str) -> list[RowState]:
        states = []
        for op in self._units.get(unit, ()):
            state = self.states[op.sha, op.occ]
            state.ops = [kept for kept in state.ops if kept.unit != unit]
            states.append(state)
        return states

    def _refold(self, state: RowState) -> None:
        self.tally.count(state, -1)
        state.ops.sort(key=lambda op: (op.ts, op.id))
        if state.ops:
            state.hint = state.ops[-1].n
        state.fold()
        self.tally.count(state, 1)


def apply_edits(
    value: Any, broken: str, edits: Iterable[Op], parse: Callable[[bytes], tuple[Any, str]]
) -> tuple[Any, str]:
    """The row's (value, why it is broken) after `edits`, oldest first.

    A "set" whose place is gone, because an earlier edit was undone, is left out.
    """
    for op in edits:
        if op.op == "raw":
            value, broken = parse(op.after.encode("utf-8", "surrogatepass"))
        elif not op.path:
            value, broken = op.after, ""
        elif not broken:
            with contextlib.suppress(FtuiError):
                value = pointers.put(value, op.path, op.after)
    return value, broken

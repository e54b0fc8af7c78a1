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
    from collections.abc import Callable, Iterable, Iterator

    from ftui.data.operation import Op

Key = tuple[str, int]  # (sha of the raw row, how many identical rows came before it)
_EDITS = frozenset(("set", "raw"))


@dataclass(eq=False, slots=True)
class RowState:
    """Everything decided about one row. `ops` are those not undone, oldest first; the rest follows from them.

    hint: where the row was when last annotated. decisions: each annotator's latest decision on the status, but
    for those that a later one settled.
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
    decisions: dict[str, Op] = field(default_factory=dict)
    orphan: bool = False

    def fold(self) -> None:
        """Works the facts out of `ops` again."""
        self.status, self.flagged, self.rating, self.note, self.deleted = "undecided", False, None, "", False
        tags: dict[str, None] = {}
        self.decisions = {}
        settled: set[str] = set()
        for op in self.ops:
            if op.settles:
                settled.update(op.settles)
        for op in self.ops:
            match op.op:
                case "status":
                    if op.id not in settled:
                        self.status, self.decisions[op.who] = op.after, op
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
        self.edits = tuple([op for op in self.ops if op.op in _EDITS])

    @property
    def empty(self) -> bool:
        return not self.ops

    @property
    def statuses(self) -> dict[str, str]:
        """Each annotator's latest decision, but for settled ones."""
        return {who: op.after for who, op in self.decisions.items()}

    @property
    def conflict(self) -> bool:
        """True when annotators disagree: one accepted what another rejected.

        A decision made where that is known settles it: `Op.settles` names the decisions it overrules. One that
        it does not name, of a journal that came later, is in conflict with it in turn.
        """
        decisions = self.decisions
        return len(decisions) > 1 and {"accepted", "rejected"} <= {op.after for op in decisions.values()}


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
        if state.flagged:
            self.flagged += sign
        if state.edits:
            self.edited += sign
        if state.deleted:
            self.deleted += sign
        elif state.status == "accepted":
            self.accepted += sign
        elif state.status == "rejected":
            self.rejected += sign


class Annotations:
    """The states of all annotated rows, and what can be undone."""

    def __init__(self) -> None:
        self.states: dict[Key, RowState] = {}
        self.tally = Tally()
        self._seen: set[str] = set()
        self._units: dict[str, list[Op]] = {}  # what one undo takes back
        self._undone: set[str] = set()
        self._waiting: dict[str, dict[str, Op]] = {}  # bulk actions not read whole so far: operations by id
        self._committed: set[str] = set()
        self._undos: list[Op] = []
        self._undos_of: dict[str, list[str]] = {}  # what was taken back: the ids of its undos
        self._target: dict[str, str] = {}  # the id of an undo: what it takes back
        self._dropped: set[str] = set()  # units that `undoable` does not look at again
        self._mappings: list[Op] = []  # how the file's rows are read: those not undone, by time
        self._by_who: dict[str, list[tuple[float, str]]] = {}  # units of each annotator, by time once sorted

    def add(self, ops: Iterable[Op]) -> list[RowState]:
        """Takes operations in any order, each counted once; the states they touched, each once."""
        touched: dict[Key, RowState] = {}
        seen, states, units, undone = self._seen, self.states, self._units, self._undone
        for op in self._whole(ops):
            if op.id in seen:
                continue
            seen.add(op.id)
            if op.op == "undo":
                touched.update((state.key, state) for state in self._add_undo(op))
                continue
            name = op.group or op.id
            unit = units.get(name)
            if unit is None:
                unit = units[name] = []
                self._by_who.setdefault(op.who, []).append((op.ts, name))
            unit.append(op)
            if op.op == "map":
                if op.unit not in self._undone:
                    self._mappings.append(op)
                    self._mappings.sort(key=lambda op: (op.ts, op.id))
                continue
            key = (op.sha, op.occ)
            state = states.get(key)
            if state is None:
                state = states[key] = RowState(key, op.n)
            if name not in undone:
                state.ops.append(op)
                touched[key] = state
        for state in touched.values():
            self._refold(state)
        return list(touched.values())

    def _whole(self, ops: Iterable[Op]) -> Iterator[Op]:
        """`ops` without those of bulk actions that are not known to have been written whole; they wait."""
        for op in ops:
            if not op.of or op.group in self._committed:
                if op.op != "commit":
                    yield op
                continue
            waiting = self._waiting.setdefault(op.group, {})
            if op.op != "commit":
                waiting[op.id] = op
            if op.op == "commit" or len(waiting) == op.of:
                self._committed.add(op.group)
                yield from self._waiting.pop(op.group).values()

    @property
    def mapping(self) -> Op | None:
        """The latest word on how the file's rows are read."""
        return self._mappings[-1] if self._mappings else None

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
                    self._dropped.add(units.pop()[1])  # not looked at again, unless it is done again
            else:
                found.append(self._units[unit])
        return found

    def redoable(self, who: str) -> tuple[Op, list[Op]] | None:
        """The latest undo of `who` and what it took back, unless that was done again or `who` went on since."""
        own = [op for op in self._undos if op.who == who and op.undoes in self._units]
        standing = [op for op in own if op.id not in self._undos_of]
        if not standing:
            return None
        undo = max(standing, key=lambda op: (op.ts, op.id))
        latest = max(self._by_who.get(who, []), default=(0.0, ""))
        return None if latest[0] > undo.ts else (undo, self._units[undo.undoes])

    def log(self) -> list[Op]:
        """Every operation, undone ones and undos included, by time."""
        ops = [op for unit in self._units.values() for op in unit] + self._undos
        return sorted(ops, key=lambda op: (op.ts, op.id))

    def forget_places(self) -> None:
        """No state is an orphan until its row has been looked for again."""
        for state in self.states.values():
            self.set_orphan(state, False)

    def set_orphan(self, state: RowState, orphan: bool) -> None:
        self.tally.count(state, -1)
        state.orphan = orphan
        self.tally.count(state, 1)

    def _add_undo(self, undo: Op) -> list[RowState]:
        """What an undo takes back: a unit, or, where it names an undo, that undo: its unit is done again."""
        self._undos.append(undo)
        self._undos_of.setdefault(undo.undoes, []).append(undo.id)
        self._target[undo.id] = undo.undoes
        again = self._target.get(undo.undoes)
        return self._settle(undo.undoes) + (self._settle(again) if again is not None else [])

    def _settle(self, unit: str) -> list[RowState]:
        """A unit is undone while one of its undos was not taken back itself; the order of reading is all one."""
        undone = any(undo not in self._undos_of for undo in self._undos_of.get(unit, ()))
        if undone == (unit in self._undone):
            return []
        if undone:
            self._undone.add(unit)
            return self._take_back(unit)
        self._undone.discard(unit)
        return self._put_back(unit)

    def _put_back(self, unit: str) -> list[RowState]:
        states, ops = [], self._units.get(unit, [])
        if unit in self._dropped:
            self._dropped.discard(unit)
            self._by_who[ops[0].who].append((ops[0].ts, unit))
        for op in ops:
            if op.op == "map":
                self._mappings.append(op)
                self._mappings.sort(key=lambda op: (op.ts, op.id))
                continue
            state = self.states[op.sha, op.occ]
            state.ops.append(op)
            states.append(state)
        return states

    def _take_back(self, unit: str) -> list[RowState]:
        states = []
        self._mappings = [op for op in self._mappings if op.unit != unit]
        for op in self._units.get(unit, ()):
            if op.op == "map":
                continue
            state = self.states[op.sha, op.occ]
            state.ops = [kept for kept in state.ops if kept.unit != unit]
            states.append(state)
        return states

    def _refold(self, state: RowState) -> None:
        self.tally.count(state, -1)
        if len(state.ops) > 1:
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

"""From an action to the operation that is written: which row it names, and what it replaces."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Any

from ftui.core.errors import FtuiError
from ftui.data import pointers
from ftui.data.annotations import RowState
from ftui.data.operation import Op, row_sha
from ftui.data.row_view import encoded, value_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from ftui.data.actions import Action
    from ftui.data.annotations import Annotations, Key
    from ftui.data.journal import Journal
    from ftui.data.opened import OpenedFile

_NOTHING = RowState(("", 0), 0)  # of a row nobody has touched; never changed
_MANY = 32  # rows: from here on, one pass over all hashes is cheaper than a search for each


def operations(
    file: OpenedFile,
    state_at: Mapping[int, RowState],
    annotations: Annotations,
    journal: Journal,
    *,
    who: str,
    changes: Sequence[tuple[int, Action]],
) -> list[Op]:
    """An operation for each (row from 0, action); several are one group. Raises FtuiError, then none."""
    name = secrets.token_hex(8)
    group, of = (name, len(changes)) if len(changes) > 1 else ("", 0)
    times = journal.times(len(changes) + 1 if group else 1)
    rows = {at for at, _ in changes}
    alike = file.index.rows_by_tag({file.index.tags[at] for at in rows}) if len(rows) > _MANY else None
    taken: set[Key] = set()
    new: dict[int, Key] = {}
    ops = []
    for nth, ((at, action), raw) in enumerate(zip(changes, _raws(file, changes), strict=True), 1):
        state = state_at.get(at)
        key = state.key if state is not None else new.get(at)
        if key is None:
            sha = row_sha(raw)
            same = alike[file.index.tags[at]] if alike else file.index.rows_with_tag(sha, at)
            key = new[at] = _free_key(sha, file.twins_before(at, raw, same), annotations, taken)
        state = state or _NOTHING
        taken.add(key)
        before = _before(file, raw, state, action)
        overruled = state.decisions.values() if action.kind == "status" and state.conflict else ()
        settles = tuple([op.id for op in overruled])
        sha, occ = key
        ops.append(
            Op(
                f"{name}.{nth}" if group else name, action.kind, next(times), who, sha, occ, at + 1,
                action.path, before, action.value, group, "", settles, of,
            )
        )  # fmt: skip
    if group:
        ops.append(Op(f"{name}.0", "commit", next(times), who, "", 0, 0, group=group, of=of))
    return ops


def _raws(file: OpenedFile, changes: Sequence[tuple[int, Action]]) -> Iterator[bytes]:
    """The bytes of each change's row; neighbours are read in one go."""
    start = 0
    while start < len(changes):
        end, first = start + 1, changes[start][0]
        while end < len(changes) and changes[end][0] == first + end - start:
            end += 1
        if end - start == 1:
            yield file.raw(first)
        else:
            yield from file.raws(first, end - start)
        start = end


def _free_key(sha: str, occ: int, annotations: Annotations, taken: set[Key]) -> Key:
    """The row's name, or the next free one: rows may have been re-ordered since others like it were named."""
    states = annotations.states
    while (sha, occ) in taken or ((sha, occ) in states and not states[sha, occ].orphan):
        occ += 1
    return sha, occ


def _before(file: OpenedFile, raw: bytes, state: RowState, action: Action) -> Any:
    """What the action replaces, MISSING where nothing. Raises FtuiError when it cannot be applied."""
    match action.kind:
        case "set":
            value, broken, _ = value_of(file, raw, state)
            if broken and action.path:
                raise FtuiError(
                    f"this row is broken: {broken}", "replace its whole text first", str(file.path)
                )
            changed = pointers.put(value, action.path, action.value)
            try:
                encoded(file, changed, raw)
            except RecursionError:
                raise FtuiError("nested too deeply to edit", "", str(file.path)) from None
            return pointers.MISSING if broken else pointers.get(value, action.path)
        case "raw":
            value, broken, _ = value_of(file, raw, state)
            return raw.decode("utf-8", "replace") if broken or not state.edits else encoded(file, value, raw)
        case "status":
            return state.status
        case "flag":
            return state.flagged
        case "rate":
            return state.rating
        case "note":
            return state.note
        case "delete" | "restore":
            return state.deleted
    return pointers.MISSING

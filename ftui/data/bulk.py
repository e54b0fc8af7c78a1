"""Bulk actions: which rows one action would change."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ftui.data.annotations import RowState

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ftui.data.actions import Action
    from ftui.data.dataset import Dataset

_NOTHING = RowState(("", 0), 0)  # of a row nobody has touched


def rows_to_change(dataset: Dataset, numbers: Sequence[int], action: Action) -> list[int]:
    """Those of `numbers` that `action` would change, in their order: rows that are so already are left alone.

    For a decision (status, flag, rating, tag, deletion), which applies to every row alike. Nothing is read.
    """
    if not changes(_NOTHING, action):
        some = set(dataset.decided_rows(lambda state: changes(state, action)))
        return [number for number in numbers if number in some]
    done = set(dataset.decided_rows(lambda state: not changes(state, action)))
    return [number for number in numbers if number not in done]


def changes(state: RowState, action: Action) -> bool:
    """Whether `action` would change what is decided about a row. A row in conflict is settled by any decision."""
    match action.kind:
        case "status":
            return bool(state.status != action.value or state.conflict)
        case "flag":
            return bool(state.flagged != action.value)
        case "rate":
            return bool(state.rating != action.value)
        case "tag":
            return action.value not in state.tags
        case "untag":
            return action.value in state.tags
        case "delete" | "restore":
            return state.deleted != (action.kind == "delete")
    return True

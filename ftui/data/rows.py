"""A row as the screen sees it, and what the list shows of one."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from ftui.core.example import Example
    from ftui.core.shapes_mapping import FieldMap
    from ftui.data.annotations import RowState


@dataclass(frozen=True, slots=True)
class Row:
    """One row with its journal applied.

    number: from 1, blank lines aside. line: the line it starts on, from 1.
    raw: the row's own bytes in the source, never edited. value: parsed and edited; None when broken.
    broken: why it could not be read, "" when it could. text: what to show or edit as text (edits applied).
    shape: see `core.shapes`; "broken" when it could not be read. example: None when the shape is unknown.
    status: "undecided", "accepted" or "rejected". edited_at: seconds since the epoch, 0 when not edited.
    mapping: how the file's rows are read, where a person said so.
    """

    number: int
    line: int
    raw: bytes
    value: Any
    broken: str
    shape: str
    example: Example | None
    text: str
    status: str = "undecided"
    flagged: bool = False
    rating: int | None = None
    tags: tuple[str, ...] = ()
    note: str = ""
    edited: bool = False
    edited_by: str = ""
    edited_at: float = 0.0
    deleted: bool = False
    mapping: FieldMap | None = None

    def annotated(self, state: RowState) -> Row:
        """This row with what was decided about it."""
        last = state.edits[-1] if state.edits else None
        return replace(
            self,
            status=state.status,
            flagged=state.flagged,
            rating=state.rating,
            tags=state.tags,
            note=state.note,
            edited=last is not None,
            edited_by=last.who if last else "",
            edited_at=last.ts if last else 0.0,
            deleted=state.deleted,
        )


class RowSummary(NamedTuple):
    """What the virtual list shows of a row. preview is sanitized, one line; turns 0 where there are none.

    A tuple, because a list makes fifty of them for every page: a frozen dataclass takes three times as long.
    """

    number: int
    status: str
    flagged: bool
    edited: bool
    deleted: bool
    shape: str
    turns: int
    chars: int
    preview: str
    broken: str
    conflict: bool = False


@dataclass(frozen=True, slots=True)
class Counts:
    """Rows by what was decided about them. Deleted rows are in no other count but edited and flagged."""

    undecided: int = 0
    accepted: int = 0
    rejected: int = 0
    flagged: int = 0
    edited: int = 0
    deleted: int = 0
    broken: int = 0

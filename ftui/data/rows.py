"""A row as the screen sees it, and the ladder from bytes to a value: orjson, standard library, broken."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NamedTuple

import orjson

if TYPE_CHECKING:
    from ftui.core.example import Example
    from ftui.core.shapes_mapping import FieldMap
    from ftui.data.annotations import RowState

_DIGITS = bytes.maketrans(b"0123456789", b"0" * 10)
_LONG_NUMBER = b"0" * 19
_BOM = b"\xef\xbb\xbf"


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


def parse_json(raw: bytes, *, exact: bool = True) -> tuple[Any, str]:
    """The JSON value in `raw` and "", or None and the reason it is broken. Never raises.

    orjson first; the standard library where orjson gives up on what Python can hold (NaN, lone surrogates) or
    would round (integers of 64 bits and more). `exact=False` skips that last check.
    """
    try:
        value = orjson.loads(raw)
    except (orjson.JSONDecodeError, RecursionError) as error:
        return _parse_slowly(raw, str(error))
    if exact and _LONG_NUMBER in raw.translate(_DIGITS):
        slow, reason = _parse_slowly(raw, "")
        return (value, "") if reason else (slow, "")
    return value, ""


def _parse_slowly(raw: bytes, reason: str) -> tuple[Any, str]:
    if not raw.strip(b"\0"):
        return None, f"{len(raw)} NUL bytes, no text"
    try:
        text = raw.removeprefix(_BOM).decode("utf-8")
    except UnicodeDecodeError as error:
        return None, f"not UTF-8: byte 0x{raw[error.start]:02X} at byte {error.start + 1}"
    try:
        return json.loads(text), ""
    except RecursionError:
        return None, "nested too deeply to read (about 1,000 levels)"
    except json.JSONDecodeError as error:
        where = f"column {error.pos + 1}" if "\n" not in text else f"line {error.lineno} column {error.colno}"
        if error.pos >= len(text.rstrip()) or error.msg.startswith("Unterminated string"):
            return None, f"ends too early: {_lower(error.msg)} at {where}"
        return None, f"{_lower(error.msg)} at {where}"
    except ValueError as error:  # an integer of more than 4,300 digits
        return None, _lower(str(error).partition(";")[0]) or reason


def _lower(text: str) -> str:
    return text[:1].lower() + text[1:]


def dump_json(value: Any) -> str:
    """`value` as one line of JSON that reads back as the same value: big integers and NaN included."""
    try:
        text = json.dumps(value, ensure_ascii=False)
        text.encode("utf-8")
    except UnicodeEncodeError:
        return json.dumps(value, ensure_ascii=True)  # lone surrogates exist only as escapes
    return text

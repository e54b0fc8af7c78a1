"""Rows and their summaries as the screen sees them: bytes, parsed, edits applied, shape recognised."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson

from ftui.core import shapes, shapes_turns
from ftui.core.text import one_line
from ftui.data.annotations import apply_edits
from ftui.data.facts import BROKEN
from ftui.data.row_json import dump_json
from ftui.data.rows import Row, RowSummary

if TYPE_CHECKING:
    from ftui.core.example import Example
    from ftui.data.annotations import RowState
    from ftui.data.opened import OpenedFile

_PREVIEW = 120  # characters
_PLAIN = frozenset(("messages", "sharegpt", "text"))
_LIGHT = 1 << 20  # a row of more bytes than this is summarised without parsing it


def value_of(
    file: OpenedFile, raw: bytes, state: RowState | None, exact: bool = True
) -> tuple[Any, str, str]:
    """(value, why it is broken, shape) of a row, edits applied. exact: keep integers over 64 bits whole."""
    value, broken = _edited(file, raw, state, exact)
    return value, broken, BROKEN if broken else file.shape_of(value)


def _edited(file: OpenedFile, raw: bytes, state: RowState | None, exact: bool = True) -> tuple[Any, str]:
    value, broken = file.parse(raw, exact)
    return apply_edits(value, broken, state.edits, file.parse) if state and state.edits else (value, broken)


def encoded(file: OpenedFile, value: Any, raw: bytes) -> str:
    """An edited row's text in the file's own format; as JSON where that cannot hold it."""
    try:
        return file.index.format.encode(value, raw).decode("utf-8", "replace")
    except ValueError:
        return dump_json(value)


def row_of(file: OpenedFile, at: int, raw: bytes, line: int, state: RowState | None) -> Row:
    """Row `at` (from 0)."""
    value, broken = _edited(file, raw, state)
    shape, example = (BROKEN, None) if broken else file.read_value(value)
    text = raw.decode("utf-8", "replace")
    if state and state.edits:
        last = state.edits[-1]
        text = last.after if last.op == "raw" else text if broken else encoded(file, value, raw)
    row = Row(at + 1, line, raw, value, broken, shape, example, text, mapping=file.mapping)
    return row if state is None else row.annotated(state)


def summary_of(file: OpenedFile, at: int, raw: bytes, state: RowState | None) -> RowSummary:
    """Row `at` (from 0) for the list. A row over a megabyte is not parsed: its length is in bytes then."""
    if state is None and (plain := _plain_summary(file, at, raw)):
        return plain
    turns, chars, broken = 0, len(raw), ""
    edited = state is not None and bool(state.edits)
    shape = "" if edited else file.votes.shape_of(at)
    if len(raw) > _LIGHT and not edited:
        shape = shape or "unknown"
        preview = one_line(raw[: _PREVIEW * 16].decode("utf-8", "replace"), _PREVIEW)
    else:
        value, broken = _edited(file, raw, state, exact=False)
        shape = BROKEN if broken else shape or file.shape_of(value)
        measures = _glance(value, shape) if file.mapping is None else None
        if measures is None and not broken and (example := file.read_value(value)[1]):
            measures = _measure(example)
        if measures:
            turns, chars, preview = measures
        else:
            text = raw[: _PREVIEW * 16].decode("utf-8", "replace") if broken else _sketch(value)
            preview = one_line(text, _PREVIEW)
    if state is None:
        return RowSummary(at + 1, "undecided", False, False, False, shape, turns, chars, preview, broken)
    return RowSummary(
        at + 1,
        state.status,
        state.flagged,
        bool(state.edits),
        state.deleted,
        shape,
        turns,
        chars,
        preview,
        broken,
        state.conflict,
    )


def _plain_summary(file: OpenedFile, at: int, raw: bytes) -> RowSummary | None:
    """The summary of a row like nearly all are, read for its shape and touched by nobody; else None."""
    shape = file.facts.shape_of(at)
    if shape not in _PLAIN or len(raw) > _LIGHT or file.mapping is not None or not file.holds_json:
        return None
    try:
        measures = _glance(orjson.loads(raw), shape)
    except orjson.JSONDecodeError:
        return None
    if measures is None:
        return None
    turns, chars, preview = measures
    return RowSummary(at + 1, "undecided", False, False, False, shape, turns, chars, preview, "")


def _glance(value: Any, shape: str) -> tuple[int, int, str] | None:
    """What `_measure` says, for a plain conversation, without making an Example of it; else None."""
    if not isinstance(value, dict):
        return None
    if shape == "text":
        text = value.get("text")
        return (0, len(text), one_line(text, _PREVIEW)) if isinstance(text, str) else None
    if shape not in ("messages", "sharegpt"):
        return None
    turns = value.get(shapes.TURN_KEYS[0]) or value.get(shapes.turn_key(value))
    if not isinstance(turns, list) or not value.keys().isdisjoint(shapes.SYSTEM_KEYS):
        return None
    chars, first, question = 0, "", ""
    for turn in turns:
        if not isinstance(turn, dict):
            return None
        said = turn["content"] if "content" in turn else turn.get("value")
        role = turn["role"] if "role" in turn else turn.get("from")
        if not isinstance(said, str) or not isinstance(role, str) or role == "function_call":
            return None
        chars += len(said)
        if not question and said and not said.isspace():
            first = first or said
            question = said if shapes_turns.ROLES.get(role.lower()) == "user" else ""
    return len(turns), chars, one_line(question or first, _PREVIEW)


def _measure(example: Example) -> tuple[int, int, str]:
    """(turns, characters, preview) of an example; the preview is its first question, or its text."""
    turns = [*example.messages, *example.chosen]
    chars = sum(len(turn.content) for turn in turns) + len(example.text or "")
    chars += sum(len(turn.content) for turn in example.rejected)
    if example.text is not None:
        return 0, chars, one_line(example.text, _PREVIEW)
    said = [turn for turn in turns if turn.content.strip()]
    first = next((turn.content for turn in said if turn.role == "user"), said[0].content if said else "")
    return len(turns), chars, one_line(first, _PREVIEW)


def _sketch(value: Any) -> str:
    """Enough of a value of unknown shape to tell it from its neighbours."""
    if isinstance(value, dict):
        return "  ".join(f"{key}: {_leaf(item)}" for key, item in list(value.items())[:8])
    return _leaf(value)


def _leaf(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(list(map(str, value))[:4]) + "}"
    return f"[{len(value)}]" if isinstance(value, list) else str(value)[:_PREVIEW]

"""A row as a person reads it: a list of blocks, each with the place in the row that an edit of it changes.

Pure: a Row and its operations in, blocks out. Widgets draw them; nothing here is sanitized yet.
"""

from __future__ import annotations

import json
from collections import deque
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from ftui.core.shapes_turns import openai_calls
from ftui.data import pointers
from ftui.data.pointers import escape

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ftui.core.example import Message
    from ftui.data.operation import Op
    from ftui.data.rows import Row

# What the list calls a shape: the word of a person who has never seen the format's name.
SHORT_SHAPES = {
    "messages": "chat",
    "sharegpt": "chat",
    "alpaca": "q&a",
    "prompt_completion": "q&a",
    "preference": "pair",
    "kto": "rated",
    "unknown": "json",
}


@dataclass(frozen=True, slots=True)
class Block:
    """One thing on the page.

    kind: "text", "json" (pretty-printed), "calls", "tools", "bytes" or "label".
    role: colours the heading: a message role, or "field" for what is no message.
    heading: the words above it; "" continues the block before. note: dim words after the heading.
    text: what is shown. column: "" or "chosen" / "rejected", shown side by side.
    pointer: where an edit goes; None when this block has no place of its own (then the whole row is edited).
    edit: what the editor opens with. as_json: the edited text is JSON, not a plain string.
    before: the text before the first edit, None when not edited. by, at: who edited it last, and when.
    """

    kind: str
    role: str
    heading: str
    text: str
    note: str = ""
    column: str = ""
    pointer: str | None = None
    edit: str = ""
    as_json: bool = False
    before: str | None = None
    by: str = ""
    at: float = 0.0


def short_shape(shape: str) -> str:
    """The word for a shape in the list, at most 6 letters."""
    return SHORT_SHAPES.get(shape, shape)[:6]


def read_row(row: Row, ops: Sequence[Op] = ()) -> list[Block]:
    """The blocks of a row, in reading order. ops: its operations that are not undone, oldest first."""
    if row.broken:
        text = row.text if row.edited else _bytes_as_text(row.raw)
        return [Block("bytes", "broken", "broken row", text, row.broken, pointer="", edit=text)]
    if row.example is None:
        pretty = to_json(row.value)
        return [
            Block("json", "field", "row", pretty, "of no known shape", pointer="", edit=pretty, as_json=True)
        ]
    blocks = list(_example_blocks(row))
    return [_with_history(block, ops) for block in blocks]


def whole_row(row: Row) -> Block:
    """The row's whole value as JSON, for what has no place of its own."""
    pretty = to_json(row.value)
    return Block("json", "field", "the whole row", pretty, pointer="", edit=pretty, as_json=True)


def _example_blocks(row: Row) -> Iterator[Block]:
    example = row.example
    assert example is not None
    places = _Places(row.value)
    if example.tools:
        yield _tools_block(example.tools, places)
    if example.text is not None:
        yield from places.blocks("text", example.text, "field", "text")
    for message in example.messages:
        yield from _message_blocks(message, places)
    for side in ("chosen", "rejected"):
        for message in getattr(example, side):
            for block in _message_blocks(message, places, side):
                yield replace(block, column=side)
    if example.label is not None:
        text = "desirable" if example.label else "undesirable"
        pointer = places.boolean(example.label)
        edit = "true" if example.label else "false"
        yield Block("label", "field", "label", text, pointer=pointer, edit=edit, as_json=True)


def _message_blocks(message: Message, places: _Places, side: str = "") -> Iterator[Block]:
    notes = []
    if message.weight is not None:
        notes.append("context only" if message.weight == 0 else f"weight {message.weight:g}")
    name = message.name or message.tool_call_id
    if message.role == "tool" and name:
        notes.append(name)
    note = " · ".join(notes)
    heading = message.role
    if message.reasoning:
        yield from places.blocks("text", message.reasoning, "thinking", f"{heading} thinks", side, note)
        note = ""
    if message.content or not (message.tool_calls or message.reasoning):
        yield from places.blocks("text", message.content, message.role, heading, side, note)
        note = ""
    if message.tool_calls:
        yield _calls_block(message.tool_calls, heading, places, note)


def _calls_block(calls: str, role: str, places: _Places, note: str) -> Block:
    pointer, edit, as_json = places.structure("tool_calls", "function_call")
    if pointer is None:
        pointer, edit, as_json = places.written_call(calls)
    return Block("calls", role, f"{role} calls", _readable_calls(calls), note, "", pointer, edit, as_json)


def _readable_calls(calls: str) -> str:
    """`name` and its arguments as indented JSON, call after call; the JSON as it is where it is no list of calls."""
    try:
        lines = []
        for call in json.loads(calls):
            function = call.get("function", call)
            arguments = function.get("arguments", {})
            if isinstance(arguments, str):
                arguments = json.loads(arguments or "{}")
            lines.append(f"{function['name']} {to_json(arguments)}")
        return "\n".join(lines)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return calls


def _tools_block(tools: str, places: _Places) -> Block:
    pointer, edit, as_json = places.structure("tools", "functions")
    return Block("tools", "field", "tools", _readable_tools(tools), "", "", pointer, edit, as_json)


def _readable_tools(tools: str) -> str:
    """`name(parameter, ...)  what it does`, a line a tool; the JSON as it is where it is no list of tools."""
    try:
        lines = []
        for tool in json.loads(tools):
            function = tool.get("function", tool)
            parameters = function.get("parameters") or {}
            names = ", ".join((parameters.get("properties") or {}).keys())
            about = " ".join(str(function.get("description", "")).split())
            lines.append(f"{function['name']}({names})" + (f"  {about}" if about else ""))
        return "\n".join(lines)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return tools


class _Places:
    """Finds where in the row's value a displayed text is stored: equal strings, in order, each used once.

    Everything is looked up, not searched for: a row of 10,000 turns is read between two key presses.
    """

    def __init__(self, value: Any) -> None:
        self._strings: dict[str, deque[str]] = {}  # text -> where it is, in order
        self._structures: dict[str, deque[tuple[str, Any]]] = {}  # key -> (where, value), in order
        self._booleans: list[tuple[str, bool]] = []
        self._calls: dict[str, deque[tuple[str, str]]] | None = None
        self._walk(value, "", 0)

    def _walk(self, value: Any, pointer: str, depth: int) -> None:
        if depth > _DEEPEST:
            return
        if isinstance(value, str):
            self._strings.setdefault(value, deque()).append(pointer)
        elif isinstance(value, bool):
            self._booleans.append((pointer, value))
        items: Any = ()
        if isinstance(value, dict):
            items = value.items()
        elif isinstance(value, list):
            items = enumerate(value)
        for key, item in items:
            at = f"{pointer}/{escape(key)}"
            if key in _STRUCTURES and item not in (None, "", [], {}):
                self._structures.setdefault(key, deque()).append((at, item))
            self._walk(item, at, depth + 1)

    def blocks(
        self, kind: str, text: str, role: str, heading: str, side: str = "", note: str = ""
    ) -> Iterator[Block]:
        """A block for `text`; two where the row keeps it in two fields (an instruction and its input)."""
        pointer = self._take(text, side)
        parts = [(pointer, text)] if pointer is not None else self._take_joined(text)
        if not parts:
            yield Block(kind, role, heading, text, note)
            return
        for number, (place, part) in enumerate(parts):
            label = heading if number == 0 else ""
            hint = note if number == 0 else place.rpartition("/")[2]
            yield Block(kind, role, label, part, hint, "", place, part)

    def _take(self, text: str, side: str = "") -> str | None:
        places = self._strings.get(text)
        if not places:
            return None
        # A short text may be equal to a role or an id, or to the other side of a pair.
        for place in places:
            last = place.rpartition("/")[2]
            if (side in place) if side else (last not in _NOT_TEXT):
                break
        else:
            place = places[0]
        if place == places[0]:
            places.popleft()
        else:
            places.remove(place)
        return place

    def _take_joined(self, text: str) -> list[tuple[str, str]]:
        """The two stored strings that `text` was joined from with white space between; [] when there are none."""
        if not text or len(self._strings) > _MOST_FIELDS:
            return []
        for first, first_places in self._strings.items():
            if not first or not first_places or not text.startswith(first):
                continue
            rest = text[len(first) :]
            for second, second_places in self._strings.items():
                if second == first or not second or not second_places or not rest.endswith(second):
                    continue
                between = rest[: len(rest) - len(second)]
                if between and not between.strip():
                    return [(first_places.popleft(), first), (second_places.popleft(), second)]
        return []

    def structure(self, *names: str) -> tuple[str | None, str, bool]:
        """Where the next value under one of the keys `names` is, how it is edited, and whether that text is JSON."""
        for name in names:
            if places := self._structures.get(name):
                pointer, value = places.popleft()
                return (pointer, value, False) if isinstance(value, str) else (pointer, to_json(value), True)
        return None, "", False

    def written_call(self, calls: str) -> tuple[str | None, str, bool]:
        """As `structure`, for calls kept as the text of a turn (ShareGPT's `function_call`)."""
        if self._calls is None:
            self._calls = {}
            for text, places in self._strings.items():
                if text.lstrip()[:1] in ("{", "["):
                    known = self._calls.setdefault(openai_calls(text), deque())
                    known.extend((place, text) for place in places)
        if places := self._calls.get(calls):
            pointer, text = places.popleft()
            return pointer, text, False
        return None, "", False

    def boolean(self, value: bool) -> str | None:
        found = [pointer for pointer, stored in self._booleans if stored is value]
        return found[0] if len(found) == 1 else None


_NOT_TEXT = {"role", "from", "id", "name", "type", "tool_call_id"}
_STRUCTURES = {"tool_calls", "function_call", "tools", "functions"}
_DEEPEST = 12  # levels that are looked into
_MOST_FIELDS = 200  # beyond, a row is a conversation and not a form with an instruction and an input


def _with_history(block: Block, ops: Sequence[Op]) -> Block:
    """`block` with who edited it and what it said before."""
    edits = [op for op in ops if op.op == "set" and block.pointer is not None and op.path == block.pointer]
    if not edits:
        return block
    before = edits[0].before
    text = before if isinstance(before, str) else "" if before is pointers.MISSING else to_json(before)
    return replace(block, before=text, by=edits[-1].who, at=edits[-1].ts)


def to_json(value: Any) -> str:
    """`value` as indented JSON for reading and editing; non-ASCII as it is."""
    try:
        text = json.dumps(value, ensure_ascii=False, indent=2)
        text.encode("utf-8")
    except UnicodeEncodeError:
        return json.dumps(value, ensure_ascii=True, indent=2)
    except RecursionError:
        return "(nested too deeply to show)"
    return text


def _bytes_as_text(raw: bytes) -> str:
    """Bytes as text: what is UTF-8 as it is, every other byte as `\\xNN`."""
    return raw.decode("utf-8", "backslashreplace")

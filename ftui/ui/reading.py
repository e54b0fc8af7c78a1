"""A row as a person reads it: a list of blocks, each with the place in the row that an edit of it changes.

Pure: a Row and its operations in, blocks out. Widgets draw them; nothing here is sanitized yet.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ftui.core.text import one_line
from ftui.data import pointers
from ftui.ui.json_text import to_json
from ftui.ui.json_tree import Folds, tree
from ftui.ui.places import Places

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ftui.core.example import Message
    from ftui.data.operation import Op
    from ftui.data.rows import Row
    from ftui.ui.json_tree import Node

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

    kind: "text", "json" (pretty-printed), "calls", "tools", "bytes", "label" or "node" (of a tree).
    role: colours the heading: a message role, or "field" for what is no message.
    heading: the words above it; "" continues the block before. note: dim words after the heading.
    text: what is shown. column: "" or "chosen" / "rejected", shown side by side.
    pointer: where an edit goes; None when this block has no place of its own (then the whole row is edited).
    edit: what the editor opens with. as_json: the edited text is JSON, not a plain string.
    before: the text before the first edit, None when not edited. by, at: who edited it last, and when.
    node: what a "node" shows; the `edit` of what is no text is made by `editable` when it is wanted.
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
    node: Node | None = None


def short_shape(shape: str) -> str:
    """The word for a shape in the list, at most 6 letters."""
    return SHORT_SHAPES.get(shape, shape)[:6]


def read_row(row: Row, ops: Sequence[Op] = (), folds: Folds | None = None) -> list[Block]:
    """The blocks of a row, in reading order. ops: its operations that are not undone, oldest first.

    folds: what is folded of a row that is shown as a tree because its shape is unknown.
    """
    if row.broken:
        text = row.text if row.edited else _bytes_as_text(row.raw)
        return [Block("bytes", "broken", "broken row", text, row.broken, pointer="", edit=text)]
    if row.example is None:
        return [_with_history(block, ops) for block in _tree_blocks(row, folds or Folds())]
    blocks = list(_example_blocks(row)) or [replace(whole_row(row), heading="row", note="nothing in it")]
    return [_with_history(block, ops) for block in blocks]


def _tree_blocks(row: Row, folds: Folds) -> Iterator[Block]:
    for number, node in enumerate(tree(row.value, folds)):
        heading, note = ("row", "of no known shape · M maps its fields") if not number else ("", "")
        edit, as_json = (node.text, False) if node.kind == "text" else ("", True)
        yield Block(
            "node", "field", heading, node.text, note, "", node.pointer, edit, as_json=as_json, node=node
        )


def editable(row: Row, block: Block) -> Block:
    """`block` as the editor takes it: the whole row where it has no place of its own, a node with its value."""
    if block.pointer is None:
        return whole_row(row)
    if block.node is None or not block.as_json:
        return block
    return replace(block, edit=to_json(pointers.get(row.value, block.pointer)))


def whole_row(row: Row) -> Block:
    """The row's whole value as JSON, for what has no place of its own."""
    pretty = to_json(row.value)
    return Block("json", "field", "the whole row", pretty, pointer="", edit=pretty, as_json=True)


def _example_blocks(row: Row) -> Iterator[Block]:
    example = row.example
    assert example is not None
    places = Places(row.value, tuple(row.mapping.fields.values()) if row.mapping is not None else ())
    if example.tools:
        yield _tools_block(example.tools, places)
    if example.text is not None:
        yield from _text_blocks(places, "text", example.text, "field", "text")
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


def _message_blocks(message: Message, places: Places, side: str = "") -> Iterator[Block]:
    notes = []
    if message.weight is not None:
        notes.append("context only" if message.weight == 0 else f"weight {message.weight:g}")
    if message.odd_weight:
        notes.append(f"weight {one_line(message.odd_weight, 20)}: not possible")
    name = message.name or message.tool_call_id
    if message.role == "tool" and name:
        notes.append(name)
    note = " · ".join(notes)
    heading = message.role
    if message.reasoning:
        yield from _text_blocks(
            places, "text", message.reasoning, "thinking", f"{heading} thinks", side, note
        )
        note = ""
    if message.content or not (message.tool_calls or message.reasoning):
        yield from _text_blocks(places, "text", message.content, message.role, heading, side, note)
        note = ""
    if message.tool_calls:
        yield _calls_block(message.tool_calls, heading, places, note)


def _text_blocks(
    places: Places, kind: str, text: str, role: str, heading: str, side: str = "", note: str = ""
) -> Iterator[Block]:
    """A block for `text`; two where the row keeps it in two fields (an instruction and its input)."""
    parts = places.texts(text, side)
    if not parts:
        yield Block(kind, role, heading, text, note)
    for number, (pointer, part) in enumerate(parts):
        label = heading if number == 0 else ""
        hint = note if number == 0 else pointer.rpartition("/")[2]
        yield Block(kind, role, label, part, hint, "", pointer, part)


def _calls_block(calls: str, role: str, places: Places, note: str) -> Block:
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


def _tools_block(tools: str, places: Places) -> Block:
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


def _with_history(block: Block, ops: Sequence[Op]) -> Block:
    """`block` with who edited it and what it said before."""
    edits = [op for op in ops if op.op == "set" and block.pointer is not None and op.path == block.pointer]
    if not edits:
        return block
    before = edits[0].before
    text = before if isinstance(before, str) else "" if before is pointers.MISSING else to_json(before)
    return replace(block, before=text, by=edits[-1].who, at=edits[-1].ts)


def _bytes_as_text(raw: bytes) -> str:
    """Bytes as text: what is UTF-8 as it is, every other byte as `\\xNN`."""
    return raw.decode("utf-8", "backslashreplace")

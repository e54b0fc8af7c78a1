"""A JSON value as a foldable tree: only what is unfolded is looked at, so that a huge value costs what is in sight.

Pure: a value and what was folded in, nodes out. Widgets draw them; nothing here is sanitized.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING, Any

from ftui.data.pointers import escape

if TYPE_CHECKING:
    from collections.abc import Iterator

INDENT = 2  # columns a level
PAGE = 100  # children of a list or object shown at a time
_SMALL = 12  # children up to which an object or list is unfolded from the start
_DEEP = 3  # levels that are unfolded from the start
_LONG = 400  # characters from which on a text is folded from the start


@dataclass(frozen=True, slots=True)
class Node:
    """One line of the tree, or one long text.

    pointer: where in the value. depth: 0 for the value itself. key: its name or index in what holds it.
    kind: "object", "list", "text", "number", "bool", "null", or "more" for children not shown yet.
    size: children, or characters of a text; for "more" how many are left. text: what a leaf says, in full.
    open: whether it is unfolded; None where there is nothing to fold.
    """

    pointer: str
    depth: int
    key: str
    kind: str
    size: int = 0
    text: str = ""
    open: bool | None = None

    @property
    def holds(self) -> bool:
        """Whether it has children."""
        return self.kind in ("object", "list")


@dataclass
class Folds:
    """What a person folded and unfolded, by pointer: rows of one file are alike, so it holds for all of them."""

    turned: dict[str, bool] = field(default_factory=dict)
    shown: dict[str, int] = field(default_factory=dict)

    def is_open(self, pointer: str, default: bool) -> bool:
        return self.turned.get(pointer, default)

    def turn(self, node: Node, unfold: bool) -> None:
        """Folds or unfolds `node`; of a "more", shows the next children."""
        if node.kind == "more":
            self.shown[node.pointer] = self.shown.get(node.pointer, PAGE) + PAGE
        elif node.open is not None:
            self.turned[node.pointer] = unfold


def tree(value: Any, folds: Folds) -> Iterator[Node]:
    """The nodes in sight, from the top."""
    yield from _nodes(value, "", "", 0, folds)


def _nodes(value: Any, pointer: str, key: str, depth: int, folds: Folds) -> Iterator[Node]:
    if not isinstance(value, dict | list):
        yield _leaf(value, pointer, key, depth, folds)
        return
    kind = "object" if isinstance(value, dict) else "list"
    unfolded = folds.is_open(pointer, depth == 0 or (depth < _DEEP and len(value) <= _SMALL))
    yield Node(pointer, depth, key, kind, len(value), _names(value), unfolded if value else None)
    if not (unfolded and value):
        return
    most = folds.shown.get(pointer, PAGE)
    items = value.items() if isinstance(value, dict) else enumerate(value)
    for name, item in islice(items, most):
        yield from _nodes(item, f"{pointer}/{escape(name)}", str(name), depth + 1, folds)
    if len(value) > most:
        yield Node(pointer, depth + 1, "", "more", len(value) - most)


def _leaf(value: Any, pointer: str, key: str, depth: int, folds: Folds) -> Node:
    if isinstance(value, str):
        long = len(value) > _LONG or value.count("\n", 0, _LONG) > _SMALL
        unfolded = folds.is_open(pointer, False) if long else None
        return Node(pointer, depth, key, "text", len(value), value, unfolded)
    kind = "null" if value is None else "bool" if isinstance(value, bool) else "number"
    return Node(pointer, depth, key, kind, text=json.dumps(value))


def _names(value: Any) -> str:
    """What a folded object or list has in it, in a few words."""
    if isinstance(value, dict):
        return ", ".join(map(str, islice(value, 6)))
    first = value[0] if value else None
    return ", ".join(map(str, islice(first, 6))) if isinstance(first, dict) else ""

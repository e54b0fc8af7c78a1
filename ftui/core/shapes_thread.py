"""Threads: a table of posts, each naming the one it answers, read as conversations."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ftui.core.example import Example, Message
from ftui.core.shapes import ID_KEYS, PARENT_KEYS, post_turns

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

_NONE = ("", "null", "none", "nan", "-1")


def join_threads(posts: Iterable[tuple[int, Mapping[str, Any]]]) -> Iterator[tuple[int, Example]]:
    """One conversation for each post that nobody answered, from its root down, under that post's row number.

    posts: (row number, row) in any order. A parent that is not there makes its child a root; a circle of
    posts that answer each other is cut where it closes. Posts without a role take turns, the user first.
    """
    known: dict[str, tuple[int, Mapping[str, Any]]] = {}
    answered: set[str] = set()
    order: list[str] = []
    for number, post in posts:
        name = _named(post, ID_KEYS) or f"row {number}"
        if name in known:
            name = f"{name} (row {number})"  # a repeated id: this post can have no answers of its own
        known[name] = (number, post)
        order.append(name)
        answered.add(_named(post, PARENT_KEYS))
    leaves = [name for name in order if name not in answered] or order[-1:]
    for name in leaves:
        yield known[name][0], Example(messages=_conversation(name, known))


def _conversation(leaf: str, known: Mapping[str, tuple[int, Mapping[str, Any]]]) -> tuple[Message, ...]:
    path: list[Mapping[str, Any]] = []
    seen: set[str] = set()
    name = leaf
    while name in known and name not in seen:
        seen.add(name)
        post = known[name][1]
        path.append(post)
        name = _named(post, PARENT_KEYS)
    turns: list[Message] = []
    for post in reversed(path):
        for turn in post_turns(post):
            expected = "assistant" if turns and turns[-1].role == "user" else "user"
            turns.append(turn if turn.role else replace(turn, role=expected))
    return tuple(turns)


def _named(post: Mapping[str, Any], keys: tuple[str, ...]) -> str:
    """The id under one of `keys` as text, "" where there is none."""
    for key in keys:
        if key in post and post[key] is not None:
            name = str(post[key]).strip()
            return "" if name.lower() in _NONE else name
    return ""

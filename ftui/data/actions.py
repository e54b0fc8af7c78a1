"""What a person can do to a row. An action is checked here, before anything is written."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ftui.core.errors import FtuiError

STATUSES = ("undecided", "accepted", "rejected")
KINDS = ("status", "flag", "rate", "tag", "untag", "note", "set", "raw", "delete", "restore")


@dataclass(frozen=True, slots=True)
class Action:
    """One decision or edit, not yet written. Make it with the functions below.

    kind: one of KINDS. path: a JSON pointer for "set", else "".
    value: a status, a flag's bool, a rating 1-5 or None, the text of a tag, note or whole row ("raw"), or the
    JSON value of a "set".
    """

    kind: str
    path: str = ""
    value: Any = None


def accept() -> Action:
    return Action("status", value="accepted")


def reject() -> Action:
    return Action("status", value="rejected")


def undecide() -> Action:
    return Action("status", value="undecided")


def flag(on: bool = True) -> Action:
    return Action("flag", value=on)


def rate(stars: int | None) -> Action:
    """A rating from 1 to 5; None takes it back. Raises FtuiError outside that range."""
    if stars is not None and not (isinstance(stars, int) and 1 <= stars <= 5):
        raise FtuiError(f"a rating is 1 to 5, got {stars!r}")
    return Action("rate", value=stars)


def tag(name: str) -> Action:
    """Raises FtuiError for an empty tag."""
    if not name.strip():
        raise FtuiError("a tag cannot be empty")
    return Action("tag", value=name.strip())


def untag(name: str) -> Action:
    return Action("untag", value=name.strip())


def note(text: str) -> Action:
    """A note for the next reader; "" takes it away."""
    return Action("note", value=text)


def set_value(pointer: str, value: Any) -> Action:
    """Replaces what the JSON pointer (RFC 6901) names; "" is the whole row, a last `-` appends to a list."""
    if pointer and not pointer.startswith("/"):
        raise FtuiError("a JSON pointer starts with /", "for example /messages/0/content", pointer)
    return Action("set", path=pointer, value=value)


def replace_raw(text: str) -> Action:
    """Replaces the row's whole text: how a broken row is mended."""
    return Action("raw", value=text)


def delete() -> Action:
    return Action("delete", value=True)


def restore() -> Action:
    return Action("restore", value=False)

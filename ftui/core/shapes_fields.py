"""The texts in a row that a person edits, each with the JSON pointer that reaches it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ftui.core.shapes import PAIR_KEYS, SYSTEM_KEYS, TURN_KEYS
from ftui.core.shapes_turns import ROLES, is_turn, text_of

_DEEPEST = 12
_MOST = 400


@dataclass(frozen=True, slots=True)
class Field:
    """One text. label: what it is ("user", "chosen assistant", "output"). pointer: where in the value."""

    label: str
    pointer: str
    text: str


def editable(value: Any) -> tuple[Field, ...]:
    """Every text in a row's value, turns labelled by their role, others by their place; at most 400.

    Texts under names that only mark a turn (`role`, `from`, `type`) are left out.
    """
    found: list[Field] = []
    _walk(value, "", "", found, 0)
    return tuple(found[:_MOST])


def _walk(value: Any, pointer: str, label: str, found: list[Field], depth: int) -> None:
    if len(found) >= _MOST or depth > _DEEPEST:
        return
    if isinstance(value, str):
        found.append(Field(label or "text", pointer, value))
    elif is_turn(value):
        role = text_of(value.get("role", value.get("from", "")))
        name = f"{label} {ROLES.get(role.lower(), role)}".strip()
        for key, item in value.items():
            if key not in ("role", "from", "type"):
                own = name if key in ("content", "value", "text") else f"{name} {key}"
                _walk(item, f"{pointer}/{_escape(key)}", own, found, depth + 1)
    elif isinstance(value, dict):
        for key, item in value.items():
            if key == "type":
                continue
            own = label if key in ("text", "value") and label else f"{label} {_short(key)}".strip()
            _walk(item, f"{pointer}/{_escape(key)}", own, found, depth + 1)
    elif isinstance(value, list):
        for at, item in enumerate(value):
            own = label if isinstance(item, dict) and len(value) > 0 else f"{label} {at + 1}".strip()
            _walk(item, f"{pointer}/{at}", own, found, depth + 1)


def _short(key: str) -> str:
    """A key as a label; lists of turns need none, their turns have roles."""
    if key in TURN_KEYS:
        return ""
    if key in SYSTEM_KEYS:
        return "system"
    return next((pair[0] if key == pair[0] else pair[1] for pair in PAIR_KEYS if key in pair), key)


def _escape(key: str) -> str:
    return key.replace("~", "~0").replace("/", "~1")

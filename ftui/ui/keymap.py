"""What is wrong with the keys a person has set: unknown names, keys nobody can press, keys taken twice.

Textual takes a keymap in silence; a key that does nothing is then found in the middle of work.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from textual.keys import KEY_TO_UNICODE_NAME, REPLACED_KEYS, Keys

if TYPE_CHECKING:
    from textual.binding import Binding

_MODIFIERS = {"ctrl", "shift", "alt", "meta", "super", "hyper"}
_NAMED = {key.value for key in Keys}


def key_exists(name: str) -> bool:
    """Whether `name` is a key as Textual spells it: `j`, `ctrl+j`, `alt+left`, `question_mark`, `f5`."""
    *modifiers, key = name.split("+") if name != "+" else ["+"]
    if any(modifier not in _MODIFIERS for modifier in modifiers):
        return False
    if len(key) == 1 or key in _NAMED or key in KEY_TO_UNICODE_NAME or key in REPLACED_KEYS:
        return True
    try:
        unicodedata.lookup(key.replace("_", " ").upper())
    except KeyError:
        return False
    return True


def unusable_keys(keymap: Mapping[str, str]) -> list[str]:
    """A line for each key that no keyboard sends."""
    return [
        f'[keys] "{binding}" = "{keys}": no key is called {key.strip()!r}'
        for binding, keys in keymap.items()
        for key in keys.split(",")
        if not key_exists(key.strip())
    ]


def unknown_ids(keymap: Mapping[str, str], prefixes: Iterable[str], known: set[str]) -> list[str]:
    """A line for each id under `prefixes` that no binding has."""
    import difflib

    starts = tuple(f"{prefix}." for prefix in prefixes)
    lines = []
    for binding in keymap:
        if binding.startswith(starts) and binding not in known:
            close = difflib.get_close_matches(binding, known, 1)
            lines.append(
                f'[keys] "{binding}": nothing is called that'
                + (f"; did you mean {close[0]}?" if close else "")
            )
    return lines


def taken_twice(bindings: Iterable[Binding], keymap: Mapping[str, str]) -> list[str]:
    """A line for each of one widget's bindings whose key another one took."""
    owner: dict[str, str] = {}
    for binding in bindings:
        if binding.id in keymap:
            for key in keymap[binding.id].split(","):
                owner[key] = binding.id
    lines = []
    for binding in bindings:
        taker = owner.get(binding.key)
        if taker and binding.id != taker and binding.id not in keymap:
            name = binding.id or binding.description
            lines.append(f"[keys] {binding.key} is now {taker}; {name} has lost it")
    return lines

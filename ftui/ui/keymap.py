"""What is wrong with the keys a person has set: unknown names, keys nobody can press, keys taken twice.

Textual takes a keymap in silence; a key that does nothing is then found in the middle of work.
"""

from __future__ import annotations

import unicodedata
from functools import cache
from typing import TYPE_CHECKING

from textual.binding import Binding
from textual.keys import KEY_TO_UNICODE_NAME, REPLACED_KEYS, Keys

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

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


def problems_of(owners: Iterable[object], keymap: Mapping[str, str], prefixes: Sequence[str]) -> list[str]:
    """A line for each id under `prefixes` that none of `owners` binds, and for each key that was taken away.

    owners: widgets, screens, apps, or their classes.
    """
    known: set[str] = set()
    lines = []
    for owner in owners:
        bindings = bindings_of(owner)
        known |= {binding.id for binding in bindings if binding.id}
        lines += taken_twice(bindings, keymap)
    return [*lines, *unknown_ids(keymap, prefixes, known)]


def strangers(keymap: Mapping[str, str], prefixes: Sequence[str]) -> list[str]:
    """A line for each id that belongs to no pane at all."""
    return [
        f'[keys] "{name}": nothing is called that' for name in keymap if name.split(".")[0] not in prefixes
    ]


def bindings_of(owner: object) -> list[Binding]:
    """The bindings that a widget's class and its parents declare, the parents' first as in Textual."""
    kind = owner if isinstance(owner, type) else type(owner)
    declared = (binding for cls in reversed(kind.__mro__) for binding in cls.__dict__.get("BINDINGS", ()))
    return list(Binding.make_bindings(declared))


@cache
def declared_ids(kind: type) -> tuple[str | None, ...]:
    """The ids of `bindings_of`, in order."""
    return tuple(binding.id for binding in bindings_of(kind))


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
        # Bindings without an id are Textual's own (delete a word, ...): whoever takes their key means to.
        if taker and binding.id and binding.id != taker and binding.id not in keymap:
            lines.append(f"[keys] {binding.key} is now {taker}; {binding.id} has lost it")
    return lines

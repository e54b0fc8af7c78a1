"""Where in a row's value a displayed text is stored, so that editing what is read changes the right place."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any

from ftui.core.shapes_turns import openai_calls
from ftui.data.pointers import MISSING, escape, get
from ftui.ui.json_text import to_json

if TYPE_CHECKING:
    from collections.abc import Sequence

_NOT_TEXT = {"role", "from", "id", "name", "type", "tool_call_id"}
_STRUCTURES = {"tool_calls", "function_call", "tools", "functions"}
_DEEPEST = 12  # levels that are looked into
_MOST_FIELDS = 200  # beyond, a row is a conversation and not a form with an instruction and an input


class Places:
    """Finds where in the row's value a displayed text is stored: equal strings, in order, each used once.

    Everything is looked up, not searched for: a row of 10,000 turns is read between two key presses.
    """

    def __init__(self, value: Any, first: Sequence[str] = ()) -> None:
        """first: pointers to what is shown, before anything that says the same elsewhere in the row."""
        self._strings: dict[str, deque[str]] = {}  # text -> where it is, in order
        self._structures: dict[str, deque[tuple[str, Any]]] = {}  # key -> (where, value), in order
        self._booleans: list[tuple[str, bool]] = []
        self._calls: dict[str, deque[tuple[str, str]]] | None = None
        self._known: set[str] = set()
        for pointer in first:
            if (there := get(value, pointer)) is not MISSING:
                self._walk(there, pointer, 0)
                self._known.add(pointer)
        self._walk(value, "", 0)

    def _walk(self, value: Any, pointer: str, depth: int) -> None:
        if depth > _DEEPEST or pointer in self._known:
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

    def texts(self, text: str, side: str = "") -> list[tuple[str, str]]:
        """(pointer, text) of the stored string equal to `text`, of the two it was joined from, or nothing.

        side: "chosen" or "rejected", where the row has both.
        """
        pointer = self._take(text, side)
        return [(pointer, text)] if pointer is not None else self._take_joined(text)

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

"""Turns of a row merged, split, inserted, deleted and given another role, in the row's own words.

A row keeps its turns in a list: `messages`, `conversations`, one side of a pair, or what the file's mapping says.
Each function gives one action on that list. Fields it has no business with (tool calls, names, weights, ids)
stay with the turn they were on; where two turns say different things about one, `question` tells.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ftui.core.errors import FtuiError
from ftui.core.loss_weight import WEIGHT_KEYS
from ftui.core.shapes_mapping import CONTENT_NAMES, ROLE_NAMES
from ftui.core.shapes_turns import REASONING_KEYS, ROLES, is_turn, text_of
from ftui.core.text import one_line
from ftui.data import pointers
from ftui.data.actions import set_value

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ftui.core.shapes_mapping import FieldMap
    from ftui.data.actions import Action

_SHAREGPT = {"user": "human", "assistant": "gpt", "tool": "observation"}
_OTHER = {
    "user": "assistant",
    "assistant": "user",
    "system": "user",
    "developer": "user",
    "tool": "assistant",
}
_CALLS = ("tool_calls", "function_call")
_ONE_REPLY = ("tool_call_id",)


@dataclass(frozen=True, slots=True)
class TurnAt:
    """One turn of a row.

    turns: the list it is in. container: where that is in the row. index: which turn. within: the place in the
    turn that was pointed at. role, content: the names of its two fields. roles: the mapping's words for roles.
    """

    turns: list[Any]
    container: str
    index: int
    within: str
    role: str
    content: str
    roles: Mapping[str, str]

    @property
    def turn(self) -> dict[str, Any]:
        turn: dict[str, Any] = self.turns[self.index]
        return turn

    def said_by(self, turn: Any) -> str:
        """A turn's role in our words."""
        word = text_of(turn.get(self.role)) if isinstance(turn, dict) else ""
        return self.roles.get(word) or self.roles.get(word.strip().lower()) or ROLES.get(word.lower(), word)

    @property
    def other_role(self) -> str:
        """Who answers this turn: the other one of user and assistant."""
        return _OTHER.get(self.said_by(self.turn), "user")

    def spelled(self, role: str) -> str:
        """`role` as this row writes it."""
        words = (text_of(turn.get(self.role)) for turn in self.turns if self.said_by(turn) == role)
        if word := next((word for word in words if word not in ("", "function_call")), ""):
            return word
        if word := next((word for word, known in self.roles.items() if known == role), ""):
            return word
        return _SHAREGPT.get(role, role) if self.role == "from" else role


def turn_at(value: Any, pointer: str | None, mapping: FieldMap | None = None) -> TurnAt:
    """The turn that holds what `pointer` names. Raises FtuiError where that belongs to no turn of a list."""
    steps = pointer.split("/")[1:] if pointer else []
    for depth in range(len(steps) - 1, 0, -1):
        container = "".join(f"/{step}" for step in steps[: depth - 1])
        turns, at = pointers.get(value, container), steps[depth - 1]
        if not isinstance(turns, list) or not at.isdecimal() or int(at) >= len(turns):
            continue
        turn = turns[int(at)]
        within = "".join(f"/{step}" for step in steps[depth:])
        mapped = mapping is not None and mapping.fields.get("messages") == container
        if isinstance(turn, dict) and (mapped or is_turn(turn)):
            role = (mapping.role if mapped and mapping else "") or _name(turn, ROLE_NAMES)
            content = (mapping.content if mapped and mapping else "") or _name(turn, CONTENT_NAMES, but=role)
            if role and not role.startswith("/") and not content.startswith("/"):
                roles = mapping.roles if mapped and mapping else {}
                return TurnAt(turns, container, int(at), within, role, content or "content", roles)
    raise FtuiError("this field is no turn in a list of turns", "it can only be edited: press e")


def question(at: TurnAt) -> str:
    """What to ask before this turn is merged with the next; "" where nothing could be meant otherwise.

    Raises FtuiError where the two cannot be one turn.
    """
    first, second = at.turn, _next(at)
    roles = at.said_by(first), at.said_by(second)
    tools = any(turn.get(key) for turn in (first, second) for key in (*_CALLS, *_ONE_REPLY))
    calls = any(text_of(turn.get(at.role)) in ("function_call", "function") for turn in (first, second))
    if calls or "tool" in roles or (tools and roles[0] != roles[1]):
        raise FtuiError("tool calls and their replies stay turns of their own", "delete or edit one of them")
    if roles[0] != roles[1]:
        return f"the next turn is {_named(roles[1])}: add its words to this {_named(roles[0])} turn?"
    if lost := _merged(at, first, second)[1]:
        return f"both have {', '.join(lost[:3])}: keep this turn's?"
    return ""


def merge(at: TurnAt) -> Action:
    """This turn and the next as one, this one's role; the texts joined with a blank line."""
    merged = _merged(at, at.turn, _next(at))[0]
    return set_value(at.container, [*at.turns[: at.index], merged, *at.turns[at.index + 2 :]])


def split(at: TurnAt, text: str, offset: int, role: str) -> Action:
    """This turn, saying `text`, as two: cut at `offset`, white space at the cut left out, the second said by `role`.

    Raises FtuiError where one half would be empty, or the text is not what the turn says.
    """
    steps = at.within.split("/")[1:]
    if not steps or steps[0] != at.content:
        raise FtuiError("only what a turn says can be split", "choose its text")
    head, tail = text[:offset].rstrip(), text[offset:].lstrip()
    if not head or not tail:
        side = "before" if not head else "after"
        raise FtuiError(f"there is nothing {side} the cursor", "move it to where the next turn begins")
    turn, same = at.turn, role == at.said_by(at.turn)
    first: dict[str, Any] = dict(pointers.put(turn, at.within, head))
    rest: Any = tail
    if isinstance(turn[at.content], list) and len(steps) > 1:
        part = int(steps[1])
        parts = pointers.put(turn, at.within, tail)[at.content]
        first[at.content], rest = first[at.content][: part + 1], parts[part:]
    second: dict[str, Any] = {}
    for key, item in turn.items():
        if key == at.role:
            second[key] = item if same else at.spelled(role)
        elif key == at.content:
            second[key] = rest
        elif same and key in ("name", *WEIGHT_KEYS):
            second[key] = item
        elif same and key in _CALLS:  # they come after the words
            second[key] = first.pop(key)
    return set_value(at.container, [*at.turns[: at.index], first, second, *at.turns[at.index + 1 :]])


def insert(at: TurnAt, role: str, text: str) -> Action:
    """A new turn after this one."""
    new = {at.role: at.spelled(role), at.content: text}
    return set_value(at.container, [*at.turns[: at.index + 1], new, *at.turns[at.index + 1 :]])


def remove(at: TurnAt) -> Action:
    """The row without this turn. Raises FtuiError for the only one."""
    if len(at.turns) == 1:
        raise FtuiError("this is the only turn", "the delete key takes the whole row out")
    return set_value(at.container, [*at.turns[: at.index], *at.turns[at.index + 1 :]])


def change_role(at: TurnAt, role: str) -> Action:
    """This turn said by `role`."""
    return set_value(f"{at.container}/{at.index}/{pointers.escape(at.role)}", at.spelled(role))


def _next(at: TurnAt) -> dict[str, Any]:
    if at.index + 1 >= len(at.turns):
        raise FtuiError("no turn follows this one", "m merges a turn with the one below it")
    turn = at.turns[at.index + 1]
    if not isinstance(turn, dict):
        raise FtuiError("what follows is no turn", "edit the row as JSON")
    return turn


def _named(role: str) -> str:
    return one_line(role, 20) or "nameless"


def _merged(at: TurnAt, first: dict[str, Any], second: dict[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """The merged turn, and the names of the second's fields that gave way to the first's."""
    turn, lost = dict(first), []
    their = at.content if at.content in second else _name(second, CONTENT_NAMES, but=at.role)
    turn[at.content] = _joined(first.get(at.content), second.get(their))
    for key, item in second.items():
        if key in (at.role, their, at.content):
            continue
        mine = turn.get(key)
        if mine in (None, "", [], {}) and key not in WEIGHT_KEYS:
            turn[key] = item
        elif key in REASONING_KEYS and isinstance(mine, str) and isinstance(item, str):
            turn[key] = f"{mine}\n\n{item}"
        elif key == "tool_calls" and isinstance(mine, list) and isinstance(item, list):
            turn[key] = [*mine, *item]
        elif item not in (mine, None, "", [], {}):
            lost.append(key)
    return turn, lost


def _joined(first: Any, second: Any) -> Any:
    """Two contents as one: texts with a blank line between, parts one after the other."""
    if second in (None, "", []):
        return first
    if first in (None, "", []):
        return second
    if isinstance(first, list) or isinstance(second, list):
        parts = [
            one if isinstance(one, list) else [{"type": "text", "text": text_of(one)}]
            for one in (first, second)
        ]
        return [*parts[0], {"type": "text", "text": "\n\n"}, *parts[1]]
    return f"{text_of(first)}\n\n{text_of(second)}"


def _name(turn: Mapping[str, Any], names: tuple[str, ...], but: str = "") -> str:
    return next((name for name in names if name in turn and name != but), "")

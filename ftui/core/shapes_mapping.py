"""How a person says a file's rows are to be read: from which fields, or as which shape.

A mapping is written as an object, in the journal and on the command line alike:

| to make | the object |
|---|---|
| a question and its answer | `{"prompt": "/q", "completion": "/a/0/text", "system": "/meta/sys"}` |
| a rated answer | the same with `"label": "/thumbs"` |
| a conversation | `{"messages": "/dialog", "role": "speaker", "content": "said", "roles": {"bot": "assistant"}}` |
| a pair | `{"prompt": "/q", "chosen": "/best", "rejected": "/worst"}` |
| raw text | `{"text": "/body"}` |
| any of these by name | `{"shape": "alpaca"}`: rows are read as that shape, whatever the vote says |

Places are JSON pointers (RFC 6901). A row that lacks what the mapping needs keeps the shape it has by itself.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ftui.core import shapes
from ftui.core.errors import FtuiError
from ftui.core.example import ROLES, Example, Message
from ftui.core.shapes_turns import as_turns, is_turn, json_text, text_of, to_message

if TYPE_CHECKING:
    from collections.abc import Mapping

TARGETS = ("prompt", "completion", "system", "messages", "text", "chosen", "rejected", "label", "tools")
FORCED = ("messages", "sharegpt", "alpaca", "prompt_completion", "preference", "kto", "text", "thread")

# Names of the two fields of a turn, where a mapping does not give them.
ROLE_NAMES = ("role", "from", "speaker", "author", "sender", "who", "participant", "type", "name", "user")
CONTENT_NAMES = (
    "content", "value", "text", "utterance", "message", "said", "body", "say", "turn", "response",
)  # fmt: skip
_YES = frozenset(
    ("true", "1", "1.0", "yes", "good", "up", "thumbs_up", "positive", "desirable", "liked", "👍")
)
_NO = frozenset(
    ("false", "0", "0.0", "-1", "-1.0", "no", "bad", "down", "thumbs_down", "negative", "undesirable", "👎")
)
_NOTHING: Any = object()


@dataclass(frozen=True, slots=True)
class FieldMap:
    """A mapping that was checked. Make it with `parse`.

    shape: what a mapped row is called. fields: target -> JSON pointer; none where a shape is forced.
    role, content: the names (or pointers) of a turn's two fields, "" to find them by name.
    roles: what a turn's role says -> one of example.ROLES.
    """

    shape: str
    fields: Mapping[str, str] = field(default_factory=dict)
    role: str = ""
    content: str = ""
    roles: Mapping[str, str] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """The object it was parsed from, with the shape always said."""
        document: dict[str, Any] = {"shape": self.shape, **self.fields}
        for name in ("role", "content"):
            if value := getattr(self, name):
                document[name] = value
        return {**document, "roles": dict(self.roles)} if self.roles else document

    def example(self, value: Any) -> Example | None:
        """The row's value as this mapping reads it; None where it lacks what is needed. Never raises."""
        if not self.fields:
            return _forced(value, self.shape)
        label = None
        if "label" in self.fields and (label := as_label(_at(value, self.fields["label"]))) is None:
            return None
        if "text" in self.fields:
            text = _plain(_at(value, self.fields["text"]))
            return None if text is None else Example(text=text)
        if "messages" in self.fields:
            messages = self.turns(_at(value, self.fields["messages"]))
        elif "prompt" in self.fields:
            messages = _said(_at(value, self.fields["prompt"]), "user")
        else:
            messages = ()
        chosen = rejected = answer = ()  # type: tuple[Message, ...] | None
        if "chosen" in self.fields:
            chosen = _said(_at(value, self.fields["chosen"]), "assistant")
            rejected = _said(_at(value, self.fields["rejected"]), "assistant")
        elif "completion" in self.fields:
            answer = _said(_at(value, self.fields["completion"]), "assistant")
        if messages is None or chosen is None or rejected is None or answer is None:
            return None
        turns = (*self._system(value, messages), *messages, *answer)
        return Example(turns, self._tools(value), chosen, rejected, label)

    def shape_of(self, value: Any) -> str:
        """What the row is: this mapping's shape where it can be read so, else the shape it has by itself."""
        return self.shape if self.example(value) is not None else shapes.recognise(value)

    def turns(self, value: Any) -> tuple[Message, ...] | None:
        """A list of turns; a list of texts is said in turn, the user first. None for anything else."""
        listed = as_turns(value)
        if listed is None:
            return None
        if listed and all(isinstance(turn, str) for turn in listed):
            sides = ("user", "assistant")
            return tuple(Message(sides[at % 2], turn) for at, turn in enumerate(listed))
        messages = []
        for turn in listed:
            normal = self._normal(turn)
            if normal is None:
                return None
            messages.append(to_message(normal))
        return tuple(messages)

    def _normal(self, turn: Any) -> dict[str, Any] | None:
        """A turn with `role` and `content` under these names; its other fields as they are."""
        if not isinstance(turn, dict):
            return None
        role_at = self.role or _name(turn, ROLE_NAMES)
        content_at = self.content or _name(turn, CONTENT_NAMES, but=role_at)
        said = _at(turn, _pointer(role_at)) if role_at else _NOTHING
        content = _at(turn, _pointer(content_at)) if content_at else _NOTHING
        if content is _NOTHING and role_at and "tool_calls" in turn:
            content = None
        if isinstance(said, dict | list) or said is _NOTHING or content is _NOTHING:
            return None
        role = text_of(said)
        known = self.roles.get(role) or self.roles.get(role.strip().lower()) or role
        rest = {
            key: item for key, item in turn.items() if key not in (role_at, content_at, "role", "content")
        }
        return {"role": known, "content": content, **rest}

    def _system(self, value: Any, messages: tuple[Message, ...]) -> tuple[Message, ...]:
        said = _plain(_at(value, self.fields["system"])) if "system" in self.fields else None
        given = any(turn.role == "system" for turn in messages)
        return (Message("system", said),) if said and said.strip() and not given else ()

    def _tools(self, value: Any) -> str:
        tools = _at(value, self.fields["tools"]) if "tools" in self.fields else None
        text = "" if tools is _NOTHING else json_text(tools)
        return "" if text.strip() in ("[]", "{}", "null") else text


def parse(document: Any) -> FieldMap:
    """The mapping that an object says. Raises FtuiError for what is none, or reads nothing."""
    if not isinstance(document, dict):
        raise FtuiError("a mapping is an object", 'for example {"prompt": "/q", "completion": "/a"}')
    names = {"shape", "role", "content", "roles"}
    if strange := sorted(str(key) for key in document if key not in names and key not in TARGETS):
        raise FtuiError(f"no such target: {strange[0]}", f"one of {', '.join(TARGETS)}")
    fields = {target: document[target] for target in TARGETS if target in document}
    for target, pointer in fields.items():
        if not isinstance(pointer, str) or (pointer and not pointer.startswith("/")):
            raise FtuiError(f"{target} needs a JSON pointer", "for example /meta/question", str(pointer))
    role, content, roles = document.get("role", ""), document.get("content", ""), document.get("roles", {})
    if not isinstance(role, str) or not isinstance(content, str):
        raise FtuiError("role and content are the names of a turn's fields")
    if not isinstance(roles, dict) or not all(isinstance(key, str) for key in roles):
        raise FtuiError("roles is an object", 'for example {"bot": "assistant"}')
    if wrong := [known for known in roles.values() if known not in ROLES]:
        raise FtuiError(f"no such role: {wrong[0]}", f"one of {', '.join(ROLES)}")
    if (role or content or roles) and "messages" not in fields:
        raise FtuiError("role, content and roles are about turns", "say where those are: messages=/...")
    possible = _possible_shapes(fields)
    shape = document.get("shape", possible[0] if fields else "nothing")
    if shape not in possible:
        hint = f"one of {', '.join(possible)}"
        raise FtuiError(f"rows mapped like this cannot be read as {shape}", hint)
    return FieldMap(shape, fields, role, content, roles)


def _possible_shapes(fields: Mapping[str, str]) -> tuple[str, ...]:
    """What rows with these targets may be called, the usual name first. Raises FtuiError for no example."""
    has = set(fields)
    if not has:
        return FORCED
    if "text" in has:
        if len(has) > 1:
            raise FtuiError("raw text stands alone", f"leave out {', '.join(sorted(has - {'text'}))}")
        return ("text",)
    if has & {"chosen", "rejected"}:
        if not has >= {"chosen", "rejected"}:
            raise FtuiError("a pair needs both chosen and rejected")
        if wrong := sorted(has & {"completion", "label"}) or (
            ["messages"] if {"prompt", "messages"} <= has else []
        ):
            raise FtuiError(f"a pair has no {wrong[0]}", "prompt, chosen and rejected")
        return ("preference",)
    if "messages" in has:
        if wrong := sorted(has & {"prompt", "completion"}):
            raise FtuiError(f"a conversation has no {wrong[0]}", "its turns say it all")
        return ("kto",) if "label" in has else ("messages", "sharegpt")
    if not has >= {"prompt", "completion"}:
        hint = "or messages, or text, or chosen and rejected"
        raise FtuiError("a mapping needs a prompt and a completion", hint)
    return ("kto",) if "label" in has else ("prompt_completion", "alpaca")


def as_label(value: Any) -> bool | None:
    """KTO's desirable (True) or undesirable, from the ways people write it; None for anything else."""
    if isinstance(value, bool):
        return value
    if not isinstance(value, int | float | str):
        return None
    word = str(value).strip().lower()[:20].replace(" ", "_")
    return True if word in _YES else False if word in _NO else None


def _forced(value: Any, shape: str) -> Example | None:
    """The row read as `shape`, where it has what that shape is made of."""
    if shape in ("messages", "sharegpt"):
        turns = isinstance(value, list) and value and is_turn(value[0])
        if not (turns or (isinstance(value, dict) and (shapes.turn_key(value) or is_turn(value)))):
            return None
    elif shape == "thread":
        keys = value.keys() if isinstance(value, dict) else set()
        if keys.isdisjoint(shapes.PARENT_KEYS) or keys.isdisjoint(shapes.ID_KEYS):
            return None
    example = shapes.to_example(value, shape)
    return None if example is None or (shape == "kto" and example.label is None) else example


def _said(value: Any, role: str) -> tuple[Message, ...] | None:
    """A prompt or a reply: a text said by `role`, one turn, or turns. None for anything else."""
    if (text := _plain(value)) is not None and not (isinstance(value, str) and _turns(value)):
        return (Message(role, text),)
    if is_turn(value):
        return (to_message(value),)
    turns = _turns(value)
    return tuple(to_message(turn) for turn in turns) if turns else None


def _turns(value: Any) -> list[Any]:
    turns = as_turns(value) or ()
    return list(turns) if all(is_turn(turn) for turn in turns) else []


def _plain(value: Any) -> str | None:
    """A text, or a number as one."""
    return text_of(value) if isinstance(value, str | int | float) else None


def _name(turn: Mapping[str, Any], names: tuple[str, ...], but: str = "") -> str:
    return next((name for name in names if name in turn and name != but), "")


def _pointer(name: str) -> str:
    """A field's name as a pointer; a pointer stays one."""
    return name if name.startswith("/") else "/" + name.replace("~", "~0").replace("/", "~1")


def _at(value: Any, pointer: str) -> Any:
    """What `pointer` names in `value`, `_NOTHING` where there is no such place."""
    if not pointer:
        return value
    for part in pointer[1:].split("/"):
        if isinstance(value, dict):
            value = value.get(part.replace("~1", "/").replace("~0", "~"), _NOTHING)
        elif isinstance(value, list) and part.isascii() and part.isdecimal() and len(part) < 10:
            value = value[int(part)] if int(part) < len(value) else _NOTHING
        else:
            return _NOTHING
        if value is _NOTHING:
            return _NOTHING
    return value

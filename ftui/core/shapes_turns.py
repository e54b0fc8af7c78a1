"""One turn of a conversation, in the many ways datasets write it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from ftui.core.example import Message
from ftui.core.loss_weight import given_weight

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

ROLES = {
    "human": "user",
    "user": "user",
    "prompter": "user",
    "gpt": "assistant",
    "assistant": "assistant",
    "chatgpt": "assistant",
    "model": "assistant",
    "bot": "assistant",
    "ai": "assistant",
    "function_call": "assistant",
    "system": "system",
    "developer": "developer",
    "tool": "tool",
    "observation": "tool",
    "function": "tool",
    "function_response": "tool",
    "tool_response": "tool",
}
_PLAIN_ROLES = {role: name for role, name in ROLES.items() if role != "function_call"}
REASONING_KEYS = ("reasoning_content", "reasoning", "thinking", "thought")
_REASONING_PARTS = ("reasoning", "thinking")
_TOOL_PARTS = ("tool_calls", "tool_call", "function_call")


def is_turn(value: Any) -> bool:
    """True for `{"from", "value"}` and for `{"role"}` with a content or tool calls."""
    return isinstance(value, dict) and (
        (
            "role" in value
            and ("content" in value or "tool_calls" in value or "value" in value or "text" in value)
        )
        or ("from" in value and "value" in value)
    )


def as_turns(value: Any) -> Sequence[Any] | None:
    """A list of turns as a list, also where it was stored as JSON text (in a table's cell); else None."""
    if isinstance(value, list):
        return value
    if isinstance(value, str) and value.lstrip().startswith("[{"):
        try:
            turns = json.loads(value)
        except (ValueError, RecursionError):
            return None
        return turns if isinstance(turns, list) else None
    return None


def turn_style(turns: Sequence[Any]) -> str:
    """ "sharegpt" for `from` / `value` turns, else "messages"."""
    return "sharegpt" if turns and isinstance(turns[0], dict) and "from" in turns[0] else "messages"


def to_message(turn: Any) -> Message:
    """A turn as a Message; what is no turn becomes one without a role, so that nothing is lost from sight."""
    if not isinstance(turn, dict):
        return Message("", text_of(turn))
    role = text_of(turn.get("role", turn.get("from", "")))
    if len(turn) == 2 and role in _PLAIN_ROLES:  # nearly every turn there is
        said = turn.get("content", turn.get("value"))
        if isinstance(said, str):
            return Message(_PLAIN_ROLES[role], said)
    content, reasoning, calls = _parts(turn.get("content", turn.get("value", turn.get("text"))))
    if role == "function_call":
        content, calls = "", openai_calls(content)
    elif turn.get("tool_calls"):
        calls = openai_calls(turn["tool_calls"])
    elif turn.get("function_call"):
        calls = openai_calls(turn["function_call"])
    weight, odd = given_weight(turn)
    reasoning = reasoning or next((text_of(turn[key]) for key in REASONING_KEYS if turn.get(key)), "")
    return Message(
        role=ROLES.get(role.lower(), role),
        content=content,
        tool_calls=calls,
        tool_call_id=text_of(turn.get("tool_call_id") or ""),
        name=text_of(turn.get("name") or ""),
        reasoning=reasoning,
        weight=weight,
        odd_weight="" if odd is None else json_text(odd) or "(empty)",
    )


def _parts(content: Any) -> tuple[str, str, str]:
    """(content, reasoning, tool calls) of a turn's content: a text, or a list of parts."""
    if not isinstance(content, list):
        return text_of(content), "", ""
    said: list[str] = []
    reasoning, calls = "", ""
    for part in content:
        if not isinstance(part, dict):
            said.append(text_of(part))
            continue
        kind = part.get("type", "text")
        text = text_of(part.get("text", part.get("value", part.get(kind) if isinstance(kind, str) else None)))
        if kind in _REASONING_PARTS:
            reasoning += text
        elif kind in _TOOL_PARTS:
            calls = openai_calls(text)
        elif kind == "text" or "text" in part or "value" in part:
            said.append(text)
        else:
            said.append(f"<{kind}>")  # an image or a sound: shown to be there, not converted
    return "".join(said), reasoning, calls


def openai_calls(calls: Any) -> str:
    """Tool calls as JSON text of OpenAI's list. Text that is no JSON stays: the checks will find it."""
    if isinstance(calls, str):
        try:
            parsed = json.loads(calls)
        except (ValueError, RecursionError):
            return calls
    else:
        parsed = calls
    listed = parsed if isinstance(parsed, list) else [parsed]
    if not all(isinstance(call, dict) for call in listed):
        return json_text(calls)
    return json_text([_openai_call(call) for call in listed])


def _openai_call(call: Mapping[str, Any]) -> dict[str, Any]:
    function = call.get("function")
    if isinstance(function, dict):
        rest: dict[str, Any] = {
            key: item for key, item in call.items() if key not in ("id", "type", "function")
        }
    else:
        function, rest = {key: item for key, item in call.items() if key not in ("id", "type")}, {}
    arguments = function.get("arguments", function.get("parameters", {}))
    return {
        "id": text_of(call.get("id") or ""),
        "type": "function",
        "function": {"name": text_of(function.get("name") or ""), "arguments": json_text(arguments)},
        **rest,
    }


def text_of(value: Any) -> str:
    """A text as it is, nothing as "", anything else as JSON."""
    if isinstance(value, str):
        return value
    return "" if value is None else json_text(value)


def json_text(value: Any) -> str:
    """`value` as JSON text; a text is taken to be JSON already."""
    if isinstance(value, str):
        return value
    if value is None or value == []:
        return ""
    try:
        return json.dumps(value, ensure_ascii=False)
    except RecursionError:
        return "(nested too deeply)"

"""From an Example back to a row of a shape, and what that shape cannot hold."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from ftui.core.errors import FtuiError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ftui.core.example import Example, Message

TARGETS = ("messages", "sharegpt", "alpaca", "prompt_completion", "preference", "kto", "text")
_SHAREGPT = {"user": "human", "assistant": "gpt", "tool": "observation"}


def from_example(example: Example, shape: str) -> Any:
    """The row of `shape` that says what `example` says; `lost` names what it leaves out.

    Raises FtuiError where that shape cannot hold it at all.
    """
    match shape:
        case "messages":
            return _without_nothing(
                {"messages": _messages(_only_turns(example, shape)), "tools": example.tools}
            )
        case "sharegpt":
            return _sharegpt(example)
        case "alpaca":
            return _alpaca(example)
        case "prompt_completion":
            turns = _only_turns(example, shape)
            asked = turns[:-1]
            if len(asked) == 1 and asked[0].role == "user" and not example.tools and not _structured(turns):
                return {"prompt": asked[0].content, "completion": turns[-1].content}
            return _without_nothing(
                {"prompt": _messages(asked), "completion": _messages(turns[-1:]), "tools": example.tools}
            )
        case "preference":
            if not (example.chosen and example.rejected):
                raise _cannot(shape, "a chosen and a rejected reply")
            pair = {
                "prompt": _messages(example.messages),
                "chosen": _messages(example.chosen),
                "rejected": _messages(example.rejected),
            }
            return _without_nothing({**pair, "tools": example.tools})
        case "kto":
            if example.label is None:
                raise _cannot(shape, "a label")
            messages = _messages(_only_turns(example, shape))
            return _without_nothing({"messages": messages, "label": example.label, "tools": example.tools})
        case "text":
            if example.text is None:
                raise _cannot(shape, "raw text")
            return {"text": example.text}
    raise FtuiError(f"cannot write the shape {shape!r}", f"one of {', '.join(TARGETS)}")


def lost(example: Example, shape: str) -> tuple[str, ...]:
    """What a row of `shape` cannot hold of `example`, in words; empty when nothing is lost."""
    turns = (*example.messages, *example.chosen, *example.rejected)
    missing = []
    if example.label is not None and shape != "kto":
        missing.append("label")
    if (example.chosen or example.rejected) and shape != "preference":
        missing.append("chosen and rejected")
    if shape in ("sharegpt", "alpaca"):
        for name, what in (
            ("weight", "loss weights"),
            ("reasoning", "reasoning"),
            ("tool_call_id", "tool call ids"),
            ("name", "names"),
        ):
            if any(getattr(turn, name) not in (None, "") for turn in turns):
                missing.append(what)
    if shape == "alpaca" and example.tools:
        missing.append("tools")
    return tuple(missing)


def _only_turns(example: Example, shape: str) -> tuple[Message, ...]:
    if not example.messages:
        raise _cannot(shape, "turns")
    if example.chosen:
        # The preferred reply is what such a row would teach.
        return (*example.messages, *example.chosen)
    return example.messages


def _messages(turns: Sequence[Message]) -> list[dict[str, Any]]:
    return [_message(turn) for turn in turns]


def _message(turn: Message) -> dict[str, Any]:
    fields: dict[str, Any] = {"role": turn.role, "content": turn.content}
    if turn.tool_calls:
        fields["tool_calls"] = _parsed(turn.tool_calls)
    for name, value in (
        ("tool_call_id", turn.tool_call_id),
        ("name", turn.name),
        ("reasoning_content", turn.reasoning),
    ):
        if value:
            fields[name] = value
    if turn.weight is not None or turn.odd_weight:
        fields["weight"] = turn.odd_weight if turn.weight is None else turn.weight
    return fields


def _sharegpt(example: Example) -> dict[str, Any]:
    turns = list(_only_turns(example, "sharegpt"))
    system = turns.pop(0).content if turns[0].role == "system" else ""
    rows: list[dict[str, Any]] = []
    for turn in turns:
        if turn.content or not turn.tool_calls:
            rows.append({"from": _SHAREGPT.get(turn.role, turn.role), "value": turn.content})
        if turn.tool_calls:
            rows.append({"from": "function_call", "value": _plain_calls(turn.tool_calls)})
    return _without_nothing({"conversations": rows, "system": system, "tools": example.tools})


def _plain_calls(calls: str) -> str:
    """OpenAI's list of calls as ShareGPT writes it: `{"name", "arguments"}`, or a list of several."""
    parsed = _parsed(calls)
    if not isinstance(parsed, list) or not all(isinstance(call, dict) for call in parsed):
        return calls
    plain = []
    for call in parsed:
        function = call.get("function") or {}
        plain.append({"name": function.get("name", ""), "arguments": _parsed(function.get("arguments", ""))})
    return json.dumps(plain[0] if len(plain) == 1 else plain, ensure_ascii=False)


def _alpaca(example: Example) -> dict[str, Any]:
    turns = list(_only_turns(example, "alpaca"))
    system = turns.pop(0).content if turns[0].role == "system" else ""
    if [turn.role for turn in turns] != ["user", "assistant"] * (len(turns) // 2) or not turns:
        raise _cannot("alpaca", "questions and answers in turn")
    if any(turn.tool_calls for turn in turns):
        raise _cannot("alpaca", "no tool calls")
    *history, question, answer = turns
    pairs = [[history[at].content, history[at + 1].content] for at in range(0, len(history), 2)]
    row = {"instruction": question.content, "input": "", "output": answer.content}
    return {**row, **_without_nothing({"system": system, "history": pairs})}


def _structured(turns: Sequence[Message]) -> bool:
    """True when a turn says more than its text and role."""
    last = turns[-1]
    return last.role != "assistant" or any(
        turn.tool_calls
        or turn.tool_call_id
        or turn.name
        or turn.reasoning
        or turn.odd_weight
        or turn.weight is not None
        for turn in turns
    )


def _parsed(text: Any) -> Any:
    if not isinstance(text, str):
        return text
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


def _without_nothing(row: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in row.items() if value not in ("", [])}


def _cannot(shape: str, needs: str) -> FtuiError:
    return FtuiError(f"this row cannot be written as {shape}: that takes {needs}", "choose another shape")

"""Recognises the shape of a dataset row and converts it to an Example; `shapes_back` converts back.

| shape | a row has |
|---|---|
| messages | `messages` (or a like key) of `role` / `content`; or it is such a list itself |
| sharegpt | `conversations` (or a like key) of `from` / `value`, `system`, `tools` |
| alpaca | `instruction` / `input` / `output`, or another question and answer pair of fields |
| prompt_completion | `prompt` and `completion`: texts or lists of turns |
| preference | `chosen` and `rejected`: texts, turns or lists of turns, with or without a prompt |
| kto | a conversation, or prompt and completion, and a `label` (or `kto_tag`) |
| text | `text` |
| thread | `id` and `parent_id`: one post of a conversation (see `shapes_thread`) |
| unknown | anything else |
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

from ftui.core.example import Example, Message
from ftui.core.shapes_turns import as_turns, is_turn, json_text, text_of, to_message, turn_style

if TYPE_CHECKING:
    from collections.abc import Mapping

SHAPES = (
    "messages",
    "sharegpt",
    "alpaca",
    "prompt_completion",
    "preference",
    "kto",
    "text",
    "thread",
    "unknown",
)

TURN_KEYS = (
    "messages", "conversations", "conversation", "dialog", "dialogue", "turns", "chat", "chat_messages",
)  # fmt: skip
QUESTION_KEYS = ("instruction", "question", "query", "problem", "prompt", "user", "human", "input", "source")
ANSWER_KEYS = (
    "output",
    "response",
    "completion",
    "solution",
    "answer",
    "assistant",
    "reply",
    "target",
    "gpt",
)
CONTEXT_KEYS = ("input", "context")
SYSTEM_KEYS = ("system", "system_prompt")
PAIR_KEYS = (
    ("chosen", "rejected"),
    ("chosen_messages", "rejected_messages"),
    ("chosen_response", "rejected_response"),
)
LABEL_KEYS = ("label", "kto_tag")
TEXT_KEYS = ("text", "content")
PARENT_KEYS = ("parent_id", "parent")
ID_KEYS = ("id", "message_id", "post_id")

# Names of fields that belong to a row, as opposed to names of rows or of collections of rows.
FIELDS = frozenset(
    itertools.chain(
        TURN_KEYS, QUESTION_KEYS, ANSWER_KEYS, CONTEXT_KEYS, SYSTEM_KEYS, *PAIR_KEYS, LABEL_KEYS, TEXT_KEYS,
        PARENT_KEYS, ID_KEYS, ("tools", "functions", "role", "from", "value", "history"),
    )
)  # fmt: skip
_LABELS = {"true": True, "1": True, "1.0": True, "false": False, "0": False, "0.0": False}


def recognise(value: Any) -> str:
    """The shape of a row's value, one of SHAPES. Never raises."""
    if isinstance(value, dict):
        return _recognise_object(value)
    if isinstance(value, list) and value and is_turn(value[0]):
        return turn_style(value)
    return "text" if isinstance(value, str) and value.strip() else "unknown"


def _recognise_object(row: Mapping[str, Any]) -> str:
    if _pair_keys(row):
        return "preference"
    turns = turn_key(row)
    question, answer = _question_and_answer(row)
    if (turns or (question and answer)) and _label(row) is not None:
        return "kto"
    if turns:
        return turn_style(as_turns(row[turns]) or ())
    if _first(row, PARENT_KEYS) and _first(row, ID_KEYS):
        return "thread"
    if question and answer:
        return "prompt_completion" if question == "prompt" else "alpaca"
    if isinstance(row.get("text"), str) or (len(row) == 1 and isinstance(row.get("content"), str)):
        return "text"
    return (
        turn_style((row,))
        if len(row) <= 3 and is_turn(row) and ("from" in row or "role" in row)
        else "unknown"
    )


def to_example(value: Any, shape: str = "") -> Example | None:
    """The row as an Example, read as `shape` where given; None where it cannot be read so. Never raises."""
    shape = shape or recognise(value)
    if isinstance(value, str):
        return Example(text=value) if shape == "text" else None
    if isinstance(value, list):
        return Example(messages=_turns(value)) if shape in ("messages", "sharegpt") else None
    if not isinstance(value, dict):
        return None
    match shape:
        case "messages" | "sharegpt":
            return Example(messages=(*_system(value), *_conversation(value)), tools=_tools(value))
        case "alpaca" | "prompt_completion":
            return _question(value)
        case "preference":
            return _preference(value)
        case "kto":
            messages = (*_system(value), *_conversation(value)) if turn_key(value) else None
            example = (
                Example(messages=messages, tools=_tools(value)) if messages is not None else _question(value)
            )
            return example and Example(example.messages, example.tools, label=_label(value))
        case "text":
            text = value.get("text", value.get("content"))
            return Example(text=text) if isinstance(text, str) else None
        case "thread":
            return Example(messages=post_turns(value))
    return None


def post_turns(row: Mapping[str, Any]) -> tuple[Message, ...]:
    """What one post of a thread says: its question and answer, or its one text."""
    question, answer = _question_and_answer(row)
    if question and answer:
        example = _question(row)
        return tuple(turn for turn in example.messages if turn.content) if example else ()
    text = _first(row, ("text", "content", "message", "body", *QUESTION_KEYS, *ANSWER_KEYS))
    role = text_of(row.get("role") or row.get("author") or ("" if _is_reply(row) else "user"))
    return _turns([{"role": role, "content": row.get(text, "")}])


def _is_reply(row: Mapping[str, Any]) -> bool:
    key = _first(row, PARENT_KEYS)
    return bool(key) and row[key] not in (None, "", "null", "None", -1)


def _conversation(row: Mapping[str, Any]) -> tuple[Message, ...]:
    key = turn_key(row)
    return _turns(row[key] if key else [row])


def _turns(value: Any) -> tuple[Message, ...]:
    return tuple(to_message(turn) for turn in as_turns(value) or ())


def _question(row: Mapping[str, Any]) -> Example | None:
    """Alpaca and prompt/completion: history, question (and context), answer."""
    question, answer = _question_and_answer(row)
    if not (question and answer):
        return None
    asked = _side(row[question], "user")
    context = next((key for key in CONTEXT_KEYS if key in row and key not in (question, answer)), "")
    if context and len(asked) == 1 and isinstance(row[context], str) and row[context].strip():
        asked = (Message("user", f"{asked[0].content}\n{row[context]}"),)
    messages = (*_system(row), *_history(row), *asked, *_side(row[answer], "assistant"))
    return Example(messages=messages, tools=_tools(row))


def _history(row: Mapping[str, Any]) -> tuple[Message, ...]:
    history = row.get("history")
    if not isinstance(history, list):
        return ()
    pairs = [pair for pair in history if isinstance(pair, list) and len(pair) == 2]
    return tuple(
        Message(role, text_of(said))
        for pair in pairs
        for role, said in zip(("user", "assistant"), pair, strict=True)
    )


def _preference(row: Mapping[str, Any]) -> Example | None:
    keys = _pair_keys(row)
    if not keys:
        return None
    chosen, rejected = (_reply(row[key]) for key in keys)
    question = next((key for key in QUESTION_KEYS if key in row), "")
    prompt: tuple[Message, ...] = ()
    if turn_key(row):
        prompt = _conversation(row)
    elif question:
        prompt = _side(row[question], "user")
        if question != "input" and isinstance(row.get("input"), str) and row["input"].strip():
            prompt = (Message("user", f"{prompt[0].content}\n{row['input']}"),)
    # Full conversations on both sides share their beginning: that is the prompt, or repeats it.
    shared = 0
    while shared < min(len(chosen), len(rejected)) - 1 and chosen[shared] == rejected[shared]:
        shared += 1
    beginning, chosen, rejected = chosen[:shared], chosen[shared:], rejected[shared:]
    if beginning and (
        not prompt or prompt[-1].content.strip() in [turn.content.strip() for turn in beginning]
    ):
        prompt = ()
    system = () if any(turn.role == "system" for turn in (*prompt, *beginning)) else _system(row)
    return Example(
        messages=(*system, *_history(row), *prompt, *beginning),
        tools=_tools(row),
        chosen=chosen,
        rejected=rejected,
    )


def _reply(value: Any) -> tuple[Message, ...]:
    """One side of a pair: a text, a turn, a list of turns, or a transcript ("Human: .. Assistant: ..")."""
    if isinstance(value, str) and value.lstrip().startswith("Human:") and "\n\nAssistant:" in value:
        parts = ("\n\n" + value.lstrip()).split("\n\nHuman:")[1:]
        turns: list[Message] = []
        for part in parts:
            asked, *answers = part.split("\n\nAssistant:")
            turns.append(Message("user", asked.strip()))
            turns += [Message("assistant", answer.strip()) for answer in answers]
        return tuple(turns)
    return _side(value, "assistant")


def _side(value: Any, role: str) -> tuple[Message, ...]:
    """A prompt or a reply: a text said by `role`, one turn, or a list of turns."""
    if is_turn(value):
        return _turns([value])
    turns = as_turns(value)
    if turns and all(is_turn(turn) for turn in turns):
        return _turns(turns)
    return (Message(role, text_of(value)),)


def _system(row: Mapping[str, Any]) -> tuple[Message, ...]:
    key = _first(row, SYSTEM_KEYS)
    said = row[key] if key else None
    return (Message("system", said),) if isinstance(said, str) and said.strip() else ()


def _tools(row: Mapping[str, Any]) -> str:
    if "tools" in row:
        text = json_text(row["tools"])
        return "" if text.strip() in ("[]", "{}", "null") else text
    functions = row.get("functions")
    if isinstance(functions, list) and functions:
        return json_text([{"type": "function", "function": function} for function in functions])
    return json_text(functions) if functions else ""


def turn_key(row: Mapping[str, Any]) -> str:
    """The key whose value is a list of turns (an empty `messages` is one too), or ""."""
    for key in TURN_KEYS:
        if key in row:
            turns = as_turns(row[key])
            if turns is not None and (is_turn(turns[0]) if turns else key in TURN_KEYS[:2]):
                return key
    return ""


def _pair_keys(row: Mapping[str, Any]) -> tuple[str, str] | None:
    for chosen, rejected in PAIR_KEYS:
        if (
            chosen in row
            and rejected in row
            and all(isinstance(row[key], str | list | dict) for key in (chosen, rejected))
        ):
            return chosen, rejected
    return None


def _question_and_answer(row: Mapping[str, Any]) -> tuple[str, str]:
    """The fields that hold the question and the answer, "" where there is none."""
    answer = next((key for key in ANSWER_KEYS if key in row and isinstance(row[key], str | list | dict)), "")
    if not answer:
        return "", ""
    question = next(
        (key for key in QUESTION_KEYS if key in row and isinstance(row[key], str | list | dict)), ""
    )
    return question, answer


def _label(row: Mapping[str, Any]) -> bool | None:
    for key in LABEL_KEYS:
        label = row.get(key)
        if isinstance(label, bool):
            return label
        if isinstance(label, int | str) and (known := _LABELS.get(str(label).strip().lower())) is not None:
            return known
    return None


def _first(row: Mapping[str, Any], keys: tuple[str, ...]) -> str:
    return next((key for key in keys if key in row), "")

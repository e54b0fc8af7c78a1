"""A request's sides as prompts: each conversation through the chat template, checked against the context."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ftui.core.errors import FtuiError
from ftui.engine.generate import Prompt
from ftui.engine.sampling import Sampling
from ftui.engine.template import ChatTemplate, Unrenderable

if TYPE_CHECKING:
    from ftui.engine.served_model import ServedModel

MOST_SIDES = 8


def read_sides(served: ServedModel, sides: Any) -> list[Prompt]:
    """The prompts of a generate request. Raises FtuiError naming the side that is wrong."""
    if not isinstance(sides, list) or not 1 <= len(sides) <= MOST_SIDES:
        raise FtuiError(f"generate needs 1 to {MOST_SIDES} sides")
    return [_read_side(served, side) for side in sides]


def _read_side(served: ServedModel, side: Any) -> Prompt:
    if not isinstance(side, dict):
        raise FtuiError("a side must be an object")
    name = side.get("adapter")
    where = str(name or "base")
    adapter = served.adapter(name)
    sampling = Sampling.parse(side.get("sampling") or {})
    tokenizer = adapter.tokenizer if adapter else served.tokenizer
    ids = _prompt_ids(tokenizer, _messages(side.get("messages"), where), where)
    room = None if served.context is None else served.context - len(ids)
    if room is not None and room < 1:
        raise FtuiError(
            f"the conversation has {len(ids)} tokens, the model's context holds {served.context}",
            "shorten it or start a new one",
            where,
        )
    if room is not None and room < sampling.max_new_tokens:
        sampling = replace(sampling, max_new_tokens=room)
    return Prompt(adapter.inner if adapter else None, ids, sampling)


def _messages(messages: Any, where: str) -> list[dict[str, Any]]:
    valid = isinstance(messages, list) and all(
        isinstance(turn, dict) and isinstance(turn.get("role"), str) and isinstance(turn.get("content"), str)
        for turn in messages
    )
    if not valid or not messages:
        raise FtuiError("messages must be a list of {role, content}, at least one", "", where)
    return list(messages)


def _prompt_ids(tokenizer: Any, messages: list[dict[str, Any]], where: str) -> list[int]:
    if not tokenizer.chat_template:
        # A base model without a template continues text: what was said last.
        return _some(tokenizer(messages[-1]["content"])["input_ids"], where)
    try:
        text = ChatTemplate(tokenizer).render(messages, None, prompt=True)
    except Unrenderable as reason:
        raise FtuiError(str(reason), "", where) from None
    return _some(tokenizer(text, add_special_tokens=False)["input_ids"], where)


def _some(ids: list[int], where: str) -> list[int]:
    if not ids:
        raise FtuiError("there is nothing to answer", "type something", where)
    return list(ids)

"""Messages in the forms that chat templates read: there is no one form that all of them do."""

from __future__ import annotations

import itertools
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ftui.core.example import Message


class Unrenderable(Exception):
    """The template cannot take this conversation, or the reply cannot be found in it; says why."""


@dataclass(frozen=True, slots=True)
class Style:
    """parts: content as a list of parts (vision-language templates), not as text.
    no_content: content None, not "", beside tool calls (DeepSeek).
    text_arguments: arguments of a tool call as JSON text, not as an object (DeepSeek).
    """

    parts: bool = False
    no_content: bool = False
    text_arguments: bool = False

    @classmethod
    def all(cls) -> Iterator[Style]:
        """Every style, the usual ones first."""
        for parts, text_arguments, no_content in itertools.product((False, True), repeat=3):
            yield cls(parts, no_content, text_arguments)

    def sample(self, one: str, other: str, *, tools: bool) -> list[dict[str, Any]]:
        """A conversation in this style that says `one` and `other`, in a tool call if `tools`."""
        turns = [{"role": "user", "content": self.content("Hello")}]
        if not tools:
            turns[0]["content"] = self.content(one)
            return [*turns, {"role": "assistant", "content": self.content(other)}]
        call = self.call(
            {"id": "call00001", "type": "function", "function": {"name": one, "arguments": {"q": other}}}
        )
        asking = {
            "role": "assistant",
            "content": None if self.no_content else self.content(""),
            "tool_calls": [call],
        }
        answer = {"role": "tool", "tool_call_id": "call00001", "name": one, "content": self.content("1")}
        return [*turns, asking, answer, {"role": "assistant", "content": self.content("Yes")}]

    def content(self, text: str) -> Any:
        return [{"type": "text", "text": text}] if self.parts else text

    def call(self, call: Any) -> Any:
        """A tool call with its arguments in this style: templates print objects as JSON, text as it is."""
        if not isinstance(call, dict):
            return call
        function = call.get("function", call)
        if not isinstance(function, dict) or "arguments" not in function:
            return call
        arguments = function["arguments"]
        if isinstance(arguments, str) and not self.text_arguments:
            try:
                arguments = json.loads(arguments)
            except ValueError:
                return call
        elif not isinstance(arguments, str) and self.text_arguments:
            arguments = json.dumps(arguments, ensure_ascii=False)
        function = {**function, "arguments": arguments}
        return {**call, "function": function} if "function" in call else function


_USUAL = Style()


def conversation(messages: Sequence[Message], style: Style = _USUAL) -> list[dict[str, Any]]:
    """Messages as turns for a template. Raises Unrenderable where tool calls are not JSON."""
    turns = []
    for message in messages:
        turn: dict[str, Any] = {"role": message.role, "content": style.content(message.content)}
        if message.tool_calls:
            turn["tool_calls"] = [style.call(call) for call in _parsed(message.tool_calls, "tool_calls")]
            if style.no_content and not message.content:
                turn["content"] = None
        if message.tool_call_id:
            turn["tool_call_id"] = message.tool_call_id
        if message.name:
            turn["name"] = message.name
        if message.reasoning:
            turn["reasoning_content"] = message.reasoning
        turns.append(turn)
    return turns


def tool_schemas(tools: str) -> list[dict[str, Any]] | None:
    """The tools of an Example as objects; None when there are none. Raises Unrenderable."""
    return _parsed(tools, "tools") if tools else None


def left_out(text: str, messages: Sequence[Message], tools: str) -> tuple[str, ...]:
    """What of the context does not show in the rendering `text`: a template may drop it without a word."""
    missing = [
        f"a {message.role} message"
        for message in messages
        if message.role in ("system", "developer", "user") and message.content.strip() not in text
    ]
    offered = [tool.get("function", tool) for tool in tool_schemas(tools) or [] if isinstance(tool, dict)]
    if any(str(tool.get("name", "")) not in text for tool in offered if isinstance(tool, dict)):
        missing.append("the tools on offer")
    last = messages[-1]  # templates may drop the thinking of earlier turns
    if last.role == "assistant" and last.reasoning.strip() not in text:
        missing.append("the thinking before the reply")
    return tuple(f"the chat template leaves out or rewrites {what}" for what in dict.fromkeys(missing))


def _parsed(text: str, field: str) -> list[Any]:
    try:
        value = json.loads(text)
    except ValueError:
        raise Unrenderable(f"{field} is not JSON") from None
    return value if isinstance(value, list) else [value]

"""One canonical training example. Every dataset shape converts to it and back (`core.shapes`)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

ROLES = ("system", "developer", "user", "assistant", "tool")


@dataclass(frozen=True, slots=True)
class Message:
    """One turn.

    role: one of ROLES (others are kept as they came and flagged by the checks).
    content: the text; content parts are joined without a separator.
    tool_calls: what the assistant asked for, as JSON text of OpenAI's list of
        `{"id", "type": "function", "function": {"name", "arguments"}}`; "" when none.
    tool_call_id, name: what a `tool` reply answers; "" when not given.
    reasoning: the thinking part where the dataset keeps it apart; "" when none.
    weight: this turn's loss weight where the dataset gives one (0 = context only), else None.
    odd_weight: what the dataset has in its place, as text, where that is no number; "" otherwise.
    """

    role: str
    content: str
    tool_calls: str = ""
    tool_call_id: str = ""
    name: str = ""
    reasoning: str = ""
    weight: float | None = None
    odd_weight: str = ""

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready, without the fields that say nothing."""
        fields: dict[str, Any] = {"role": self.role, "content": self.content}
        for name in ("tool_calls", "tool_call_id", "name", "reasoning"):
            if value := getattr(self, name):
                fields[name] = value
        if self.weight is not None:
            fields["weight"] = self.weight
        if self.odd_weight:
            fields["odd_weight"] = self.odd_weight
        return fields


@dataclass(frozen=True, slots=True)
class Example:
    """A conversation, a preference pair, a labelled reply, or raw text.

    messages: the conversation; for preference pairs the shared prompt only.
    tools: the JSON text of the tool schemas offered, "" when none.
    chosen, rejected: the preferred and dispreferred continuation; empty unless a pair.
    label: KTO's desirable / undesirable; None otherwise.
    text: raw text for pretraining; None otherwise.
    """

    messages: tuple[Message, ...] = ()
    tools: str = ""
    chosen: tuple[Message, ...] = ()
    rejected: tuple[Message, ...] = ()
    label: bool | None = None
    text: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """The `example` object of `ftui data show --json`."""
        return {
            "messages": [message.to_dict() for message in self.messages],
            "tools": self.tools or None,
            "chosen": [message.to_dict() for message in self.chosen] or None,
            "rejected": [message.to_dict() for message in self.rejected] or None,
            "label": self.label,
            "text": self.text,
        }

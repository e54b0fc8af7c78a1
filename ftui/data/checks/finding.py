"""What a check says."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, Protocol

if TYPE_CHECKING:
    from ftui.core.example import Example, Message
    from ftui.data.rows import Row

Severity = Literal["error", "warning", "hint"]
SEVERITIES: tuple[Severity, ...] = ("error", "warning", "hint")


@dataclass(frozen=True, slots=True)
class Finding:
    """One kind of trouble and the rows that have it.

    check: a stable name, such as "near-duplicates".
    rows: row numbers, ascending; empty for a finding about the file as a whole.
    message: what and why it matters, in plain words.
    fix: what `fixes.plan` can do about it in one undoable step; "" when a person must decide.
    groups: for duplicates, the rows that belong together.
    """

    check: str
    severity: Severity
    rows: tuple[int, ...]
    message: str
    fix: str = ""
    groups: tuple[tuple[int, ...], ...] = field(default=(), repr=False)

    @property
    def count(self) -> int:
        return len(self.rows)


class Check(Protocol):
    """Looks at every row once, in order, then says what it found."""

    def look(self, row: Row) -> None: ...

    def findings(self) -> Iterable[Finding]: ...


_SURROGATE = re.compile("[\ud800-\udfff]")


def encodable(text: str) -> str:
    """`text` of the same length without lone surrogates, which JSON can hold and UTF-8 cannot."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return _SURROGATE.sub("?", text)
    return text


def answers(example: Example) -> tuple[Message, ...]:
    """The turns a model would learn from."""
    if example.chosen or example.rejected:
        return tuple(m for m in (*example.chosen, *example.rejected) if m.role == "assistant")
    return tuple(message for message in example.messages if message.role == "assistant")


_latest: tuple[Example | None, str] = (None, "")


def all_text(example: Example) -> str:
    """Every text of an example, a blank line between turns; always encodable.

    The latest answer is kept: each check in turn asks for the same one.
    """
    global _latest  # noqa: PLW0603 - one slot, replaced as a whole: safe between threads
    known, text = _latest
    if known is not example:
        text = _all_text(example)
        _latest = (example, text)
    return text


def _all_text(example: Example) -> str:
    if example.text is not None:
        return encodable(example.text)
    turns = (*example.messages, *example.chosen, *example.rejected)
    parts = (part for turn in turns for part in (turn.content, turn.reasoning, turn.tool_calls) if part)
    return encodable("\n\n".join(parts))

"""Checks that look at one example at a time: its structure and the health of its text."""

from __future__ import annotations

import itertools
import json
import re
import zlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import re2

from ftui.core.example import ROLES
from ftui.core.loss_weight import refused_weight
from ftui.data.checks.encoding import looks_bad, repaired
from ftui.data.checks.finding import Finding, Severity, all_text, answers, encodable

if TYPE_CHECKING:
    from ftui.core.example import Example, Message
    from ftui.data.rows import Row


@dataclass(frozen=True, slots=True)
class Rule:
    """A yes/no question about one example; an answer in words is told of the first row it is given for."""

    check: str
    severity: Severity
    message: str
    broken_by: Callable[[Example], bool | str]
    fix: str = ""


def no_answer(example: Example) -> bool:
    """Nothing in it can be learned: no assistant turn, no pair, no text."""
    if example.text is not None:
        return not example.text.strip()
    return not answers(example)


def empty_answer(example: Example) -> bool:
    return any(not turn.tool_calls and _looks_empty(turn.content) for turn in answers(example))


def unknown_role(example: Example) -> bool:
    return any(turn.role not in ROLES for turn in (*example.messages, *example.chosen, *example.rejected))


# Which role may follow which. Parallel tool calls give several tool replies in a row.
_MAY_FOLLOW = {
    "user": {"assistant"},
    "assistant": {"user", "tool"},
    "tool": {"tool", "assistant"},
}


def role_order(example: Example) -> bool:
    """System first if at all, then user and assistant in turn, tool replies only after the assistant."""
    for continuation in (example.chosen, example.rejected) if example.chosen or example.rejected else ((),):
        roles = [turn.role for turn in (*example.messages, *continuation)]
        while roles and roles[0] in ("system", "developer"):
            roles.pop(0)
        if not roles or any(role not in _MAY_FOLLOW for role in roles):
            continue  # unknown roles and empty rows have rules of their own; a late system turn has not
        if roles[0] != "user" or any(
            after not in _MAY_FOLLOW[before] for before, after in itertools.pairwise(roles)
        ):
            return True
    return any(turn.role in ("system", "developer") for turn in _after_first_other(example.messages))


def _after_first_other(messages: tuple[Message, ...]) -> Iterable[Message]:
    seen = False
    for turn in messages:
        if seen:
            yield turn
        seen = seen or turn.role not in ("system", "developer")


def unanswered_end(example: Example) -> bool:
    """A conversation whose last turn is not the assistant's: that turn trains nothing."""
    if example.chosen or example.rejected or not example.messages or not answers(example):
        return False
    return example.messages[-1].role != "assistant"


def bad_tool_json(example: Example) -> bool:
    """Tool calls or tool schemas that are not the JSON a template or a parser expects."""
    if example.tools and not _is_json(example.tools, list):
        return True
    for turn in (*example.messages, *example.chosen, *example.rejected):
        if not turn.tool_calls:
            continue
        try:
            calls = json.loads(turn.tool_calls)
            functions = [call.get("function", call) for call in calls]
            if not all(isinstance(function["name"], str) and function["name"] for function in functions):
                return True
            if not all(_is_object(function.get("arguments", "{}")) for function in functions):
                return True
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
            return True
    return False


def _is_object(arguments: object) -> bool:
    return isinstance(arguments, dict) or (isinstance(arguments, str) and _is_json(arguments, dict))


def _is_json(text: str, kind: type) -> bool:
    try:
        return isinstance(json.loads(text), kind)
    except (ValueError, RecursionError):
        return False


def bad_weight(example: Example) -> str:
    """Which turn has a loss weight training refuses: no number, below 0, or out of all proportion."""
    refused = refused_weight((*example.messages, *example.chosen))
    if not refused and example.rejected:
        refused = refused_weight((*example.messages, *example.rejected))
    return refused


def same_pair(example: Example) -> bool:
    """Chosen and rejected say the same: a preference without a difference."""
    if not (example.chosen and example.rejected):
        return False
    chosen, rejected = (
        [(t.role, t.content.strip(), t.tool_calls) for t in side]
        for side in (example.chosen, example.rejected)
    )
    return chosen == rejected


# What no keyboard types and no reader sees. Joiners are needed by emoji, Persian and Indic scripts, and
# direction marks by right-to-left text, so those are reported only where plain Latin surrounds them.
_HIDDEN = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u200b\u2060-\u2064\u2066-\u2069\u202a-\u202e\ufeff\ufff9-\ufffb\U000e0000-\U000e007f]"
    "|(?<=[\x20-\x7e])[\u200c\u200d\u200e\u200f\xad](?=[\x20-\x7e])"
)


# The same characters wherever they stand, for RE2: twenty times faster on text that has none.
_MAYBE_HIDDEN = re2.compile(
    r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x{9f}\x{ad}\x{200b}-\x{200f}\x{202a}-\x{202e}\x{2060}-\x{2064}"
    r"\x{2066}-\x{2069}\x{feff}\x{fff9}-\x{fffb}\x{e0000}-\x{e007f}]"
)
_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")


def hidden_characters(example: Example) -> bool:
    text = all_text(example)
    if text.isascii():
        return _CONTROL.search(text) is not None
    return _MAYBE_HIDDEN.search(text) is not None and _HIDDEN.search(text) is not None


def without_hidden(text: str) -> str:
    """`text` without the characters `hidden_characters` reports."""
    return _HIDDEN.sub("", text)


def mojibake(example: Example) -> bool:
    """UTF-8 read as another encoding somewhere upstream (a curly apostrophe shown as three signs)."""
    text = all_text(example)
    if text.isascii():
        return False
    return looks_bad(text) and repaired(text) != text


_FENCE = re.compile(r"^ {0,3}(`{3,}|~{3,})", re.MULTILINE)


def open_fence(example: Example) -> bool:
    """An answer with a code block that is opened and never closed."""
    return any(
        "```" in turn.content and len(_FENCE.findall(turn.content)) % 2 == 1 for turn in answers(example)
    )


_REFUSAL = re2.compile(
    r"(?i)\bas an? (?:ai|artificial intelligence)(?: language)?(?: model| assistant)?\b|"
    r"\bi(?:'|\x{2019})?m (?:just |only )?an? (?:ai|language model)\b|"
    r"\bi(?:'|\x{2019})?m (?:sorry|afraid),? (?:but )?i (?:can(?:no|'|\x{2019})t|am unable|am not able)|"
    r"\bi can(?:not|'t|\x{2019}t) (?:assist|help|comply|fulfil+) (?:you )?with (?:that|this)\b|"
    r"\bmy (?:knowledge cut-?off|training data)\b"
)


def refusal(example: Example) -> bool:
    return any(_REFUSAL.search(encodable(turn.content[:2000])) is not None for turn in answers(example))


def _same_line_four_times(text: str) -> bool:
    previous, run = "", 1
    for line in filter(None, text.split("\n")):
        run = run + 1 if line == previous else 1
        previous = line
        if run == 4 and len(line) >= 8:
            return True
    return False


def repetition(example: Example) -> bool:
    """An answer stuck in a loop: it compresses over 8 to 1 (prose manages 2 to 3), or repeats a line."""
    for turn in answers(example):
        text = turn.content
        if len(text) < 200:
            continue
        raw = text[:20_000].encode("utf-8", "replace")
        if len(raw) > 8 * len(zlib.compress(raw, 1)) or _same_line_four_times(text[:20_000]):
            return True
    return False


def _looks_empty(text: str) -> bool:
    if text[:64].strip().isascii() and text[:64].strip():
        return False  # nearly every answer: decided without a regular expression
    return not without_hidden(text).strip(" \t\r\n\u00a0\u200c\u200d\u200e\u200f\u3000")


RULES = (
    Rule("no-answer", "error", "no assistant turn: the model would learn nothing from these", no_answer),
    Rule("empty-answer", "error", "an answer is empty: the model learns silence", empty_answer, "reject"),
    Rule("unknown-role", "error", "a role no chat template knows", unknown_role),
    Rule("role-order", "error", "turns out of order: chat templates refuse or garble them", role_order),
    Rule("tool-json", "error", "tool calls or tool schemas are not valid JSON", bad_tool_json),
    Rule("loss-weight", "error", "a loss weight that cannot be: training leaves the row out", bad_weight),
    Rule("same-pair", "error", "chosen and rejected are the same: nothing to prefer", same_pair, "reject"),
    Rule("unanswered-end", "hint", "the last turn is not the assistant's: it trains nothing", unanswered_end),
    Rule("hidden-characters", "warning", "characters nobody sees: control, zero-width, direction",
         hidden_characters, "remove-hidden"),
    Rule("mojibake", "warning", "text decoded with the wrong encoding upstream", mojibake, "repair-encoding"),
    Rule("open-fence", "warning", "a code block is opened and never closed", open_fence),
    Rule("refusal", "warning", "a stock refusal: the model would learn to refuse", refusal),
    Rule("repetition", "warning", "an answer repeats itself in a loop", repetition),
)  # fmt: skip


@dataclass(slots=True)
class RuleCheck:
    """Asks every rule of every example; also reports what could not be read at all."""

    _hits: dict[str, list[int]] = field(default_factory=dict)
    _words: dict[str, str] = field(default_factory=dict)

    def look(self, row: Row) -> None:
        if row.broken:
            self._hits.setdefault("broken-row", []).append(row.number)
        elif row.example is None or row.shape == "unknown":
            self._hits.setdefault("unknown-shape", []).append(row.number)
        else:
            for rule in RULES:
                if answer := rule.broken_by(row.example):
                    if isinstance(answer, str):
                        self._words.setdefault(rule.check, f"; in row {row.number}, {answer}")
                    self._hits.setdefault(rule.check, []).append(row.number)

    def findings(self) -> Iterable[Finding]:
        fixed: tuple[tuple[str, Severity, str, str], ...] = (
            ("broken-row", "error", "cannot be read as data: repair the text or delete the row", ""),
            ("unknown-shape", "error", "no known shape: map its fields before training", ""),
        )
        rules = ((rule.check, rule.severity, rule.message, rule.fix) for rule in RULES)
        for check, severity, message, fix in (*fixed, *rules):
            if rows := self._hits.get(check):
                yield Finding(check, severity, tuple(rows), message + self._words.get(check, ""), fix)

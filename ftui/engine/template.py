"""Chat templates: a conversation as text, and which stretches of that text the assistant wrote.

Two ways, in this order:

1. `{% generation %}` markers in the template say it outright.
2. Otherwise it is read off renderings. A reply starts where `render(messages before it, generation prompt)`
   ends and stops where `render(messages up to it)` ends, if both are beginnings of the whole rendering.
   Templates that rewrite history (Qwen3 drops old thinking, gpt-oss closes the last turn differently) break
   that; then the reply is found by rendering once more with a content replaced: what differs is the content.

Either way a reply that does not show in the stretch found for it is refused: many templates leave out tool
calls or thinking without a word, and training on what is left would teach the model to say nothing.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from jinja2 import TemplateError
from transformers.utils.chat_template_utils import render_jinja_template

from ftui.core.errors import FtuiError
from ftui.engine.conversation import Style, Unrenderable, conversation, tool_schemas

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from transformers import PreTrainedTokenizerBase

    from ftui.core.example import Message

    Turn = dict[str, Any]

_MARKERS = re.compile(r"\{%-?\s*generation\s*-?%\}")
# Two stand-ins that share no beginning and no end, with nothing a template could strip or split on.
_STAND_INS = ("\ue000Qx7\ue001", "\ue002zW4\ue003")


@dataclass(frozen=True, slots=True)
class Span:
    """Characters [start, end) of the rendering, written by message number `message` (from 0)."""

    start: int
    end: int
    message: int


class ChatTemplate:
    """A tokenizer's chat template. Raises FtuiError when it has none.

    closers: the texts of the tokens that may end a turn.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerBase, closers: Iterable[str] = ()) -> None:
        template = tokenizer.chat_template
        if isinstance(template, dict):  # named variants, such as Command-R's "rag"
            template = template.get("default", "")
        if not template:
            raise FtuiError(
                "this model has no chat template, so conversations cannot be written for it",
                'start from an instruction-tuned model, or set it to "chatml" or "plain"',
                "model.chat_template",
            )
        self.source: str = template
        self.marked = bool(_MARKERS.search(template))
        self._special = dict(tokenizer.special_tokens_map)
        self._closers = tuple(closers)
        self._style: Style | None = None
        self._tool_style: Style | None = None
        self._next: dict[bool, str] = {}

    def turns(
        self, messages: Sequence[Message], tools: str
    ) -> tuple[list[Turn], list[dict[str, Any]] | None]:
        """Messages and tools in the form this template reads. Raises Unrenderable."""
        if any(message.tool_calls for message in messages):
            if self._tool_style is None:
                self._tool_style = self._find_style(tools=True)
            style = self._tool_style
        else:
            if self._style is None:
                self._style = self._find_style(tools=False)
            style = self._style
        return conversation(messages, style), tool_schemas(tools)

    def render(
        self, turns: Sequence[Turn], tools: list[dict[str, Any]] | None, *, prompt: bool = False
    ) -> str:
        """The conversation as text; `prompt` opens the assistant's next turn. Raises Unrenderable."""
        return self._render(turns, tools, add_generation_prompt=prompt)[0]

    def replies(
        self, turns: Sequence[Turn], tools: list[dict[str, Any]] | None, wanted: Sequence[int]
    ) -> tuple[str, list[Span]]:
        """The whole rendering, and where the assistant turns numbered `wanted` are. Raises Unrenderable."""
        if self.marked:
            text, marks = self._render(turns, tools, return_assistant_tokens_mask=True)
            replies = [n for n, turn in enumerate(turns) if turn["role"] == "assistant"]
            if len(marks) == len(replies):
                spans = [Span(start, end, n) for (start, end), n in zip(marks, replies, strict=True)]
                return text, [_shown(text, span, turns) for span in spans if span.message in wanted]
            if list(wanted) == replies:  # several marked stretches a turn, and all of them are wanted
                return text, [Span(start, end, -1) for start, end in marks]
        else:
            text = self.render(turns, tools)
        spans, after = [], 0
        for n in wanted:
            span = _shown(text, self._place(text, turns, tools, n, after), turns)
            spans.append(span)
            after = span.end
        return text, spans

    def locate(self, text: str, turns: Sequence[Turn], tools: list[dict[str, Any]] | None, n: int) -> Span:
        """Where the content of turn `n`, of any role, is in its rendering `text`. Raises Unrenderable."""
        place = self._content(text, turns, tools, n)
        if place is None:
            raise Unrenderable(f"the chat template rewrites turn {n + 1}, which cannot be located")
        return Span(*place, n)

    def next_turn(self, *, calls: bool) -> str:
        """The end-of-turn token with which the turn after a reply, or after its tool calls, begins; "" if none.

        Some templates (GLM) close a reply by nothing else.
        """
        if calls not in self._next:
            turns = self._find_style(tools=calls).sample(*_STAND_INS, tools=calls)
            turns = turns[:3] if calls else [*turns, turns[0]]
            try:
                closed, whole = self.render(turns[:-1], None), self.render(turns, None)
            except Unrenderable:
                closed, whole = "", ""
            more = whole.removeprefix(closed) if closed else ""
            begins = (closer for closer in self._closers if closer and more.startswith(closer))
            self._next[calls] = next(begins, "") if more != whole else ""
        return self._next[calls]

    def _render(
        self, turns: Sequence[Turn], tools: list[dict[str, Any]] | None, **options: Any
    ) -> tuple[str, list[tuple[int, int]]]:
        try:
            texts, marks = render_jinja_template(
                conversations=[list(turns)],
                tools=tools,
                chat_template=self.source,
                **options,
                **self._special,
            )
        except (TemplateError, TypeError, KeyError, ValueError, AttributeError, IndexError) as error:
            reason = " ".join(str(error).split())[:200] or type(error).__name__
            raise Unrenderable(f"the chat template refuses it: {reason}") from None
        return str(texts[0]), [(int(start), int(end)) for start, end in marks[0]] if marks else []

    def _find_style(self, *, tools: bool) -> Style:
        """How this template wants contents and tool calls: tried on a conversation of stand-ins."""
        for style in Style.all():
            sample = style.sample(*_STAND_INS, tools=tools)
            try:
                text = self.render(sample, None)
            except Unrenderable:
                continue
            if all(stand_in in text for stand_in in _STAND_INS):
                return style
        return Style()

    def _place(
        self, text: str, turns: Sequence[Turn], tools: list[dict[str, Any]] | None, n: int, after: int
    ) -> Span:
        """Reply `n` in `text`, by the beginnings of the rendering, else by what differs."""
        start, end = self._start(text, turns, tools, n), self._end(text, turns, tools, n)
        if start is None or end is None:
            content = self._content(text, turns, tools, n)
            if start is None and content:
                start = content[0]
            if end is None and start is not None:
                end = content[1] if content else self._closed_before_next(text, turns, tools, n, start)
        if start is None or end is None or not after <= start < end:
            _shown(text, Span(0, len(text), n), turns)  # says why, where the turn is not in the text at all
            raise Unrenderable(f"the chat template rewrites turn {n + 1}, which cannot be located")
        return Span(start, end, n)

    def _start(
        self, text: str, turns: Sequence[Turn], tools: list[dict[str, Any]] | None, n: int
    ) -> int | None:
        try:
            head = self.render(turns[:n], tools, prompt=True)
        except Unrenderable:  # many templates want a user message first
            return None
        if text.startswith(head):
            return len(head)
        # The prompt may open something that the finished turn does not have (R1's "<think>"): what the two
        # share is the turn's header, provided that the history before it is untouched.
        try:
            history = self.render(turns[:n], tools)
        except Unrenderable:
            return None
        if not text.startswith(history):
            return None
        shared = next((i for i, (a, b) in enumerate(zip(head, text, strict=False)) if a != b), len(text))
        header = head[len(history) : shared]
        # Never stop inside a word or a tag that merely begins alike.
        while header and not header.endswith(("\n", ">", "]", ":", "|")):
            header = header[:-1]
        return len(history) + len(header) if header else None

    def _end(
        self, text: str, turns: Sequence[Turn], tools: list[dict[str, Any]] | None, n: int
    ) -> int | None:
        if n == len(turns) - 1:
            return len(text)
        try:
            upto = self.render(turns[: n + 1], tools)
        except Unrenderable:
            return None
        return len(upto) if text.startswith(upto) else None

    def _content(
        self, text: str, turns: Sequence[Turn], tools: list[dict[str, Any]] | None, n: int
    ) -> tuple[int, int] | None:
        """Where the content of turn `n` is: what changes when only it changes. None if it does not show."""
        content = _plain(turns[n])
        if not content.strip() or turns[n].get("tool_calls"):
            return None
        places = set()
        for stand_in in _STAND_INS:
            other = self.render([*turns[:n], _with_content(turns[n], stand_in), *turns[n + 1 :]], tools)
            start = other.find(stand_in)
            places.add((start, len(other) - start - len(stand_in)))
        (start, behind), *more = places
        found = text[start : len(text) - behind].strip()
        if more or start < 0 or not found or not content.strip().endswith(found):
            return None
        return start, len(text) - behind

    def _closed_before_next(
        self, text: str, turns: Sequence[Turn], tools: list[dict[str, Any]] | None, n: int, start: int
    ) -> int | None:
        """The end of a turn as its last end-of-turn token before the content of the next turn."""
        following = self._content(text, turns, tools, n + 1)
        if following is None:
            return None
        ends = [text.rfind(closer, start, following[0]) + len(closer) for closer in self._closers if closer]
        return max((end for end in ends if end > start), default=None)


def _shown(text: str, span: Span, turns: Sequence[Turn]) -> Span:
    """`span`, when what the turn says shows in it. Raises Unrenderable."""
    turn, found = turns[span.message], text[span.start : span.end]
    for call in turn.get("tool_calls") or []:
        function = call.get("function", call) if isinstance(call, dict) else {}
        if str(function.get("name", "")) not in found:
            raise Unrenderable("the chat template leaves out tool calls")
    said = _plain(turn).split("</think>")[-1].strip()  # templates may drop thinking written into the content
    if said not in found:
        raise Unrenderable(f"the chat template leaves out or rewrites what turn {span.message + 1} says")
    if not said and not turn.get("tool_calls"):
        raise Unrenderable(f"turn {span.message + 1} of the assistant is empty")
    return span


def _plain(turn: Turn) -> str:
    content = turn.get("content")
    if isinstance(content, list):
        return "".join(part["text"] for part in content)
    return content or ""


def _with_content(turn: Turn, text: str) -> Turn:
    parts = isinstance(turn.get("content"), list)
    return {**turn, "content": [{"type": "text", "text": text}] if parts else text}


__all__ = ["ChatTemplate", "Span", "Unrenderable"]

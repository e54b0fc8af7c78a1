"""One example as token ids and how much each token counts in the loss: the only place that decides it.

Training and the token X-ray call the same function, so what is shown is what is trained.

A row is rendered by the chat template (`template.py`), tokenised once, and a token is trained when it begins
inside a trained stretch of the text. A reply is trained up to and with its end-of-turn token, for that is how
the model learns to stop; white space after it is not, for generation never gets there.
"""

from __future__ import annotations

import bisect
import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from ftui.core.errors import FtuiError
from ftui.core.loss_weight import refused_weight
from ftui.engine.conversation import left_out
from ftui.engine.template import ChatTemplate, Span, Unrenderable

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from transformers import PreTrainedTokenizerBase

    from ftui.core.example import Example, Message

TrainOn = Literal["assistant", "last", "all"]
Overlong = Literal["drop", "truncate", "split"]

# Tokens that close a turn in the templates of the common families, besides the tokenizer's own eos.
_CLOSERS = (
    "<|im_end|>", "<|eot_id|>", "<|eom_id|>", "<|end|>", "<end_of_turn>", "<turn|>", "<|end_of_turn|>",
    "<|return|>", "<|call|>", "<|END_OF_TURN_TOKEN|>", "<|endoftext|>", "</s>",
    "<｜end▁of▁sentence｜>", "<|eot|>",
)  # fmt: skip

_OPEN = "the chat template leaves a reply open before the next turn: the model does not learn to stop there"
NOTHING = "nothing left to train on"
OVERLONG = "longer than max_length"


@dataclass(frozen=True, slots=True)
class Encoded:
    """A tokenised example.

    ids: token ids; with overlong="split" possibly longer than max_length.
    weights: the loss weight of predicting each token, 0 = context only; weights[0] is always 0.
    truncated: tokens cut off the end.
    dropped: why this row must not be trained, "" when it may.
    closed: a trained end-of-turn token is in it, so the model learns to stop.
    warnings: what a person should know about this row.
    """

    ids: list[int] = field(default_factory=list)
    weights: list[float] = field(default_factory=list)
    truncated: int = 0
    dropped: str = ""
    closed: bool = False
    warnings: tuple[str, ...] = ()

    @property
    def trained(self) -> list[bool]:
        return [weight > 0 for weight in self.weights]


@dataclass(frozen=True, slots=True)
class Rendered:
    """A row before tokenisation: its text, and the stretches that are trained with their weights.

    calls: it ends with tool calls.
    """

    text: str
    spans: tuple[tuple[Span, float], ...]
    raw: bool = False
    whole: bool = False
    calls: bool = False
    warnings: tuple[str, ...] = ()


class Encoder:
    """Encodes examples for one tokenizer and one policy.

    stop_ids: further ids that end generation (the model's generation config). Raises FtuiError on the first
    conversation when the tokenizer has no chat template.
    """

    def __init__(
        self,
        tokenizer: PreTrainedTokenizerBase,
        *,
        train_on: TrainOn = "assistant",
        max_length: int = 1024,
        overlong: Overlong = "drop",
        stop_ids: Iterable[int] = (),
    ) -> None:
        self.tokenizer = tokenizer
        self.train_on = train_on
        self.max_length = max_length
        self.overlong = overlong
        self._template: ChatTemplate | None = None
        self._blanks: dict[int, bool] = {}
        self.special = frozenset(tokenizer.all_special_ids) | {
            id_ for id_, token in tokenizer.added_tokens_decoder.items() if token.special
        }
        known = tokenizer.convert_tokens_to_ids(list(_CLOSERS))
        self.closers = frozenset(stop_ids) | {id_ for id_ in known if id_ in self.special}
        if tokenizer.eos_token_id is not None:
            self.closers |= {tokenizer.eos_token_id}
        self._backend = getattr(tokenizer, "backend_tokenizer", None) if tokenizer.is_fast else None
        if self._backend is not None:  # tokenizer.json may carry both; neither is ours to inherit
            self._backend.no_truncation()
            self._backend.no_padding()

    @property
    def template(self) -> ChatTemplate:
        if self._template is None:
            texts = self.tokenizer.convert_ids_to_tokens(sorted(self.closers))
            self._template = ChatTemplate(self.tokenizer, texts)
        return self._template

    def encode(self, example: Example) -> Encoded:
        return next(self.encode_batch([example]))

    def encode_batch(self, examples: Sequence[Example]) -> Iterator[Encoded]:
        """One Encoded for each example, tokenised together (the tokenizer uses every core)."""
        rendered = [self.render(example) for example in examples]
        tokenised = iter(self.tokenise([row for row in rendered if isinstance(row, Rendered)]))
        for row in rendered:
            if isinstance(row, str):
                yield Encoded(dropped=row)
            else:
                ids, offsets = next(tokenised)
                yield self.finish(row, ids, offsets)

    def render(self, example: Example) -> Rendered | str:
        """The row as text with its trained stretches, or why it cannot be one."""
        if example.text is not None and not example.messages:
            return Rendered(example.text, (), raw=True, whole=True) if example.text.strip() else "no text"
        if example.label is False:
            return "labelled undesirable"
        messages = [*example.messages, *example.chosen]
        if not messages:
            return "no messages"
        if refused := refused_weight(messages):
            return refused
        try:
            return self._render_chat(messages, example.tools)
        except Unrenderable as reason:
            return str(reason)

    def _render_chat(self, messages: list[Message], tools: str) -> Rendered:
        turns, schemas = self.template.turns(messages, tools)
        if self.train_on == "all":
            text = self.template.render(turns, schemas)
            weighted = [n for n, message in enumerate(messages) if message.weight not in (None, 1)]
            places = [
                (self.template.locate(text, turns, schemas, n), messages[n].weight or 0.0) for n in weighted
            ]
            return Rendered(text, tuple(places), whole=True, warnings=left_out(text, messages, tools))
        replies = [n for n, message in enumerate(messages) if message.role == "assistant"]
        wanted = [n for n in replies[-1:] if self.train_on == "last"] or replies
        wanted = [n for n in wanted if messages[n].weight != 0]
        if not wanted:
            return Rendered("", ())
        text, spans = self.template.replies(turns, schemas, wanted)
        weights = [messages[span.message].weight for span in spans]
        return Rendered(
            text,
            tuple(
                (span, 1.0 if weight is None else weight) for span, weight in zip(spans, weights, strict=True)
            ),
            calls=bool(messages[-1].tool_calls),
            warnings=left_out(text, messages, tools),
        )

    def tokenise(self, rows: Sequence[Rendered]) -> list[tuple[list[int], list[tuple[int, int]]]]:
        """Ids and character offsets of each row. Raw text gets the special tokens the tokenizer adds by
        itself; a chat template writes its own, so adding them again would double the BOS."""
        if self._backend is None:
            return [self._tokenise_slowly(row) for row in rows]
        result: list[tuple[list[int], list[tuple[int, int]]]] = [([], [])] * len(rows)
        for raw in (False, True):
            chosen = [number for number, row in enumerate(rows) if row.raw is raw]
            encodings = self._backend.encode_batch([rows[n].text for n in chosen], add_special_tokens=raw)
            for number, encoding in zip(chosen, encodings, strict=True):
                result[number] = (encoding.ids, encoding.offsets)
        return result

    def _tokenise_slowly(self, row: Rendered) -> tuple[list[int], list[tuple[int, int]]]:
        """Without offsets: tokens are counted up to each edge of a trained stretch, and the edge must fall
        between two tokens."""
        ids = self.tokenizer(row.text, add_special_tokens=row.raw)["input_ids"]
        offsets: list[tuple[int, int]] = []
        edges = sorted({edge for span, _ in row.spans for edge in (span.start, span.end)} | {len(row.text)})
        for left, right in zip([0, *edges], edges, strict=False):
            head = self.tokenizer(row.text[:right], add_special_tokens=row.raw)["input_ids"]
            if ids[: len(head)] != head:
                raise FtuiError(
                    "this tokenizer joins prompt and reply into one token, so they cannot be told apart",
                    "use a model with a fast tokenizer (tokenizer.json)",
                    "model.base",
                )
            offsets += [(left, right)] * (len(head) - len(offsets))
        return ids, offsets

    def finish(self, row: Rendered, ids: list[int], offsets: list[tuple[int, int]]) -> Encoded:
        """Weights for the tokens, the end of the turn, and the length policy."""
        warnings = list(row.warnings)
        weights = [1.0 if row.whole else 0.0] * len(ids)
        starts = [start for start, _ in offsets]
        for span, weight in row.spans:
            first, last = self._tokens(span, starts, ids, whole=row.whole)
            weights[first:last] = [weight] * (last - first)
            if (
                first < last < len(ids)
                and span.message >= 0
                and not row.whole
                and ids[last - 1] not in self.closers
            ):
                warnings.append(_OPEN)
            if first and offsets[first - 1][1] > span.start > offsets[first - 1][0]:
                warnings.append(
                    "the first token of a reply also holds the end of the prompt: it is not trained"
                )
        eos = self.tokenizer.eos_token_id
        reply_is_last = bool(row.spans) and not row.whole and weights[-1:] != [0.0]
        if eos is not None and (
            (row.raw and ids[-1:] != [eos]) or (reply_is_last and ids[-1] not in self.closers)
        ):
            closing = "" if row.raw else self.template.next_turn(calls=row.calls)
            end = self.tokenizer.convert_tokens_to_ids(closing) if closing else eos
            ids, weights = [*ids, end], [*weights, 1.0 if row.raw else weights[-1]]
            if not row.raw and not closing:
                warnings.append(
                    "the chat template closes replies with no special token: the eos token is added"
                )
        if weights:
            weights[0] = 0.0  # nothing comes before it to predict it from
        return self._fit(ids, weights, warnings)

    def _tokens(
        self,
        span: Span,
        starts: list[int],
        ids: list[int],
        *,
        whole: bool,
    ) -> tuple[int, int]:
        """The tokens [first, last) of a stretch of text, ending with its end-of-turn token."""
        first = bisect.bisect_left(starts, span.start)
        last = bisect.bisect_left(starts, span.end)
        if whole:
            return first, last
        for n in range(last - 1, first - 1, -1):
            if ids[n] in self.special:
                return first, n + 1
            if not self._blank(ids[n]):
                break
        if last < len(ids) and ids[last] in self.closers:
            last += 1
        return first, last

    def _blank(self, id_: int) -> bool:
        known = self._blanks.get(id_)
        if known is None:
            known = self._blanks[id_] = not self.tokenizer.decode([id_]).strip()
        return known

    def _fit(self, ids: list[int], weights: list[float], warnings: list[str]) -> Encoded:
        dropped, cut = "", 0
        if len(ids) > self.max_length and self.overlong == "drop":
            dropped = OVERLONG
        elif len(ids) > self.max_length and self.overlong == "truncate":
            cut = len(ids) - self.max_length
            ids, weights = ids[: self.max_length], weights[: self.max_length]
        if not dropped and not any(weights):
            dropped = NOTHING
        closed = any(weight and id_ in self.closers for id_, weight in zip(ids, weights, strict=True))
        return Encoded(ids, weights, cut, dropped, closed, tuple(dict.fromkeys(warnings)))


def encode(
    example: Example,
    tokenizer: PreTrainedTokenizerBase,
    *,
    train_on: TrainOn = "assistant",
    max_length: int = 1024,
    overlong: Overlong = "drop",
) -> Encoded:
    """`example` as token ids with loss weights. Raises FtuiError when the tokenizer has no chat template."""
    return Encoder(tokenizer, train_on=train_on, max_length=max_length, overlong=overlong).encode(example)


def main() -> None:
    """The encoder server: JSON lines on stdio (see `ftui.engine.xray`)."""
    from ftui.engine.xray import serve

    serve()
    # The thread that reads stdin may hold its lock, at which Python aborts when it takes itself down.
    os._exit(0)


if __name__ == "__main__":
    main()

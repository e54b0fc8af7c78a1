"""Rows for preference learning: each becomes units of two documents, which lie one after the other on disk.

A pair is its chosen and its rejected conversation. A labelled reply is its conversation, and its prompt with
the reply of another row, by which KTO sees how far the model has moved. Only the replies count: the prompt,
earlier replies in it included, is context.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ftui.core.example import Example
from ftui.core.loss_weight import refused_weight
from ftui.core.objectives import needs
from ftui.engine.encode import NOTHING, Encoded

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ftui.core.example import Message
    from ftui.engine.encode import Encoder


@dataclass(frozen=True, slots=True)
class Unit:
    """What is trained as one example: its documents, all or none of them kept.

    label: 1 for desirable, 0 for undesirable; pairs and ordinary rows have 1.
    """

    documents: tuple[Encoded, ...]
    label: float = 1.0

    @property
    def dropped(self) -> str:
        return next((one.dropped for one in self.documents if one.dropped), "")


class SingleUnits:
    """Ordinary training: an example is a document."""

    def __call__(self, encoder: Encoder, examples: Sequence[Example]) -> Iterator[list[Unit]]:
        for row in encoder.encode_batch(examples):
            yield [Unit((row,))]


class PairUnits:
    """dpo and orpo: an example is a chosen and a rejected document."""

    def __init__(self, objective: str) -> None:
        self.unsuited = unsuited(objective)

    def __call__(self, encoder: Encoder, examples: Sequence[Example]) -> Iterator[list[Unit]]:
        pairs = [
            continued(one, reply) for one in examples if is_pair(one) for reply in (one.chosen, one.rejected)
        ]
        encoded = encoder.encode_batch(pairs)
        for one in examples:
            if is_pair(one):
                yield [Unit((next(encoded), next(encoded)))]
            else:
                yield [Unit((Encoded(dropped=self.unsuited),))]


class LabelledUnits:
    """kto: an example is a labelled reply; a pair is a desirable and an undesirable one."""

    def __init__(self, objective: str) -> None:
        self.unsuited = unsuited(objective)
        self._last: Encoded | None = None

    def __call__(self, encoder: Encoder, examples: Sequence[Example]) -> Iterator[list[Unit]]:
        replies = [labelled(one) for one in examples]
        encoded = list(encoder.encode_batch([reply for row in replies for reply, _ in row]))
        usable = [row for row in encoded if not row.dropped]
        # The replies in order, each put to the prompt of the next one.
        before = self._last or (usable[-1] if usable else None)
        rows = iter(encoded)
        for row in replies:
            units = []
            for _, label in row:
                own = next(rows)
                if own.dropped or before is None:
                    units.append(Unit((own,)))
                    continue
                units.append(Unit((own, _mismatched(own, before, encoder.max_length)), float(label)))
                before = own
            yield units or [Unit((Encoded(dropped=self.unsuited),))]
        self._last = usable[-1] if usable else self._last


def unsuited(objective: str) -> str:
    """Why a row of another shape is left out."""
    return f"{objective} learns from {needs(objective)}"


def is_pair(example: Example) -> bool:
    return bool(example.chosen and example.rejected)


def labelled(example: Example) -> list[tuple[Example, bool]]:
    """The labelled replies of an example: one, two of a pair, or none."""
    if is_pair(example):
        return [(continued(example, example.chosen), True), (continued(example, example.rejected), False)]
    if example.label is None or not example.messages:
        return []
    asked = max((n for n, turn in enumerate(example.messages) if turn.role == "user"), default=-1) + 1
    prompt = replace(example, messages=example.messages[:asked])
    return [(continued(prompt, example.messages[asked:]), example.label)]


def continued(example: Example, reply: tuple[Message, ...]) -> Example:
    """The prompt of `example` as context, and `reply` to be learned from.

    Of a loss weight only 0 counts here; one that is not possible stays, for the encoder to refuse.
    """
    if refused_weight([*example.messages, *reply]):
        return Example(messages=(*example.messages, *reply), tools=example.tools)
    context = tuple(
        replace(turn, weight=0) if turn.role == "assistant" else turn for turn in example.messages
    )
    learned = tuple(replace(turn, weight=0 if turn.weight == 0 else None) for turn in reply)
    return Example(messages=(*context, *learned), tools=example.tools)


def _mismatched(own: Encoded, other: Encoded, max_length: int) -> Encoded:
    """The prompt of `own` with the reply of `other`, cut at `max_length`."""
    ids = [*own.ids[: _first(own)], *other.ids[_first(other) :]][:max_length]
    weights = [*own.weights[: _first(own)], *other.weights[_first(other) :]][:max_length]
    return Encoded(ids, weights, dropped="" if any(weights) else NOTHING)


def _first(row: Encoded) -> int:
    """The first trained token."""
    return next(n for n, weight in enumerate(row.weights) if weight)

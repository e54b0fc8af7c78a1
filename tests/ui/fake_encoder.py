"""An encoder without a tokenizer: words are tokens. Stands in for runs.encoder.Encoder in a screen's test."""

from __future__ import annotations

import re
import threading
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar

from ftui.data.training import read_examples
from ftui.runs.encoder import Token, Xray

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from ftui.core.example import Example

_WORDS = re.compile(r" ?[^\s]+|\n| ")


class FakeEncoder:
    """made: every one that was started. asked: (train_on, max_length) of each X-ray.

    hold: while set, answers wait for `release`. failure: raised by every question.
    """

    made: ClassVar[list[FakeEncoder]] = []
    hold = False
    failure: Exception | None = None
    batch = 2

    def __init__(self) -> None:
        self.alive = True
        self.asked: list[dict[str, Any]] = []
        self.counted: list[str] = []
        self._released = threading.Semaphore(0)
        FakeEncoder.made.append(self)

    @classmethod
    def reset(cls) -> None:
        cls.made, cls.hold, cls.failure = [], False, None

    def release(self, count: int = 1) -> None:
        for _ in range(count):
            self._released.release()

    def close(self, patience: float | None = None) -> None:
        self.alive = False
        self.release(100)

    def _wait(self) -> None:
        if FakeEncoder.hold:
            assert self._released.acquire(timeout=120), "the test never let the encoder answer"
        if FakeEncoder.failure is not None:
            raise FakeEncoder.failure

    def xray(self, example: Example, model: str, *, progress: Any = None, **asked: Any) -> Xray:
        self.asked.append({"model": model, **asked})
        self._wait()
        seen = _view(example, **asked)
        if example.rejected:
            other = replace(example, chosen=example.rejected, rejected=())
            seen = replace(seen, rejected=_view(other, **asked))
        return seen

    def row_lengths(
        self,
        file: Path,
        model: str,
        progress: Any = None,
        cancelled: Any = None,
        *,
        only: Any = "all",
        refused: dict[int, str] | None = None,
        **options: Any,
    ) -> Iterator[tuple[int, int]]:
        self.counted.append(model)
        for number, example in read_examples(file, only):
            self._wait()
            if cancelled and cancelled():
                return
            seen = _view(example, train_on="all", max_length=10**9, overlong="truncate")
            if example.label is False:
                if refused is not None:
                    refused[number] = "labelled undesirable"
                continue
            yield number, seen.total


def _view(example: Example, *, train_on: str, max_length: int, overlong: str, **_: Any) -> Xray:
    pieces: list[tuple[str, str, bool]] = []
    turns = [*example.messages, *example.chosen]
    answers = [number for number, turn in enumerate(turns) if turn.role == "assistant"]
    learned = answers[-1:] if train_on == "last" else answers
    for number, turn in enumerate(turns):
        pieces += [("<|im_start|>", "template", False), (turn.role + "\n", "template", False)]
        trained = train_on == "all" or number in learned
        pieces += [(word, turn.role, trained) for word in _WORDS.findall(turn.content)]
        pieces += [("<|im_end|>", turn.role, trained), ("\n", "template", False)]
    if example.text is not None:
        pieces = [(word, "text", True) for word in _WORDS.findall(example.text)]
    dropped = "labelled undesirable" if example.label is False else ""
    if len(pieces) > max_length and overlong == "drop":
        dropped = dropped or "longer than max_length"
    tokens = tuple(
        Token(
            id=100 + number,
            text=text,
            trained=trained and not dropped and 0 < number < max_length,
            role=role,
            special=text.startswith("<|"),
            truncated=number >= max_length,
        )
        for number, (text, role, trained) in enumerate(pieces)
    )
    return Xray(
        tokens,
        sum(token.trained for token in tokens),
        len(tokens),
        max(0, len(tokens) - max_length),
        any(token.trained and token.special for token in tokens),
        dropped,
        (),
    )

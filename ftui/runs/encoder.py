"""Asks the encoder process how rows become tokens: the token X-ray, and how long rows are.

The process runs the functions that training runs (`ftui.engine.encode`), so what it says is what is trained.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from ftui.core.errors import FtuiError
from ftui.data.checks.finding import Finding
from ftui.data.training import Only, encodable, read_examples
from ftui.runs.clients import EngineClient

if TYPE_CHECKING:
    from typing import Self

    from ftui.core.example import Example
    from ftui.data.rows import Row

Progress = Callable[[str, int, int], None]
Cancelled = Callable[[], bool]
TrainOn = Literal["assistant", "last", "all"]
Overlong = Literal["drop", "truncate"]

_MODULE = "ftui.engine.encode"
_ENDLESS = 1 << 40  # a length that cuts nothing


@dataclass(frozen=True, slots=True)
class Token:
    """One token. text is as it came: sanitize it before it reaches a terminal.

    role: whose words it holds, "template" for what the chat template wrote, "text" in raw text.
    truncated: beyond the longest length, so training never sees it. weight: what it counts in the loss.
    """

    id: int
    text: str
    trained: bool
    role: str
    special: bool
    truncated: bool
    weight: float = 1.0


@dataclass(frozen=True, slots=True)
class Xray:
    """A row as training sees it. The tokens' texts put together are the text that was tokenised.

    trained, total, truncated: numbers of tokens, total with the truncated ones.
    eos_trained: whether the model learns to end its reply here.
    dropped: why the row is not trained at all, "" when it is.
    rejected: the same row with the other reply of a preference pair.
    """

    tokens: tuple[Token, ...]
    trained: int
    total: int
    truncated: int
    eos_trained: bool
    dropped: str
    warnings: tuple[str, ...]
    rejected: Xray | None = None


@dataclass(frozen=True, slots=True)
class Lengths:
    """How long rows are in tokens. over: rows longer than each length. refused: rows that give no tokens."""

    count: int
    mean: float
    p50: int
    p90: int
    p95: int
    p99: int
    max: int
    over: dict[int, int]
    refused: int


class Encoder:
    """A running encoder process. It keeps the tokenizer of the last model, so a second question is quick.

    Close it, or use it as a context manager. Every method raises FtuiError where the model or the row is
    wrong and ModelError where the process failed.
    """

    def __init__(self, log_path: Path | None = None) -> None:
        self._client = EngineClient(_MODULE, log_path)

    @property
    def alive(self) -> bool:
        """Whether it can still answer."""
        return self._client.alive

    def close(self, patience: float | None = None) -> None:
        """Ends the process; one that has not ended by itself after `patience` seconds is killed."""
        if patience is None:
            self._client.close()
        else:
            self._client.close(patience)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def xray(
        self,
        example: Example,
        model: str,
        *,
        train_on: TrainOn = "assistant",
        max_length: int | None = None,
        overlong: Overlong = "truncate",
        progress: Progress | None = None,
        **options: Any,
    ) -> Xray:
        """Every token of `example`. max_length: in tokens, None cuts nothing.

        options: revision, chat_template, trust_remote_code, as in a recipe's [model]; objective, which decides
        what is learned from a pair or a labelled reply.
        """
        asked = {"train_on": train_on, "max_length": max_length or _ENDLESS, "overlong": overlong}
        request = {"example": example.to_dict(), "model": model, **asked, **options}
        return _to_xray(self._ask("xray", request, progress))

    def lengths(
        self,
        file: Path,
        model: str,
        *,
        max_length: int | None = None,
        only: Only = "all",
        progress: Progress | None = None,
        **options: Any,
    ) -> Lengths:
        """The lengths of a dataset's rows, summed up. max_length: one more length to count the rows over."""
        asked = {"max_length": max_length or 0, "only": only, **options}
        reply = self._ask("lengths", {"path": str(file), "model": model, **asked}, progress)
        figures = {name: reply[name] for name in ("count", "p50", "p90", "p95", "p99", "max", "refused")}
        over = {int(length): rows for length, rows in reply["over"].items()}
        return Lengths(mean=reply["mean"], over=over, **figures)

    def row_lengths(
        self,
        file: Path,
        model: str,
        progress: Progress | None = None,
        cancelled: Cancelled | None = None,
        *,
        only: Only = "all",
        refused: dict[int, str] | None = None,
        **options: Any,
    ) -> Iterator[tuple[int, int]]:
        """(row number, tokens) of every row that gives tokens, as they are counted; cancelled: those so far.

        refused: filled with the rows that give none, and why. Closing the iterator ends the counting.
        """
        request = {"path": str(file), "model": model, "only": only, "rows": True, **options}
        for event in self._events("lengths", request, progress, cancelled):
            if event.get("event") != "lengths":
                continue
            if refused is not None:
                refused.update((int(number), str(why)) for number, why in event.get("refused") or ())
            for number, length in event.get("rows") or ():
                yield int(number), int(length)

    def _ask(self, op: str, request: dict[str, Any], progress: Progress | None) -> dict[str, Any]:
        """The last event of a request."""
        last: dict[str, Any] = {}
        for event in self._events(op, request, progress, None):
            last = event
        return last

    def _events(
        self, op: str, request: dict[str, Any], progress: Progress | None, cancelled: Cancelled | None
    ) -> Iterator[dict[str, Any]]:
        """What the process says to a request, its progress apart. Ends early when cancelled."""
        with contextlib.closing(self._client.call(op, **request)) as events:  # closing it cancels
            for event in events:
                if cancelled and cancelled():
                    return
                if event.get("event") != "progress":
                    yield event
                elif progress:
                    done, total = int(event.get("done") or 0), int(event.get("total") or 0)
                    progress(str(event.get("stage")), done, total)


def row_lengths(
    file: Path,
    model: str,
    progress: Progress | None = None,
    cancelled: Cancelled | None = None,
    *,
    only: Only = "all",
) -> Iterator[tuple[int, int]]:
    """(row number, tokens) of every row of a dataset, by an encoder of its own. Raises FtuiError."""
    with Encoder() as encoder:
        yield from encoder.row_lengths(file, model, progress, cancelled, only=only)


def example_of(file: Path, number: int) -> Example:
    """Row `number` as training sees it, edits applied. Raises FtuiError, saying why, where it cannot."""
    from ftui.data.dataset import Dataset

    with Dataset.open(file) as dataset:
        row = dataset.row(number)
    return example_in(row, file)


def example_in(row: Row, file: Path) -> Example:
    """What `row` of `file` trains. Raises FtuiError, saying why, where it can train nothing."""
    number, where = row.number, f"{file}:{row.line}"
    if row.broken:
        raise FtuiError(
            f"row {number} is broken: {row.broken}", "mend it with `ftui data annotate --text`", where
        )
    if row.shape == "thread":  # a post is trained as part of the conversation it ends
        for last, example in read_examples(file, "all"):
            if last == number:
                return example
        raise FtuiError(
            f"row {number} is answered by a later post", "look at the last post of its thread", where
        )
    if row.example is None:
        raise FtuiError(
            f"row {number} has no shape that can be trained", "see `ftui data inspect` for the shapes", where
        )
    if not encodable(row.example):
        raise FtuiError(
            f"row {number} holds half a character (a lone surrogate)",
            "edit it out: no tokenizer reads it",
            where,
        )
    return row.example


def _to_xray(reply: dict[str, Any]) -> Xray:
    tokens = tuple(
        Token(
            id=token["id"],
            text=token["text"],
            trained=token["trained"],
            role=token["role"],
            special=token["special"],
            truncated=token["truncated"],
            weight=token["weight"],
        )
        for token in reply["tokens"]
    )
    return Xray(
        tokens=tokens,
        trained=reply["trained"],
        total=reply["total"],
        truncated=reply["truncated"],
        eos_trained=reply["eos_trained"],
        dropped=reply["dropped"],
        warnings=tuple(reply["warnings"]),
        rejected=_to_xray(reply["rejected"]) if reply.get("rejected") else None,
    )


def too_long(lengths: Iterable[tuple[int, int]], max_length: int) -> list[Finding]:
    """The check "too-long": rows of more than `max_length` tokens, from (row number, tokens)."""
    rows = tuple(sorted(number for number, tokens in lengths if tokens > max_length))
    if not rows:
        return []
    message = f"over {max_length:,} tokens: dropped or cut by the recipe"
    return [Finding("too-long", "warning", rows, message)]

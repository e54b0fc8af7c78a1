"""The generation loop: several sides at once, each streaming, each ending by itself.

Sides that can share a pass run as one left-padded batch; rows that have ended leave it. Where they cannot
(DoRA, adapted embeddings or experts, recurrent layers) the sides run one after another.
"""

from __future__ import annotations

import inspect
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from ftui.engine.multi_adapter import AdapterRows, NotStackable
from ftui.engine.sampling import Sampler, Sampling
from ftui.engine.stream_text import TextStream

if TYPE_CHECKING:
    from ftui.engine.served_model import ServedModel

# Prompt tokens a pass: between two passes a reply can be cancelled.
_CHUNK = {"cpu": 256, "cuda": 4096}


@dataclass(frozen=True, slots=True)
class Prompt:
    """One side's question: peft's adapter name (None: the base), prompt ids, and how to draw the reply."""

    adapter: str | None
    ids: list[int]
    sampling: Sampling


@dataclass(frozen=True, slots=True)
class Token:
    """More text of side number `side`."""

    side: int
    text: str


@dataclass(frozen=True, slots=True)
class Done:
    """Side number `side` has ended. tokens leaves out the one that ends the turn; tokens_per_second is the
    pace after the first token. finish: "stop", "length" or "cancelled"."""

    side: int
    text: str
    tokens: int
    ttft_seconds: float
    tokens_per_second: float
    finish: str
    seed: int


def generate(
    served: ServedModel,
    prompts: Sequence[Prompt],
    emit: Callable[[Token | Done], None],
    cancelled: Callable[[], bool],
) -> None:
    """Answers all `prompts`: tokens as they come, then one Done a side. Looks at `cancelled` every token."""
    rows = [_Row(served, number, prompt, emit) for number, prompt in enumerate(prompts)]
    with torch.inference_mode():
        if not served.recurrent:
            try:
                with served.rows([prompt.adapter for prompt in prompts]) as stacked:
                    _run(served, rows, stacked, cancelled)
                return
            except NotStackable:
                pass  # known before the first token: no side has said anything yet
        for row in rows:
            with served.alone(row.prompt.adapter):
                row.restart()
                _run(served, [row], None, cancelled)


class _Row:
    """One side while it is being answered."""

    def __init__(
        self, served: ServedModel, side: int, prompt: Prompt, emit: Callable[[Token | Done], None]
    ) -> None:
        self.prompt = prompt
        self._served = served
        self._side = side
        self._emit = emit
        self.restart()

    def restart(self) -> None:
        self.finish = ""
        self._sampler = Sampler(self.prompt.sampling, self.prompt.ids, self._served.device)
        self._stream = TextStream(self._served.tokenizer)
        self._tokens = 0
        self._started = time.perf_counter()
        self._first = self._last = 0.0

    def step(self, logits: torch.Tensor) -> int:
        """Draws the next token from [vocabulary] logits and tells its text; sets `finish` at the end."""
        token = self._sampler.pick(logits)
        self._last = time.perf_counter()
        self._first = self._first or self._last
        if token in self._served.stop_ids:
            self.end("stop")
            return token
        self._tokens += 1
        if piece := self._stream.push(token):
            self._emit(Token(self._side, piece))
        if self._tokens >= self.prompt.sampling.max_new_tokens:
            self.end("length")
        return token

    def end(self, finish: str) -> None:
        self.finish = finish
        if piece := self._stream.finish():
            self._emit(Token(self._side, piece))
        now = time.perf_counter()
        decoding = self._last - self._first
        pace = (self._tokens - 1) / decoding if self._tokens > 1 and decoding > 0 else 0.0
        self._emit(
            Done(
                side=self._side,
                text=self._stream.text,
                tokens=self._tokens,
                ttft_seconds=(self._first or now) - self._started,
                tokens_per_second=pace,
                finish=finish,
                seed=self._sampler.seed,
            )
        )


def _run(
    served: ServedModel, rows: list[_Row], stacked: AdapterRows | None, cancelled: Callable[[], bool]
) -> None:
    """Answers `rows` as one batch, in whatever adapters the caller has set up."""
    batch = _Batch(served, [row.prompt.ids for row in rows], stacked)
    logits = batch.prefill(cancelled)
    while logits is not None and not cancelled():
        tokens = [row.step(line) for row, line in zip(rows, logits, strict=True)]
        going = [number for number, row in enumerate(rows) if not row.finish]
        if not going:
            return
        if len(going) < len(rows):
            rows = [rows[number] for number in going]
            batch.keep(going)
        logits = batch.advance([tokens[number] for number in going])
    for row in rows:
        row.end("cancelled")


class _Batch:
    """The tensors of a running batch: a left-padded mask, next positions, and the key-value cache."""

    def __init__(
        self, served: ServedModel, prompts: Sequence[list[int]], stacked: AdapterRows | None
    ) -> None:
        self._model = served.model
        self._device = served.device
        self._stacked = stacked
        self._whole = served.recurrent  # their code takes either a whole prompt or one token
        accepted = inspect.signature(served.model.forward).parameters
        self._with_positions = "position_ids" in accepted
        self._options: dict[str, Any] = {"logits_to_keep": 1} if "logits_to_keep" in accepted else {}
        width = max(len(ids) for ids in prompts)
        # What pads is never looked at: the mask hides it, whatever its id.
        padded = [[ids[0]] * (width - len(ids)) + ids for ids in prompts]
        masks = [[0] * (width - len(ids)) + [1] * len(ids) for ids in prompts]
        self._ids = torch.tensor(padded, device=self._device)
        self._mask = torch.tensor(masks, device=self._device)
        self._cache: Any = None

    def prefill(self, cancelled: Callable[[], bool]) -> torch.Tensor | None:
        """Reads the prompts; the first reply token's logits, [rows, vocabulary], or None if cancelled."""
        positions, width = (self._mask.cumsum(1) - 1).clamp(min=0), self._ids.shape[1]
        logits = None
        chunk = width if self._whole else _CHUNK.get(self._device.type, 1024)
        for start in range(0, width, chunk):
            if cancelled():
                return None
            end = start + chunk
            logits = self._forward(self._ids[:, start:end], self._mask[:, :end], positions[:, start:end])
        return logits

    def advance(self, tokens: list[int]) -> torch.Tensor:
        """Appends one token a row; returns the logits of the next."""
        positions = self._mask.sum(1, keepdim=True)
        self._mask = torch.cat([self._mask, self._mask.new_ones(len(tokens), 1)], dim=1)
        return self._forward(torch.tensor(tokens, device=self._device)[:, None], self._mask, positions)

    def keep(self, rows: list[int]) -> None:
        """Drops every other row."""
        indices = torch.tensor(rows, device=self._device)
        self._mask = self._mask[indices]
        self._cache.batch_select_indices(indices)
        if self._stacked:
            self._stacked.keep(indices)

    def _forward(self, ids: torch.Tensor, mask: torch.Tensor, positions: torch.Tensor) -> torch.Tensor:
        at = {"position_ids": positions} if self._with_positions else {}
        out = self._model(
            input_ids=ids,
            attention_mask=mask,
            past_key_values=self._cache,
            use_cache=True,
            **at,
            **self._options,
        )
        self._cache = out.past_key_values
        logits: torch.Tensor = out.logits[:, -1]
        return logits

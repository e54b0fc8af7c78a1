"""What a run says about itself besides its training loss: validation loss, and answers to fixed prompts."""

from __future__ import annotations

import contextlib
import math
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from transformers import StoppingCriteria, StoppingCriteriaList

from ftui.engine.objectives import Micro, Whole, unit_lengths
from ftui.engine.pack import by_capacity, collate

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from torch import nn
    from transformers import PreTrainedTokenizerBase

    from ftui.engine.rows import Rows
    from ftui.engine.setup import Parts


@contextlib.contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Evaluation mode without gradients, and back."""
    model.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        model.train()


def longest_first(parts: Parts, rows: Rows) -> np.ndarray:
    """The units of `rows` in the order they are evaluated in: what needs most memory comes first."""
    return np.argsort(-unit_lengths(parts.objective, rows), kind="stable")


def validation_sums(
    parts: Parts,
    rows: Rows,
    units: Sequence[int],
    whole: Whole,
    *,
    capacity: int,
    tell: Callable[[int], None],
) -> torch.Tensor:
    """The objective's sums over `units` of `rows`, on the device.

    capacity: tokens at once at most. tell: called with the units done; what it raises ends the evaluation.
    """
    sums = torch.zeros(len(parts.objective.sums), device=parts.device.torch)
    lengths = unit_lengths(parts.objective, rows)
    done = 0
    with evaluating(parts.base):
        for piece in by_capacity(units, lengths, capacity):
            documents = [document for unit in piece for document in parts.objective.documents(unit)]
            batch = collate(
                [rows[n] for n in documents], device=parts.device.torch, padded=not parts.layout.flat
            )
            micro = Micro(rows, documents, batch, parts.layout.arguments(batch))
            with parts.autocast():
                sums += parts.objective.measure(micro, whole)[1]
            done += len(piece)
            tell(done)
    return sums


def evaluation(figures: dict[str, float], counts: dict[str, float], seconds: float) -> dict[str, Any]:
    """The fields of an `eval` event. Perplexity is told where the loss is a likelihood."""
    named = {f"eval_{name.removeprefix('mean_')}": value for name, value in figures.items()}
    if "weight" in counts:
        named["eval_perplexity"] = math.exp(figures["loss"]) if figures["loss"] < 700 else math.inf
    return {**named, "eval_tokens": int(counts["tokens"]), "eval_seconds": seconds}


def answer(
    model: nn.Module,
    tokenizer: PreTrainedTokenizerBase,
    prompt: str,
    *,
    max_new_tokens: int,
    autocast: Callable[[], Any],
    tell: Callable[[], None],
) -> str:
    """The most likely reply to `prompt` as a user's message. What `tell`, called at every token,
    raises ends it."""
    if tokenizer.chat_template:
        inputs = tokenizer.apply_chat_template(
            [{"role": "user", "content": prompt}],
            add_generation_prompt=True,
            return_tensors="pt",
            return_dict=True,
        )
    else:
        inputs = tokenizer(prompt, return_tensors="pt")
    inputs = {
        name: inputs[name].to(next(model.parameters()).device) for name in ("input_ids", "attention_mask")
    }
    watch = _Watch(tell)
    with evaluating(model), autocast():
        output = model.generate(
            **inputs,
            max_new_tokens=max_new_tokens,
            do_sample=False,
            temperature=None,
            top_p=None,
            top_k=None,
            use_cache=True,
            pad_token_id=tokenizer.pad_token_id,
            stopping_criteria=StoppingCriteriaList([watch]),
        )
    if watch.raised is not None:
        raise watch.raised
    return str(tokenizer.decode(output[0, inputs["input_ids"].shape[1] :], skip_special_tokens=True)).strip()


class _Watch(StoppingCriteria):
    """Ends generation when `tell` raises; raising inside the model would leave hooks behind."""

    def __init__(self, tell: Callable[[], None]) -> None:
        self._tell = tell
        self.raised: Exception | None = None

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor, **_: Any) -> torch.Tensor:
        if self.raised is None:
            try:
                self._tell()
            except Exception as error:  # noqa: BLE001 - raised again by `answer`
                self.raised = error
        return torch.full((input_ids.shape[0],), self.raised is not None, device=input_ids.device)

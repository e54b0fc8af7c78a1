"""What a run says about itself besides its training loss: validation loss, and answers to fixed prompts."""

from __future__ import annotations

import contextlib
import math
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from transformers import StoppingCriteria, StoppingCriteriaList

from ftui.core.errors import FtuiError
from ftui.core.example import Message
from ftui.engine.objectives import Micro, Whole, unit_lengths
from ftui.engine.pack import by_capacity, collate
from ftui.engine.template import ChatTemplate, Unrenderable

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


def prompt_ids(tokenizer: PreTrainedTokenizerBase, prompt: str) -> list[int]:
    """`prompt` as a user's message, the reply to come next. Raises FtuiError where the chat template refuses."""
    if not tokenizer.chat_template:
        ids = tokenizer(prompt)["input_ids"]
    else:
        template = ChatTemplate(tokenizer)
        try:
            text = template.render(*template.turns([Message("user", prompt)], ""), prompt=True)
        except Unrenderable as reason:
            raise FtuiError(
                str(reason), "ask in another way, or leave it out", "evaluation.prompts"
            ) from None
        ids = tokenizer(text, add_special_tokens=False)["input_ids"]
    if not ids:
        raise FtuiError("an empty prompt cannot be answered", "leave it out", "evaluation.prompts")
    return list(ids)


def answer(
    model: nn.Module,
    tokenizer: PreTrainedTokenizerBase,
    prompt: list[int],
    *,
    max_new_tokens: int,
    autocast: Callable[[], Any],
    tell: Callable[[], None],
) -> str:
    """The most likely reply to `prompt`, made by `prompt_ids`. What `tell`, called at every token, raises
    ends it."""
    ids = torch.tensor([prompt], device=next(model.parameters()).device)
    watch = _Watch(tell)
    with evaluating(model), autocast():
        output = model.generate(
            input_ids=ids,
            attention_mask=torch.ones_like(ids),
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
    return str(tokenizer.decode(output[0, len(prompt) :], skip_special_tokens=True)).strip()


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

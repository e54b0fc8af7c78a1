"""What a run says about itself besides its training loss: validation loss, and answers to fixed prompts."""

from __future__ import annotations

import contextlib
import math
import time
from typing import TYPE_CHECKING, Any

import torch
from transformers import StoppingCriteria, StoppingCriteriaList

from ftui.engine.pack import collate

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from torch import nn
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    from ftui.engine.layout import Layout
    from ftui.engine.loss import Loss
    from ftui.engine.rows import Rows


@contextlib.contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Evaluation mode without gradients, and back."""
    model.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        model.train()


def validation_loss(
    model: PreTrainedModel,
    rows: Rows,
    *,
    layout: Layout,
    loss: Callable[..., Loss],
    autocast: Callable[[], Any],
    capacity: int,
    tell: Callable[[int], None],
) -> dict[str, Any]:
    """The fields of an `eval` event: the mean over all trained tokens of `rows`, longest documents first.

    capacity: tokens at once at most, padding and all. tell: called with the documents done; what it raises
    ends the evaluation.
    """
    begun = time.monotonic()
    longest_first = sorted(range(len(rows)), key=lambda n: -int(rows.lengths[n]))
    sums = torch.zeros(3, device=model.device)
    positions = done = 0
    with evaluating(model):
        while done < len(longest_first):
            fitting = max(1, capacity // int(rows.lengths[longest_first[done]]))
            chosen = longest_first[done : done + fitting]
            batch = collate([rows[n] for n in chosen], device=model.device, padded=not layout.flat)
            with autocast():
                figures = loss(model, batch, layout.arguments(batch), 1.0)
            sums += torch.stack([figures.nll, figures.correct, figures.entropy])
            positions += figures.positions
            done += len(chosen)
            tell(done)
    nll, correct, entropy = sums.tolist()
    mean = nll / max(1e-9, float(rows.weight_sums.sum()))
    return {
        "eval_loss": mean,
        "eval_perplexity": math.exp(mean) if mean < 700 else math.inf,
        "eval_token_accuracy": correct / max(1, positions),
        "eval_entropy": entropy / max(1, positions),
        "eval_tokens": positions,
        "eval_seconds": time.monotonic() - begun,
    }


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

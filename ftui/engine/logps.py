"""Log-probabilities of whole replies, without the logits of a batch ever being held.

Preference objectives weigh a reply by how likely the model finds all of it, and that weight is known only
when every token has been seen. The gradient of one token's log-probability with respect to its hidden state
does not depend on the others, so it is had in the forward, tile by tile as in `loss.py`, and multiplied by the
token's weight in the backward: two matrix products in all.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from ftui.engine.loss import tiles

if TYPE_CHECKING:
    from torch import nn

    from ftui.engine.pack import Batch


@dataclass(frozen=True, slots=True)
class Replies:
    """The documents of a batch, in order; tensors left on the device.

    logps: [D] sums of the log-probabilities of their trained tokens, differentiable.
    tokens: [D] how many those are. correct, entropy: [D] sums over them, as in `loss.Loss`.
    """

    logps: torch.Tensor
    tokens: torch.Tensor
    correct: torch.Tensor
    entropy: torch.Tensor


class FrozenHeadLogps(torch.autograd.Function):
    """hidden [N, H], head [V, H], bias [V] or None, targets [N] -> log-probability, correct, entropy, [N] each."""

    @staticmethod
    def forward(
        ctx: Any,
        hidden: torch.Tensor,
        head: torch.Tensor,
        bias: torch.Tensor | None,
        targets: torch.Tensor,
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        wanted = ctx.needs_input_grad[0]
        gradient = torch.empty_like(hidden) if wanted else None
        result = torch.empty(3, len(hidden), dtype=torch.float32, device=hidden.device)
        for tile in tiles(hidden, head, bias, targets):
            result[:, tile.rows] = torch.stack([tile.logp, tile.correct.float(), tile.entropy])
            if gradient is not None:  # d log p(target) / d logits = onehot - softmax
                slopes = tile.probabilities.neg_()
                slopes.scatter_add_(1, tile.targets, torch.ones_like(tile.logp)[:, None])
                gradient[tile.rows] = (slopes.to(head.dtype) @ head).to(hidden.dtype)
        if gradient is not None:
            ctx.save_for_backward(gradient)
        logps, correct, entropy = result.unbind()
        ctx.mark_non_differentiable(correct, entropy)
        return logps, correct, entropy

    @staticmethod
    def backward(ctx: Any, grad_logps: torch.Tensor, *_: Any) -> tuple[Any, ...]:
        (gradient,) = ctx.saved_tensors
        return gradient * grad_logps[:, None].to(gradient.dtype), None, None, None


def tiled_logps(model: nn.Module, batch: Batch, arguments: dict[str, Any]) -> Replies:
    """The replies of a batch under a model whose head is frozen (`loss.has_frozen_head`)."""
    body = getattr(model, model.base_model_prefix)
    hidden = body(
        input_ids=batch.input_ids, position_ids=batch.position_ids, use_cache=False, **arguments
    ).last_hidden_state
    head = model.get_output_embeddings()
    with torch.autocast(hidden.device.type, enabled=False):
        figures = FrozenHeadLogps.apply(
            hidden.flatten(0, 1)[batch.predicting], head.weight, head.bias, batch.targets
        )
    return _by_document(batch, *figures)


def stock_logps(model: nn.Module, batch: Batch, arguments: dict[str, Any]) -> Replies:
    """The same from the model's own logits: for heads that train, are capped or scaled."""
    logits = model(
        input_ids=batch.input_ids, position_ids=batch.position_ids, use_cache=False, **arguments
    ).logits
    log_p = logits.flatten(0, 1)[batch.predicting].float().log_softmax(-1)
    with torch.no_grad():
        correct = (log_p.argmax(-1) == batch.targets).float()
        entropy = -(log_p.exp() * log_p).sum(-1)
    return _by_document(batch, log_p.gather(1, batch.targets[:, None])[:, 0], correct, entropy)


def _by_document(batch: Batch, logps: torch.Tensor, correct: torch.Tensor, entropy: torch.Tensor) -> Replies:
    """Sums over the tokens of each document."""
    if batch.attention_mask is None:
        ends = torch.tensor(batch.lengths).cumsum(0).to(logps.device, non_blocking=True)
        owners = torch.bucketize(batch.predicting, ends, right=True)
    else:
        owners = batch.predicting // batch.input_ids.shape[1]

    def total(values: torch.Tensor) -> torch.Tensor:
        zeros = torch.zeros(len(batch.lengths), dtype=torch.float32, device=logps.device)
        return zeros.index_add(0, owners, values)

    return Replies(total(logps), total(torch.ones_like(correct)), total(correct), total(entropy))

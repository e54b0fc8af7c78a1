"""Cross-entropy that never holds the logits of a batch.

Under LoRA the output head is frozen, so its gradient is not wanted and the gradient of its input can be had
in the forward: a tile of positions at a time, logits, loss, softmax and `(softmax - target) @ head`, two
matrix products in all, where recomputing in the backward takes three and storing takes positions x
vocabulary x 4 bytes. Positions that are not trained are never touched. Accuracy and entropy come out of the
same tiles.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch.nn import functional

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ftui.engine.pack import Batch

_TILE_BYTES = 64 << 20
_SCALED = (
    "final_logit_softcapping", "logits_scaling", "logit_scale", "logits_scale", "lm_head_multiplier",
    "logits_soft_cap", "output_multiplier_scale",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Loss:
    """Sums over the trained positions of a batch; 0-d tensors, left on the device.

    loss: sum of weight x negative log likelihood, times the `scale` asked for; backward() starts here.
    nll: the same without the scale. correct: positions whose most likely token is the target.
    entropy: sum of the entropies of the predictions, in nats. positions: how many were trained.
    """

    loss: torch.Tensor
    nll: torch.Tensor
    correct: torch.Tensor
    entropy: torch.Tensor
    positions: int


@dataclass(frozen=True, slots=True)
class Tile:
    """The predictions at some positions, [n] each: log-probability of the target, whether it is the likeliest, and
    the entropy. rows: which positions. targets: [n, 1]. probabilities: [n, V], the taker's to overwrite."""

    rows: slice
    targets: torch.Tensor
    logp: torch.Tensor
    correct: torch.Tensor
    entropy: torch.Tensor
    probabilities: torch.Tensor


def tiles(
    hidden: torch.Tensor, head: torch.Tensor, bias: torch.Tensor | None, targets: torch.Tensor
) -> Iterator[Tile]:
    """hidden [N, H], head [V, H], bias [V] or None, targets [N]: the logits of as many positions as may be held."""
    at_once = max(16, _TILE_BYTES // (4 * head.shape[0]))
    for start in range(0, len(hidden), at_once):
        rows = slice(start, start + at_once)
        target = targets[rows, None]
        logits = functional.linear(hidden[rows].to(head.dtype), head, bias).float()
        correct = logits.argmax(-1) == target[:, 0]
        chosen = logits.gather(1, target)[:, 0]
        normaliser = logits.logsumexp(-1)
        probabilities = logits.sub_(normaliser[:, None]).exp()
        # entropy = -sum p log p; `logits` now holds log p, and exp() made a new tensor.
        entropy = -torch.linalg.vecdot(probabilities, logits)
        yield Tile(rows, target, chosen - normaliser, correct, entropy, probabilities)


class FrozenHeadLoss(torch.autograd.Function):
    """hidden [N, H], head [V, H], bias [V] or None, targets [N], weights [N] -> the four sums of `Loss`."""

    @staticmethod
    def forward(
        ctx: Any,
        hidden: torch.Tensor,
        head: torch.Tensor,
        bias: torch.Tensor | None,
        targets: torch.Tensor,
        weights: torch.Tensor,
        scale: float,
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
        wanted = ctx.needs_input_grad[0]
        gradient = torch.empty_like(hidden) if wanted else None
        sums = torch.zeros(3, dtype=torch.float32, device=hidden.device)
        for tile in tiles(hidden, head, bias, targets):
            weight, probabilities = weights[tile.rows], tile.probabilities
            nll = -(weight * tile.logp).sum()
            sums += torch.stack([nll, tile.correct.sum().float(), tile.entropy.sum()])
            if gradient is not None:
                probabilities.scatter_add_(1, tile.targets, torch.full_like(weight, -1.0)[:, None])
                probabilities.mul_((weight * scale)[:, None])
                gradient[tile.rows] = (probabilities.to(head.dtype) @ head).to(hidden.dtype)
        if gradient is not None:
            ctx.save_for_backward(gradient)
        nll, correct, entropy_sum = sums.unbind()
        ctx.mark_non_differentiable(correct, entropy_sum)
        return nll * scale, nll.detach(), correct, entropy_sum

    @staticmethod
    def backward(ctx: Any, grad_loss: torch.Tensor, *_: Any) -> tuple[Any, ...]:
        (gradient,) = ctx.saved_tensors
        return gradient * grad_loss.to(gradient.dtype), None, None, None, None, None


def has_frozen_head(model: nn.Module) -> bool:
    """Whether the tiled loss is the model's own: a frozen plain linear head with nothing after it."""
    head = model.get_output_embeddings()
    if not isinstance(head, nn.Linear) or type(head).forward is not nn.Linear.forward:
        return False
    if any(parameter.requires_grad for parameter in head.parameters()):
        return False
    config = model.config.get_text_config()
    return all(getattr(config, name, None) in (None, 1, 1.0) for name in _SCALED)


def tiled_loss(model: nn.Module, batch: Batch, arguments: dict[str, Any], scale: float) -> Loss:
    """The loss of a batch through the model's body and the frozen head. `model` is the transformers model."""
    body = getattr(model, model.base_model_prefix)
    hidden = body(
        input_ids=batch.input_ids, position_ids=batch.position_ids, use_cache=False, **arguments
    ).last_hidden_state
    head = model.get_output_embeddings()
    # Autocast would cast inside the Function where it must not: dtypes are chosen by hand there.
    with torch.autocast(hidden.device.type, enabled=False):
        loss, nll, correct, entropy = FrozenHeadLoss.apply(
            hidden.flatten(0, 1)[batch.predicting],
            head.weight,
            head.bias,
            batch.targets,
            batch.weights,
            scale,
        )
    return Loss(loss, nll, correct, entropy, len(batch.targets))


def stock_loss(model: nn.Module, batch: Batch, arguments: dict[str, Any], scale: float) -> Loss:
    """The same from the model's own logits: for heads that train, are capped or scaled."""
    logits = model(
        input_ids=batch.input_ids, position_ids=batch.position_ids, use_cache=False, **arguments
    ).logits
    logits = logits.flatten(0, 1)[batch.predicting].float()
    nll = (functional.cross_entropy(logits, batch.targets, reduction="none") * batch.weights).sum()
    with torch.no_grad():
        log_p = logits.log_softmax(-1)
        entropy = -(log_p.exp() * log_p).sum()
        correct = (logits.argmax(-1) == batch.targets).sum().float()
    return Loss(nll * scale, nll.detach(), correct, entropy, len(batch.targets))

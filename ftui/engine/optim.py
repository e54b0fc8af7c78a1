"""The optimizer and the learning rate of each step."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch

from ftui.core.errors import FtuiError
from ftui.core.schedule import as_steps

if TYPE_CHECKING:
    from ftui.core.recipe import Recipe
    from ftui.engine.device import Device


def choose_optimizer(recipe: Recipe, device: Device) -> str:
    """The optimizer's name. Raises FtuiError for one that needs a GPU where there is none.

    auto: float32 state for an adapter, whose state is small; 8-bit paged state for full fine-tuning on a GPU.
    """
    kind = recipe.training.optimizer
    if kind == "auto":
        return "paged_adamw_8bit" if recipe.adapter.method == "full" and device.is_cuda else "adamw"
    if kind == "paged_adamw_8bit" and not device.is_cuda:
        raise FtuiError(
            "paged optimizers page between a GPU and the host, and there is no GPU",
            'set it to "auto" or "adamw_8bit"',
            "training.optimizer",
        )
    return kind


def make_optimizer(
    parameters: list[torch.nn.Parameter], recipe: Recipe, device: Device
) -> torch.optim.Optimizer:
    """AdamW as the recipe says; biases and norms (one dimension) do not decay."""
    wanted = recipe.training
    groups = [
        {"params": [p for p in parameters if p.ndim > 1], "weight_decay": wanted.weight_decay},
        {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
    ]
    groups = [group for group in groups if group["params"]]
    kind = choose_optimizer(recipe, device)
    if kind == "adamw":
        return torch.optim.AdamW(groups, lr=wanted.learning_rate, fused=True)
    import bitsandbytes as bnb

    make = bnb.optim.PagedAdamW8bit if kind == "paged_adamw_8bit" else bnb.optim.AdamW8bit
    return make(groups, lr=wanted.learning_rate)


@torch.no_grad()
def page_again(optimizer: torch.optim.Optimizer) -> None:
    """Puts the state of a paged optimizer back into pages: loaded from a file it is plain tensors, which would
    stay on the GPU."""
    if not getattr(optimizer, "is_paged", False):
        return
    for parameter, state in optimizer.state.items():
        for name in ("state1", "state2"):
            if name in state and not getattr(state[name], "is_paged", False):
                page = optimizer.get_state_buffer(parameter, dtype=state[name].dtype)
                page.copy_(state[name])
                state[name] = page


def learning_rate(recipe: Recipe, step: int, steps: int) -> float:
    """The rate of optimizer step `step` (from 0) of `steps`: a linear warmup, then the scheduler's shape."""
    wanted = recipe.training
    warmup = as_steps(wanted.warmup, steps)
    if step < warmup:
        return wanted.learning_rate * (step + 1) / (warmup + 1)
    left = (steps - step) / max(1, steps - warmup)
    if wanted.scheduler == "linear":
        return wanted.learning_rate * left
    if wanted.scheduler == "cosine":
        return wanted.learning_rate * 0.5 * (1 - math.cos(math.pi * left))
    return wanted.learning_rate


def set_learning_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    for group in optimizer.param_groups:
        group["lr"] = rate

"""Arithmetic a token costs, for the share of a device's peak that a run reaches (MFU).

A frozen weight costs 2 operations forward and 2 backward (the gradient of its input only), a trained one 6.
Recomputed activations are not counted: MFU is about useful work (Chowdhery et al. 2022, "PaLM", appendix B).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from torch import nn
from transformers.pytorch_utils import Conv1D

if TYPE_CHECKING:
    from transformers import PreTrainedModel


@dataclass(frozen=True, slots=True)
class Flops:
    """body: operations a token outside attention and head. head: a trained position. attention: a token and
    each token before it."""

    body: float
    head: float
    attention: float

    @classmethod
    def of_model(cls, model: PreTrainedModel) -> Flops:
        output = model.get_output_embeddings()
        config = model.config.get_text_config()
        head = body = 0.0
        for module in model.modules():
            if isinstance(module, nn.Linear):
                weights = module.in_features * module.out_features
            elif isinstance(module, Conv1D):
                weights = module.weight.numel()
            else:
                body += _experts(module) * _active_share(config)
                continue
            operations = (6 if module.weight.requires_grad else 4) * weights
            if module is output:
                head += operations
            else:
                body += operations
        width = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
        # Two products of 2 x heads x width operations, forward once and backward twice.
        return cls(body, head, 12.0 * config.num_hidden_layers * config.num_attention_heads * width)

    def of(self, lengths: np.ndarray, trained: int) -> float:
        """Operations to train on documents of these lengths, `trained` positions of which count."""
        pairs = float((lengths.astype(np.float64) ** 2).sum()) / 2
        return self.body * float(lengths.sum()) + self.head * trained + self.attention * pairs


def _experts(module: nn.Module) -> float:
    """Operations of a token in all of a layer's fused experts: the weights of three dimensions."""
    fused = [parameter for parameter in module.parameters(recurse=False) if parameter.ndim == 3]
    return sum((6 if parameter.requires_grad else 4) * parameter.numel() for parameter in fused)


def _active_share(config: Any) -> float:
    """The share of its experts that a token goes through."""
    names = ("num_local_experts", "num_experts", "n_routed_experts")
    experts = next((getattr(config, name) for name in names if getattr(config, name, None)), 1)
    return (getattr(config, "num_experts_per_tok", None) or 1) / experts

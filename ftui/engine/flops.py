"""Arithmetic a token costs, for the share of a device's peak that a run reaches (MFU).

A frozen weight costs 2 operations forward and 2 backward (the gradient of its input only), a trained one 6.
Recomputed activations are not counted: MFU is about useful work (Chowdhery et al. 2022, "PaLM", appendix B).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from torch import nn

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
        head = body = 0.0
        for module in model.modules():
            if isinstance(module, nn.Linear):
                weight = module.weight
                operations = (6 if weight.requires_grad else 4) * module.in_features * module.out_features
                if module is output:
                    head += operations
                else:
                    body += operations
        config = model.config.get_text_config()
        width = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
        # Two products of 2 x heads x width operations, forward once and backward twice.
        return cls(body, head, 12.0 * config.num_hidden_layers * config.num_attention_heads * width)

    def of(self, lengths: np.ndarray, trained: int) -> float:
        """Operations to train on documents of these lengths, `trained` positions of which count."""
        pairs = float((lengths.astype(np.float64) ** 2).sum()) / 2
        return self.body * float(lengths.sum()) + self.head * trained + self.attention * pairs

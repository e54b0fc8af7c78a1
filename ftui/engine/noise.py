"""NEFTune: uniform noise on the embeddings while training (Jain et al. 2023, arXiv 2310.05914)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from ftui.engine.pack import Batch


class EmbeddingNoise:
    """Adds noise of at most alpha / sqrt(length x width), by each document's length, while training."""

    def __init__(self, model: PreTrainedModel, alpha: float) -> None:
        self._alpha = alpha
        self._lengths: torch.Tensor | None = None
        if alpha:
            model.get_input_embeddings().register_forward_hook(self._add)

    def expect(self, batch: Batch) -> None:
        """Tells the length of the document each row or token of the next batch belongs to."""
        if not self._alpha:
            return
        lengths = torch.tensor(batch.lengths, dtype=torch.float32)
        if batch.attention_mask is None:
            lengths = lengths.repeat_interleave(torch.tensor(batch.lengths))[None]
        else:
            lengths = lengths[:, None]
        self._lengths = lengths.to(batch.input_ids.device, non_blocking=True)

    def _add(self, module: torch.nn.Module, _inputs: Any, output: torch.Tensor) -> torch.Tensor:
        if not module.training or self._lengths is None:
            return output
        largest = self._alpha / (self._lengths * output.shape[-1]).sqrt()
        noise = torch.empty_like(output, dtype=torch.float32).uniform_(-1, 1)
        return output + (noise * largest[..., None]).to(output.dtype)

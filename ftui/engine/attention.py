"""Attention that keeps the documents of a flat batch apart, registered with transformers as "ftui".

On a GPU it is one call of a variable-length kernel (torch's own, nothing to install). On a CPU it is one
causal call a document, which costs the sum of the squared lengths where a block-diagonal mask costs the
square of their sum. Anything but a flat batch (padding, generation with a cache) goes to the stock way.
"""

from __future__ import annotations

import functools
import inspect
import itertools
from typing import TYPE_CHECKING, Any

import torch
from torch.nn import functional
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

if TYPE_CHECKING:
    from ftui.engine.pack import Batch

NAME = "ftui"


def flat_arguments(batch: Batch, *, ours: bool = True) -> dict[str, Any]:
    """What the model's forward passes on to its attention layers for a flat batch; {} for a padded one.

    The names are those of transformers' FlashAttentionKwargs, so that flash_attention_2 takes them too. For ours
    a mask of four dimensions comes along, which nobody reads: given none, transformers would look for documents
    in the positions at every forward, and wait for the device to answer.
    """
    if batch.attention_mask is not None:
        return {"attention_mask": batch.attention_mask}
    ends = torch.tensor([0, *batch.lengths]).cumsum(0, dtype=torch.int32)
    ends = ends.to(batch.input_ids.device, non_blocking=True)
    longest = max(batch.lengths)
    unread = {"attention_mask": ends.new_empty(1, 1, 1, 1)} if ours else {}
    return {
        **unread, "cu_seq_lens_q": ends, "cu_seq_lens_k": ends, "max_length_q": longest, "max_length_k": longest,
    }  # fmt: skip


def attention(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    *,
    dropout: float = 0.0,
    scaling: float | None = None,
    sliding_window: int | None = None,
    cu_seq_lens_q: torch.Tensor | None = None,
    max_length_q: int | None = None,
    **kwargs: Any,
) -> tuple[torch.Tensor, None]:
    """query [B, H, T, D], key and value [B, Hkv, T, D] -> [B, T, H, D]."""
    if any(kwargs.get(name) is not None for name in ("softcap", "s_aux", "position_bias")):
        raise NotImplementedError("this model's attention has more to it than a softmax")
    if cu_seq_lens_q is None:
        length = query.shape[2]
        if attention_mask is None and sliding_window and sliding_window < length == key.shape[2]:
            attention_mask = _window_mask(length, sliding_window, query.device)
        return sdpa_attention_forward(
            module, query, key, value, attention_mask, dropout=dropout, scaling=scaling, **kwargs
        )
    window = sliding_window if sliding_window and sliding_window < (max_length_q or 0) else None
    if query.is_cuda and not dropout and query.dtype in (torch.bfloat16, torch.float16):
        longest = max_length_q or 0
        return _kernel(
            query, key, value, cu_seq_lens_q, longest=longest, scaling=scaling, window=window
        ), None
    ends = cu_seq_lens_q.tolist()
    return _by_document(query, key, value, ends, scaling=scaling, dropout=dropout, window=window), None


def _kernel(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    ends: torch.Tensor,
    *,
    longest: int,
    scaling: float | None,
    window: int | None,
) -> torch.Tensor:
    from torch.nn.attention.varlen import varlen_attn

    groups = query.shape[1] // key.shape[1]
    options: dict[str, Any] = {"enable_gqa": True} if groups > 1 else {}
    if options and not _kernel_takes_groups():
        options = {}
        key, value = (tensor.repeat_interleave(groups, dim=1) for tensor in (key, value))
    flat = (tensor[0].transpose(0, 1) for tensor in (query, key, value))
    return varlen_attn(
        *flat,
        ends,
        ends,
        longest,
        longest,
        scale=scaling,
        window_size=(window - 1 if window else -1, 0),
        **options,
    )[None]


@functools.cache
def _kernel_takes_groups() -> bool:
    """Whether several query heads may share a key: said so from torch 2.12 on."""
    from torch.nn.attention.varlen import varlen_attn

    return "enable_gqa" in inspect.signature(varlen_attn).parameters


def _by_document(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    ends: list[int],
    *,
    scaling: float | None,
    dropout: float,
    window: int | None,
) -> torch.Tensor:
    outputs = []
    for start, end in itertools.pairwise(ends):
        mask = _window_mask(end - start, window, query.device) if window and end - start > window else None
        outputs.append(
            functional.scaled_dot_product_attention(
                query[:, :, start:end],
                key[:, :, start:end],
                value[:, :, start:end],
                attn_mask=mask,
                is_causal=mask is None,
                dropout_p=dropout,
                scale=scaling,
                enable_gqa=query.shape[1] != key.shape[1],
            )
        )
    return torch.cat(outputs, dim=2).transpose(1, 2)


def _window_mask(length: int, window: int, device: torch.device) -> torch.Tensor:
    distance = torch.arange(length, device=device)[:, None] - torch.arange(length, device=device)[None, :]
    return (distance >= 0) & (distance < window)


def _mask(*, attention_mask: torch.Tensor | None = None, **kwargs: Any) -> torch.Tensor | None:
    """No mask for flat batches (they come without one), the stock mask otherwise."""
    return None if attention_mask is None else sdpa_mask(attention_mask=attention_mask, **kwargs)


AttentionInterface.register(NAME, attention)
AttentionMaskInterface.register(NAME, _mask)

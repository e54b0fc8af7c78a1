"""How documents share a tensor in this model: found out by trying, for it cannot be read off a config.

Whether a model keeps the documents of a flat batch apart depends on its code: its masks, its position
encodings, its recurrent layers. So two short documents are run together and each alone; only if the results
agree is a layout used.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from transformers.utils import is_flash_attn_2_available

from ftui.core.errors import FtuiError
from ftui.engine.attention import NAME, flat_arguments
from ftui.engine.logps import stock_logps, tiled_logps
from ftui.engine.loss import has_frozen_head, stock_loss, tiled_loss
from ftui.engine.pack import Batch, Document, collate

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from transformers import PreTrainedModel

    from ftui.core.recipe import Recipe
    from ftui.engine.device import Device
    from ftui.engine.logps import Replies
    from ftui.engine.loss import Loss

FLASH = "flash_attention_2"
# Relative difference allowed between a document alone and among others: rounding, and no more.
_TOLERANCE = {torch.float32: 1e-3, torch.bfloat16: 0.05, torch.float16: 0.02}


@dataclass(frozen=True, slots=True)
class Layout:
    """attention: transformers' name of the implementation. flat: documents share a row, without padding."""

    attention: str
    flat: bool

    def arguments(self, batch: Batch) -> dict[str, Any]:
        """What the forward of the model takes besides ids and positions."""
        if batch.attention_mask is None and self.attention not in (NAME, FLASH):
            return {}  # the stock mask is made from the restarting positions
        return flat_arguments(batch, ours=self.attention == NAME)


def attentions(recipe: Recipe, device: Device) -> list[str]:
    """The implementations to try, the fastest first; one when the recipe names it. Raises FtuiError."""
    wanted = recipe.model.attention
    flash = device.is_cuda and is_flash_attn_2_available()
    if wanted == FLASH and not flash:
        raise FtuiError("it needs a GPU and the flash-attn package", 'set it to "auto"', "model.attention")
    if wanted == "auto":
        return [FLASH] * flash + [NAME, "sdpa", "eager"]
    return [NAME if wanted == "varlen" else wanted]


def load_with(attention: str) -> str | None:
    """What to load a model with that is to use `attention`; None leaves it to the model.

    Ours is switched on afterwards: models that choose a class at load (Falcon) know only transformers' own.
    """
    return attention if attention in (FLASH, "eager") else None


def choose_layout(model: PreTrainedModel, tried: list[str], autocast: Any, *, packing: bool) -> Layout:
    """The first layout, flat before padded, that is exact in this model; sets the model's attention to it.

    Raises FtuiError when the model cannot do what the recipe insists on.
    """
    for flat in (True, False):
        if packing and not flat:
            raise FtuiError(
                "in this model packed examples would see each other", "set it to false", "data.packing"
            )
        for attention in tried:
            if set_attention(model, attention) and _keeps_apart(model, Layout(attention, flat), autocast):
                return Layout(attention, flat)
    raise FtuiError(
        f"this model does not train with {tried[-1]} attention", 'set it to "auto"', "model.attention"
    )


def set_attention(model: PreTrainedModel, attention: str) -> bool:
    """Whether the model could be switched to `attention`."""
    if model.config._attn_implementation == attention:
        return True
    if not getattr(model, "_can_set_attn_implementation", lambda: True)():
        return False
    try:
        model.set_attn_implementation(attention)
    except (ValueError, ImportError, AttributeError):
        return False
    return model.config._attn_implementation == attention


def choose_replies(loss: Callable[..., Loss]) -> Callable[..., Replies]:
    """How whole replies are scored, in the way of the loss that was chosen."""
    return tiled_logps if loss is tiled_loss else stock_logps


def choose_loss(
    model: PreTrainedModel, layout: Layout, autocast: Any
) -> Callable[[PreTrainedModel, Batch, dict[str, Any], float], Loss]:
    """The tiled loss where it gives what the model's own logits give, else the stock one."""
    if not has_frozen_head(model):
        return stock_loss
    batch = collate(_probe_documents(model, (24,)), device=model.device, padded=not layout.flat)
    with torch.no_grad(), autocast():
        try:
            tiled = float(tiled_loss(model, batch, layout.arguments(batch), 1.0).nll)
        except (AttributeError, TypeError, RuntimeError):
            return stock_loss
        stock = float(stock_loss(model, batch, layout.arguments(batch), 1.0).nll)
    tolerance = _TOLERANCE.get(model.dtype, 0.05)
    return tiled_loss if abs(tiled - stock) <= tolerance * abs(stock) else stock_loss


@torch.no_grad()
def _keeps_apart(model: PreTrainedModel, layout: Layout, autocast: Any) -> bool:
    """Whether two documents together give what each gives alone."""
    documents = _probe_documents(model, (9, 14))
    body = getattr(model, model.base_model_prefix)
    training = model.training
    model.eval()

    def run(chosen: Sequence[Document]) -> torch.Tensor:
        batch = collate(chosen, device=model.device, padded=not layout.flat)
        with autocast():
            return body(
                input_ids=batch.input_ids,
                position_ids=batch.position_ids,
                use_cache=False,
                **layout.arguments(batch),
            ).last_hidden_state.float()

    try:
        together = run(documents)
        alone = [run([document])[0] for document in documents]
    except (NotImplementedError, RuntimeError, TypeError, ValueError, AttributeError):
        return False
    finally:
        model.train(training)
    if layout.flat:
        pieces = list(together[0].split([len(ids) for ids, _ in documents]))
    else:
        pieces = [row[: len(ids)] for row, (ids, _) in zip(together, documents, strict=True)]
    tolerance = _TOLERANCE.get(model.dtype, 0.05)
    return all(
        float((piece - single).norm()) <= tolerance * float(single.norm())
        for piece, single in zip(pieces, alone, strict=True)
    )


def _probe_documents(model: PreTrainedModel, lengths: Sequence[int]) -> list[Document]:
    random = np.random.default_rng(0)
    vocabulary = model.get_input_embeddings().weight.shape[0]
    return [
        (random.integers(0, vocabulary, length).astype(np.int32), np.ones(length, np.float32))
        for length in lengths
    ]

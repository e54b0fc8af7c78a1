"""A run's memory counted instead of calculated: its real model, adapter, loss and backward, on fake tensors.

`core.memory` knows Llama-like decoders; this knows none, so it holds for any architecture transformers can
build. Every tensor operation of a training step is run for its shapes alone: no weight is read, nothing is
computed, and storages are counted as they come and go.

    python -m ftui.engine.exact_memory < request    one JSON object in, one out

    {"recipe": {..}, "config": {config.json}, "device": "cuda"|"cpu", "activation_bytes": 2|4,
     "loads": [[micro_batch, length, checkpointed layers], ..], "room": bytes, or null}
 -> {"weights", "quantized", "trainable", "parameters", "layers", "peak", "load": [..]}

Loads are tried in order until the step fits into `room`. `peak` counts what a step needs beside the weights and the
adapter. Quantized layers are stood in for by plain ones, which keep the same tensors for the backward.
"""

from __future__ import annotations

import json
import sys
import weakref
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from transformers.pytorch_utils import Conv1D

from ftui.core.errors import FtuiError
from ftui.core.memory import FOUR_BIT, FOUR_BIT_DOUBLE
from ftui.core.objectives import sequences
from ftui.core.recipe import parse_recipe
from ftui.core.text import one_line
from ftui.engine.adapter import add_lora
from ftui.engine.attention import NAME
from ftui.engine.experts import stand_in_for_packed_experts
from ftui.engine.layout import set_attention
from ftui.engine.model import checkpoint_layers, layers

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from ftui.core.recipe import Recipe


class LiveBytes(TorchDispatchMode):
    """Counts the bytes of every storage made under it that is still alive; those of `known` are not counted."""

    def __init__(self, known: list[torch.Tensor]) -> None:
        super().__init__()
        self.live = self.peak = 0
        self._seen: Any = weakref.WeakSet(tensor.untyped_storage() for tensor in known)

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = function(*args, **(kwargs or {}))
        for tensor in tree_leaves(result):
            if isinstance(tensor, torch.Tensor) and (storage := tensor.untyped_storage()) not in self._seen:
                self._seen.add(storage)
                self.live += storage.nbytes()
                weakref.finalize(storage, self._dropped, storage.nbytes())
                self.peak = max(self.peak, self.live)
        return result

    def _dropped(self, size: int) -> None:
        self.live -= size


def measure(request: dict[str, Any]) -> dict[str, Any]:
    """The reply to `request`. Raises FtuiError for what cannot be built."""
    from torch._subclasses.fake_tensor import FakeTensorMode

    recipe = parse_recipe(request["recipe"])
    dtype = torch.bfloat16 if request["activation_bytes"] == 2 else torch.float32
    with torch.device("meta"):
        base, model = _build(request["config"], recipe, dtype)
    if recipe.quantization.bits < 16 and request["device"] == "cuda":
        for module in model.modules():  # peft's quantized layers leave inputs in 16 bits there
            if hasattr(module, "cast_input_dtype_enabled"):
                module.cast_input_dtype_enabled = False
    fixed = _weights(base, recipe, request["activation_bytes"])
    room = request.get("room")
    spent = fixed["weights"] + 4 * fixed["trainable"]
    with FakeTensorMode(allow_non_fake_inputs=True):
        _pretend(model)
        for load in request["loads"]:
            try:
                peak = _peak(base, model, recipe, dtype, load)
            except NotImplementedError:  # this model's attention has more to it than ours knows
                set_attention(base, "sdpa")
                peak = _peak(base, model, recipe, dtype, load)
            if room is None or spent + peak <= room:
                break
    return {**fixed, "peak": peak, "load": load}


def _build(config: Any, recipe: Recipe, dtype: torch.dtype) -> tuple[PreTrainedModel, nn.Module]:
    """The base and the model with its adapter."""
    from transformers import AutoConfig, AutoModelForCausalLM

    eager = recipe.model.attention == "eager"
    try:
        made = type(AutoConfig.for_model(config["model_type"])).from_dict(config)
        try:
            stock = "eager" if eager else "sdpa"
            base = AutoModelForCausalLM.from_config(made, dtype=dtype, attn_implementation=stock)
        except ValueError:  # an older architecture without it
            base = AutoModelForCausalLM.from_config(made, dtype=dtype)
    except (OSError, ValueError, ImportError, KeyError) as error:
        raise FtuiError(f"cannot build the model: {one_line(str(error), 200)}", "", "model.base") from None
    if not eager:
        set_attention(
            base, NAME
        )  # as in training: without a mask, and without a copy of keys and values a head
    base.config.use_cache = False
    base.train()
    full = recipe.adapter.method == "full"
    base.requires_grad_(full)
    if full:
        return base, base
    if recipe.quantization.bits == 4:
        stand_in_for_packed_experts(base)
    return base, add_lora(base, recipe)


def _pretend(model: nn.Module) -> None:
    """Puts fake tensors, which autocast takes for a CPU's, in the place of those without a device."""
    made: dict[int, Any] = {}
    for module in model.modules():
        for name, parameter in module._parameters.items():
            if parameter is not None:
                if id(parameter) not in made:
                    fake = torch.empty(parameter.shape, dtype=parameter.dtype, device="cpu")
                    made[id(parameter)] = nn.Parameter(fake, parameter.requires_grad)
                module._parameters[name] = made[id(parameter)]
        for name, buffer in module._buffers.items():
            if buffer is not None:
                module._buffers[name] = torch.zeros(buffer.shape, dtype=buffer.dtype, device="cpu")


def _weights(base: PreTrainedModel, recipe: Recipe, width: int) -> dict[str, Any]:
    """Bytes of the base as it will be held, and the counts of its weights."""
    head = base.get_output_embeddings()
    small = {4: FOUR_BIT_DOUBLE if recipe.quantization.double else FOUR_BIT, 8: 1.0}
    each = small.get(recipe.quantization.bits)
    full = recipe.adapter.method == "full"
    frozen = {id(p): p for name, p in base.named_parameters() if "lora_" not in name}
    quantized = {
        id(module.weight): module.weight
        for module in base.modules()
        if each is not None and not full and isinstance(module, nn.Linear | Conv1D) and module is not head
    }
    quantized |= {
        id(weight): weight for name, weight in base.named_parameters() if ".parametrizations." in name
    }
    quantized = {key: weight for key, weight in quantized.items() if key in frozen}
    held = sum(weight.numel() for weight in quantized.values())
    total = sum(parameter.numel() for parameter in frozen.values())
    plain = 4 if full and width == 4 else 6 if full else width
    trainable = sum(parameter.numel() for parameter in base.parameters() if parameter.requires_grad)
    return {
        "weights": int(held * (each or 0) + (total - held) * plain),
        "quantized": held / max(1, total),
        "trainable": trainable,
        "parameters": total + (0 if full else trainable),
        "layers": layers(base),
    }


def _peak(
    base: PreTrainedModel, model: nn.Module, recipe: Recipe, dtype: torch.dtype, load: list[int]
) -> int:
    """Bytes at the worst moment of a step: activations, loss, gradients of the adapter."""
    from ftui.engine.loss import has_frozen_head, stock_loss, tiled_loss
    from ftui.engine.pack import Batch

    micro, length, recomputed = load
    documents = micro * sequences(recipe.training.objective)
    checkpoint_layers(base, recomputed)
    shape, places = (documents, length), documents * (length - 1)
    batch = Batch(
        input_ids=torch.zeros(shape, dtype=torch.long),
        position_ids=torch.zeros(shape, dtype=torch.long),
        predicting=torch.zeros(places, dtype=torch.long),
        targets=torch.zeros(places, dtype=torch.long),
        weights=torch.ones(places),
        lengths=(length,) * documents,
    )
    loss = tiled_loss if has_frozen_head(base) else stock_loss
    own = [*model.parameters(), *model.buffers()]
    with LiveBytes(own) as counter, torch.autocast("cpu", torch.bfloat16, enabled=dtype is torch.bfloat16):
        loss(base, batch, {}, 1.0).loss.backward()
    for parameter in model.parameters():
        parameter.grad = None
    return counter.peak


def main() -> int:
    request = json.load(sys.stdin)
    try:
        reply = measure(request)
    except FtuiError as error:
        reply = {"error": error.message, "hint": error.hint, "where": error.where}
    except Exception as error:  # noqa: BLE001 - an architecture may do anything; the caller is told in a line
        reply = {"error": one_line(f"{type(error).__name__}: {error}", 200), "hint": "", "where": ""}
    print(json.dumps(reply))
    return 0


if __name__ == "__main__":
    sys.exit(main())

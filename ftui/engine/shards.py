"""The frozen base shared out over the processes of a run: each keeps 1/N of the weights of every layer.

A layer is put together out of all processes' parts just before its forward and just before its backward, and
taken apart when the next one is: one layer is whole at a time. Its memory is freed and filled again in place, so
that whoever holds on to a weight meanwhile (autograd, or what bitsandbytes remembers of a product) finds it
there again. What is trained is whole in every process, with its gradients, as without all this.

Processes need not be in step. Before parts are exchanged each says which layer it needs, and one that has done
its work says that it needs none and gives its parts to the others until they have done theirs (`serve`): one may
have fewer micro-batches, be stopped half way, run out of memory, or be the only one that answers a prompt.
"""

from __future__ import annotations

import functools
import os
from collections import Counter
from typing import TYPE_CHECKING, Any

import torch
from torch import distributed, nn
from torch.utils._pytree import tree_leaves
from transformers.modeling_layers import GradientCheckpointingLayer

from ftui.core.errors import FtuiError, ModelError
from ftui.core.hardware import show_size
from ftui.engine.device import is_out_of_memory
from ftui.engine.ranks import LostPeer, Ranks, is_lost_peer

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from transformers import PreTrainedModel

    from ftui.core.recipe import Recipe

_NONE = -1
_NO_ROOM = "out of memory while a layer was put together for another process"
_ALIGNED = 256  # bytes, as a GPU's allocator gives them: kernels read several at once


def wanted() -> bool:
    """Whether the environment asks for it: `accelerate launch --use_fsdp` says it like this."""
    return os.environ.get("ACCELERATE_USE_FSDP", "").lower() in ("1", "true")


def refuse(recipe: Recipe) -> None:
    """Raises FtuiError for what cannot be trained on a base that is shared out."""
    if recipe.adapter.method not in ("lora", "rslora"):
        raise FtuiError(
            f"FSDP leaves a part of the base in each process, and {recipe.adapter.method} needs whole weights",
            'set it to "lora" or "rslora", or start without FSDP',
            "adapter.method",
        )
    if recipe.quantization.bits == 8:
        raise FtuiError(
            "a base in 8 bits cannot be shared out over processes (FSDP)",
            "set it to 4 or 16, or start without FSDP",
            "quantization.bits",
        )


class Shared:
    """The frozen weights of one layer: a part always, the whole from `fill` to `empty`."""

    def __init__(self, weights: Sequence[torch.Tensor], ranks: Ranks, device: torch.device) -> None:
        sizes = [_aligned(weight.nbytes) for weight in weights]
        share = _aligned(-(-sum(sizes) // ranks.count))
        self._whole = torch.zeros(share * ranks.count, dtype=torch.uint8, device=device)
        places = self._whole[: sum(sizes)].split(sizes)
        with torch.no_grad():
            for weight, place in zip(weights, places, strict=True):
                view = place[: weight.nbytes].view(weight.dtype).view(weight.shape)
                view.copy_(weight)
                weight.data = view
        self._part = self._whole.chunk(ranks.count)[ranks.number].clone()
        self.bytes, self.part_bytes = sum(weight.nbytes for weight in weights), self._part.nbytes
        self.empty()

    @property
    def is_whole(self) -> bool:
        return self._whole.untyped_storage().nbytes() > 0

    def make_room(self) -> None:
        self._whole.untyped_storage().resize_(self._whole.numel())

    def fill(self) -> None:
        """Puts it together where there is room; every process has to come here."""
        distributed.all_gather_into_tensor(self._whole, self._part)

    def empty(self) -> None:
        self._whole.untyped_storage().resize_(0)


class Shards:
    """The layers of a run's base that are shared out; none of them where each process has all of it."""

    def __init__(self, layers: Sequence[Shared] = (), ranks: Ranks | None = None) -> None:
        self.layers = layers
        self._ranks = ranks or Ranks()

    def words(self) -> str:
        """What each process keeps, for people."""
        kept = sum(layer.part_bytes for layer in self.layers)
        whole = sum(layer.bytes for layer in self.layers)
        return (
            f"each of {self._ranks.count} processes keeps its part of the base's layers (FSDP):"
            f" {show_size(kept)} of {show_size(whole)}"
        )

    def serve(self) -> None:
        """Until no process needs a layer any more; here the need is over."""
        if not self.layers:
            return
        self._empty()
        while any(number != _NONE for number in self._exchange(_NONE)):
            pass

    def need(self, number: int) -> None:
        """Makes a layer whole, and any other a part again."""
        if self.layers[number].is_whole:
            return
        self._empty()
        # Where there is no room for it the others have not been promised anything yet.
        self.layers[number].make_room()
        self._exchange(number)

    def _exchange(self, mine: int) -> list[int]:
        """One round in which all processes put together what any of them needs; returns who needs what.

        Where another's layer does not fit beside this process's own, that one goes first: the others count on
        this process until the round is over, and only then it is out of memory.
        """
        needs = torch.empty(self._ranks.count, dtype=torch.int64)
        scarce: Exception | None = None
        try:
            distributed.all_gather_into_tensor(needs, torch.tensor([mine]))
            for number in sorted(set(needs.tolist()) - {_NONE}):
                scarce = self._make_room(number) or scarce
                self.layers[number].fill()
                if number != mine or scarce:
                    self.layers[number].empty()
        except RuntimeError as error:
            if is_lost_peer(error):  # not to be taken for something that the model cannot do
                raise LostPeer(str(error)) from None
            raise
        if scarce and mine != _NONE:
            raise scarce
        return needs.tolist()

    def _make_room(self, number: int) -> Exception | None:
        """Why there was room for a layer only after this process had given up its own; None where it has not."""
        try:
            self.layers[number].make_room()
        except Exception as error:
            if not is_out_of_memory(error):
                raise
            scarce = error
        else:
            return None
        self._empty()
        try:
            self.layers[number].make_room()
        except Exception as error:
            if not is_out_of_memory(error):
                raise
            raise ModelError(_NO_ROOM, "lower data.max_length or the adapter's rank") from None
        return scarce

    def _empty(self) -> None:
        for layer in self.layers:
            if layer.is_whole:
                layer.empty()


def share_out(model: PreTrainedModel, ranks: Ranks, device: torch.device) -> Shards:
    """Leaves this process its part of the layers of `model`, frozen and on the CPU or `device`; the rest of it
    goes to `device` whole. Raises FtuiError."""
    modules = list(_outermost(model))
    owners = Counter(id(weight) for module in modules for weight in _weights(module))
    layers: list[Shared] = []
    shards = Shards(layers, ranks)
    for module in modules:
        weights = [weight for weight in _weights(module) if owners[id(weight)] == 1]
        if any(weight.dtype is torch.int8 for weight in weights):
            raise FtuiError(
                "a base in 8 bits cannot be shared out over processes (FSDP)",
                "take its 16-bit original, or start without FSDP",
                "model.base",
            )
        if not weights:
            continue
        need = functools.partial(shards.need, len(layers))
        layers.append(Shared(weights, ranks, device))
        module.register_forward_pre_hook(functools.partial(_before, need))
        module.register_forward_hook(functools.partial(_after, need))
    if not layers:
        raise FtuiError(
            "this model does not say what its layers are, so they cannot be shared out (FSDP)",
            "start without FSDP",
            "model.base",
        )
    _move_the_rest(model, device)
    return shards


def _move_the_rest(model: PreTrainedModel, device: torch.device) -> None:
    model.to(device)
    for parameter in model.parameters():
        if (state := getattr(parameter, "quant_state", None)) is not None:
            state.to(device)
    if hasattr(model, "hf_device_map"):
        model.hf_device_map = {"": device}  # peft takes a model that is said to be elsewhere apart


def _outermost(model: nn.Module) -> Iterator[nn.Module]:
    inside: set[nn.Module] = set()
    for module in model.modules():
        if isinstance(module, GradientCheckpointingLayer) and module not in inside:
            inside.update(module.modules())
            yield module


def _weights(module: nn.Module) -> Iterator[torch.Tensor]:
    """What a layer's memory goes to; biases and norms stay whole everywhere."""
    for parameter in module.parameters():
        if parameter.ndim > 1:
            yield parameter
        if (state := getattr(parameter, "quant_state", None)) is not None:
            yield state.absmax


def _aligned(size: int) -> int:
    return -(-size // _ALIGNED) * _ALIGNED


def _before(need: Any, _module: nn.Module, _inputs: Any) -> None:
    need()


def _after(need: Any, _module: nn.Module, _inputs: Any, output: Any) -> None:
    """Has the layer made whole again when the backward comes to it."""
    for part in tree_leaves(output):
        if isinstance(part, torch.Tensor) and part.requires_grad:
            part.register_hook(lambda _gradient: need())

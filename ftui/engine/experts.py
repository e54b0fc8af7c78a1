"""Mixtures of experts in four bits: their fused weights, which the loader leaves in sixteen.

transformers keeps all experts of a layer in one three-dimensional parameter, which is no linear layer.
bitsandbytes can quantize any parameter and unpacks it when it is used. Autograd would keep what was unpacked
until the backward, layer by layer, and nothing would be saved; so experts are recomputed there, and only one
layer's are ever unpacked.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

import torch
from bitsandbytes.nn.parametrize import replace_parameter_4bit
from torch import nn
from torch.nn.utils import parametrize
from torch.utils.checkpoint import checkpoint

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ftui.core.recipe import Quantization

_COUNTS = ("num_local_experts", "num_experts", "n_routed_experts")


def number_of_experts(config: Any) -> int:
    """How many experts a layer has by the model's config, 0 for a dense model."""
    text = config.get_text_config()
    return next((int(getattr(text, name)) for name in _COUNTS if getattr(text, name, None)), 0)


def fused_experts(model: nn.Module, experts: int) -> Iterator[tuple[nn.Module, list[str]]]:
    """Modules that hold the weights of `experts` experts in one parameter, with the names of those."""
    for module in model.modules():
        names = [
            name
            for name, parameter in module.named_parameters(recurse=False)
            if parameter.ndim == 3 and len(parameter) == experts and parameter.is_floating_point()
        ]
        if experts and names:
            yield module, names


def quantize_experts(model: nn.Module, wanted: Quantization, device: torch.device) -> None:
    """Quantizes the fused experts of `model` on `device`, one parameter at a time; the rest stays where it is."""
    for module, names in list(fused_experts(model, number_of_experts(model.config))):
        module.forward = functools.partial(_recomputed, module.forward)
        for name in names:
            parameter = getattr(module, name)
            parameter.data = parameter.data.to(device)
            replace_parameter_4bit(
                module, name, compress_statistics=wanted.double, quant_type=wanted.type, blocksize=64
            )
            parametrization = module.parametrizations[name]
            # As bitsandbytes' own layers carry it: what the packed bytes stand for.
            parametrization.original.quant_state = parametrization[0].quant_state


def stand_in_for_packed_experts(model: nn.Module) -> None:
    """Makes experts behave as quantized ones do, but for their values: recomputed, and left alone by peft."""
    for module, names in list(fused_experts(model, number_of_experts(model.config))):
        module.forward = functools.partial(_recomputed, module.forward)
        for name in names:
            parametrize.register_parametrization(module, name, nn.Identity(), unsafe=True)


def unpack_experts(model: nn.Module) -> None:
    """Makes quantized experts plain parameters again, of the values they have in four bits."""
    for module in model.modules():
        if parametrize.is_parametrized(module):
            for name in list(module.parametrizations):
                plain = getattr(module, name)
                parametrize.remove_parametrizations(module, name, leave_parametrized=False)
                setattr(module, name, nn.Parameter(plain, requires_grad=False))
            module.__dict__.pop("forward", None)


def _recomputed(forward: Callable[..., torch.Tensor], *arguments: Any, **named: Any) -> Any:
    def unpacked_once(*arguments: Any, **named: Any) -> Any:
        with parametrize.cached():
            return forward(*arguments, **named)

    return checkpoint(unpacked_once, *arguments, use_reentrant=False, preserve_rng_state=False, **named)

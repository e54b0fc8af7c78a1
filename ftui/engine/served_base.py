"""A base model loaded to answer rather than to train.

On a GPU it is served as it was trained: in 4 or 8 bits, or 16. On a CPU quantized weights are unpacked once
to plain ones: the same function, two to three times faster there.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING, Any

import psutil
import torch

from ftui.core.errors import ModelError
from ftui.core.recipe import Recipe
from ftui.engine.device import choose_dtype, is_out_of_memory
from ftui.engine.experts import unpack_experts
from ftui.engine.model import Formats, load_model
from ftui.engine.safetensors_header import read_shapes

if TYPE_CHECKING:
    from pathlib import Path

    from ftui.engine.device import Device


@dataclass(frozen=True, slots=True)
class Quantization:
    """How the frozen base was quantized in training; bits 16 = not at all."""

    bits: int = 16
    type: str = "nf4"
    double: bool = True

    @staticmethod
    def of(recipe: Recipe) -> Quantization:
        said = recipe.quantization
        return Quantization(said.bits, said.type, said.double)


@dataclass(frozen=True, slots=True)
class LoadedBase:
    """model: in eval mode, frozen. dtype: what it computes in. quantization: the function served."""

    model: Any
    dtype: torch.dtype
    quantization: Quantization


def load_base(
    folder: Path, device: Device, asked: Quantization | None, trust_remote_code: bool
) -> LoadedBase:
    """The weights in `folder` on `device`. asked: None serves 16 bits where they fit.

    Raises FtuiError or ModelError when they cannot be loaded or do not fit in memory.
    """
    parameters = _parameters(folder)
    quantization = asked or _fitting(parameters, device)
    dtype = _dtype(device, parameters)
    recipe = Recipe().with_values(
        {
            "model.trust_remote_code": trust_remote_code,
            "quantization.bits": quantization.bits,
            "quantization.type": quantization.type,
            "quantization.double": quantization.double,
        }
    )
    try:
        # As for training, so that the same layers are quantized in the same way; None: transformers' choice.
        model: Any = load_model(folder, recipe, device, Formats(dtype, dtype), None)  # type: ignore[arg-type]
    except Exception as error:
        if not is_out_of_memory(error):
            raise
        raise ModelError(
            "the model does not fit in memory", "stop what else uses it, or load it in 4 bits", str(folder)
        ) from None
    if not device.is_cuda and getattr(model, "hf_quantizer", None) is not None:
        model = model.dequantize(dtype=dtype)
        unpack_experts(model)
    model.config.use_cache = True
    model.requires_grad_(False)
    return LoadedBase(model.eval(), dtype, quantization)


def _parameters(folder: Path) -> int:
    return sum(prod(shape) for file in folder.glob("*.safetensors") for shape in read_shapes(file).values())


def _fitting(parameters: int, device: Device) -> Quantization:
    """16 bits a weight where they leave room for the cache, else 4. On a CPU, 4-bit weights save nothing."""
    if device.is_cuda and parameters * 2 > 0.8 * torch.cuda.mem_get_info(device.torch)[0]:
        return Quantization(bits=4)
    return Quantization()


def _dtype(device: Device, parameters: int) -> torch.dtype:
    """What answers best here. Raises ModelError when the weights fit in no way."""
    if device.is_cuda:
        return choose_dtype("auto", device)
    free = psutil.virtual_memory().available
    if parameters * 4 < 0.8 * free:
        return torch.float32
    if parameters * 2 < 0.8 * free:
        return torch.bfloat16  # slow without hardware for it, but it answers
    raise ModelError(
        f"the model needs {parameters * 2 / 2**30:.0f} GiB of memory, {free / 2**30:.0f} GiB are free",
        "use a smaller model or a machine with a GPU",
    )

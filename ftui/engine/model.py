"""The base model: loaded, quantized, and counted."""

from __future__ import annotations

import functools
import hashlib
import math
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint
from transformers import AutoConfig, AutoModelForCausalLM, BitsAndBytesConfig
from transformers.modeling_layers import GradientCheckpointingLayer

from ftui.core.errors import FtuiError
from ftui.core.text import one_line
from ftui.engine.device import DTYPES, choose_dtype
from ftui.engine.experts import number_of_experts, quantize_experts
from ftui.engine.safetensors_header import read_shapes

if TYPE_CHECKING:
    from transformers import PretrainedConfig, PreTrainedModel

    from ftui.core.recipe import Quantization, Recipe
    from ftui.engine.device import Device


@dataclass(frozen=True, slots=True)
class Formats:
    """weights: how unquantized weights are kept. compute: what matrix products run in.

    They differ only in full fine-tuning, where 16-bit weights would lose small updates.
    """

    weights: torch.dtype
    compute: torch.dtype

    @property
    def autocast(self) -> bool:
        return self.compute is not torch.float32


def choose_formats(recipe: Recipe, device: Device, parameters: int = 0) -> Formats:
    compute = choose_dtype(recipe.model.dtype, device, parameters)
    full = recipe.adapter.method == "full"
    return Formats(torch.float32 if full else compute, compute)


def load_model(
    path: Path | str,
    recipe: Recipe,
    device: Device,
    formats: Formats,
    attention: str | None,
    *,
    on_host: bool = False,
) -> PreTrainedModel:
    """The base model on `device`, frozen, quantized as the recipe says, in training mode.

    on_host: leave it on the CPU, to be shared out from there (`shards.py`). Raises FtuiError.
    """
    home = device.torch
    if on_host:
        home = torch.device("cpu")
        # Started with --use_fsdp, transformers would load the weights in the first process only.
        os.environ["FSDP_CPU_RAM_EFFICIENT_LOADING"] = "false"
    trust = recipe.model.trust_remote_code
    options: dict[str, Any] = {
        "dtype": formats.weights,
        "attn_implementation": attention,
        "use_safetensors": True,
        "trust_remote_code": trust,
        "low_cpu_mem_usage": True,
    }
    try:
        config = AutoConfig.from_pretrained(path, trust_remote_code=trust)
        quantization = _quantization(recipe, config, formats)
        if quantization is not None:
            options["quantization_config"] = quantization
        experts = quantization is not None and quantization.load_in_4bit and number_of_experts(config) > 0
        if device.is_cuda:  # experts come in 16 bits and may not fit there as such
            options["device_map"] = {"": "cpu" if experts else home}
        model = AutoModelForCausalLM.from_pretrained(path, **options)
    except (OSError, ValueError, ImportError) as error:
        hint = ""
        if "trust_remote_code" in str(error):
            hint = "set model.trust_remote_code = true if you trust its authors"
        raise FtuiError(f"cannot load the model: {one_line(str(error), 200)}", hint, str(path)) from None
    model.requires_grad_(False)
    if experts:
        quantize_experts(model, recipe.quantization, home)
        model.to(home)
        model.hf_device_map = {"": home}  # peft takes a model that is said to be elsewhere apart
    if recipe.quantization.bits < 16:
        _quantize_the_rest(model, recipe, formats)
    _keep_differentiable(model)
    model.config.use_cache = False
    model.train()
    return model


def _quantization(recipe: Recipe, config: PretrainedConfig, formats: Formats) -> BitsAndBytesConfig | None:
    """What to ask of the loader; None for 16 bits or a base that comes in 4 or 8 bits already."""
    wanted = recipe.quantization
    own = getattr(config, "quantization_config", None)
    if own is not None:
        own = own if isinstance(own, dict) else own.to_dict()
        if "bitsandbytes" not in str(own.get("quant_method", "")):
            raise FtuiError(
                f"this base is already quantized ({own.get('quant_method')}), which cannot be trained here",
                "start from its 16-bit original",
                "model.base",
            )
        return None
    if wanted.bits == 16:
        return None
    if wanted.bits == 8:
        return BitsAndBytesConfig(load_in_8bit=True)
    return BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type=wanted.type,
        bnb_4bit_use_double_quant=wanted.double,
        bnb_4bit_compute_dtype=formats.compute
        if wanted.compute_dtype == "auto"
        else DTYPES[wanted.compute_dtype],
    )


def _quantize_the_rest(model: PreTrainedModel, recipe: Recipe, formats: Formats) -> None:
    """Quantizes linear layers of a model's own class (Falcon's), which the loader passes over in silence."""
    import bitsandbytes as bnb

    head = model.get_output_embeddings()
    for name, module in list(model.named_modules()):
        plain = isinstance(module, nn.Linear) and not isinstance(
            module, bnb.nn.Linear4bit | bnb.nn.Linear8bitLt
        )
        if not plain or type(module) is nn.Linear or module is head:
            continue
        make = _in_4_bits if recipe.quantization.bits == 4 else _in_8_bits
        quantized = make(module, recipe.quantization, formats)
        quantized.bias = module.bias
        parent, _, child = name.rpartition(".")
        setattr(model.get_submodule(parent), child, quantized)


def _in_4_bits(module: nn.Linear, wanted: Quantization, formats: Formats) -> nn.Linear:
    """`module` quantized, its bias apart."""
    from bitsandbytes.nn import Linear4bit, Params4bit

    kind = {"compress_statistics": wanted.double, "quant_type": wanted.type}
    quantized = Linear4bit(
        module.in_features,
        module.out_features,
        bias=False,
        compute_dtype=formats.compute if wanted.compute_dtype == "auto" else DTYPES[wanted.compute_dtype],
        device="meta",
        **kind,
    )
    weight = Params4bit(module.weight.data, requires_grad=False, module=quantized, **kind)
    quantized.weight = weight.to(module.weight.device)
    return quantized


def _in_8_bits(module: nn.Linear, wanted: Quantization, formats: Formats) -> nn.Linear:
    """`module` quantized, its bias apart."""
    from bitsandbytes.nn import Int8Params, Linear8bitLt

    quantized = Linear8bitLt(
        module.in_features,
        module.out_features,
        bias=False,
        has_fp16_weights=False,
        threshold=6.0,
        device="meta",
    )
    weight = Int8Params(module.weight.data, requires_grad=False, has_fp16_weights=False)
    quantized.weight = weight.to(module.weight.device)
    return quantized


def _keep_differentiable(model: nn.Module) -> None:
    """On CPUs with AVX512-BF16 bitsandbytes repacks 4-bit weights for good at the first evaluation, into a
    form that has no backward and rounds to bfloat16. Training goes on after an evaluation, so it must not."""
    for module in model.modules():
        if hasattr(module, "support_avx512bf16_for_cpu"):
            module.support_avx512bf16_for_cpu = False


_ADAPTER = "lora_"  # in the name of everything that peft puts into a model


@dataclass(frozen=True, slots=True)
class Counts:
    """Parameters of a model: all of them, trainable, and kept in 4 or 8 bits."""

    parameters: int
    trainable: int
    quantized: int

    @property
    def quantized_fraction(self) -> float:
        return self.quantized / max(1, self.parameters - self.trainable)


def count(model: nn.Module) -> Counts:
    """Counts what is really there; a 4-bit weight counts as the weights it stands for.

    Not the frozen adapter that takes away again what PiSSA starts from: it is no part of the model.
    """
    parameters = trainable = quantized = 0
    for name, parameter in model.named_parameters():  # a weight tied to another comes once
        if _ADAPTER in name and not parameter.requires_grad:
            continue
        state = getattr(parameter, "quant_state", None)
        number = state.shape.numel() if state is not None else parameter.numel()
        parameters += number
        trainable += number if parameter.requires_grad else 0
        quantized += number if state is not None or parameter.dtype is torch.int8 else 0
    return Counts(parameters, trainable, quantized)


def unquantized(model: PreTrainedModel) -> dict[str, int]:
    """Weights of two dimensions or more left in 16 or 32 bits, embeddings and head apart, by the class of
    module that holds them; {} when everything was quantized."""
    apart = {
        id(part) for part in (model.get_input_embeddings(), model.get_output_embeddings()) if part is not None
    }
    left: dict[str, int] = {}
    for name, module in model.named_modules():
        if id(module) in apart or isinstance(module, nn.Embedding) or _ADAPTER in name:
            continue
        for parameter in module.parameters(recurse=False):
            quantized = getattr(parameter, "quant_state", None) is not None or parameter.dtype is torch.int8
            if not quantized and not parameter.requires_grad and parameter.ndim > 1:
                left[type(module).__name__] = left.get(type(module).__name__, 0) + parameter.numel()
    return left


def _layer_modules(model: nn.Module) -> list[Any]:
    return [module for module in model.modules() if isinstance(module, GradientCheckpointingLayer)]


def layers(model: nn.Module) -> int:
    """How many layers can be recomputed in the backward."""
    return len(_layer_modules(model))


def checkpoint_layers(model: nn.Module, number: int) -> int:
    """Recomputes the first `number` layers in the backward rather than keep their activations; returns how
    many that are."""
    modules = _layer_modules(model)
    for index, layer in enumerate(modules):
        layer.gradient_checkpointing = index < number
        layer._gradient_checkpointing_func = functools.partial(checkpoint, use_reentrant=False)
    return min(number, len(modules))


def parameters_in(base_path: Path) -> int:
    """How many weights a model folder holds, by the headers of its files."""
    files = base_path.glob("*.safetensors")
    return sum(math.prod(shape) for file in files for shape in read_shapes(file).values())


def fingerprint(base_path: Path) -> str:
    """A hash of a model folder without reading gigabytes: its config, and of each weight file the name, the
    size and the first megabyte."""
    digest = hashlib.sha256()
    for path in [base_path / "config.json", *sorted(base_path.glob("*.safetensors"))]:
        with path.open("rb") as file:
            digest.update(f"{path.name} {path.stat().st_size}\n".encode() + file.read(1 << 20))
    return digest.hexdigest()

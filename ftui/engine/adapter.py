"""What is trained: LoRA and its relatives on the frozen base, or all of it."""

from __future__ import annotations

import copy
import json
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from peft.tuners.lora.layer import ParamWrapper
from peft.utils.integrations import dequantize_module_weight
from safetensors.torch import load_file, save_file
from torch import nn
from torch.nn.utils.parametrize import is_parametrized

from ftui.core.errors import FtuiError

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from ftui.core.recipe import Recipe

WEIGHTS = "adapter_model.safetensors"
_PISSA_ITERATIONS = 8
_TAKEN = "taken"  # PiSSA's second adapter on a quantized base


def attach(model: PreTrainedModel, recipe: Recipe, start: Path) -> nn.Module:
    """Makes `model` trainable as the recipe says; returns the PeftModel, or for full fine-tuning `model`.

    start: where the run keeps what PiSSA took out of the base, for a resumed run to take out the same.
    Adapter weights are float32 whatever the base is. Raises FtuiError when no layer matches adapter.targets.
    """
    torch.manual_seed(recipe.training.seed)
    if recipe.adapter.method == "full":
        model.requires_grad_(True)
        return model
    adapted = add_lora(model, recipe)
    if recipe.adapter.method == "pissa":
        _start_pissa(adapted, start, quantized=recipe.quantization.bits < 16)
    return adapted


def add_lora(model: PreTrainedModel, recipe: Recipe) -> PeftModel:
    """`model` with LoRA layers as the recipe says. Raises FtuiError when no layer matches adapter.targets."""
    wanted = recipe.adapter
    config = LoraConfig(
        r=wanted.rank,
        lora_alpha=wanted.alpha,
        lora_dropout=wanted.dropout,
        target_modules=wanted.targets,
        use_rslora=wanted.method == "rslora",
        use_dora=wanted.method == "dora",
        task_type="CAUSAL_LM",
    )
    try:
        with warnings.catch_warnings():
            # It looks for fused experts, whose ranks it has set itself, among modules, where they are not.
            warnings.filterwarnings("ignore", "The following (rank|alpha)_pattern keys", RuntimeWarning)
            adapted = get_peft_model(model, config)
        _leave_packed_experts(adapted)
        return adapted
    except ValueError as error:
        if "ParamWrapper" in str(error):  # peft's name for what adapts weights that are no linear layer
            raise FtuiError(
                "this model chooses and holds its experts in a way that only plain LoRA can adapt",
                'set adapter.method to "lora" and adapter.dropout to 0, or name attention layers in adapter.targets',
                "adapter",
            ) from None
        if "arget" not in str(error):
            raise
        names = sorted(
            {name.rpartition(".")[2] for name, part in model.named_modules() if isinstance(part, nn.Linear)}
        )
        raise FtuiError(
            f"no layer of this model is called {wanted.targets!r}",
            f"it has {', '.join(names)}",
            "adapter.targets",
        ) from None


def _leave_packed_experts(model: PeftModel) -> None:
    """Takes experts that are quantized out of the adapter's config: peft adapts only plain ones, and whoever
    loads the adapter would look for them."""
    config = model.peft_config["default"]
    if not any(map(is_parametrized, model.modules())) or not config.target_parameters:
        return
    wrapped = {layer.parameter_name for layer in model.modules() if isinstance(layer, ParamWrapper)}
    kept = [name for name in config.target_parameters if name.rpartition(".")[2] in wrapped]
    config.target_parameters = kept or None
    config.rank_pattern, config.alpha_pattern = {}, {}


def trainable(model: nn.Module) -> dict[str, nn.Parameter]:
    """The trained parameters by name."""
    return {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}


def save_adapter(model: nn.Module, folder: Path, base: Path | str, start: Path | None = None) -> None:
    """Writes the adapter in peft's format (or the whole model after full fine-tuning) into `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    if not isinstance(model, PeftModel):
        model.save_pretrained(folder, safe_serialization=True)
        return
    config = model.peft_config["default"]
    config.base_model_name_or_path = str(base)
    model.save_pretrained(
        folder, safe_serialization=True, save_embedding_layers=False, selected_adapters=["default"]
    )
    (folder / "README.md").unlink(missing_ok=True)  # peft's model card template, all blanks
    if start is not None and start.exists():
        _finish_pissa(folder, start)


def _lora_layers(model: nn.Module) -> dict[str, Any]:
    return {name: module for name, module in model.named_modules() if hasattr(module, "lora_A")}


def _start_pissa(model: PeftModel, start: Path, *, quantized: bool) -> None:
    """PiSSA: the adapter starts as the largest singular directions of each weight, which leave the base.

    Meng et al. 2024, "PiSSA: Principal Singular Values and Singular Vectors Adaptation of LLMs".
    A resumed run takes the directions from `start` instead of computing them again.

    16-bit weights lose them outright. Quantized ones stay as they are, as any other adapter expects them: a
    frozen second adapter takes the directions away again, which is the same function and the same gradients.
    """
    kept = load_file(start) if start.exists() else {}
    made: dict[str, torch.Tensor] = {}
    if quantized:
        config = copy.copy(model.peft_config["default"])
        config.lora_dropout = 0.0  # what it takes away must be all of it
        model.add_adapter(_TAKEN, config)
        model.base_model.set_adapter(["default", _TAKEN])
    for name, layer in _lora_layers(model).items():
        if isinstance(layer, ParamWrapper) or not layer.lora_A:
            raise FtuiError(
                f"PiSSA starts from linear layers, and {name} is none", 'use "lora"', "adapter.method"
            )
        a, b = layer.lora_A["default"].weight, layer.lora_B["default"].weight
        if f"{name}.lora_A" in kept:
            first, second = kept[f"{name}.lora_A"], kept[f"{name}.lora_B"]
        else:
            weight = dequantize_module_weight(layer.get_base_layer())
            u, s, v = torch.svd_lowrank(weight.data.float(), q=a.shape[0], niter=_PISSA_ITERATIONS)
            root = (s / layer.scaling["default"]).sqrt()
            first, second = (root[:, None] * v.T), (u * root)
        first, second = first.to(a.device).contiguous(), second.to(a.device).contiguous()
        made[f"{name}.lora_A"], made[f"{name}.lora_B"] = first.cpu(), second.cpu()
        with torch.no_grad():
            a.copy_(first)
            b.copy_(second)
            if quantized:
                layer.lora_A[_TAKEN].weight.copy_(first).requires_grad_(False)
                layer.lora_B[_TAKEN].weight.copy_(-second).requires_grad_(False)
            else:
                weight = layer.get_base_layer().weight
                weight.data -= (layer.scaling["default"] * (second @ first)).to(weight.dtype)
    if not kept:
        start.parent.mkdir(parents=True, exist_ok=True)
        save_file(made, start)


def _finish_pissa(folder: Path, start: Path) -> None:
    """Makes it a plain LoRA of twice the rank on the UNCHANGED base: B A - B0 A0 = [B, -B0] [A; A0]."""
    taken, weights = load_file(start), load_file(folder / WEIGHTS)
    whole = {}
    for key, value in weights.items():
        name, part, _ = key.rpartition(".lora_A") if ".lora_A" in key else key.rpartition(".lora_B")
        before = taken[f"{name}{part}"].to(value.dtype)
        whole[key] = torch.cat([value, before]) if part == ".lora_A" else torch.cat([value, -before], dim=1)
    save_file({key: value.contiguous() for key, value in whole.items()}, folder / WEIGHTS, {"format": "pt"})
    path = folder / "adapter_config.json"
    config = json.loads(path.read_text())
    config["r"], config["lora_alpha"] = 2 * config["r"], 2 * config["lora_alpha"]
    path.write_text(json.dumps(config, indent=2, sort_keys=True) + "\n")

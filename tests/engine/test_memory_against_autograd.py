"""The closed form of core.memory against what autograd really keeps, counted storage by storage."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from peft import LoraConfig, get_peft_model
from transformers import LlamaConfig, LlamaForCausalLM

from ftui.core.geometry import read_geometry
from ftui.core.hardware import Hardware
from ftui.core.memory import estimate
from ftui.core.recipe import Recipe
from ftui.engine.exact_memory import LiveBytes
from ftui.engine.model import checkpoint_layers

SIZES = {
    "hidden_size": 256,
    "intermediate_size": 896,
    "num_attention_heads": 8,
    "num_key_value_heads": 2,
    "vocab_size": 512,
    "tie_word_embeddings": False,
}
TOKENS = 1024
CPU = Hardware("cpu", "here", None)


def counted_peak(layers: int, dtype: torch.dtype, targets: Any, checkpointed: bool) -> int:
    """Bytes at the peak of forward and backward of the model's body, beyond what was there before."""
    torch.manual_seed(0)
    config = LlamaConfig(num_hidden_layers=layers, use_cache=False, attn_implementation="sdpa", **SIZES)
    model = LlamaForCausalLM(config).to(dtype)
    adapted = get_peft_model(model, LoraConfig(r=16, lora_alpha=32, target_modules=targets))
    checkpoint_layers(model, layers if checkpointed else 0)
    adapted.train()
    ids = torch.randint(0, 512, (1, TOKENS))
    with (
        LiveBytes([*model.parameters(), *model.buffers()]) as counter,
        torch.autocast("cpu", torch.bfloat16, enabled=dtype is torch.bfloat16),
    ):
        hidden = adapted.base_model.model.model(input_ids=ids).last_hidden_state
        hidden.backward(torch.zeros_like(hidden))
    return counter.peak


@pytest.mark.parametrize("checkpointed", [False, True])
@pytest.mark.parametrize("targets", ["all-linear", ["q_proj", "k_proj", "v_proj", "o_proj"]])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])
def test_activations_are_what_autograd_keeps(dtype, targets, checkpointed):
    torch.set_num_threads(1)
    layers = 6
    recipe = Recipe().with_values(
        {
            "model.dtype": str(dtype).removeprefix("torch."),
            "data.max_length": TOKENS,
            "adapter.targets": targets,
            "quantization.bits": 16,
            "training.batch_size": 1,
            "training.checkpointing": "all" if checkpointed else "none",
        }
    )
    geometry = read_geometry({**SIZES, "num_hidden_layers": layers})
    formula = estimate(recipe, geometry, CPU).activations
    counted = counted_peak(layers, dtype, targets, checkpointed)
    # Beside activations the count holds adapter gradients and, under autocast, 16-bit copies of the adapter.
    adapter = 4 * estimate(recipe, geometry, CPU).trainable
    assert counted - 1.5 * adapter < formula * 1.04
    assert counted > formula * 0.96

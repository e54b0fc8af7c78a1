"""The counted estimate: any architecture, for its shapes alone, and the closed form where that knows it too."""

from __future__ import annotations

import pytest

from ftui.core.errors import FtuiError
from ftui.core.geometry import read_geometry
from ftui.core.hardware import Hardware
from ftui.core.memory import estimate
from ftui.core.recipe import Recipe
from ftui.engine import exact_memory as engine
from ftui.runs import exact_memory
from ftui.runs.exact_memory import exact_estimate

LLAMA = {
    "model_type": "llama", "hidden_size": 512, "intermediate_size": 1536, "num_hidden_layers": 6,
    "num_attention_heads": 8, "num_key_value_heads": 2, "vocab_size": 4096, "tie_word_embeddings": False,
}  # fmt: skip
SMALL = {"hidden_size": 128, "num_hidden_layers": 4, "num_attention_heads": 4, "vocab_size": 1024}
OTHERS = {
    "gpt_neox": {**SMALL, "intermediate_size": 512},
    "gpt2": {"n_embd": 128, "n_layer": 4, "n_head": 4, "vocab_size": 1024},
    "falcon": {**SMALL, "new_decoder_architecture": False, "multi_query": True},
    "mixtral": {**SMALL, "intermediate_size": 256, "num_key_value_heads": 2, "num_local_experts": 4},
}
EXPERTS = {
    "mixtral": {"num_local_experts": 4, "num_experts_per_tok": 2},
    "qwen3_moe": {
        "moe_intermediate_size": 192, "num_experts": 32, "num_experts_per_tok": 8, "head_dim": 64,
    },
    "qwen2_moe": {
        "moe_intermediate_size": 352, "shared_expert_intermediate_size": 1408, "num_experts": 20,
        "num_experts_per_tok": 4,
    },
}  # fmt: skip
GPU = Hardware("cuda", "a GPU", None)


@pytest.fixture
def here(monkeypatch):
    """Counts in this process, which has torch loaded already."""
    monkeypatch.setattr(exact_memory, "_ask", engine.measure)


def recipe(**values: object) -> Recipe:
    base = {"data.max_length": 512, "training.batch_size": 4, "training.micro_batch": 4}
    return Recipe().with_values(base | {name.replace("__", "."): value for name, value in values.items()})


@pytest.mark.parametrize("checkpointing", ["none", "all"])
def test_it_agrees_with_the_closed_form_where_that_knows_the_architecture(here, checkpointing):
    wanted = recipe(training__checkpointing=checkpointing)
    counted = exact_estimate(wanted, LLAMA, GPU, layers=6)
    formula = estimate(wanted, read_geometry(LLAMA), GPU)
    assert counted.method == "counted"
    assert counted.weights == pytest.approx(formula.weights, rel=0.01)
    assert (counted.trainable, counted.quantized) == (
        formula.trainable,
        pytest.approx(formula.quantized, rel=0.01),
    )
    assert counted.allocated == pytest.approx(formula.allocated, rel=0.08)


@pytest.mark.parametrize("length", [128, 2048])
@pytest.mark.parametrize("bits", [16, 4])
@pytest.mark.parametrize("family", EXPERTS)
def test_experts_are_counted_as_the_closed_form_has_them(here, family, bits, length):
    config = {**LLAMA, "model_type": family, **EXPERTS[family]}
    checkpointing = "none" if length == 128 else "all"
    wanted = recipe(quantization__bits=bits, data__max_length=length, training__checkpointing=checkpointing)
    counted = exact_estimate(wanted, config, GPU, layers=6)
    formula = estimate(wanted, read_geometry(config), GPU)
    assert counted.weights == pytest.approx(formula.weights, rel=0.01)
    assert counted.quantized == pytest.approx(formula.quantized, rel=0.01)
    assert counted.trainable == formula.trainable
    assert counted.allocated == pytest.approx(formula.allocated, rel=0.1)


def test_only_what_adapts_experts_pays_for_their_weights(here):
    config = {**LLAMA, "model_type": "mixtral", **EXPERTS["mixtral"]}
    some = recipe(quantization__bits=16, adapter__targets=["q_proj", "v_proj"])
    everything = recipe(quantization__bits=16)
    for wanted in (some, everything):
        formula = estimate(wanted, read_geometry(config), GPU)
        assert exact_estimate(wanted, config, GPU, layers=6).allocated == pytest.approx(
            formula.allocated, rel=0.1
        )
    assert read_geometry(config).adapts_experts(["w1", "w2", "w3"])


def test_a_long_example_costs_no_mask_as_it_costs_none_in_training(here):
    long = recipe(data__max_length=4096, training__micro_batch=1)
    counted, formula = exact_estimate(long, LLAMA, GPU, layers=6), estimate(long, read_geometry(LLAMA), GPU)
    assert counted.allocated == pytest.approx(formula.allocated, rel=0.08)


@pytest.mark.parametrize("family", OTHERS)
def test_every_architecture_is_counted(here, family):
    counted = exact_estimate(recipe(), {"model_type": family, **OTHERS[family]}, GPU)
    assert counted.activations > 0
    assert counted.trainable > 0
    assert 0 < counted.quantized < 1


def test_a_small_gpu_gets_smaller_micro_batches_and_recomputed_layers(here):
    whole = exact_estimate(recipe(), LLAMA, GPU, layers=6)
    # What a process takes beside its tensors, and half of what this one wants.
    memory = int(whole.overhead + (whole.allocated - whole.weights) / 2 + whole.weights)
    tight = exact_estimate(
        recipe(training__micro_batch="auto"), LLAMA, Hardware("cuda", "a GPU", memory), layers=6
    )
    assert tight.load.micro_batch < 4
    assert tight.fits


def test_a_model_nobody_knows_is_said_in_one_line():
    with pytest.raises(FtuiError, match="cannot build the model"):
        exact_estimate(recipe(), {"model_type": "no-such-thing"}, GPU)

"""Loading, quantizing and adapting: what is asked for is what is there, and the adapter is what was trained."""

from __future__ import annotations

import json
import shutil

import pytest
import torch
from peft import PeftModel
from transformers import (
    AutoModelForCausalLM,
    FalconConfig,
    Gemma2Config,
    Gemma3TextConfig,
    GPTNeoXConfig,
    LlamaConfig,
    MistralConfig,
    MixtralConfig,
    Phi3Config,
    Qwen2Config,
    Qwen3Config,
    dynamic_module_utils,
)

from ftui.core.errors import FtuiError
from ftui.core.recipe import parse_recipe
from ftui.engine.adapter import attach, save_adapter, trainable
from ftui.engine.device import find_device
from ftui.engine.experts import unpack_experts
from ftui.engine.layout import attentions, choose_layout, choose_loss, load_with
from ftui.engine.loss import stock_loss, tiled_loss
from ftui.engine.model import checkpoint_layers, choose_formats, count, layers, load_model, unquantized
from ftui.engine.pack import collate
from ftui.engine.validation import evaluating
from tests.engine.test_pack import documents

torch.set_num_threads(1)

SMALL = {
    "vocab_size": 384, "hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 4,
    "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2,
}  # fmt: skip
FAMILIES = {
    "llama 3": LlamaConfig(**SMALL, num_key_value_heads=2),
    "mistral": MistralConfig(**SMALL, num_key_value_heads=2, sliding_window=8),
    "mixtral": MixtralConfig(**SMALL, num_key_value_heads=2, num_local_experts=2),
    "falcon": FalconConfig(**{k: v for k, v in SMALL.items() if k != "intermediate_size"}, alibi=False),
    "gpt-neox": GPTNeoXConfig(**SMALL),
    "gemma 2": Gemma2Config(**SMALL, num_key_value_heads=2, head_dim=16, sliding_window=8),
    "gemma 3": Gemma3TextConfig(**SMALL, num_key_value_heads=2, head_dim=16, sliding_window=8),
    "phi 3": Phi3Config(**SMALL, num_key_value_heads=2),
    "qwen 2": Qwen2Config(**SMALL, num_key_value_heads=2),
    "qwen 3": Qwen3Config(**SMALL, num_key_value_heads=2, head_dim=16),
}
DEVICE = find_device()


def recipe(**sections):
    document = {
        "schema": 1,
        "model": {"dtype": "float32"},
        "data": {"train": "x", "packing": False},
        "adapter": {"rank": 4, "alpha": 8},
    }
    for name, fields in sections.items():
        document.setdefault(name, {}).update(fields)
    return parse_recipe(document)


def layout_for(model, wanted):
    return choose_layout(model, attentions(wanted, DEVICE), no_autocast, packing=False)


def no_autocast():
    return torch.autocast("cpu", enabled=False)


def load(path, wanted):
    return load_model(
        path, wanted, DEVICE, choose_formats(wanted, DEVICE), load_with(attentions(wanted, DEVICE)[0])
    )


def train_a_little(base, model, steps=6):
    """Loss before and after a few steps on a batch, and the last gradient norm, through the chosen layout."""
    layout = layout_for(base, recipe())
    loss = choose_loss(base, layout, no_autocast)
    batch = collate(documents([20, 12, 31]), padded=not layout.flat)
    parameters = list(trainable(model).values())
    optimizer = torch.optim.AdamW(parameters, lr=1e-2)
    values = []
    for _ in range(steps):
        result = loss(base, batch, layout.arguments(batch), 1 / len(batch.targets))
        result.loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        optimizer.zero_grad()
        values.append(float(result.loss.detach()))
    return values[0], values[-1], float(norm), layout


@torch.no_grad()
def logits(model):
    ids = torch.arange(4, 24)[None]
    with evaluating(model):
        return model(input_ids=ids).logits


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_trains_in_four_bits_and_its_adapter_reloads_to_the_same_logits(family, tmp_path):
    torch.manual_seed(0)
    AutoModelForCausalLM.from_config(FAMILIES[family]).save_pretrained(tmp_path / "base")
    wanted = recipe(quantization={"bits": 4})
    base = load(tmp_path / "base", wanted)
    model = attach(base, wanted, tmp_path / "start")
    first, last, norm, layout = train_a_little(base, model)
    assert norm > 0
    assert last < first
    assert layout.flat or family == "falcon"  # it has no way to keep documents of a row apart
    save_adapter(model, tmp_path / "adapter", tmp_path / "base")

    fresh = PeftModel.from_pretrained(load(tmp_path / "base", wanted), tmp_path / "adapter")
    assert torch.equal(logits(fresh), logits(model))
    assert fresh.peft_config["default"].base_model_name_or_path == str(tmp_path / "base")


def test_what_is_quantized_is_counted_and_what_is_not_is_named(tmp_path):
    shares, left = {}, {}
    for family in ("llama 3", "falcon", "mixtral"):
        torch.manual_seed(0)
        AutoModelForCausalLM.from_config(FAMILIES[family]).save_pretrained(tmp_path / family)
        for bits in (4, 8):
            model = load(tmp_path / family, recipe(quantization={"bits": bits}))
            shares[family, bits], left[family, bits] = count(model).quantized_fraction, unquantized(model)
    for family in ("llama 3", "falcon"):  # falcon: its own linear class, which the loader passes over
        for bits in (4, 8):
            assert shares[family, bits] > 0.5
            assert not left[family, bits]
    assert shares["mixtral", 4] > 0.7
    assert set(left["mixtral", 4]) == {"MixtralTopKRouter"}
    assert "MixtralExperts" in left["mixtral", 8]  # fused experts stay in 16 bits, and that is said


def test_experts_in_four_bits_give_exact_gradients_and_are_not_kept_unpacked(tmp_path):
    wanted = recipe(quantization={"bits": 4})
    torch.manual_seed(0)
    AutoModelForCausalLM.from_config(FAMILIES["mixtral"]).save_pretrained(tmp_path / "base")
    base = load(tmp_path / "base", wanted)
    model = attach(base, wanted, tmp_path / "start")
    parameters = list(trainable(model).values())
    layout = layout_for(base, wanted)
    batch = collate(documents([20, 12, 31]), padded=not layout.flat)

    def gradients():
        kept = []
        with torch.autograd.graph.saved_tensors_hooks(
            lambda one: kept.append(one.shape) or one, lambda one: one
        ):
            result = tiled_loss(base, batch, layout.arguments(batch), 0.02)
        result.loss.backward()
        found = torch.cat([parameter.grad.flatten() for parameter in parameters])
        for parameter in parameters:
            parameter.grad = None
        return found, any(len(shape) == 3 and shape[0] == 2 for shape in kept)  # two experts

    config = model.peft_config["default"]  # what it says is what is trained, for whoever loads it
    assert config.target_parameters == ["gate.weight"]
    assert not any("experts" in name for name in trainable(model))
    packed, kept = gradients()
    assert packed.norm() > 0
    assert not kept
    checkpoint_layers(base, 1)
    assert torch.equal(gradients()[0], packed)
    unpack_experts(base)
    assert count(base).quantized_fraction < 0.3
    plain, kept = gradients()
    assert torch.equal(plain, packed)
    assert kept


def test_a_four_bit_weight_counts_as_the_weights_it_stands_for(tiny):
    full, quantized = (
        load(tiny, recipe(quantization={"bits": 16})),
        load(tiny, recipe(quantization={"bits": 4})),
    )
    assert count(full).parameters == count(quantized).parameters
    assert count(full).quantized == 0


@pytest.mark.parametrize("bits", [4, 8])
def test_what_pissa_takes_away_again_is_no_weight_of_the_model(bits, tiny, tmp_path):
    told = []
    for method in ("lora", "pissa"):
        wanted = recipe(quantization={"bits": bits}, adapter={"method": method})
        base = load(tiny, wanted)
        told.append((count(attach(base, wanted, tmp_path / method)), unquantized(base)))
    assert told[0] == told[1]
    assert told[0][1] == {}


def test_an_evaluation_leaves_quantized_training_as_it_was(tiny, tmp_path):
    wanted = recipe(quantization={"bits": 4})
    base = load(tiny, wanted)
    model = attach(base, wanted, tmp_path / "start")
    before = logits(model)
    _, _, norm, _ = train_a_little(base, model, steps=1)
    assert norm > 0
    logits(model)
    first, last, norm, _ = train_a_little(base, model, steps=2)
    assert norm > 0
    assert last < first
    assert not torch.equal(logits(model), before)


@pytest.mark.parametrize(
    ("method", "bits"),
    [("lora", 16), ("rslora", 16), ("dora", 16), ("pissa", 16), ("pissa", 4), ("pissa", 8)],
)
def test_an_adapter_of_every_method_starts_as_the_base_and_saves_what_it_is(method, bits, tiny, tmp_path):
    wanted = recipe(quantization={"bits": bits}, adapter={"method": method})
    untouched = load(tiny, wanted)
    base = load(tiny, wanted)
    model = attach(base, wanted, tmp_path / "start.safetensors")
    assert torch.allclose(logits(model), logits(untouched), atol=1e-5)
    train_a_little(base, model)
    assert not torch.allclose(logits(model), logits(untouched), atol=1e-3)
    save_adapter(model, tmp_path / "adapter", tiny, tmp_path / "start.safetensors")
    fresh = PeftModel.from_pretrained(untouched, tmp_path / "adapter")
    assert torch.allclose(logits(fresh), logits(model), atol=1e-5)


def test_adapter_weights_are_float32_on_a_bfloat16_base(tiny, tmp_path):
    wanted = recipe(model={"dtype": "bfloat16"}, quantization={"bits": 4})
    base = load(tiny, wanted)
    model = attach(base, wanted, tmp_path / "start")
    assert {parameter.dtype for parameter in trainable(model).values()} == {torch.float32}
    assert base.get_input_embeddings().weight.dtype == torch.bfloat16


def test_recomputed_layers_change_nothing_but_memory(tiny, tmp_path):
    wanted = recipe(quantization={"bits": 16})
    results = []
    for number in (0, 1, 99):
        base = load(tiny, wanted)
        model = attach(base, wanted, tmp_path / "start")
        assert checkpoint_layers(base, number) == min(number, layers(base))
        results.append(train_a_little(base, model)[:3])
    assert results[0] == results[1] == results[2]


def test_the_tiled_loss_is_used_where_the_head_is_frozen_and_plain(tiny):
    lora, full = (
        recipe(quantization={"bits": 16}),
        recipe(quantization={"bits": 16}, adapter={"method": "full"}),
    )
    base = load(tiny, lora)
    layout = layout_for(base, lora)
    assert choose_loss(base, layout, no_autocast) is tiled_loss
    trained = attach(load(tiny, full), full, tiny)
    assert choose_loss(trained, layout, no_autocast) is stock_loss


def test_a_layer_name_that_does_not_exist_is_named_with_those_that_do(tiny, tmp_path):
    wanted = recipe(quantization={"bits": 16}, adapter={"targets": ["nope"]})
    with pytest.raises(FtuiError, match="q_proj") as caught:
        attach(load(tiny, wanted), wanted, tmp_path / "start")
    assert caught.value.where == "adapter.targets"


def test_pickled_weights_are_never_loaded(tiny, tmp_path):
    model = AutoModelForCausalLM.from_pretrained(tiny)
    model.config.save_pretrained(tmp_path)
    torch.save(model.state_dict(), tmp_path / "pytorch_model.bin")
    with pytest.raises(FtuiError, match="cannot load the model"):
        load(tmp_path, recipe(quantization={"bits": 16}))


def test_a_models_own_code_runs_only_if_the_recipe_trusts_it(tiny, tmp_path, monkeypatch):
    monkeypatch.setattr(dynamic_module_utils, "HF_MODULES_CACHE", str(tmp_path / "modules"))
    shutil.copytree(tiny, tmp_path / "own")
    ran = tmp_path / "ran"
    code = f"open({str(ran)!r}, 'w').close()\nfrom transformers import LlamaConfig as Own, LlamaForCausalLM as Model\n"
    code += "class OwnConfig(Own):\n    model_type = 'own'\nclass OwnModel(Model):\n    config_class = OwnConfig\n"
    (tmp_path / "own" / "own.py").write_text(code)
    path = tmp_path / "own" / "config.json"
    config = json.loads(path.read_text()) | {
        "model_type": "own",
        "auto_map": {"AutoConfig": "own.OwnConfig", "AutoModelForCausalLM": "own.OwnModel"},
    }
    path.write_text(json.dumps(config))
    with pytest.raises(FtuiError, match="cannot load the model") as caught:
        load(tmp_path / "own", recipe(quantization={"bits": 16}))
    assert "model.trust_remote_code" in caught.value.hint
    assert not ran.exists()
    trusting = recipe(quantization={"bits": 16}, model={"dtype": "float32", "trust_remote_code": True})
    assert type(load(tmp_path / "own", trusting)).__name__ == "OwnModel"
    assert ran.exists()


@pytest.mark.parametrize("adapter", [{"dropout": 0.1}, {"method": "dora"}, {"method": "pissa"}])
@pytest.mark.parametrize("bits", [4, 16])
def test_what_cannot_adapt_experts_is_refused_in_a_line(bits, adapter, tmp_path):
    AutoModelForCausalLM.from_config(FAMILIES["mixtral"]).save_pretrained(tmp_path / "base")
    wanted = recipe(quantization={"bits": bits}, adapter=adapter)
    with pytest.raises(FtuiError) as caught:
        attach(load(tmp_path / "base", wanted), wanted, tmp_path / "start")
    assert caught.value.where.startswith("adapter")
    assert "lora" in caught.value.hint
    named = recipe(quantization={"bits": bits}, adapter={**adapter, "targets": ["q_proj", "v_proj"]})
    attach(load(tmp_path / "base", named), named, tmp_path / "named-start")

"""The tiled loss is the stock loss: value, gradient, accuracy and entropy."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn import functional
from transformers import (
    AutoModelForCausalLM,
    CohereConfig,
    Gemma2Config,
    Gemma2ForCausalLM,
    GraniteConfig,
    PhiConfig,
)

from ftui.engine import loss as module
from ftui.engine.layout import Layout, choose_loss
from ftui.engine.loss import FrozenHeadLoss, has_frozen_head, stock_loss, tiled_loss
from ftui.engine.pack import collate

torch.set_num_threads(1)


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("positions", [1, 50, 200])
def test_it_equals_cross_entropy_across_tiles(monkeypatch, positions, bias):
    monkeypatch.setattr(module, "_TILE_BYTES", 64 * 4 * 100)  # 64 positions a tile
    torch.manual_seed(0)
    hidden = torch.randn(positions, 32, requires_grad=True)
    head, offset = torch.randn(100, 32), torch.randn(100) if bias else None
    targets, weights = torch.randint(0, 100, (positions,)), torch.rand(positions)
    logits = functional.linear(hidden, head, offset)
    expected = (functional.cross_entropy(logits, targets, reduction="none") * weights).sum()
    (gradient,) = torch.autograd.grad(expected * 0.1, hidden)

    value, nll, correct, entropy = FrozenHeadLoss.apply(hidden, head, offset, targets, weights, 0.1)
    (value * 3).backward()

    assert torch.allclose(value, expected * 0.1, rtol=1e-5)
    assert torch.allclose(nll, expected, rtol=1e-5)
    assert torch.allclose(hidden.grad, gradient * 3, rtol=1e-5, atol=1e-6)
    assert int(correct) == int((logits.argmax(-1) == targets).sum())
    exact = torch.distributions.Categorical(logits=logits).entropy().sum()
    assert torch.allclose(entropy, exact, rtol=1e-5)


def test_bfloat16_hidden_states_keep_a_float32_loss():
    hidden = torch.randn(20, 32, dtype=torch.bfloat16, requires_grad=True)
    head = torch.randn(100, 32, dtype=torch.bfloat16)
    targets = torch.randint(0, 100, (20,))
    value, *_ = FrozenHeadLoss.apply(hidden, head, None, targets, torch.ones(20), 1 / 20)
    value.backward()
    assert value.dtype == torch.float32
    assert hidden.grad.dtype == torch.bfloat16
    exact = functional.cross_entropy(hidden.float() @ head.float().T, targets)
    assert value.item() == pytest.approx(exact.item(), rel=0.02)


def test_without_gradients_none_is_computed():
    hidden, head = torch.randn(5, 8), torch.randn(11, 8)
    value, *_ = FrozenHeadLoss.apply(hidden, head, None, torch.zeros(5, dtype=torch.long), torch.ones(5), 1.0)
    assert not value.requires_grad


def test_heads_that_train_or_cap_their_logits_are_left_to_the_model(tiny):
    model = AutoModelForCausalLM.from_pretrained(tiny)
    assert not has_frozen_head(model)
    model.requires_grad_(False)
    assert has_frozen_head(model)
    config = Gemma2Config(
        vocab_size=64,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=1,
        num_attention_heads=2,
        num_key_value_heads=1,
        head_dim=16,
    )
    capped = Gemma2ForCausalLM(config).requires_grad_(False)
    assert config.final_logit_softcapping
    assert not has_frozen_head(capped)


TINY = {
    "vocab_size": 64, "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 1, "num_attention_heads": 2,
    "num_key_value_heads": 2, "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2,
}  # fmt: skip


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        (CohereConfig(**TINY, logit_scale=0.0625), stock_loss),
        (GraniteConfig(**TINY, logits_scaling=8.0), stock_loss),
        (GraniteConfig(**TINY, logits_scaling=1.0), tiled_loss),
        (PhiConfig(**TINY), tiled_loss),  # its head has a bias
    ],
    ids=["cohere", "granite", "granite without a scale", "phi"],
)
def test_the_loss_that_is_chosen_is_the_models_own(config, expected):
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(config).requires_grad_(False)
    for parameter in model.get_output_embeddings().parameters():
        parameter.data.normal_()
    layout = Layout("sdpa", flat=False)
    assert choose_loss(model, layout, lambda: torch.autocast("cpu", enabled=False)) is expected
    ids = np.arange(3, 40, dtype=np.int32)
    batch = collate([(ids, np.ones(len(ids), np.float32))], padded=True)
    with torch.no_grad():
        own = model(input_ids=batch.input_ids, labels=batch.input_ids).loss
        ours = expected(model, batch, layout.arguments(batch), 1 / (len(ids) - 1)).loss
    assert float(ours) == pytest.approx(float(own), rel=1e-5)

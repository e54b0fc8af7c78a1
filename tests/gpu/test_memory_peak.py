"""On a GPU: what a run really allocates at its peak is what the estimate said before it."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
import torch
from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM

from ftui.core.geometry import read_geometry
from ftui.core.hardware import Hardware
from ftui.core.memory import estimate
from ftui.core.recipe import load_recipe
from tests.engine.run_folder import chat_rows, events, make_run
from tests.tiny import make_tiny_model

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    """Half a billion random weights in the proportions of a Llama, large enough to drown fixed costs."""
    folder = make_tiny_model(tmp_path_factory.mktemp("base") / "base")
    tokenizer = AutoTokenizer.from_pretrained(folder)
    config = LlamaConfig(
        hidden_size=2048,
        intermediate_size=5632,
        num_hidden_layers=12,
        num_attention_heads=16,
        num_key_value_heads=4,
        vocab_size=32_000,
        max_position_embeddings=8192,
        tie_word_embeddings=True,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    LlamaForCausalLM(config).to(torch.bfloat16).save_pretrained(folder)
    return folder


@pytest.mark.parametrize("checkpointing", ["none", "all"])
@pytest.mark.parametrize("bits", [4, 16])
def test_the_measured_peak_is_within_a_tenth_of_the_estimate(base, tmp_path, bits, checkpointing):
    values = {
        "model": {"dtype": "bfloat16"},
        "quantization": {"bits": bits},
        "adapter": {"rank": 16, "alpha": 32},
        "data": {"max_length": 4096, "packing": True, "validation": 0},
        "training": {"max_steps": 3, "batch_size": 2, "checkpointing": checkpointing, "learning_rate": 1e-4},
    }
    run = make_run(tmp_path, base, values, chat_rows(2000))
    command = [sys.executable, "-m", "ftui.engine.train", str(run.path)]
    subprocess.run(command, check=True, env=os.environ | {"HF_HUB_OFFLINE": "1"})
    config = LlamaConfig.from_pretrained(base).to_dict()
    told = estimate(load_recipe(run.recipe_path), read_geometry(config), Hardware("cuda", "here", None))
    assert events(run, "step")[-1]["memory_peak"] == pytest.approx(told.allocated, rel=0.1)

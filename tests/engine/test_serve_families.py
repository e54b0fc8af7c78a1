"""Every family of base models: sides in one request say what transformers and peft make each say alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from peft import LoraConfig, get_peft_model

from ftui.engine.adapters import find_adapter
from ftui.engine.generate import Done, Prompt, generate
from ftui.engine.sampling import Sampling
from ftui.engine.served_model import load
from tests.tiny import make_tiny_tokenizer

torch.set_num_threads(1)

SIZES: dict[str, Any] = {
    "vocab_size": 384,
    "hidden_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
}
LLAMA_LIKE = SIZES | {"intermediate_size": 128, "num_key_value_heads": 2, "max_position_embeddings": 512}
FALCON = SIZES | {"multi_query": True, "new_decoder_architecture": False}
FAMILIES: dict[str, tuple[str, dict[str, Any]]] = {
    "mistral with a window": ("MistralConfig", LLAMA_LIKE | {"sliding_window": 8}),
    "mixtral": ("MixtralConfig", LLAMA_LIKE | {"num_local_experts": 4}),
    "qwen3": ("Qwen3Config", LLAMA_LIKE | {"head_dim": 16}),
    "gemma3": (
        "Gemma3TextConfig",
        LLAMA_LIKE | {"head_dim": 16, "sliding_window": 8, "num_hidden_layers": 6},
    ),
    "phi3": ("Phi3Config", LLAMA_LIKE),
    "falcon": ("FalconConfig", FALCON),
    "falcon with alibi": ("FalconConfig", FALCON | {"alibi": True}),
    "gpt-neox": ("GPTNeoXConfig", SIZES | {"intermediate_size": 128}),
    "gpt2": ("GPT2Config", {"vocab_size": 384, "n_embd": 64, "n_layer": 2, "n_head": 4}),
    "lfm2, part recurrent": ("Lfm2Config", LLAMA_LIKE | {"layer_types": ["conv", "full_attention"]}),
}


def make_family(name: str, folder: Path) -> Path:
    """A tiny random model of the family with an adapter in it, weights large enough to give varied replies."""
    kind, settings = FAMILIES[name]
    config = getattr(transformers, kind)(**settings, bos_token_id=3, eos_token_id=2, pad_token_id=0)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = transformers.AutoModelForCausalLM.from_config(config)
        for parameter in model.parameters():
            if parameter.dim() > 1:
                torch.nn.init.normal_(parameter, std=0.15)
        model.save_pretrained(folder)
        make_tiny_tokenizer().save_pretrained(folder)
        adapted = get_peft_model(model, LoraConfig(r=4, target_modules="all-linear", task_type="CAUSAL_LM"))
        for key, parameter in adapted.named_parameters():
            if "lora_B" in key:
                torch.nn.init.normal_(parameter, std=0.2)
        adapted.save_pretrained(folder / "adapter")
    return folder


@pytest.mark.parametrize("name", FAMILIES)
@pytest.mark.filterwarnings("ignore")
def test_sides_of_one_request_say_what_each_says_alone(name, tmp_path):
    folder = make_family(name, tmp_path)
    served = load(str(folder), None, lambda *_: None)
    served.set_adapters([find_adapter(folder / "adapter")], lambda *_: None)
    inner = served.adapters[served.sides[1]].inner
    served.stop_ids = frozenset()  # random models like to stop at once
    asked = [
        (None, list(range(10, 40)), 20),
        (inner, [5, 6, 7, 8], 24),
        (None, [9, 8, 7], 6),
        (inner, list(range(10, 40)), 12),
    ]
    events: list[Any] = []
    prompts = [Prompt(adapter, ids, Sampling(tokens, temperature=0)) for adapter, ids, tokens in asked]
    generate(served, prompts, events.append, lambda: False)
    replies = {event.side: event.text for event in events if isinstance(event, Done)}
    for side, (adapter, ids, tokens) in enumerate(asked):
        assert replies[side] == _by_transformers(served, adapter, ids, tokens), side
    assert len(set(replies.values())) > 1


def _by_transformers(served: Any, adapter: str | None, ids: list[int], tokens: int) -> str:
    inputs = torch.tensor([ids])
    served.model.generation_config.eos_token_id = None
    with served.alone(adapter):
        output = served.model.generate(
            input_ids=inputs, attention_mask=torch.ones_like(inputs), max_new_tokens=tokens, do_sample=False
        )
    text: str = served.tokenizer.decode(output[0, len(ids) :], skip_special_tokens=True)
    return text.rstrip("\ufffd")

"""Small peft adapters with random weights, as if trained."""

from __future__ import annotations

from pathlib import Path
from typing import Any


def make_adapter(base: Path, path: Path, seed: int, **config: Any) -> Path:
    """A LoRA on the model in `base`, saved by peft in `path`. Its effect is strong enough to change replies."""
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    options = {"r": 4, "lora_alpha": 8, "target_modules": "all-linear", "task_type": "CAUSAL_LM"} | config
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = get_peft_model(AutoModelForCausalLM.from_pretrained(base), LoraConfig(**options))
        for name, parameter in model.named_parameters():
            if parameter.requires_grad and "magnitude" not in name:
                torch.nn.init.normal_(parameter, std=0.2)
    model.save_pretrained(path)
    return path

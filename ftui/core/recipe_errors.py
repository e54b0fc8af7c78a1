"""What is wrong with a recipe, one plain line a field, with the name that was probably meant."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING, Any

from ftui.core.recipe_fields import shown
from ftui.core.text import one_line

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pydantic import ValidationError

    from ftui.core.recipe_fields import RecipeField

# What other tools call the same thing.
ELSEWHERE = {
    "base_model": "model.base",
    "model_name_or_path": "model.base",
    "model_name": "model.base",
    "load_in_4bit": "quantization.bits",
    "load_in_8bit": "quantization.bits",
    "dataset": "data.train",
    "datasets": "data.train",
    "train_file": "data.train",
    "val_set_size": "data.validation",
    "val_size": "data.validation",
    "cutoff_len": "data.max_length",
    "max_seq_len": "data.max_length",
    "max_seq_length": "data.max_length",
    "sequence_len": "data.max_length",
    "sample_packing": "data.packing",
    "lora_r": "adapter.rank",
    "lora_rank": "adapter.rank",
    "r": "adapter.rank",
    "lora_alpha": "adapter.alpha",
    "lora_dropout": "adapter.dropout",
    "lora_target": "adapter.targets",
    "target_modules": "adapter.targets",
    "lora_target_modules": "adapter.targets",
    "num_epochs": "training.epochs",
    "num_train_epochs": "training.epochs",
    "lr": "training.learning_rate",
    "lr_scheduler": "training.scheduler",
    "lr_scheduler_type": "training.scheduler",
    "warmup_ratio": "training.warmup",
    "warmup_steps": "training.warmup",
    "gradient_accumulation_steps": "training.batch_size",
    "per_device_train_batch_size": "training.micro_batch",
    "micro_batch_size": "training.micro_batch",
    "optim": "training.optimizer",
    "gradient_checkpointing": "training.checkpointing",
    "neftune_noise_alpha": "training.neftune_alpha",
    "eval_steps": "evaluation.every",
    "early_stopping_patience": "evaluation.early_stopping",
    "save_steps": "checkpoints.every",
    "save_total_limit": "checkpoints.keep",
    "logging_steps": "logging.every",
    "bf16": "model.dtype",
    "fp16": "model.dtype",
}


def explain_errors(error: ValidationError, fields: Mapping[str, RecipeField]) -> list[tuple[str, str]]:
    """One (dotted field, message) for each field pydantic refused, in the file's order.

    A union reports once for each of its alternatives; here they are one sentence about the field.
    """
    found: dict[str, str] = {}
    for issue in error.errors(include_url=False):
        path = [one_line(str(part), 60) for part in issue["loc"]]
        name = path[0] if path and (path[0] in fields or path[0] == "schema") else ".".join(path[:2])
        found.setdefault(name or "recipe", _message(issue, name, fields))
    return list(found.items())


def _message(issue: Any, name: str, fields: Mapping[str, RecipeField]) -> str:
    value = issue["input"]
    if issue["type"] in ("extra_forbidden", "invalid_key"):
        return ", ".join(filter(None, ["unknown key", suggest(name, fields)]))
    if name == "schema":
        return f"written for another version of ftui: this one reads schema 1, got {shown(value)}"
    field = fields.get(name)
    if field is None:
        return f"expected a [{name}] section, got {shown(value)}"
    item = next((part for part in issue["loc"][1:] if isinstance(part, int)), None)
    at = f" as item {item + 1}" if item is not None else ""
    return f"expected {field.expected}, got {shown(value)}{at}"


def suggest(name: str, fields: Mapping[str, RecipeField]) -> str:
    """Where the person who wrote `name` probably wanted to be; "" when there is no good guess."""
    section, _, key = name.rpartition(".")
    homes = [field for field in fields.values() if field.key == key]
    if len(homes) == 1 and homes[0].section:
        return f"{key} belongs to [{homes[0].section}]" if section else f"did you mean {homes[0].name}?"
    if homes:
        return f"did you mean {' or '.join(field.name for field in homes)}?"
    if key in ELSEWHERE:
        return f"here it is {ELSEWHERE[key]}"
    near = [field.key for field in fields.values() if field.section == section]
    if close := difflib.get_close_matches(key, near, n=1, cutoff=0.6):
        return f"did you mean {close[0]}?"
    sections = {field.section for field in fields.values() if field.section}
    if close := difflib.get_close_matches(name, sections, n=1, cutoff=0.7):
        return f"did you mean [{close[0]}]?"
    close = difflib.get_close_matches(name, list(fields), n=1, cutoff=0.6)
    return f"did you mean {close[0]}?" if close else ""

"""What LLaMA-Factory and Axolotl both have from transformers' TrainingArguments."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ftui.core.import_reading import Reading

# A share of the run that is all of it: `every` = 1 means each step.
ONLY_AT_THE_END = 0.999

SCHEDULERS = {
    "cosine": "cosine", "linear": "linear", "constant": "constant", "constant_with_warmup": "constant",
}  # fmt: skip
OPTIMIZERS = {
    "adamw_torch": "adamw", "adamw_torch_fused": "adamw", "adamw_hf": "adamw", "adamw": "adamw",
    "adamw_8bit": "adamw_8bit", "adamw_bnb_8bit": "adamw_8bit",
    "paged_adamw_8bit": "paged_adamw_8bit",
}  # fmt: skip
# "auto" takes flash-attn where it is installed; naming it would refuse to run where it is not.
ATTENTIONS = {"auto": "auto", "disabled": "eager", "sdpa": "sdpa", "fa2": "auto"}
# by (bfloat16 asked for, float16 asked for)
DTYPES = {
    (True, False): "bfloat16", (True, True): "bfloat16", (False, True): "float16", (False, False): "auto",
}  # fmt: skip
_TRACKERS = ("tensorboard", "wandb", "mlflow")


def how_often(reading: Reading, strategies: Sequence[str], steps: str, default: float) -> float:
    """`every` from a strategy ("no", "steps", "epoch") and a number of steps, or a share of them.

    default: where neither says anything.
    """
    strategy = reading.text(*strategies).lower()
    given = reading.number(steps, default=0)
    if strategy in ("no", "none", "false"):
        return 0
    if strategy == "epoch":
        epochs = max(1, reading.number("num_train_epochs", "num_epochs", default=3))
        return min(ONLY_AT_THE_END, 1 / epochs)
    return given or default


def held_back(reading: Reading, key: str, file: str) -> str | float:
    """`data.validation`: the file of their own examples, else the share that `key` holds back."""
    size = reading.number(key, default=0)
    if file:
        return file
    if size >= 1:
        reading.remark(key, "a number of examples: 0.1 of them is held back instead")
        return 0.1
    return size


def trackers(reading: Reading, given: Any) -> list[str]:
    """`report_to` as ftui's list; others are remarked."""
    names = [str(name) for name in (given if isinstance(given, list) else [given] if given else [])]
    if "all" in names:
        return list(_TRACKERS)
    if unknown := [name for name in names if name not in (*_TRACKERS, "none")]:
        reading.remark("report_to", f"no tracker {', '.join(unknown)} here", "dropped")
    return [name for name in _TRACKERS if name in names]


def plain_name(path: str) -> str:
    """The last part of an output folder as a recipe's name."""
    words = re.sub(r"[^A-Za-z0-9._-]+", "-", path.rstrip("/").rpartition("/")[2])
    return words.strip("-._")[:64].rstrip("-._") or "imported"

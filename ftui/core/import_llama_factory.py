"""A LLaMA-Factory YAML in ftui's fields. Defaults are LLaMA-Factory's, so that the run stays the same one.

Source of names and defaults: LLaMA-Factory's `hparams/*_args.py` and transformers' TrainingArguments.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ftui.core.errors import FtuiError
from ftui.core.import_shared import (
    ATTENTIONS,
    DTYPES,
    OPTIMIZERS,
    SCHEDULERS,
    held_back,
    how_often,
    plain_name,
    trackers,
)

if TYPE_CHECKING:
    from ftui.core.import_reading import Reading

_STAGES = {"pt": "pretrain", "sft": "sft", "dpo": "dpo", "kto": "kto"}
NEEDLESS = frozenset(
    (
        "do_train", "do_eval", "overwrite_cache", "overwrite_output_dir", "preprocessing_num_workers",
        "dataloader_num_workers", "plot_loss", "ddp_timeout", "include_num_input_tokens_seen", "use_fast_tokenizer",
        "resume_from_checkpoint", "save_only_model", "per_device_eval_batch_size", "upcast_layernorm",
        "upcast_lmhead_output", "low_cpu_mem_usage", "group_by_length", "remove_unused_columns", "hf_hub_token",
        "logging_strategy", "enable_liger_kernel", "use_unsloth", "cache_dir", "logging_dir",
        "load_best_model_at_end", "save_safetensors", "quantization_method", "bf16_full_eval",
        "gradient_checkpointing_kwargs", "use_reentrant_gc",
    )
)  # fmt: skip


def _model(reading: Reading) -> None:
    values = reading.values
    values["model.base"] = reading.text("model_name_or_path")
    values["model.revision"] = reading.text("model_revision", default="").removeprefix("main")
    values["model.trust_remote_code"] = reading.on("trust_remote_code")
    values["model.attention"] = reading.choice("flash_attn", ATTENTIONS, "auto", "attention")
    values["model.dtype"] = DTYPES[reading.on("bf16", "pure_bf16"), reading.on("fp16")]
    bits = reading.whole("quantization_bit", default=16)
    if bits not in (4, 8, 16):
        reading.remark("quantization_bit", "4 bits are used: 4, 8 and 16 are there")
        bits = 4
    values["quantization.bits"] = bits
    values["quantization.type"] = reading.choice(
        "quantization_type", {"nf4": "nf4", "fp4": "fp4"}, "nf4", "4-bit type"
    )
    double = reading.take("double_quantization")
    values["quantization.double"] = double is None or reading.on("double_quantization")
    if reading.text("template"):
        reading.remark("template", "the base model's own chat template is used; see model.chat_template")


def _data(reading: Reading) -> None:
    values = reading.values
    named = reading.take("dataset")
    reading.take("dataset_dir")
    names = [str(one).strip() for one in named] if isinstance(named, list) else str(named or "").split(",")
    names = [name.strip() for name in names if name.strip()]
    if names:
        values["data.train"] = reading.find_data(names[0])
    if len(names) > 1:
        reading.remark("dataset", f"only the first is taken: join the files ({', '.join(names[1:])})")
    held_out = reading.text("eval_dataset").split(",")[0].strip()
    file = reading.find_data(held_out) if held_out else ""
    values["data.validation"] = held_back(reading, "val_size", file)
    values["data.max_length"] = reading.whole("cutoff_len", default=2048)
    values["data.overlong"] = "truncate"
    packing = reading.take("packing")
    values["data.packing"] = reading.on("neat_packing") or (
        reading.on("packing") if packing is not None else reading.document.get("stage") == "pt"
    )
    if packing and not reading.document.get("neat_packing"):
        reading.remark("packing", "packed examples are kept apart by attention, as with neat_packing")
    values["data.train_on"] = (
        "all" if reading.on("train_on_prompt") else "last" if reading.on("mask_history") else "assistant"
    )


def _adapter(reading: Reading) -> None:
    values = reading.values
    kind = reading.choice("finetuning_type", {"lora": "lora", "full": "full"}, "lora", "finetuning_type")
    for key, method in (("use_rslora", "rslora"), ("use_dora", "dora"), ("pissa_init", "pissa")):
        if reading.on(key) and kind != "full":
            kind = method
    reading.take("pissa_iter", "pissa_convert")
    values["adapter.method"] = kind
    rank = reading.whole("lora_rank", default=8)
    values["adapter.rank"] = rank
    values["adapter.alpha"] = reading.number("lora_alpha", default=2 * rank)
    values["adapter.dropout"] = reading.number("lora_dropout", default=0)
    targets = reading.take("lora_target")
    names = targets if isinstance(targets, list) else str(targets or "all").split(",")
    names = [str(name).strip() for name in names if str(name).strip()]
    values["adapter.targets"] = "all-linear" if names == ["all"] else names


def _objective(reading: Reading) -> None:
    stage = reading.text("stage", default="sft")
    objective = _STAGES.get(stage)
    if objective is None:
        raise FtuiError(f"stage {stage!r} has no equivalent", "pt, sft, dpo and kto have", "stage")
    loss = reading.text("pref_loss", "dpo_loss", default="sigmoid")
    if objective == "dpo" and loss == "orpo":
        objective = "orpo"
    elif objective == "dpo" and loss not in ("sigmoid", "orpo"):
        reading.remark("pref_loss", "the sigmoid loss of dpo is used", "dropped")
    reading.values["training.objective"] = objective
    reading.values["training.beta"] = reading.number("pref_beta", "dpo_beta", "orpo_beta", default=0.1)


def _training(reading: Reading) -> None:
    values = reading.values
    values["training.epochs"] = reading.number("num_train_epochs", default=3)
    values["training.max_steps"] = max(0, reading.whole("max_steps", default=-1))
    values["training.learning_rate"] = reading.number("learning_rate", default=5e-5)
    values["training.scheduler"] = reading.choice("lr_scheduler_type", SCHEDULERS, "linear", "scheduler")
    steps = reading.number("warmup_steps", default=0)
    values["training.warmup"] = steps or reading.number("warmup_ratio", default=0)
    per_device = reading.whole("per_device_train_batch_size", default=8)
    values["training.batch_size"] = per_device * reading.whole("gradient_accumulation_steps", default=1)
    values["training.optimizer"] = reading.choice("optim", OPTIMIZERS, "auto", "optimizer")
    values["training.weight_decay"] = reading.number("weight_decay", default=0)
    values["training.max_grad_norm"] = reading.number("max_grad_norm", default=1)
    values["training.neftune_alpha"] = reading.number("neftune_noise_alpha", default=0)
    values["training.seed"] = values["data.seed"] = reading.whole("seed", default=42)
    off = reading.on("disable_gradient_checkpointing")
    reading.take("gradient_checkpointing")
    values["training.checkpointing"] = "none" if off else "auto"


def _milestones(reading: Reading) -> None:
    values = reading.values
    values["evaluation.every"] = how_often(reading, ("eval_strategy", "evaluation_strategy"), "eval_steps", 0)
    values["evaluation.early_stopping"] = reading.whole("early_stopping_steps", default=0)
    values["checkpoints.every"] = how_often(reading, ("save_strategy",), "save_steps", 500)
    values["checkpoints.keep"] = reading.whole("save_total_limit", default=2)
    values["logging.every"] = max(1, reading.whole("logging_steps", default=1))
    values["logging.report_to"] = trackers(reading, reading.take("report_to"))
    values["name"] = plain_name(reading.text("run_name", "output_dir"))
    reading.take("output_dir")


PARTS = (_model, _data, _adapter, _objective, _training, _milestones)

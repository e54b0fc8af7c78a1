"""An Axolotl YAML in ftui's fields. Defaults are Axolotl's, so that the run stays the same one.

Source of names and defaults: Axolotl's `utils/schemas/*.py` and transformers' TrainingArguments.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ftui.core.errors import FtuiError
from ftui.core.import_shared import (
    DTYPES,
    ONLY_AT_THE_END,
    OPTIMIZERS,
    SCHEDULERS,
    held_back,
    how_often,
    plain_name,
    trackers,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ftui.core.import_reading import Reading


NEEDLESS = frozenset(
    (
        "strict", "model_type", "tokenizer_type", "base_model_config", "tokenizer_config", "is_llama_derived_model",
        "is_mistral_derived_model", "pad_to_sequence_len", "eval_sample_packing", "group_by_length",
        "dataset_prepared_path", "dataset_processes", "tf32", "local_rank", "debug", "xformers_attention",
        "flash_attn_cross_entropy", "flash_attn_rms_norm", "gradient_checkpointing_kwargs", "save_safetensors",
        "auto_resume_from_checkpoints", "resume_from_checkpoint", "save_only_model", "load_best_model_at_end",
        "eval_batch_size", "micro_eval_batch_size", "multipack_real_batches", "shuffle_merged_datasets",
        "lora_mlp_kernel", "lora_qkv_kernel", "lora_o_kernel", "plugins", "liger_rope", "liger_rms_norm",
        "liger_glu_activation", "liger_fused_linear_cross_entropy", "cut_cross_entropy", "unsloth_cross_entropy_loss",
        "torch_compile", "logging_dir", "ddp_timeout", "dataloader_num_workers",
    )
)  # fmt: skip
_RL = {"dpo": "dpo", "orpo": "orpo", "kto": "kto"}


def _model(reading: Reading) -> None:
    values = reading.values
    values["model.base"] = reading.text("base_model")
    values["model.revision"] = reading.text("revision_of_model")
    values["model.trust_remote_code"] = reading.on("trust_remote_code")
    bf16 = reading.take("bf16", "bfloat16")
    values["model.dtype"] = (
        "auto" if bf16 == "auto" else DTYPES[reading.on("bf16", "bfloat16"), reading.on("fp16", "float16")]
    )
    # flash-attn is what "auto" takes where it is installed
    flash, sdpa, eager = (reading.on(f"{kind}_attention") for kind in ("flash", "sdp", "eager"))
    values["model.attention"] = "auto" if flash else "sdpa" if sdpa else "eager" if eager else "auto"
    four, eight = reading.on("load_in_4bit"), reading.on("load_in_8bit")
    qlora = reading.document.get("adapter") == "qlora"
    values["quantization.bits"] = 4 if four or (qlora and not eight) else 8 if eight else 16
    template = reading.text("chat_template")
    if template == "chatml":
        values["model.chat_template"] = "chatml"
    elif template not in ("", "tokenizer_default"):
        reading.remark("chat_template", "the base model's own is used; see model.chat_template")


def _data(reading: Reading) -> None:
    values = reading.values
    given = reading.take("datasets")
    datasets = [one for one in given if isinstance(one, dict)] if isinstance(given, list) else []
    if datasets:
        values["data.train"] = _file(datasets[0])
    if len(datasets) > 1:
        others = ", ".join(_file(one) for one in datasets[1:])
        reading.remark("datasets", f"only the first is taken: join the files ({others[:120]})")
    tests = reading.take("test_datasets")
    own = isinstance(tests, list) and tests and isinstance(tests[0], dict)
    values["data.validation"] = held_back(reading, "val_set_size", _file(tests[0]) if own else "")
    values["data.max_length"] = reading.whole("sequence_len", default=512)
    values["data.overlong"] = reading.choice(
        "excess_length_strategy", {"drop": "drop", "truncate": "truncate"}, "drop", "strategy"
    )
    values["data.packing"] = reading.on("sample_packing")
    last = any(one.get("roles_to_train") == [] for one in datasets)
    values["data.train_on"] = "all" if reading.on("train_on_inputs") else "last" if last else "assistant"
    if any(one.get("train_on_eos") in ("all", "last", "none") for one in datasets):
        reading.remark("datasets", "train_on_eos: the end of every trained turn is trained")


def _file(dataset: Mapping[str, Any]) -> str:
    """The dataset's file: `data_files` where given, else its path or hub id."""
    files = dataset.get("data_files")
    if isinstance(files, list) and files:
        files = files[0]
    return str(files or dataset.get("path") or "")


def _adapter(reading: Reading) -> None:
    values = reading.values
    given = reading.text("adapter")
    if given not in ("", "lora", "qlora"):
        reading.remark("adapter", "LoRA is used", "dropped")
    start = reading.text("peft_init_lora_weights")
    method = "lora" if given else "full"
    for wanted, name in (
        (reading.on("peft_use_rslora"), "rslora"),
        (reading.on("peft_use_dora"), "dora"),
        (start.startswith("pissa"), "pissa"),
    ):
        method = name if wanted and given else method
    values["adapter.method"] = method
    rank = reading.whole("lora_r", default=8)
    values["adapter.rank"] = rank
    values["adapter.alpha"] = reading.number("lora_alpha", default=2 * rank)
    values["adapter.dropout"] = reading.number("lora_dropout", default=0)
    modules = reading.take("lora_target_modules")
    names = (
        [str(name) for name in modules] if isinstance(modules, list) else [str(modules)] if modules else []
    )
    all_linear = reading.on("lora_target_linear") or not names or names == ["all-linear"]
    values["adapter.targets"] = "all-linear" if all_linear else names


def _objective(reading: Reading) -> None:
    values, rl = reading.values, reading.text("rl")
    if rl and rl not in _RL:
        raise FtuiError(f"rl {rl!r} has no equivalent", "dpo, orpo and kto have", "rl")
    given = reading.document.get("datasets")
    kinds = (
        {str(one.get("type")) for one in given if isinstance(one, dict)} if isinstance(given, list) else set()
    )
    values["training.objective"] = _RL.get(rl) or ("pretrain" if kinds == {"completion"} else "sft")
    values["training.beta"] = reading.number("rl_beta", "dpo_beta", "orpo_alpha", "kto_beta", default=0.1)


def _training(reading: Reading) -> None:
    values = reading.values
    values["training.epochs"] = reading.number("num_epochs", default=1)
    values["training.max_steps"] = max(0, reading.whole("max_steps", default=0))
    values["training.learning_rate"] = reading.number("learning_rate", default=2e-4)
    values["training.scheduler"] = reading.choice("lr_scheduler", SCHEDULERS, "cosine", "scheduler")
    steps = reading.number("warmup_steps", default=0)
    values["training.warmup"] = steps or reading.number("warmup_ratio", default=0.03)
    accumulation = reading.whole("gradient_accumulation_steps", default=1)
    values["training.batch_size"] = reading.whole("micro_batch_size", default=1) * accumulation
    values["training.optimizer"] = reading.choice("optimizer", OPTIMIZERS, "auto", "optimizer")
    values["training.weight_decay"] = reading.number("weight_decay", default=0)
    values["training.max_grad_norm"] = reading.number("max_grad_norm", default=1)
    values["training.neftune_alpha"] = reading.number(
        "neftune_noise_alpha", "noisy_embedding_alpha", default=0
    )
    values["training.seed"] = values["data.seed"] = reading.whole("seed", default=42)
    recomputes = reading.take("gradient_checkpointing")
    values["training.checkpointing"] = "none" if recomputes is False else "auto"


def _milestones(reading: Reading) -> None:
    values = reading.values
    for section, word in (("evaluation", "eval"), ("checkpoints", "save")):
        times = reading.number(f"{word}s_per_epoch", default=0)
        strategies = (f"{word}_strategy", "evaluation_strategy") if word == "eval" else (f"{word}_strategy",)
        often = how_often(reading, strategies, f"{word}_steps", 0)
        share = min(ONLY_AT_THE_END, 1 / (times * max(1, values["training.epochs"]))) if times else 0
        at_the_end = ONLY_AT_THE_END if word == "save" or values["data.validation"] else 0
        values[f"{section}.every"] = share or often or at_the_end
    values["evaluation.early_stopping"] = reading.whole("early_stopping_patience", default=0)
    values["checkpoints.keep"] = reading.whole("save_total_limit", default=4)
    values["logging.every"] = max(1, reading.whole("logging_steps", default=1))
    told = trackers(reading, reading.take("report_to"))
    asked = {
        "tensorboard": reading.on("use_tensorboard"),
        "wandb": bool(reading.text("wandb_project")),
        "mlflow": bool(reading.text("mlflow_experiment_name")),
    }
    values["logging.report_to"] = [name for name, wanted in asked.items() if wanted or name in told]
    values["name"] = plain_name(reading.text("output_dir"))


PARTS = (_model, _data, _adapter, _objective, _training, _milestones)

"""The sections of a recipe: each field with its default, its limits and the one sentence of why it exists.

`description` is what the editor and `ftui recipe explain` show; `json_schema_extra` holds the unit, what most
runs use, and, where the type alone would explain it badly, what is expected.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

SEEDS = 2**32 - 1
Auto = Literal["auto"]
Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]
# Bounded, which also makes pydantic refuse what no file can hold (lone surrogates).
Text = Annotated[str, StringConstraints(max_length=10_000)]
Filled = Annotated[str, StringConstraints(min_length=1, max_length=10_000)]
Goal = Literal["", "style", "domain", "task", "reasoning"]


def option(
    default: Any, why: str, *, unit: str = "", usual: str = "", expected: str = "", **limits: Any
) -> Any:
    extra: dict[str, Any] = {"unit": unit, "usual": usual, "expected": expected}
    return Field(default, description=why, json_schema_extra=extra, **limits)


class Section(BaseModel):
    # Strict: `true` is no number, "4" is no 4, and NaN is nothing. A recipe means what it says or is refused.
    model_config = ConfigDict(
        extra="forbid", frozen=True, strict=True, allow_inf_nan=False, validate_default=True
    )


class Model(Section):
    base: Filled = option("demo", "The model you start from. An instruction-tuned one needs less data.")
    revision: Text = option("", "A commit or tag of a hub model, so that the same recipe gives the same run.")
    dtype: Literal["auto", "bfloat16", "float16", "float32"] = option(
        "auto", "Number format of activations; auto takes what this device does fast and well."
    )
    attention: Literal["auto", "sdpa", "flash_attention_2", "varlen", "eager"] = option(
        "auto", "Attention kernel; auto takes the fastest one that keeps packed examples apart."
    )
    chat_template: Text = option(
        "", "Empty is the tokenizer's own template, the one the base was trained with."
    )
    trust_remote_code: bool = option(
        False, "Runs Python code from the model repository. Only for authors you trust."
    )


class Quantization(Section):
    bits: Literal[4, 8, 16] = option(
        4, "Bits a frozen weight: 4 is QLoRA, 16 is no quantization.", unit="bits"
    )
    type: Literal["nf4", "fp4"] = option("nf4", "4-bit number format; nf4 fits normally distributed weights.")
    double: bool = option(True, "Quantizes the quantization constants too: saves about 0.4 bits a weight.")
    compute_dtype: Literal["auto", "bfloat16", "float16", "float32"] = option(
        "auto", "Number format the 4-bit weights are unpacked to for each multiplication."
    )


class Data(Section):
    train: Text = option("", "The dataset; decisions and edits in its journal are applied.")
    validation: Annotated[float, Field(ge=0, lt=1)] | Filled = option(
        0.1,
        "Examples held back to see whether the model generalises: a share, a file, or 0.",
        usual="0.05 to 0.2",
        expected="a share from 0 to below 1, or the path of a file",
    )
    max_length: int = option(
        1024,
        "Longest example. Memory grows with it; shorter examples cost nothing extra.",
        unit="tokens",
        usual="512 to 4096",
        ge=8,
        le=1_048_576,
    )
    overlong: Literal["drop", "truncate"] = option(
        "drop", "Examples over max_length: a dropped one teaches nothing, a truncated one never ends."
    )
    train_on: Literal["assistant", "last", "all"] = option(
        "assistant", "Which turns are learned: every assistant turn, the last one, or all text."
    )
    packing: bool = option(
        True, "Joins short examples into full sequences, kept apart by attention: no padding."
    )
    only: Literal["not-rejected", "accepted", "all"] = option(
        "not-rejected", "Which rows by your decisions in the Data pane."
    )
    seed: int = option(0, "Decides the validation split and the order of examples.", ge=0, le=SEEDS)


class Adapter(Section):
    method: Literal["lora", "rslora", "dora", "pissa", "full"] = option(
        "lora",
        "How the model changes: LoRA trains small matrices beside frozen weights, full all of them.",
    )
    rank: int = option(
        16, "Capacity of the adapter. 16 fits most; more for new knowledge.", usual="8 to 64", ge=1, le=4096
    )
    alpha: float = option(
        32, "Strength of the adapter, scaled by 1/rank; about 2 x rank.", usual="2 x rank", gt=0, le=65536
    )
    dropout: float = option(
        0.0, "Share of adapter inputs dropped; 0.05 helps against overfitting.", usual="0 to 0.1", ge=0, lt=1
    )
    targets: Filled | Annotated[list[Filled], Field(min_length=1)] = option(
        "all-linear",
        "Which layers get an adapter. All linear layers learn best for the memory.",
        expected='"all-linear", a pattern, or a list of module names',
    )


class Training(Section):
    objective: Literal["sft", "pretrain", "dpo", "orpo", "kto"] = option(
        "sft", "What is learned: replies (sft), raw text (pretrain), or preferences (dpo, orpo, kto)."
    )
    epochs: float = option(
        3, "Passes over the data. Style needs 1-3; more memorises.", usual="1 to 3", gt=0, le=1000
    )
    max_steps: int = option(
        0, "Stops after this many optimizer steps; 0 goes by epochs.", unit="steps", ge=0, le=1_000_000_000
    )
    learning_rate: float = option(
        2e-4,
        "How far each step moves. LoRA wants ten times full fine-tuning; lower it if the loss jumps.",
        usual="5e-5 to 5e-4 (LoRA), 1e-5 to 5e-5 (full)",
        gt=0,
        le=1,
    )
    scheduler: Literal["cosine", "linear", "constant"] = option(
        "cosine", "How the learning rate falls after warmup."
    )
    warmup: float = option(
        0.03,
        "Start with small steps: below 1 a share of the run, else a number of steps.",
        ge=0,
        le=1_000_000_000,
    )
    batch_size: int = option(
        16,
        "Examples (or packed sequences) an optimizer step, however few memory allows at once.",
        unit="examples",
        usual="8 to 64",
        ge=1,
        le=1_048_576,
    )
    micro_batch: Auto | Annotated[int, Field(ge=1, le=1_048_576)] = option(
        "auto", "Examples in memory at once; auto finds it and shrinks it rather than run out of memory."
    )
    optimizer: Literal["auto", "adamw", "adamw_8bit", "paged_adamw_8bit"] = option(
        "auto", "Update rule; the 8-bit kinds keep their state in a quarter of the memory."
    )
    weight_decay: float = option(0.0, "Pulls weights towards zero; 0 is right for most adapters.", ge=0, le=1)
    max_grad_norm: float = option(
        1.0, "Clips a gradient larger than this, so that one bad batch cannot wreck the run.", ge=0, le=1e9
    )
    checkpointing: Literal["auto", "none", "all"] | Annotated[int, Field(ge=0, le=10_000)] = option(
        "auto",
        "Layers recomputed going backward: less memory, up to a third slower. auto takes as few as fit.",
    )
    neftune_alpha: float = option(
        0.0,
        "Noise on embeddings; 5 can help chat quality on small data. 0 is off.",
        usual="0 or 5",
        ge=0,
        le=1000,
    )
    beta: float = option(
        0.1,
        "How far preference training may move from the base (dpo, orpo, kto).",
        usual="0.05 to 0.5",
        gt=0,
        le=1000,
    )
    on_nan: Literal["stop", "warn"] = option("stop", "What happens when the loss is not a number.")
    seed: int = option(0, "Decides adapter initialisation and dropout.", ge=0, le=SEEDS)


class Evaluation(Section):
    every: float = option(
        0.1,
        "How often the validation loss is measured: a share of the run, or steps; 0 is never.",
        ge=0,
        le=1_000_000_000,
    )
    early_stopping: int = option(
        0,
        "Stops after this many evaluations without improvement; 0 is off.",
        unit="evaluations",
        ge=0,
        le=1_000_000,
    )
    prompts: list[Text] = option([], "Questions answered at step 0 and every checkpoint: see it learn.")
    max_new_tokens: int = option(96, "Longest answer to those prompts.", unit="tokens", ge=1, le=32768)


class Checkpoints(Section):
    every: float = option(
        0.25,
        "How often progress is saved: a share of the run, or steps; 0 is only at the end and at each new best "
        "evaluation.",
        ge=0,
        le=1_000_000_000,
    )
    keep: int = option(2, "Newest checkpoints kept, besides the best one.", ge=1, le=10_000)


class Logging(Section):
    every: int = option(
        1, "Optimizer steps between two points of the curves.", unit="steps", ge=1, le=1_000_000
    )
    report_to: list[Literal["tensorboard", "wandb", "mlflow"]] = option([], "Trackers told as well.")


class Launch(Section):
    processes: int = option(1, "Training processes, one a GPU.", ge=1, le=1024)

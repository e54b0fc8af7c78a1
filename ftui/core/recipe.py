"""The recipe: everything that decides a run, one TOML file, every field explained where it is defined.

The key names are a contract. A field's `description` is the one sentence of why shown beside it in the
editor; `json_schema_extra` holds its unit and the usual values.
"""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

import tomli_w
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from ftui.core.errors import FtuiError

SCHEMA = 1
Auto = Literal["auto"]
Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]


def _field(default: Any, why: str, *, unit: str = "", usual: str = "", **limits: Any) -> Any:
    return Field(default, description=why, json_schema_extra={"unit": unit, "usual": usual}, **limits)


class Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True)


class Model(Section):
    base: str = _field("demo", "The model you start from. An instruction-tuned one needs less data.", min_length=1)
    revision: str = _field("", "A commit or tag of a hub model, so that the same recipe gives the same run.")
    dtype: Literal["auto", "bfloat16", "float16", "float32"] = _field(
        "auto", "Number format of activations; auto takes what this device does fast and well."
    )
    attention: Literal["auto", "sdpa", "flash_attention_2", "varlen", "eager"] = _field(
        "auto", "Attention kernel; auto takes the fastest one that keeps packed examples apart."
    )
    chat_template: str = _field("", "Empty is the tokenizer's own template, the one the base was trained with.")
    trust_remote_code: bool = _field(False, "Runs Python code from the model repository. Only for authors you trust.")


class Quantization(Section):
    bits: Literal[4, 8, 16] = _field(4, "Bits a frozen weight: 4 is QLoRA, 16 is no quantization.", unit="bits")
    type: Literal["nf4", "fp4"] = _field("nf4", "4-bit number format; nf4 fits normally distributed weights.")
    double: bool = _field(True, "Quantizes the quantization constants too: saves about 0.4 bits a weight.")
    compute_dtype: Literal["auto", "bfloat16", "float16", "float32"] = _field(
        "auto", "Number format the 4-bit weights are unpacked to for each multiplication."
    )


class Data(Section):
    train: str = _field("", "The dataset; decisions and edits in its journal are applied.", min_length=0)
    validation: float | str = _field(
        0.1, "Examples held back to see whether the model generalises: a share, a file, or 0.", usual="0.05 to 0.2"
    )
    max_length: int = _field(
        1024, "Longest example. Memory grows with it; shorter examples cost nothing extra.", unit="tokens",
        usual="512 to 4096", ge=8, le=1_048_576,
    )  # fmt: skip
    overlong: Literal["drop", "truncate"] = _field(
        "drop", "Examples over max_length: a dropped one teaches nothing, a truncated one never ends."
    )
    train_on: Literal["assistant", "last", "all"] = _field(
        "assistant", "Which turns are learned: every assistant turn, the last one, or all text."
    )
    packing: bool = _field(True, "Joins short examples into full sequences, kept apart by attention: no padding.")
    only: Literal["not-rejected", "accepted", "all"] = _field(
        "not-rejected", "Which rows by your decisions in the Data pane."
    )
    seed: int = _field(0, "Decides the validation split and the order of examples.", ge=0)


class Adapter(Section):
    method: Literal["lora", "rslora", "dora", "pissa", "full"] = _field(
        "lora", "How the model changes: LoRA trains small matrices beside frozen weights, full trains all weights."
    )
    rank: int = _field(16, "Capacity of the adapter. 16 fits most; more for new knowledge.", usual="8 to 64", ge=1, le=4096)
    alpha: float = _field(32, "Strength of the adapter, scaled by 1/rank; about 2 x rank.", usual="2 x rank", gt=0)
    dropout: float = _field(0.0, "Share of adapter inputs dropped; 0.05 helps against overfitting.", usual="0 to 0.1", ge=0, lt=1)
    targets: str | list[str] = _field(
        "all-linear", "Which layers get an adapter. All linear layers learn best for the memory."
    )


class Training(Section):
    objective: Literal["sft", "pretrain", "dpo", "orpo", "kto"] = _field(
        "sft", "What is learned: replies (sft), raw text (pretrain), or preferences (dpo, orpo, kto)."
    )
    epochs: float = _field(3, "Passes over the data. Style needs 1-3; more memorises.", usual="1 to 3", gt=0, le=1000)
    max_steps: int = _field(0, "Stops after this many optimizer steps; 0 goes by epochs.", unit="steps", ge=0)
    learning_rate: float = _field(
        2e-4, "How far each step moves. LoRA wants about ten times full fine-tuning; lower it if the loss jumps.",
        usual="5e-5 to 5e-4 (LoRA), 1e-5 to 5e-5 (full)", gt=0, le=1,
    )  # fmt: skip
    scheduler: Literal["cosine", "linear", "constant"] = _field("cosine", "How the learning rate falls after warmup.")
    warmup: float = _field(0.03, "Start with small steps: below 1 a share of the run, else a number of steps.", ge=0)
    batch_size: int = _field(
        16, "Examples (or packed sequences) an optimizer step: the effective batch, whatever memory allows at once.",
        unit="examples", usual="8 to 64", ge=1, le=1_048_576,
    )  # fmt: skip
    micro_batch: Auto | Annotated[int, Field(ge=1)] = _field(
        "auto", "Examples in memory at once; auto finds it and shrinks it rather than run out of memory."
    )
    optimizer: Literal["auto", "adamw", "adamw_8bit", "paged_adamw_8bit"] = _field(
        "auto", "Update rule; the 8-bit kinds keep their state in a quarter of the memory."
    )
    weight_decay: float = _field(0.0, "Pulls weights towards zero; 0 is right for most adapters.", ge=0, le=1)
    max_grad_norm: float = _field(1.0, "Clips a gradient larger than this, so that one bad batch cannot wreck the run.", ge=0)
    checkpointing: Auto | Literal["none", "all"] | Annotated[int, Field(ge=0)] = _field(
        "auto", "Layers recomputed in the backward pass: less memory, up to a third slower. auto takes as few as fit."
    )
    neftune_alpha: float = _field(0.0, "Noise on embeddings; 5 can help chat quality on small data. 0 is off.", usual="0 or 5", ge=0)
    beta: float = _field(0.1, "How far preference training may move from the base (dpo, orpo, kto).", usual="0.05 to 0.5", gt=0)
    on_nan: Literal["stop", "warn"] = _field("stop", "What happens when the loss is not a number.")
    seed: int = _field(0, "Decides adapter initialisation and dropout.", ge=0)


class Evaluation(Section):
    every: float = _field(0.1, "How often the validation loss is measured: a share of the run, or steps; 0 is never.", ge=0)
    early_stopping: int = _field(0, "Stops after this many evaluations without improvement; 0 is off.", unit="evaluations", ge=0)
    prompts: list[str] = _field([], "Questions answered at every checkpoint, so that you see it learn.")
    max_new_tokens: int = _field(96, "Longest answer to those prompts.", unit="tokens", ge=1, le=32768)


class Checkpoints(Section):
    every: float = _field(0.25, "How often progress is saved: a share of the run, or steps; 0 is only at the end.", ge=0)
    keep: int = _field(2, "Newest checkpoints kept, besides the best one.", ge=1)


class Logging(Section):
    every: int = _field(1, "Optimizer steps between two points of the curves.", unit="steps", ge=1)
    report_to: list[Literal["tensorboard", "wandb", "mlflow"]] = _field([], "Trackers told as well.")


class Launch(Section):
    processes: int = _field(1, "Training processes, one a GPU.", ge=1, le=1024)


class Recipe(Section):
    """A whole recipe. Frozen: an edit makes a new one with `with_value`."""

    schema_: Literal[1] = Field(SCHEMA, alias="schema", description="Version of the recipe's format.")
    name: Name = _field("untitled", "Names the run and its adapter: letters, digits, '.', '_' and '-'.")
    description: str = _field("", "What this run is for, in your words.")
    model: Model = Model()
    quantization: Quantization = Quantization()
    data: Data = Data()
    adapter: Adapter = Adapter()
    training: Training = Training()
    evaluation: Evaluation = Evaluation()
    checkpoints: Checkpoints = Checkpoints()
    logging: Logging = Logging()
    launch: Launch = Launch()

    def to_dict(self) -> dict[str, Any]:
        """Every field in the contract's order, ready for TOML or JSON."""
        return self.model_dump(by_alias=True, mode="json")

    def to_toml(self) -> str:
        return tomli_w.dumps(self.to_dict())

    def get(self, field: str) -> Any:
        """The value of a dotted field such as "training.learning_rate". Raises FtuiError for an unknown one."""
        value: Any = self.to_dict()
        for part in _known(field).split("."):
            value = value[part]
        return value

    def with_values(self, changes: Mapping[str, Any]) -> Recipe:
        """A recipe with the dotted fields in `changes` replaced. Raises FtuiError naming the first bad one."""
        document = self.to_dict()
        for field, value in changes.items():
            *parents, last = _known(field).split(".")
            table = document
            for parent in parents:
                table = table[parent]
            table[last] = value
        return parse_recipe(document)


def field_names() -> list[str]:
    """Every dotted field name, in the contract's order, without `schema`."""
    names = []
    for name, info in Recipe.model_fields.items():
        if isinstance(info.annotation, type) and issubclass(info.annotation, Section):
            names += [f"{name}.{inner}" for inner in info.annotation.model_fields]
        elif name != "schema_":
            names.append(name)
    return names


def _known(field: str) -> str:
    names = field_names()
    if field in names:
        return field
    close = difflib.get_close_matches(field, names, n=1, cutoff=0.5)
    endings = [name for name in names if name.endswith("." + field.rpartition(".")[2])]
    guess = (endings or close or [""])[0]
    raise FtuiError("no such recipe field", f"did you mean {guess}?" if guess else "`ftui recipe schema` lists them", field)


def field_errors(document: Mapping[str, Any]) -> list[tuple[str, str]]:
    """What is wrong with a recipe document, as (dotted field, message) pairs; empty when it is valid."""
    try:
        Recipe.model_validate(document)
    except ValidationError as error:
        return [_explain(issue) for issue in error.errors()]
    return []


def parse_recipe(document: Mapping[str, Any], where: str = "") -> Recipe:
    """Validates a recipe document. Raises FtuiError naming the first bad field (and how many more there are)."""
    errors = field_errors(document)
    if not errors:
        return Recipe.model_validate(document)
    field, message = errors[0]
    more = f", and {len(errors) - 1} more" if len(errors) > 1 else ""
    raise FtuiError(f"{field}: {message}{more}", "`ftui recipe check` lists every finding", where)


def read_document(path: Path) -> dict[str, Any]:
    """The TOML document in `path`. Raises FtuiError with the line when it cannot be read."""
    try:
        return tomllib.loads(path.read_bytes().decode("utf-8-sig"))
    except FileNotFoundError:
        raise FtuiError("no such recipe", "`ftui recipe list` shows the ones there are", str(path)) from None
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
        raise FtuiError(f"cannot read the recipe: {reason}", "", str(path)) from None
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise FtuiError(f"not valid TOML: {error}", "fix that line", str(path)) from None


def load_recipe(path: Path) -> Recipe:
    """The recipe in a TOML file. Raises FtuiError with the file and the field."""
    return parse_recipe(read_document(path), str(path))


def parse_assignment(text: str) -> tuple[str, Any]:
    """Parses `--set a.b=c`: the value is TOML where it parses, else text. Raises FtuiError."""
    field, equals, value = text.partition("=")
    if not equals:
        raise FtuiError("expected FIELD=VALUE", "for example --set training.learning_rate=1e-4", text)
    try:
        return _known(field.strip()), tomllib.loads(f"value = {value}")["value"]
    except tomllib.TOMLDecodeError:
        return _known(field.strip()), value.strip()


def _explain(issue: Any) -> tuple[str, str]:
    path = [str(part) for part in issue["loc"] if isinstance(part, int) or not part.startswith(("constrained", "literal", "float", "str", "int", "list"))]
    field = ".".join(path) or "recipe"
    if issue["type"] == "extra_forbidden":
        try:
            _known(field)
        except FtuiError as error:
            return field, f"unknown key, {error.hint}"
    if issue["type"] == "literal_error":
        return field, f"{issue['input']!r} is not one of {issue['ctx']['expected']}"
    return field, f"{issue['msg'][:1].lower()}{issue['msg'][1:]}, got {issue['input']!r:.60}"


__all__ = ["Recipe", "field_errors", "field_names", "get_args", "load_recipe", "parse_assignment", "parse_recipe", "read_document"]

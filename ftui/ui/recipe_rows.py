"""The fields in the order a person decides them, and what there is to say beside each. No Textual."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ftui.core.goals import GOALS
from ftui.core.hardware import show_size
from ftui.core.recipe import Recipe, fields
from ftui.core.recipe_fields import number
from ftui.core.schedule import as_steps
from ftui.core.text import one_line

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ftui.core.findings import Facts, Finding
    from ftui.core.recipe_fields import RecipeField
    from ftui.runs.recipe_facts import RecipeFacts

# (heading, what most people decide, what they leave alone)
ORDER: tuple[tuple[str, tuple[str, ...], tuple[str, ...]], ...] = (
    ("goal", ("goal", "description", "name"), ()),
    (
        "data",
        ("data.train", "data.validation", "data.max_length", "data.packing", "data.train_on"),
        ("data.overlong", "data.only", "data.seed"),
    ),
    (
        "model",
        ("model.base", "quantization.bits"),
        (
            "quantization.type",
            "quantization.double",
            "quantization.compute_dtype",
            "model.dtype",
            "model.attention",
            "model.chat_template",
            "model.revision",
            "model.trust_remote_code",
        ),
    ),
    (
        "adapter",
        ("adapter.method", "adapter.rank", "adapter.alpha", "adapter.targets"),
        ("adapter.dropout",),
    ),
    (
        "training",
        ("training.learning_rate", "training.epochs", "training.batch_size", "training.checkpointing"),
        (
            "training.objective",
            "training.max_steps",
            "training.warmup",
            "training.scheduler",
            "training.micro_batch",
            "training.optimizer",
            "training.weight_decay",
            "training.max_grad_norm",
            "training.neftune_alpha",
            "training.beta",
            "training.on_nan",
            "training.seed",
        ),
    ),
    (
        "evaluation",
        ("evaluation.every", "evaluation.early_stopping", "evaluation.prompts"),
        ("evaluation.max_new_tokens",),
    ),
    (
        "saving and telling",
        ("checkpoints.every",),
        ("checkpoints.keep", "logging.every", "logging.report_to", "launch.processes"),
    ),
)
_LABELS = {
    "quantization.type": "4-bit type",
    "quantization.double": "double quant",
    "logging.every": "log every",
    "checkpoints.every": "checkpoint every",
    "checkpoints.keep": "keep",
    "evaluation.every": "evaluate every",
}


@dataclass(frozen=True, slots=True)
class FieldRow:
    """One field as the list shows it. value and note are sanitized; severity is that of its worst finding."""

    field: RecipeField
    label: str
    value: str
    note: str
    severity: str
    changed: bool


@dataclass(frozen=True, slots=True)
class Section:
    """A heading and the fields under it."""

    title: str
    rows: tuple[FieldRow, ...]


def sections(
    recipe: Recipe,
    notes: Mapping[str, str],
    findings: Sequence[Finding],
    changed: Sequence[str],
    *,
    everything: bool,
) -> list[Section]:
    """What is shown: what most people decide, what this recipe does differently, and what has a finding."""
    default, listed = Recipe(), fields()
    severity: dict[str, str] = {}
    for finding in findings:
        severity.setdefault(finding.field, finding.severity)
    found = []
    for title, usual, rest in ORDER:
        shown = [
            *usual,
            *(
                n
                for n in rest
                if everything or n in severity or n in changed or recipe.get(n) != default.get(n)
            ),
        ]
        rows = tuple(
            FieldRow(
                listed[name],
                _LABELS.get(name, listed[name].key),
                display(listed[name], recipe.get(name)),
                one_line(notes.get(name, ""), 40),
                severity.get(name, ""),
                name in changed,
            )
            for name in shown
        )
        found.append(Section(title, rows))
    return found


def display(field: RecipeField, value: Any) -> str:
    """A value as the list shows it: on and off for switches, a dash for nothing."""
    if isinstance(value, bool):
        return "on" if value else "off"
    if value in ("", []):
        return "–"
    return one_line(field.show(value), 200)


def notes(recipe: Recipe, around: RecipeFacts | None, facts: Facts) -> dict[str, str]:
    """What is known beside a value, by field: rows, sizes, steps. Nothing is guessed."""
    said = _plain_notes(recipe)
    if around is not None:
        if around.data.rows is not None:
            said["data.train"] = f"{around.data.rows:,} rows"
        elif around.data.problem:
            said["data.train"] = "not found"
    if course := facts.schedule:
        if course.validation_rows:
            said["data.validation"] = f"about {course.validation_rows:,} rows"
        if recipe.data.packing and course.sequences:
            said["data.packing"] = f"{course.sequences:,} sequences"
        said["training.max_steps" if recipe.training.max_steps else "training.epochs"] = (
            f"{course.steps:,} steps"
        )
        for name in ("evaluation.every", "checkpoints.every", "training.warmup"):
            if steps := as_steps(recipe.get(name), course.steps):
                said[name] = _every(steps) if name.endswith("every") else f"{steps:,} steps"
    if needed := facts.estimate:
        said["model.base"] = f"{_count(needed.parameters - _added(recipe, needed.trainable))} parameters"
        said["quantization.bits"] = show_size(needed.weights)
        said["adapter.targets"] = f"{_count(needed.trainable)} trained"
        said["training.batch_size"] = f"{needed.load.micro_batch} at once"
        if around is not None and around.base.geometry is not None:
            said["training.checkpointing"] = (
                f"{needed.load.checkpointed} of {around.base.geometry.layers} layers"
            )
    return said


def _every(steps: int) -> str:
    return "every step" if steps == 1 else f"every {steps:,} steps"


def _plain_notes(recipe: Recipe) -> dict[str, str]:
    said = {}
    if recipe.goal:
        said["goal"] = GOALS[recipe.goal].title
    if recipe.adapter.method != "rslora":
        said["adapter.alpha"] = f"{number(round(recipe.adapter.alpha / recipe.adapter.rank, 2))} x rank"
    if recipe.training.max_steps:
        said["training.epochs"] = "max_steps decides"
    return said


def _added(recipe: Recipe, trainable: int) -> int:
    return 0 if recipe.adapter.method == "full" else trainable


def _count(value: int) -> str:
    """135M, 7.2B."""
    for unit, size in (("B", 1e9), ("M", 1e6), ("k", 1e3)):
        if value >= size:
            return f"{value / size:.1f}{unit}" if value < 100 * size else f"{value / size:.0f}{unit}"
    return str(value)

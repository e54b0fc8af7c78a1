"""Promises of core.lint: each finding has a recipe that triggers it and a near miss that does not."""

from __future__ import annotations

import pytest

from ftui.assets import asset_dir
from ftui.core.findings import Facts, Finding
from ftui.core.geometry import DEMO, read_geometry
from ftui.core.hardware import Hardware
from ftui.core.lint import lint
from ftui.core.memory import estimate
from ftui.core.recipe import Recipe, load_recipe
from ftui.core.schedule import schedule

CPU = Hardware("cpu", "laptop", 16 * 10**9, bfloat16=False)
GPU = Hardware("cuda", "RTX 4090", 24 * 10**9)
BASE = Recipe().with_values({"data.train": "datasets/x.jsonl"})


def facts(recipe: Recipe, rows: int = 1000, mean: float = 200, hardware: Hardware = GPU, **more) -> Facts:
    return Facts(rows=rows, schedule=schedule(recipe, rows, mean), hardware=hardware, **more)


def found(field: str, recipe: Recipe, known: Facts | None = None) -> Finding | None:
    """The finding about `field`, if any."""
    return next((one for one in lint(recipe, known or facts(recipe)) if one.field == field), None)


def test_a_usual_recipe_has_nothing_to_improve():
    assert lint(BASE, facts(BASE, rows=4000)) == []


CASES = [
    ("data.train", {"data.train": ""}, {}),
    ("data.train_on", {"data.train_on": "all"}, {"data.train_on": "all", "training.objective": "pretrain"}),
    ("data.overlong", {"data.overlong": "truncate"}, {"data.overlong": "drop"}),
    (
        "evaluation.early_stopping",
        {"evaluation.early_stopping": 2, "data.validation": 0},
        {"evaluation.early_stopping": 2},
    ),
    (
        "evaluation.early_stopping",
        {"evaluation.early_stopping": 2, "evaluation.every": 0},
        {"evaluation.every": 0},
    ),
    ("data.validation", {"data.validation": 0}, {"data.validation": "datasets/held-out.jsonl"}),
    ("data.validation", {"data.validation": 0.9}, {"data.validation": 0.5}),
    ("quantization.bits", {"adapter.method": "full"}, {"adapter.method": "full", "quantization.bits": 16}),
    ("quantization.bits", {"quantization.bits": 8}, {"quantization.bits": 16}),
    (
        "quantization.type",
        {"quantization.type": "fp4"},
        {"quantization.type": "fp4", "quantization.bits": 16},
    ),
    ("adapter.alpha", {"adapter.alpha": 512}, {"adapter.alpha": 128}),
    ("adapter.alpha", {"adapter.alpha": 2}, {"adapter.alpha": 8}),
    (
        "adapter.alpha",
        {"adapter.method": "rslora", "adapter.alpha": 64},
        {"adapter.method": "rslora", "adapter.alpha": 8},
    ),
    (
        "adapter.rank",
        {"adapter.rank": 512, "adapter.alpha": 1024},
        {"adapter.rank": 256, "adapter.alpha": 512},
    ),
    ("adapter.dropout", {"adapter.dropout": 0.5}, {"adapter.dropout": 0.1}),
    ("training.learning_rate", {"training.learning_rate": 5e-3}, {"training.learning_rate": 2e-3}),
    ("training.learning_rate", {"training.learning_rate": 1e-6}, {"training.learning_rate": 1e-5}),
    (
        "training.learning_rate",
        {"training.learning_rate": 2e-4, "adapter.method": "full", "quantization.bits": 16},
        {"training.learning_rate": 2e-5, "adapter.method": "full", "quantization.bits": 16},
    ),
    ("training.epochs", {"training.epochs": 10}, {"training.epochs": 10, "training.max_steps": 100}),
    (
        "training.warmup",
        {"training.warmup": 100, "training.max_steps": 36},
        {"training.warmup": 30, "training.max_steps": 36},
    ),
    ("data.packing", {"training.objective": "dpo"}, {"training.objective": "dpo", "data.packing": False}),
    (
        "data.train_on",
        {"training.objective": "kto", "data.train_on": "all"},
        {"training.objective": "kto"},
    ),
    (
        "training.learning_rate",
        {"training.objective": "dpo"},
        {"training.objective": "dpo", "training.learning_rate": 1e-5},
    ),
    ("training.micro_batch", {"training.micro_batch": 32}, {"training.micro_batch": 16}),
    ("training.neftune_alpha", {"training.neftune_alpha": 50}, {"training.neftune_alpha": 5}),
    ("training.max_grad_norm", {"training.max_grad_norm": 0}, {"training.max_grad_norm": 0.5}),
    ("model.trust_remote_code", {"model.trust_remote_code": True}, {}),
    ("logging.report_to", {"logging.report_to": ["wandb"]}, {"logging.report_to": ["tensorboard"]}),
    ("evaluation.every", {"evaluation.every": 1}, {"evaluation.every": 0.99}),
    ("checkpoints.every", {"checkpoints.every": 1}, {"checkpoints.every": 10}),
]


@pytest.mark.parametrize(("field", "wrong", "near_miss"), CASES)
def test_each_finding_has_its_trigger_and_its_near_miss(field, wrong, near_miss):
    recipe, near = BASE.with_values(wrong), BASE.with_values(near_miss)
    assert found(field, recipe, facts(recipe, rows=4000))
    assert not found(field, near, facts(near, rows=4000))


@pytest.mark.parametrize(("field", "wrong", "near_miss"), CASES)
def test_a_fix_cures_what_it_was_offered_for(field, wrong, near_miss):
    recipe = BASE.with_values(wrong)
    finding = found(field, recipe, facts(recipe, rows=4000))
    assert finding
    if finding.fix:
        cured = recipe.with_values(finding.fix)
        assert finding.message not in [one.message for one in lint(cured, facts(cured, rows=4000))]


def test_a_goal_asks_for_its_usual_number_of_rows():
    recipe = BASE.with_values({"goal": "domain"})
    assert found("data.train", recipe, facts(recipe, rows=499))
    assert not found("data.train", recipe, facts(recipe, rows=500))


def test_rows_over_the_limit_are_counted_and_the_length_that_keeps_them_is_offered():
    finding = found("data.max_length", BASE, facts(BASE, over=37, longest=1800, p99=611))
    assert finding
    assert "37 rows (3.7%) are longer than 1,024 tokens and dropped" in finding.message
    assert finding.fix == {"data.max_length": 2048}


def test_a_run_of_a_few_steps_is_pointed_out_with_a_smaller_batch():
    recipe = BASE.with_values({"data.packing": False, "training.epochs": 1})
    finding = found("training.batch_size", recipe, facts(recipe, rows=50))
    assert finding
    assert finding.fix["training.batch_size"] < 16


def test_a_short_run_by_max_steps_is_not_blamed_on_the_batch():
    recipe = BASE.with_values({"training.max_steps": 4, "data.packing": False})
    known = facts(recipe, rows=5000)
    assert found("training.max_steps", recipe, known)
    assert not found("training.batch_size", recipe, known)


def test_packing_a_small_dataset_is_pointed_out():
    assert found("data.packing", BASE, facts(BASE, rows=200, mean=100))
    assert not found("data.packing", BASE, facts(BASE, rows=20_000, mean=100))


def test_rows_an_objective_cannot_learn_from_are_an_error():
    recipe = BASE.with_values({"training.objective": "dpo"})
    finding = found("training.objective", recipe, facts(recipe, shape="messages"))
    assert finding
    assert finding.severity == "error"
    assert "pairs" in finding.message
    for shape in ("preference", ""):
        assert not found("training.objective", recipe, facts(recipe, shape=shape))
    for shape in ("kto", "preference"):
        recipe = BASE.with_values({"training.objective": "kto"})
        assert not found("training.objective", recipe, facts(recipe, shape=shape))


def test_a_handful_of_validation_examples_is_pointed_out():
    assert found("data.validation", BASE, facts(BASE, rows=30))
    assert not found("data.validation", BASE, facts(BASE, rows=300))


@pytest.mark.parametrize(
    ("field", "values"),
    [
        ("model.attention", {"model.attention": "flash_attention_2"}),
        ("model.dtype", {"model.dtype": "float16"}),
        ("model.dtype", {"model.dtype": "bfloat16"}),
        ("quantization.compute_dtype", {"quantization.compute_dtype": "float16"}),
        ("training.optimizer", {"training.optimizer": "paged_adamw_8bit"}),
        ("launch.processes", {"launch.processes": 2}),
    ],
)
def test_what_needs_a_gpu_is_said_only_where_there_is_none(field, values):
    recipe = BASE.with_values(values)
    finding = found(field, recipe, facts(recipe, hardware=CPU))
    assert finding
    assert finding.fix
    assert not found(field, recipe, facts(recipe, hardware=GPU))


def test_a_recipe_that_does_not_fit_is_an_error_with_the_cheapest_way_out():
    geometry = read_geometry(
        {**DEMO, "hidden_size": 4096, "num_attention_heads": 32, "intermediate_size": 14336}
    )
    recipe = BASE.with_values(
        {"training.micro_batch": 16, "training.checkpointing": "none", "data.max_length": 4096}
    )
    for expected in ({"training.micro_batch": "auto"}, {"training.checkpointing": "auto"}):
        finding = found(next(iter(expected)), recipe, facts(recipe, estimate=estimate(recipe, geometry, GPU)))
        assert finding
        assert finding.severity == "error"
        assert finding.fix == expected
        recipe = recipe.with_values(expected)
    assert not [
        one
        for one in lint(recipe, facts(recipe, estimate=estimate(recipe, geometry, GPU)))
        if one.severity == "error"
    ]


def test_a_micro_batch_that_will_be_halved_is_pointed_out():
    recipe = BASE.with_values({"training.micro_batch": 16, "data.max_length": 2048})
    geometry = read_geometry({**DEMO, "hidden_size": 2048, "num_attention_heads": 32})
    finding = found("training.micro_batch", recipe, facts(recipe, estimate=estimate(recipe, geometry, GPU)))
    assert finding
    assert "16 examples at once do not fit" in finding.message


def test_errors_come_first():
    recipe = BASE.with_values({"training.epochs": 9, "data.validation": 0, "adapter.method": "full"})
    severities = [one.severity for one in lint(recipe, facts(recipe))]
    assert severities == sorted(severities, key=["error", "warning", "hint"].index)


def test_lint_needs_no_facts_at_all():
    assert lint(BASE) == []


@pytest.mark.parametrize("path", sorted(asset_dir("recipes").glob("*.toml")), ids=lambda path: path.stem)
def test_no_shipped_recipe_has_anything_wrong_with_it(path):
    recipe = load_recipe(path)
    assert [one for one in lint(recipe) if one.severity != "hint"] == []

"""Promises of runs.recipe_facts and runs.base_model: real figures, or a sentence why there are none."""

from __future__ import annotations

import json

import pytest

from ftui.core.geometry import DEMO
from ftui.core.hardware import Hardware
from ftui.core.lint import lint
from ftui.core.recipe import Recipe
from ftui.runs import recipe_facts
from ftui.runs.base_model import find_base
from ftui.runs.recipe_facts import gather, on_memory, this_machine
from ftui.runs.workspace import Workspace

CPU = Hardware("cpu", "laptop", 8 * 10**9)


@pytest.fixture
def workspace(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hub-home"))
    monkeypatch.delenv("HF_HUB_CACHE", raising=False)
    (tmp_path / "datasets").mkdir()
    return Workspace(tmp_path)


def write_rows(workspace, count=10, answer="yes, it is " * 20):
    rows = [
        {"messages": [{"role": "user", "content": "q"}, {"role": "assistant", "content": answer}]}
    ] * count
    path = workspace.datasets / "x.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return Recipe().with_values({"data.train": "datasets/x.jsonl"})


def test_rows_steps_and_memory_come_from_the_real_files(workspace):
    recipe = write_rows(workspace, 100).with_values({"data.packing": False})
    facts = gather(recipe, workspace, machine=CPU).facts(recipe)
    assert facts.rows == 100
    assert facts.schedule.steps == 18  # 90 rows, batches of 16, three epochs
    assert facts.schedule.tokens_per_step > 16 * 50
    assert facts.estimate.memory == CPU.memory


def test_broken_rows_are_not_counted(workspace):
    recipe = write_rows(workspace, 5)
    with (workspace.datasets / "x.jsonl").open("a") as file:
        file.write("{broken\n")
    assert gather(recipe, workspace, machine=CPU).data.rows == 5


def test_a_missing_dataset_is_a_finding_with_the_places_looked_at(workspace):
    recipe = Recipe().with_values({"data.train": "datasets/none.jsonl"})
    [finding] = [
        one
        for one in lint(recipe, gather(recipe, workspace, machine=CPU).facts(recipe))
        if one.severity == "error"
    ]
    assert finding.field == "data.train"
    assert "no such file" in finding.message
    assert str(workspace.root) in finding.hint


@pytest.mark.parametrize(
    ("field", "wrong", "right"),
    [
        (
            "model.base",
            ["./nowhere", "/no/model", "gone.gguf", "a b", "a\0b"],
            ["org/name", "gpt2", "./mine"],
        ),
        ("model.chat_template", ["none", "mine", "gone.jinja"], ["", "chatml", "plain", "mine/own.jinja"]),
    ],
)
def test_a_base_or_template_that_cannot_be_is_an_error_and_what_the_hub_may_have_is_not(
    workspace, tmp_path, field, wrong, right
):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "own.jinja").write_text("{{ messages }}")
    recipe = write_rows(workspace)

    def errors(value):
        changed = recipe.with_values({field: value})
        found = lint(changed, gather(changed, workspace, machine=CPU).facts(changed))
        return [one.field for one in found if one.severity == "error"]

    assert [errors(value) for value in wrong] == [[field]] * len(wrong)
    assert [errors(value) for value in right] == [[]] * len(right)


def test_targets_that_fit_no_layer_are_a_finding(workspace):
    recipe = write_rows(workspace).with_values({"adapter.targets": ["c_attn"]})
    facts = gather(recipe, workspace, machine=CPU).facts(recipe)
    assert facts.estimate is None
    assert "adapter.targets" in [finding.field for finding in lint(recipe, facts)]


def test_a_base_in_a_folder_or_the_hub_cache_is_read_and_another_is_unknown(workspace, tmp_path):
    folder = tmp_path / "models" / "mine"
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps(DEMO))
    snapshot = tmp_path / "hub-home" / "hub" / "models--org--name" / "snapshots" / "abc"
    snapshot.mkdir(parents=True)
    (snapshot / "config.json").write_text(json.dumps(DEMO))
    refs = snapshot.parents[1] / "refs"
    refs.mkdir()
    (refs / "main").write_text("abc")
    for name, revision in [
        ("models/mine", ""),
        (str(folder), ""),
        ("org/name", ""),
        ("org/name", "abc"),
        ("demo", ""),
    ]:
        assert find_base(name, revision, workspace=workspace).geometry, (name, revision)
    for name, revision in [
        ("org/other", ""),
        ("org/name", "v2"),
        ("x.gguf", ""),
        ("a\0b", ""),
        ("../" * 3000, ""),
    ]:
        base = find_base(name, revision, workspace=workspace)
        assert base.geometry is None
        assert base.reason.startswith("unknown")


@pytest.mark.parametrize("content", [b"", b"[]", b"{}", b"{not json", b"\xff\xfe", b"[" * 100_000])
def test_a_damaged_config_is_unknown_with_a_reason(workspace, tmp_path, content):
    (tmp_path / "config.json").write_bytes(content)
    base = find_base(str(tmp_path), workspace=workspace)
    assert base.geometry is None
    assert base.reason


def test_this_machine_is_described_without_a_driver():
    machine = this_machine()
    assert machine.device in ("cpu", "cuda")
    assert machine.memory is None or machine.memory > 10**8


def test_a_gpu_one_does_not_have_can_be_asked_about():
    other = on_memory(CPU, 24 * 10**9)
    assert (other.device, other.memory) == ("cuda", 24 * 10**9)


def test_a_tracker_that_is_not_installed_is_an_error_before_the_run(workspace, monkeypatch):
    monkeypatch.setattr(recipe_facts, "find_spec", lambda name: None if name == "mlflow" else object())
    recipe = write_rows(workspace).with_values({"logging.report_to": ["tensorboard", "mlflow"]})
    found = lint(recipe, gather(recipe, workspace, machine=CPU).facts(recipe))
    (finding,) = (one for one in found if one.field == "logging.report_to")
    assert (finding.severity, finding.message) == ("error", "mlflow is not installed")

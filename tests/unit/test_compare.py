"""Runs side by side: what differed, and what came of it."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

from ftui.cli.runs import command as runs_command
from ftui.core.errors import FtuiError
from ftui.core.recipe import parse_recipe
from ftui.runs.compare import compare
from ftui.runs.rundir import EventWriter, RunDir
from ftui.runs.workspace import Workspace


def make_run(
    workspace: Workspace, name: str, losses: list[float], *, rank: int = 16, data: str = "a" * 64
) -> RunDir:
    rundir = RunDir(workspace.runs / name)
    rundir.path.mkdir(parents=True)
    recipe = parse_recipe({"schema": 1, "name": name, "adapter": {"rank": rank}})
    rundir.recipe_path.write_text(recipe.to_toml())
    rundir.manifest_path.write_text(json.dumps({"name": name, "data": {"train": {"sha256": data}}}))
    with EventWriter(rundir) as writer:
        writer.emit("plan", steps=len(losses))
        for step, loss in enumerate(losses, 1):
            writer.emit("step", step=step, loss=loss, tokens_per_second=1000.0 + step, memory_peak=1e9 * step)
        writer.emit("eval", step=1, eval_loss=1.0)
        writer.emit("eval", step=len(losses), eval_loss=1.5)
    return rundir


@pytest.fixture
def workspace(tmp_path) -> Workspace:
    (tmp_path / "runs").mkdir()
    return Workspace(tmp_path)


def test_only_what_differs_is_listed_and_names_do_not_count(workspace):
    one, two = make_run(workspace, "one", [3.0, 2.0]), make_run(workspace, "two", [3.0, 1.0], rank=32)
    found = compare([one, two])
    assert [(one.field, one.values) for one in found.differences] == [("adapter.rank", (16, 32))]


def test_other_data_under_the_same_recipe_is_seen(workspace):
    runs = [make_run(workspace, name, [2.0], data=name * 64) for name in "ab"]
    assert [one.field for one in compare(runs).differences] == ["data file"]


def test_what_came_of_a_run_is_told_in_figures(workspace):
    runs = [make_run(workspace, name, [3.0, 2.0, 1.0]) for name in "ab"]
    outcome = compare(runs).outcomes[0]
    assert (outcome.steps, outcome.eval_loss, outcome.best_eval_loss, outcome.best_step) == (3, 1.5, 1.0, 1)
    assert (outcome.loss, outcome.tokens_per_second, outcome.peak_memory) == (2.0, 1002.0, 3e9)


def test_a_loss_says_that_it_is_of_the_last_steps(workspace):
    for name in "ab":
        make_run(workspace, name, [3.0, 2.0, 1.0])
    words = ["compare", "a", "b", "--workspace", str(workspace.root)]
    answer = CliRunner().invoke(runs_command, words)
    assert "loss, last 10" in answer.output, answer.output
    (first, _) = json.loads(CliRunner().invoke(runs_command, [*words, "--json"]).output)["runs"]
    assert first["loss"] == 2.0


def test_a_damaged_recipe_compares_as_unknown(workspace):
    one, two = make_run(workspace, "one", [3.0]), make_run(workspace, "two", [3.0], rank=32)
    two.recipe_path.write_text("not toml [")
    assert ("adapter.rank", (16, None)) in [(d.field, d.values) for d in compare([one, two]).differences]


def test_one_run_alone_is_a_mistake(workspace):
    with pytest.raises(FtuiError, match="two runs"):
        compare([make_run(workspace, "one", [3.0])])


def test_the_command_prints_one_object(workspace):
    for name in ("one", "two"):
        make_run(workspace, name, [2.0, 1.0])
    arguments = ["compare", "one", "two", "--json", "--workspace", str(workspace.root)]
    result = CliRunner().invoke(runs_command, arguments)
    assert result.exit_code == 0, result.output
    shown = json.loads(result.stdout)
    assert [run["run"] for run in shown["runs"]] == ["one", "two"]
    assert shown["differences"] == []

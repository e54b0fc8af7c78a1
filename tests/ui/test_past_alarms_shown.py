"""What is over is told in the morning, and what `x` proposes begins with what that run had."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from ftui.core.recipe import load_recipe
from ftui.runs.rundir import EventWriter
from ftui.ui.run_remedy import propose
from ftui.ui.run_troubles import of_alarm, of_past
from tests.ui.panes import app_on, shown, still_machine, until  # noqa: F401
from tests.ui.run_builder import finish, make_run, make_workspace, write_steps
from tests.ui.test_train_alarms import CLIMBS, RUN, diverging

if TYPE_CHECKING:
    from pathlib import Path

    from ftui.runs.rundir import RunDir
    from ftui.runs.workspace import Workspace

pytestmark = pytest.mark.usefixtures("still_machine")


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return make_workspace(tmp_path / "support-bot")


def test_nothing_is_stopped_for_the_sake_of_what_is_over():
    over = of_past(CLIMBS, RUN)
    assert (over.message, over.deed) == ("was: divergence at step 7", "recipe")
    cliff = replace(CLIMBS, check="step-time-cliff", action="machine", change=None)
    assert of_past(cliff, RUN).deed == "machine"
    assert of_past(cliff, replace(RUN, state="finished")).deed == ""


def spiking(workspace: Workspace) -> RunDir:
    """An ended run that had one large gradient, long before its end."""
    rundir = make_run(workspace, "tickets-r16", age=300, alive=False)
    with EventWriter(rundir, 1) as writer:
        writer.emit("plan", steps=600)
        write_steps(writer, 1, 150, 600, seed=1)
        writer.emit("step", step=151, steps=600, loss=1.2, grad_norm=44.0, learning_rate=2e-4)
        write_steps(writer, 152, 400, 600, seed=1)
    finish(rundir, "stopped", ago=60)
    return rundir


async def test_what_a_closed_screen_has_missed_is_there_in_the_morning(workspace):
    spiking(workspace)
    async with app_on(workspace, "train").run_test(size=(80, 24)) as pilot:
        await shown(pilot, "notices 1")
        await pilot.press("n")
        await shown(pilot, "· was: gradient spike at step 151", "x propose training.max_grad_norm x 0.5")
        await pilot.press("x")
        await until(pilot, lambda: pilot.app.current_mode == "recipe")
        screen = pilot.app.screen
        await until(pilot, lambda: screen.draft.changed_fields() == ["training.max_grad_norm"])


def test_runs_show_tells_what_is_over(workspace):
    from click.testing import CliRunner

    from ftui.cli.main import cli

    rundir = spiking(workspace)
    words = ["runs", "show", rundir.id, "--workspace", str(workspace.root)]
    found = json.loads(CliRunner().invoke(cli, [*words, "--json"]).stdout)
    assert [(one["check"], one["step"]) for one in found["past_alarms"]] == [("gradient-spike", 151)]
    assert "was        gradient spike at step 151" in CliRunner().invoke(cli, words).stdout


# -- what x proposes --------------------------------------------------------------------------------


def test_a_recipe_file_that_says_something_else_by_now_is_left_alone(workspace):
    source = workspace.recipes / "tickets.toml"
    source.parent.mkdir(exist_ok=True)
    rundir = diverging(workspace, alive=False, recipe_source=str(source))
    frozen = load_recipe(rundir.recipe_path)
    source.write_text(frozen.with_values({"training.learning_rate": 5e-5, "adapter.rank": 64}).to_toml())
    finish(rundir, "stopped", ago=60)
    opened = propose(rundir, CLIMBS.change)
    assert opened.draft.path is None
    assert opened.draft.saved == frozen
    rate = opened.draft.recipe.training.learning_rate
    assert rate == pytest.approx(frozen.training.learning_rate / 3, rel=0.05)
    assert "tickets.toml now says something else" in opened.words


def test_a_run_s_own_copy_with_paths_that_lead_from_anywhere_is_the_same_recipe(workspace):
    from ftui.runs.manifest import find_inputs

    folder = workspace.root / "mine"
    folder.mkdir()
    (folder / "rows.jsonl").write_text("{}")
    source = folder / "tickets.toml"
    rundir = make_run(workspace, "tickets", alive=False, recipe_source=str(source))
    own = load_recipe(rundir.recipe_path).with_values({"data.train": "rows.jsonl"})
    source.write_text(own.to_toml())
    frozen = find_inputs(workspace, own, source).recipe
    assert frozen != own
    rundir.recipe_path.write_text(frozen.with_values({"name": "another-name"}).to_toml())
    assert propose(rundir, CLIMBS.change).draft.path == source


def test_where_gradients_were_not_clipped_clipping_is_what_is_proposed(workspace):
    from ftui.runs.examine import examine_run
    from ftui.runs.live import read_history

    rundir = make_run(workspace, "tickets", alive=False)
    recipe = load_recipe(rundir.recipe_path).with_values({"training.max_grad_norm": 0.0})
    rundir.recipe_path.write_text(recipe.to_toml())
    with EventWriter(rundir, 1) as writer:
        write_steps(writer, 1, 60, 600)
        writer.emit("step", step=61, steps=600, loss=1.0, grad_norm=40.0, learning_rate=2e-4)
    (alarm,) = examine_run(rundir, read_history(rundir.events_path), "stopped").alarms
    assert of_alarm(alarm, RUN).words == "propose training.max_grad_norm = 1.0"
    assert propose(rundir, alarm.change).draft.recipe.training.max_grad_norm == 1.0

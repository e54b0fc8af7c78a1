"""Promises of ui.recipe_draft and runs.speed: nothing typed is lost, commands repeat what is shown."""

from __future__ import annotations

import json
import shlex

import pytest

from ftui.core.errors import FtuiError
from ftui.core.recipe import Recipe, parse_assignment
from ftui.runs.recipes import save_recipe
from ftui.runs.speed import measured_speed
from ftui.runs.workspace import Workspace
from ftui.ui.recipe_draft import Draft
from ftui.ui.recipe_rows import ORDER, sections


def test_undo_goes_back_through_every_change_to_the_beginning():
    draft = Draft.fresh(Recipe())
    for rank in (8, 32, 64):
        assert draft.set({"adapter.rank": rank})
    assert not draft.set({"adapter.rank": 64})
    ranks = []
    while draft.can_undo:
        assert draft.undo() == ["adapter.rank"]
        ranks.append(draft.recipe.adapter.rank)
    assert ranks == [32, 8, 16]
    assert not draft.modified
    assert draft.undo() == []


def test_a_refused_change_changes_nothing():
    draft = Draft.fresh(Recipe())
    with pytest.raises(FtuiError):
        draft.set({"adapter.rank": 8, "adapter.alpha": 0})
    assert draft.recipe == Recipe()
    assert not draft.can_undo


def assignments(command):
    words = [word.removeprefix("--set=") for word in shlex.split(command) if word.startswith("--set=")]
    return dict(map(parse_assignment, words))


def test_the_command_repeats_exactly_what_is_shown(tmp_path):
    changes = {
        "adapter.targets": ["q_proj", "v_proj"],
        "evaluation.prompts": ['say "hi", $HOME; rm -rf', "zwei"],
        "data.validation": "golden/x y.jsonl",
        "data.packing": False,
        "training.learning_rate": 3e-5,
    }
    opened = Draft.opened(tmp_path / "my recipe.toml", "", Recipe())
    fresh = Draft.fresh(Recipe())
    for draft in (opened, fresh):
        draft.set(changes)
        assert Recipe().with_values(assignments(draft.command())) == draft.recipe
    assert shlex.split(opened.command())[:3] == ["ftui", "train", str(tmp_path / "my recipe.toml")]
    assert "&& ftui train untitled" in fresh.command()


def test_saving_makes_the_file_the_one_to_compare_with(tmp_path):
    draft = Draft.fresh(Recipe())
    draft.set({"adapter.rank": 8})
    draft.written(tmp_path / "x.toml", "rank = 8", draft.recipe)
    assert not draft.modified
    assert draft.changed_fields() == []
    draft.undo()
    assert draft.changed_fields() == ["adapter.rank"]


def test_a_field_left_alone_is_hidden_and_one_that_matters_is_not():
    def shown(recipe, **options):
        arguments = {"notes": {}, "findings": [], "changed": [], "everything": False} | options
        return {row.field.name for section in sections(recipe, **arguments) for row in section.rows}

    assert "training.neftune_alpha" not in shown(Recipe())
    assert "training.neftune_alpha" in shown(Recipe().with_values({"training.neftune_alpha": 5}))
    assert "training.neftune_alpha" in shown(Recipe(), changed=["training.neftune_alpha"])
    everything = [name for _, usual, rest in ORDER for name in (*usual, *rest)]
    assert shown(Recipe(), everything=True) == set(everything)


def make_run(workspace, name, recipe, speed):
    folder = workspace.runs / name
    folder.mkdir(parents=True)
    save_recipe(folder / "recipe.toml", recipe)
    step = {
        "v": 1,
        "seq": 1,
        "t": 1.0,
        "attempt": 1,
        "type": "step",
        "step": 1,
        "loss": 1.0,
        "tokens_per_second": speed,
    }
    (folder / "events.jsonl").write_text(json.dumps(step) + "\n")
    (folder / "status.json").write_text(json.dumps({"step": 1, "tokens_per_second": speed}))
    (folder / "manifest.json").write_text(json.dumps({"name": name, "created": 1.0}))


def test_speed_is_that_of_runs_like_this_one(tmp_path):
    workspace = Workspace(tmp_path)
    assert measured_speed(workspace, Recipe()) is None
    for number, speed in enumerate((90.0, 100.0, 130.0)):
        make_run(workspace, f"a-0412-15301{number}", Recipe(), speed)
    make_run(workspace, "b-0412-153019", Recipe().with_values({"quantization.bits": 16}), 999.0)
    found = measured_speed(workspace, Recipe())
    assert (found.tokens_per_second, found.runs) == (100.0, 3)

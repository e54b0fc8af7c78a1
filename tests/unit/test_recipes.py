"""Promises of runs.recipes: recipes are found, listed, and saved without losing a comment or a file."""

from __future__ import annotations

import os

import pytest

from ftui.core.errors import FtuiError
from ftui.core.recipe import Recipe, load_recipe
from ftui.runs.recipes import find_preset, find_recipe, list_recipes, presets, save_recipe
from ftui.runs.workspace import Workspace

MINE = '# mine\nname = "tickets"  # ours\n\n[training]\nepochs = 3  # enough\n'


@pytest.fixture
def workspace(tmp_path):
    workspace = Workspace(tmp_path)
    workspace.recipes.mkdir()
    return workspace


def test_a_new_recipe_is_written_whole_with_comments(tmp_path):
    path = tmp_path / "deep" / "new.toml"
    text = save_recipe(path, Recipe())
    assert path.read_text() == text
    assert "# sft | pretrain" in text
    assert load_recipe(path) == Recipe()


def test_saving_changes_only_what_changed(tmp_path):
    path = tmp_path / "a.toml"
    path.write_text(MINE)
    recipe = load_recipe(path)
    assert save_recipe(path, recipe) == MINE
    save_recipe(path, recipe.with_values({"training.epochs": 2, "adapter.rank": 8}))
    assert path.read_text() == MINE.replace("epochs = 3", "epochs = 2") + "\n[adapter]\nrank = 8\n"


def test_a_broken_recipe_is_mended_in_place(tmp_path):
    path = tmp_path / "a.toml"
    path.write_text(MINE.replace("epochs = 3", "epochs = true"))
    save_recipe(path, Recipe().with_values({"name": "tickets", "training.epochs": 2}))
    assert path.read_text() == MINE.replace("epochs = 3", "epochs = 2")


def test_a_layout_that_cannot_be_changed_in_place_is_written_afresh(tmp_path):
    path = tmp_path / "a.toml"
    path.write_text('training = { epochs = 3, seed = 1 }\nname = "a"\n')
    recipe = load_recipe(path).with_values({"training.epochs": 1})
    save_recipe(path, recipe)
    assert load_recipe(path) == recipe


def test_an_edit_made_elsewhere_is_not_overwritten(tmp_path):
    path = tmp_path / "a.toml"
    text = save_recipe(path, Recipe())
    path.write_text(text + "# by someone else\n")
    with pytest.raises(FtuiError, match="changed since you opened it"):
        save_recipe(path, Recipe().with_values({"name": "b"}), was=text)
    assert "someone else" in path.read_text()


def test_a_recipe_that_was_deleted_meanwhile_is_not_brought_back_unasked(tmp_path):
    path = tmp_path / "a.toml"
    text = save_recipe(path, Recipe())
    path.unlink()
    with pytest.raises(FtuiError, match="changed since"):
        save_recipe(path, Recipe(), was=text)


def test_a_failed_save_leaves_the_file_and_no_litter(tmp_path, monkeypatch):
    path = tmp_path / "a.toml"
    path.write_text(MINE)

    def full(_descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(FtuiError, match="no space left"):
        save_recipe(path, Recipe())
    assert path.read_text() == MINE
    assert os.listdir(tmp_path) == ["a.toml"]


def test_a_link_stays_a_link_and_permissions_stay(tmp_path):
    real, link = tmp_path / "real.toml", tmp_path / "link.toml"
    real.write_text(MINE)
    real.chmod(0o600)
    link.symlink_to(real)
    save_recipe(link, Recipe().with_values({"name": "x"}))
    assert link.is_symlink()
    assert load_recipe(real).name == "x"
    assert real.stat().st_mode & 0o777 == 0o600


def test_recipes_are_listed_with_presets_and_broken_ones_say_why(workspace):
    save_recipe(workspace.recipes / "good.toml", Recipe().with_values({"description": "d"}))
    (workspace.recipes / "bad.toml").write_text("[training]\nepochs = 'x'\n")
    (workspace.recipes / ".hidden.toml").write_text("")
    listed = {recipe.name: recipe for recipe in list_recipes(workspace)}
    assert (listed["good"].description, listed["good"].preset) == ("d", False)
    assert listed["bad"].problem.startswith("training.epochs: expected")
    assert listed["demo"].preset
    assert "hidden" not in str(listed)


def test_a_recipe_is_found_by_path_name_preset_or_run(workspace):
    mine = workspace.recipes / "mine.toml"
    save_recipe(mine, Recipe())
    frozen = workspace.runs / "mine-0412-153012" / "recipe.toml"
    save_recipe(frozen, Recipe())
    assert find_recipe(workspace, str(mine)) == mine
    assert find_recipe(workspace, "mine") == mine
    assert find_recipe(workspace, "mine.toml") == mine
    assert find_recipe(workspace, "qlora-chat") == find_preset("qlora-chat")
    assert find_recipe(workspace, "mine-0412-153012") == frozen


def test_a_name_nobody_has_is_answered_with_the_closest(workspace):
    with pytest.raises(FtuiError, match="did you mean qlora-chat"):
        find_recipe(workspace, "qlora-chet")
    with pytest.raises(FtuiError, match="no such preset"):
        find_preset("nope")


def test_the_workspace_hides_a_preset_of_the_same_name(workspace):
    mine = workspace.recipes / "demo.toml"
    save_recipe(mine, Recipe())
    assert find_recipe(workspace, "demo") == mine


def test_there_are_presets():
    assert {path.stem for path in presets()} >= {"demo", "qlora-chat", "lora-small-gpu"}

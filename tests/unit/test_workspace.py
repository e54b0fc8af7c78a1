from pathlib import Path

import pytest

from ftui.core.errors import FtuiError
from ftui.runs.workspace import Workspace, find_workspace


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path, monkeypatch):
    monkeypatch.delenv("FTUI_WORKSPACE", raising=False)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "xdg"))


def test_the_given_directory_wins_even_before_it_exists(tmp_path):
    (tmp_path / "ftui.toml").touch()
    assert find_workspace(Path("new"), tmp_path).root == tmp_path / "new"
    assert not (tmp_path / "new").exists()


def test_else_the_nearest_parent_with_a_marker(tmp_path, monkeypatch):
    monkeypatch.setenv("FTUI_WORKSPACE", str(tmp_path / "other"))
    inner = tmp_path / "a" / "b"
    inner.mkdir(parents=True)
    (tmp_path / "ftui.toml").touch()
    assert find_workspace(None, inner).root == tmp_path
    (tmp_path / "a" / "ftui.toml").touch()
    assert find_workspace(None, inner).root == tmp_path / "a"


def test_else_the_environment_else_the_platforms_data_directory(tmp_path, monkeypatch):
    assert find_workspace(None, tmp_path).root == tmp_path / "xdg" / "ftui"
    monkeypatch.setenv("FTUI_WORKSPACE", str(tmp_path / "mine"))
    assert find_workspace(None, tmp_path).root == tmp_path / "mine"


def test_a_file_is_no_workspace(tmp_path):
    (tmp_path / "data.jsonl").touch()
    with pytest.raises(FtuiError, match="not a directory"):
        find_workspace(tmp_path / "data.jsonl", tmp_path)


def test_opening_writes_nothing_and_the_first_write_keeps_an_existing_marker(tmp_path):
    workspace = find_workspace(tmp_path / "new", tmp_path)
    assert not workspace.root.exists()
    workspace.ensure()
    assert "schema = 1" in workspace.marker.read_text()
    workspace.marker.write_text("mine = true\n")
    workspace.ensure()
    assert workspace.marker.read_text() == "mine = true\n"


def test_a_workspace_that_cannot_be_made_says_so(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(FtuiError, match=r"cannot write to the workspace|not a directory"):
        Workspace(tmp_path / "file" / "below").ensure()
    with pytest.raises(FtuiError, match="not a directory"):
        Workspace(tmp_path / "file").ensure()


def test_data_is_looked_for_in_the_workspace_then_beside_the_recipe_then_here(tmp_path, monkeypatch):
    workspace = Workspace(tmp_path / "ws")
    places = [workspace.root, tmp_path / "recipes", tmp_path / "here"]
    for place in places:
        (place / "datasets").mkdir(parents=True)
    monkeypatch.chdir(places[2])
    recipe = places[1] / "r.toml"
    found = []
    for place in reversed(places):
        (place / "datasets" / "x.jsonl").touch()
        found.append(workspace.resolve_data(recipe, "datasets/x.jsonl").parent.parent)
    assert found == list(reversed(places))


def test_missing_data_names_every_place_looked_at(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(FtuiError) as caught:
        Workspace(tmp_path / "ws").resolve_data(tmp_path / "r" / "r.toml", "gone.jsonl")
    for place in ("ws", "r", str(tmp_path)):
        assert place in caught.value.hint
    assert caught.value.where == "gone.jsonl"


@pytest.mark.parametrize(
    "value",
    ["", "/gone.jsonl", "~nobody/x", "a\0b", "x" * 5000],
    ids=["empty", "gone", "home", "nul", "long"],
)
def test_impossible_data_paths_are_errors_for_people(tmp_path, value):
    with pytest.raises(FtuiError):
        Workspace(tmp_path).resolve_data(None, value)

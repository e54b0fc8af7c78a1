"""Starting a run: what is frozen, what is refused, and what is left behind when it fails."""

from __future__ import annotations

import hashlib
import json
import os
import re
import tomllib
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime

import pytest

from ftui.core.errors import FtuiError, ModelError
from ftui.runs import control
from ftui.runs import launch as launch_module
from ftui.runs.launch import launch, run_id
from ftui.runs.rundir import RunDir
from ftui.runs.state import list_runs
from tests.runs_support import fake_trainer, recipe, start, until, until_state


def test_a_run_is_named_for_its_recipe_and_its_start():
    assert run_id("tickets", datetime(2026, 4, 12, 15, 30, 12)) == "tickets-0412-153012"
    assert run_id("../a b/\x1b[31m!", datetime(2026, 4, 12)) == "a-b-31m-0412-000000"
    assert run_id("///", datetime(2026, 4, 12)) == "run-0412-000000"
    assert len(run_id("x" * 500, datetime(2026, 4, 12))) < 80


def test_runs_started_in_the_same_second_get_directories_of_their_own(workspace):
    with ThreadPoolExecutor(4) as pool:
        made = [future.result() for future in [pool.submit(start, workspace, 2) for _ in range(4)]]
    assert len({rundir.id for rundir in made}) == 4
    for rundir in made:
        until_state(rundir, "finished")
    assert len(list_runs(workspace)) == 4


def test_the_manifest_tells_what_the_run_was_made_of(workspace):
    journal = workspace.datasets / "tickets.jsonl.ftui"
    journal.mkdir()
    source = workspace.recipes / "tickets.toml"
    rundir = launch(workspace, recipe(), recipe_path=source, name="My run!", trainer_command=fake_trainer(1))
    manifest = rundir.read_manifest()
    train = manifest["data"]["train"]
    data = workspace.datasets / "tickets.jsonl"
    assert train["path"] == str(data)
    assert train["sha256"] == hashlib.sha256(data.read_bytes()).hexdigest()
    assert (manifest["name"], manifest["id"]) == ("My-run", rundir.id)
    assert manifest["seed"] == 0
    assert manifest["workspace"] == str(workspace.root)
    assert manifest["recipe_source"] == str(source)
    assert re.match(r"\d+\.\d+", manifest["versions"]["torch"])
    assert manifest["command"].startswith("ftui train ")
    until_state(rundir, "finished")


def test_the_frozen_recipe_leads_to_the_same_files_from_anywhere(workspace, tmp_path):
    beside = tmp_path / "elsewhere"
    (beside / "model").mkdir(parents=True)
    data = (workspace.datasets / "tickets.jsonl").read_text()
    (beside / "own.jsonl").write_text(data)
    wanted = recipe(
        **{"data.train": "own.jsonl", "data.validation": "datasets/tickets.jsonl", "model.base": "model"}
    )
    rundir = launch(workspace, wanted, recipe_path=beside / "r.toml", trainer_command=fake_trainer(1))
    frozen = tomllib.loads(rundir.recipe_path.read_text())
    assert frozen["data"]["train"] == str(beside / "own.jsonl")
    assert frozen["data"]["validation"] == "datasets/tickets.jsonl"
    assert frozen["model"]["base"] == str(beside / "model")
    assert rundir.read_manifest()["data"]["validation"]["path"] == str(workspace.datasets / "tickets.jsonl")
    until_state(rundir, "finished")


def test_a_folder_called_like_the_default_model_does_not_replace_it(workspace):
    (workspace.root / "demo").mkdir()
    rundir = start(workspace, 1)
    assert tomllib.loads(rundir.recipe_path.read_text())["model"]["base"] == "demo"
    until_state(rundir, "finished")


def test_python_files_in_the_workspace_are_not_imported_by_the_run(workspace):
    (workspace.root / "orjson.py").write_text("raise SystemExit('shadowed')")
    (workspace.root / "json.py").write_text("raise SystemExit('shadowed')")
    until_state(start(workspace, 1), "finished")


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"data.train": "gone.jsonl"}, "data.train"),
        ({"data.train": ""}, "data.train"),
        ({"data.train": "datasets"}, "directory"),
        ({"data.validation": "gone.jsonl"}, "data.validation"),
    ],
)
def test_what_cannot_run_is_refused_before_anything_is_made(workspace, change, says):
    with pytest.raises(FtuiError) as caught:
        launch(workspace, recipe(**change))
    assert says in str(caught.value)
    assert not workspace.runs.exists()


def test_a_launch_that_fails_midway_leaves_no_run(workspace, monkeypatch):
    def full(*arguments, **options):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(launch_module, "replace_json", full)
    with pytest.raises(FtuiError, match="No space left"):
        start(workspace)
    assert list_runs(workspace) == []
    assert os.listdir(workspace.runs) == []


def test_a_supervisor_that_does_not_start_is_told_with_its_last_words(workspace, monkeypatch):
    broken = ["python3", "-c", "raise SystemExit('no such thing')"]
    monkeypatch.setattr(launch_module, "python_command", lambda *words: broken)
    with pytest.raises(ModelError, match="no such thing"):
        start(workspace)


def test_a_deleted_run_comes_back_whole(workspace):
    rundir = start(workspace, 3)
    until_state(rundir, "finished")
    until(rundir.read_exit)
    before = sorted(path.name for path in rundir.path.rglob("*"))
    place = control.delete(rundir)
    assert list_runs(workspace) == []
    assert place.is_dir()
    back = control.restore(workspace, rundir.id)
    assert sorted(path.name for path in back.path.rglob("*")) == before
    assert [run.state for run in list_runs(workspace)] == ["finished"]


@pytest.mark.parametrize("name", ["", "..", "../ws", "nothing", "."])
def test_only_a_deleted_run_can_be_brought_back(workspace, name):
    (workspace.runs / ".trash").mkdir(parents=True)
    with pytest.raises(FtuiError, match="no such deleted run"):
        control.restore(workspace, name)


def test_a_deleted_run_does_not_replace_another(workspace):
    for place in (workspace.runs / ".trash" / "same", workspace.runs / "same"):
        place.mkdir(parents=True)
    with pytest.raises(FtuiError, match="already"):
        control.restore(workspace, "same")
    with pytest.raises(FtuiError, match=r"already|starting"):
        control.delete(RunDir(workspace.runs / "same"))


def test_requests_can_not_be_left_for_a_run_that_has_ended(workspace):
    rundir = start(workspace, 1)
    until_state(rundir, "finished")
    with pytest.raises(FtuiError, match="not active"):
        control.stop(rundir)
    assert rundir.requests() == set()


def test_a_run_without_its_recipe_is_not_resumed(workspace):
    rundir = start(workspace, 3, "fail")
    until_state(rundir, "failed")
    rundir.recipe_path.unlink()
    with pytest.raises(FtuiError, match="no recipe"):
        control.resume(rundir)


def test_records_are_json_any_program_reads(workspace):
    rundir = start(workspace, 2)
    until_state(rundir, "finished")
    until(rundir.read_exit)
    for path in (rundir.manifest_path, rundir.proc_path, rundir.exit_path, rundir.status_path):
        assert json.loads(path.read_text())
    proc = json.loads(rundir.proc_path.read_text())
    for who in ("supervisor", "trainer"):
        assert set(proc[who]) == {"pid", "boot_id", "start_ticks", "host"}

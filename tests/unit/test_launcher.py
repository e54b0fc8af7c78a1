"""A run that torchrun or accelerate starts keeps that command: for a resume, for other machines, to repeat it."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from ftui.core.errors import FtuiError
from ftui.runs.launcher import check_launcher, join_command, launcher_of, trainer_command
from ftui.runs.repeat import repeat_command
from ftui.runs.rundir import RunDir, replace_json
from tests.runs_support import recipe


def run_with(tmp_path, launcher):
    rundir = RunDir(tmp_path / "runs" / "pair 1")
    rundir.path.mkdir(parents=True)
    replace_json(rundir.manifest_path, {"launcher": launcher} if launcher else {})
    return rundir


def test_the_trainer_is_started_by_the_launcher_beside_this_python(tmp_path):
    rundir = run_with(tmp_path, "torchrun --nnodes=2 --node-rank=0 --rdzv-endpoint 'box one:29500'")
    program, *rest = trainer_command(rundir)
    assert Path(program) == Path(sys.executable).parent / "torchrun"
    assert rest == [
        "--nnodes=2", "--node-rank=0", "--rdzv-endpoint", "box one:29500",
        "-m", "ftui.engine.train", str(rundir.path),
    ]  # fmt: skip


def test_without_one_ftui_starts_it(tmp_path):
    rundir = run_with(tmp_path, "")
    assert launcher_of(rundir) == join_command(rundir) == ""
    assert trainer_command(rundir)[-2:] == ["ftui.engine.train", str(rundir.path)]


@pytest.mark.parametrize(
    ("launcher", "joins"),
    [
        ("torchrun --nproc-per-node=2 --standalone", False),
        ("torchrun --nnodes  1 --nproc-per-node=2", False),
        ("torchrun --nnodes=2 --node-rank=0", True),
        ("accelerate launch --num_machines 2 --machine_rank 0", True),
        ("accelerate launch --use_fsdp --num_processes 2 --num_machines 1", False),
    ],
)
def test_other_machines_are_told_of_only_where_there_are_some(tmp_path, launcher, joins):
    rundir = run_with(tmp_path, launcher)
    expected = f"{launcher} -m ftui.engine.train '{rundir.path}'" if joins else ""
    assert join_command(rundir) == expected


@pytest.mark.parametrize("launcher", ["no-such-launcher -x", "torchrun '", " "])
def test_what_is_no_command_is_refused_before_a_run_is_made(launcher):
    with pytest.raises(FtuiError) as refused:
        check_launcher(launcher)
    assert refused.value.where == "--launcher"


def test_the_command_to_repeat_it_has_the_launcher(tmp_path):
    rundir = run_with(tmp_path, "torchrun --nproc-per-node=2")
    rundir.recipe_path.write_text(recipe().to_toml())
    assert "--launcher 'torchrun --nproc-per-node=2'" in repeat_command(rundir)

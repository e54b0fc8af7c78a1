"""A trial runs the real trainer for two steps, says what it took, and leaves nothing behind."""

from __future__ import annotations

import json
import os

import pytest

from ftui.cli.main import main
from ftui.core.recipe import parse_recipe
from ftui.runs.trial import try_out
from ftui.runs.workspace import Workspace
from tests.tiny import make_tiny_model


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    return make_tiny_model(tmp_path_factory.mktemp("tiny") / "base")


@pytest.fixture
def workspace(tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    (tmp_path / "datasets").mkdir()
    words = "tent boots stove rope jacket map bottle lamp sock cup".split()
    rows = [
        [
            {"role": "user", "content": f"{one} {other}?"},
            {"role": "assistant", "content": f"{other} " * (2 + n)},
        ]
        for n, one in enumerate(words)
        for other in words[:3]
    ]
    text = "".join(json.dumps({"messages": row}) + "\n" for row in rows)
    (tmp_path / "datasets" / "orders.jsonl").write_text(text)
    return Workspace(tmp_path)


def recipe(base, **training):
    return parse_recipe(
        {
            "schema": 1,
            "name": "orders",
            "model": {"base": str(base)},
            "data": {"train": "datasets/orders.jsonl", "max_length": 128, "packing": False},
            "adapter": {"rank": 4, "alpha": 8},
            "training": {"batch_size": 4, "learning_rate": 1e-3, **training},
        }
    )


def nothing_left(workspace):
    return not workspace.runs.exists() or not list(workspace.runs.iterdir())


def test_a_trial_measures_two_steps_on_the_longest_rows(base, workspace):
    killed = workspace.runs / ".trials" / "4194304-gone"  # a screen's, whose pid was more than the largest
    killed.mkdir(parents=True)
    stages = []
    trial = try_out(workspace, recipe(base), tell=lambda stage, done, total: stages.append(stage))
    assert trial.ok, trial
    assert (len(trial.losses), trial.steps) == (2, 21)
    assert 20 <= trial.rows < 30  # some are held back
    assert trial.eval_loss > 0
    assert trial.peak > 50_000_000  # a Python with torch in it
    assert trial.checkpoint_bytes > 0
    assert trial.tokens_per_second > 0
    assert "train" in stages
    assert nothing_left(workspace)


def test_a_recipe_that_would_fail_says_why_and_exits_with_1(base, workspace, capsys):
    path = workspace.root / "orders.toml"
    path.write_text(recipe(base, learning_rate=1.0, max_grad_norm=0).to_toml())
    where = ["--workspace", str(workspace.root), "--json", "--set", "data.max_length=8"]
    with pytest.raises(SystemExit) as ended:
        main(["recipe", "try", str(path), *where])
    answer = json.loads(capsys.readouterr().out)
    assert (ended.value.code, answer["ok"]) == (1, False)
    assert answer["problem"]
    assert nothing_left(workspace)


def test_a_cancelled_trial_leaves_no_process_and_no_file(base, workspace):
    started = []
    cancelled = try_out(
        workspace, recipe(base), tell=lambda *told: started.append(told), cancelled=lambda: bool(started)
    )
    assert cancelled is None
    assert nothing_left(workspace)
    mark = str(workspace.runs).encode()
    for pid in filter(str.isdecimal, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/cmdline", "rb") as file:
                assert mark not in file.read()
        except OSError:
            pass

"""Several processes train one run: the same as one process, and they live and die together."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys

import psutil
import pytest
import torch

from ftui.engine.loop import Training
from ftui.engine.train import main
from ftui.runs.evidence import trainer_of
from ftui.runs.launch import launch
from ftui.runs.rundir import EXIT_FINISHED, EXIT_STOPPED
from ftui.runs.state import judge, run_state
from tests.engine.preference_folder import labelled
from tests.engine.run_folder import chat_rows, events, losses, make_run, start, wait_for
from tests.runs_support import end_everything, make_workspace, nothing_left, recipe, until

pytestmark = pytest.mark.usefixtures("trainer_in_process", "one_thread")
torch.set_num_threads(1)

VALUES = {
    "quantization": {"bits": 4},
    "adapter": {"dropout": 0.1},
    "data": {"packing": False},
    "training": {"max_steps": 8, "batch_size": 5, "micro_batch": 1, "neftune_alpha": 5},
    "evaluation": {"every": 4},
    "checkpoints": {"every": 3},
}
TWO = VALUES | {"launch": {"processes": 2}}


@pytest.fixture
def one_thread(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")


def finished(run):
    assert main([str(run.path)]) == EXIT_FINISHED, events(run, "end")
    return run


def workers_of(pid):
    return [child for child in psutil.Process(pid).children(recursive=True) if child.is_running()]


def evaluations(run):
    return {event["step"]: event["eval_loss"] for event in events(run, "eval")}


def test_two_train_as_one_and_a_stopped_pair_goes_on_exactly(tiny, tmp_path, monkeypatch):
    alone = finished(make_run(tmp_path / "one", tiny, VALUES))
    run = make_run(tmp_path / "two", tiny, TWO)
    gradients = Training.gradients

    def ask(self, sequences, counts):
        if self.progress.step == 5:
            self.rundir.request("stop")
        return gradients(self, sequences, counts)

    with monkeypatch.context() as patched:
        patched.setattr(Training, "gradients", ask)
        assert main([str(run.path)]) == EXIT_STOPPED
    assert not workers_of(os.getpid())
    assert {event["step"] for event in events(run, "checkpoint")} >= {3, 5}
    run.clear("stop")
    finished(run)
    assert events(run, "plan")[0]["processes"] == 2
    assert losses(run) == pytest.approx(losses(alone), rel=1e-4)
    assert list(losses(run).values())[:3] == pytest.approx(list(losses(alone).values())[:3], rel=1e-5)
    assert evaluations(run) == pytest.approx(evaluations(alone), rel=1e-4)
    for name in ("num_tokens", "grad_norm", "mean_token_accuracy", "padding_fraction"):
        pairs = zip(events(run, "step"), events(alone, "step"), strict=True)
        assert all(one[name] == pytest.approx(other[name], rel=1e-3, abs=1e-6) for one, other in pairs), name
    seqs = [event["seq"] for event in events(run)]
    assert seqs == sorted(set(seqs))  # one writer


def test_two_train_kto_as_one(tiny, tmp_path):
    values = {
        "training": {"objective": "kto", "max_steps": 4, "batch_size": 5, "beta": 0.3},
        "evaluation": {"every": 4},
    }
    rows = labelled(30)
    alone = finished(make_run(tmp_path / "one", tiny, values, rows))
    run = finished(make_run(tmp_path / "two", tiny, values | {"launch": {"processes": 2}}, rows))
    assert losses(run) == pytest.approx(losses(alone), rel=1e-4)
    assert evaluations(run) == pytest.approx(evaluations(alone), rel=1e-4)
    assert events(run, "step")[-1]["kl"] == pytest.approx(events(alone, "step")[-1]["kl"], abs=1e-4)


def test_when_one_of_them_dies_the_run_fails_says_which_and_leaves_nothing_behind(tiny, tmp_path):
    workspace = make_workspace(tmp_path)
    data = workspace.datasets / "tickets.jsonl"
    data.write_text("".join(json.dumps(row) + "\n" for row in chat_rows(30)))
    wanted = {
        "model.base": str(tiny),
        "quantization.bits": 16,
        "data.packing": False,
        "training.max_steps": 100_000,
        "launch.processes": 2,
    }
    run = launch(workspace, recipe(**wanted))
    try:
        until(lambda: losses(run), 120)
        trainer = trainer_of(run)
        (worker,) = workers_of(trainer.pid)
        worker.kill()
        until(lambda: run_state(run) == "failed", 60)
        assert judge(run).reason == "process 2 of 2 was ended by SIGKILL"
        until(lambda: nothing_left(run))
    finally:
        end_everything(workspace)


def test_when_the_first_dies_the_others_do_not_outlive_it(tiny, tmp_path):
    values = TWO | {"training": {"max_steps": 100_000, "batch_size": 4}, "evaluation": {"every": 0}}
    run = make_run(tmp_path, tiny, values)
    process = start(run)
    wait_for(lambda: losses(run), process, run)
    (worker,) = workers_of(process.pid)
    process.send_signal(signal.SIGKILL)
    process.wait()
    until(lambda: not worker.is_running() or worker.status() == psutil.STATUS_ZOMBIE)


def test_torchrun_starts_them_as_well(tiny, tmp_path):
    values = {"training": {"max_steps": 2}}
    run = make_run(tmp_path, tiny, values)
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "--standalone"]
    done = subprocess.run(
        [*command, "-m", "ftui.engine.train", str(run.path)],
        env=os.environ | {"HF_HUB_OFFLINE": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert len(losses(run)) == 2
    assert events(run, "plan")[0]["processes"] == 2


def test_under_torchrun_a_worker_that_dies_ends_the_run_in_words(tiny, tmp_path):
    values = {"training": {"max_steps": 100_000}, "evaluation": {"every": 0}, "data": {"packing": True}}
    run = make_run(tmp_path, tiny, values)
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "--standalone"]
    with run.log_path.open("wb") as log:
        process = subprocess.Popen(
            [*command, "-m", "ftui.engine.train", str(run.path)],
            env=os.environ | {"HF_HUB_OFFLINE": "1"},
            stdout=log,
            stderr=log,
        )
    wait_for(lambda: losses(run), process, run)
    (worker,) = (one for one in workers_of(process.pid) if one.environ().get("RANK") == "1")
    worker.kill()
    assert process.wait(60) != 0
    (end,) = events(run, "end")
    assert (end["outcome"], end["message"]) == ("failed", "another process of the run has ended")
    assert "resume" in end["hint"]

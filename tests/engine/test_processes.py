"""Several processes train one run: the same as one process, and they live and die together."""

from __future__ import annotations

import json
import os
import signal

import psutil
import pytest
import torch

from ftui.engine.train import main
from ftui.runs.control import resume, stop
from ftui.runs.evidence import trainer_of
from ftui.runs.launch import launch
from ftui.runs.rundir import EXIT_FINISHED
from ftui.runs.state import judge, run_state
from tests.engine.preference_folder import labelled
from tests.engine.run_folder import adapter_change, chat_rows, events, losses, make_run, start, wait_for
from tests.engine.stopping import stopped_after
from tests.runs_support import end_everything, make_workspace, nothing_left, recipe, until, until_state

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
    """The processes below one; those that Python keeps for forking are none of a run's."""
    children = psutil.Process(pid).children(recursive=True)
    children = [child for child in children if child.is_running() and child.status() != psutil.STATUS_ZOMBIE]
    return [child for child in children if not any("multiprocessing" in part for part in child.cmdline())]


def evaluations(run):
    return {event["step"]: event["eval_loss"] for event in events(run, "eval")}


def test_two_train_as_one_and_a_stopped_pair_goes_on_exactly(tiny, tmp_path, monkeypatch):
    alone = finished(make_run(tmp_path / "one", tiny, VALUES))
    run = make_run(tmp_path / "two", tiny, TWO)
    stopped_after(run, 5, monkeypatch)
    assert not workers_of(os.getpid())
    assert {event["step"] for event in events(run, "checkpoint")} >= {3, 5}
    finished(run)
    assert events(run, "plan")[0]["processes"] == 2
    assert losses(run) == pytest.approx(losses(alone), rel=1e-5)
    assert evaluations(run) == pytest.approx(evaluations(alone), rel=1e-5)
    assert adapter_change(run, alone) <= 1e-5
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
    assert losses(run) == pytest.approx(losses(alone), rel=1e-5)
    assert evaluations(run) == pytest.approx(evaluations(alone), rel=1e-5)
    # Adam divides a gradient that is nothing but rounding by its own size: few weights of thousands, but not equal.
    assert adapter_change(run, alone) <= 1e-3
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
        until(lambda: losses(run), 300)
        trainer = trainer_of(run)
        (worker,) = workers_of(trainer.pid)
        worker.kill()
        until(lambda: run_state(run) == "failed", 300)
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


@pytest.fixture
def under_torchrun(tiny, tmp_path):
    """Starts a run of two processes that torchrun starts, for so many steps."""
    workspace = make_workspace(tmp_path)
    data = workspace.datasets / "tickets.jsonl"
    data.write_text("".join(json.dumps(row) + "\n" for row in chat_rows(30)))

    def begin(steps):
        wanted = {"model.base": str(tiny), "quantization.bits": 16, "training.max_steps": steps}
        wanted |= {"evaluation.every": 0}
        return launch(workspace, recipe(**wanted), launcher="torchrun --nproc-per-node=2 --standalone")

    yield begin
    end_everything(workspace)


def test_torchrun_starts_them_as_well_and_the_run_is_one_like_any_other(under_torchrun):
    run = under_torchrun(100_000)
    until(lambda: losses(run), 300)
    assert run_state(run) == "running"
    stop(run)
    assert until_state(run, "stopped", "failed", "crashed", seconds=300) == "stopped"
    until(lambda: nothing_left(run))
    step = resume(run).step
    assert step == max(losses(run))
    until(lambda: max(losses(run)) > step, 300)
    assert [plan["processes"] for plan in events(run, "plan")] == [2, 2]
    stop(run, now=True)
    assert nothing_left(run)


def test_when_torchrun_is_killed_its_processes_end_too(under_torchrun):
    run = under_torchrun(100_000)
    until(lambda: losses(run), 300)
    os.kill(trainer_of(run).pid, signal.SIGKILL)
    until(lambda: nothing_left(run))
    assert until_state(run, "crashed", "failed") == "crashed"


def test_under_torchrun_a_worker_that_dies_ends_the_run_in_words(under_torchrun):
    run = under_torchrun(100_000)
    until(lambda: losses(run), 300)
    (worker,) = (one for one in workers_of(trainer_of(run).pid) if one.environ().get("RANK") == "1")
    worker.kill()
    assert until_state(run, "stopped", "failed", "crashed", seconds=300) == "failed"
    (end,) = events(run, "end")
    assert (end["outcome"], end["message"]) == ("failed", "another process of the run has ended")
    assert "resume" in end["hint"]

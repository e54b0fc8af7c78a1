"""Trackers are told what the run tells; when one fails, the run does not."""

from __future__ import annotations

import importlib.util
import sys
import types
from importlib.machinery import ModuleSpec

import pytest
import torch

from ftui.engine.train import main
from ftui.runs.rundir import EXIT_FAILED, EXIT_FINISHED
from tests.engine.run_folder import events, losses, make_run

pytestmark = pytest.mark.usefixtures("trainer_in_process")
torch.set_num_threads(1)


class Library(types.ModuleType):
    """Stands for wandb and mlflow as far as they are called here; remembers what it is told."""

    def __init__(self, name):
        super().__init__(name)
        self.__spec__ = ModuleSpec(name, None)
        self.calls, self.failing = [], set()
        self.info = types.SimpleNamespace(run_id="abc")

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)

        def call(*arguments, **named):
            if name in self.failing:
                raise ConnectionError("the server is gone")
            self.calls.append((name, arguments, named))
            return self

        return call

    def told(self, name):
        return [(arguments, named) for called, arguments, named in self.calls if called == name]


@pytest.fixture
def library(monkeypatch):
    def make(name):
        made = Library(name)
        monkeypatch.setitem(sys.modules, name, made)
        return made

    return make


def reporting(tiny, folder, name, steps=3):
    values = {
        "training": {"max_steps": steps},
        "evaluation": {"every": 2},
        "logging": {"report_to": [name]},
    }
    return make_run(folder, tiny, values)


def test_wandb_gets_every_figure_under_its_step(tiny, tmp_path, library):
    wandb = library("wandb")
    run = reporting(tiny, tmp_path, "wandb")
    assert main([str(run.path)]) == EXIT_FINISHED, events(run, "end")
    ((_, options),) = wandb.told("init")
    assert (options["id"], options["resume"]) == (run.id, "allow")
    logged = [(named["step"], arguments[0]) for arguments, named in wandb.told("log")]
    assert {step: numbers["loss"] for step, numbers in logged if "loss" in numbers} == losses(run)
    assert [step for step, numbers in logged if "eval_loss" in numbers] == [0, 2, 3]
    assert wandb.told("finish")


def test_a_resumed_run_goes_on_in_the_same_mlflow_run(tiny, tmp_path, library):
    mlflow = library("mlflow")
    run = reporting(tiny, tmp_path, "mlflow")
    for _ in range(2):
        assert main([str(run.path)]) == EXIT_FINISHED, events(run, "end")
    assert [named["run_id"] for _, named in mlflow.told("start_run")] == [None, "abc"]
    assert len(mlflow.told("log_params")) == 1
    assert mlflow.told("end_run")


def test_a_tracker_that_fails_costs_its_curves_and_not_the_run(tiny, tmp_path, library):
    library("wandb").failing = {"log"}
    run = reporting(tiny, tmp_path, "wandb")
    assert main([str(run.path)]) == EXIT_FINISHED, events(run, "end")
    (notice,) = events(run, "notice")
    assert notice["message"] == "wandb failed and is not told any more: the server is gone"
    assert len(losses(run)) == 3


def test_a_tracker_that_does_not_start_is_said_before_anything_is_loaded(tiny, tmp_path, library):
    library("wandb").failing = {"init"}
    run = reporting(tiny, tmp_path, "wandb")
    assert main([str(run.path)]) == EXIT_FAILED
    (end,) = events(run, "end")
    assert "wandb does not start: the server is gone" in end["message"]
    assert "wandb login" in end["hint"]
    assert not events(run, "attempt")


@pytest.mark.skipif(importlib.util.find_spec("tensorboard") is None, reason="needs tensorboard")
def test_tensorboard_writes_its_file_in_the_run_directory(tiny, tmp_path):
    run = reporting(tiny, tmp_path, "tensorboard")
    assert main([str(run.path)]) == EXIT_FINISHED, events(run, "end")
    assert list((run.path / "tensorboard").glob("events.out.tfevents.*"))

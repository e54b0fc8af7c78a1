"""A box with several GPUs: queued runs train beside each other, each on a GPU of its own, and CUDA sees no other."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from ftui.gpu import nvml
from ftui.runs import control, process, queue
from ftui.runs.launch import launch
from ftui.runs.lease import leases
from ftui.runs.process import child_environment
from ftui.runs.rundir import replace_bytes
from ftui.runs.state import run_state, summarize
from tests.queue_support import pretend, put
from tests.runs_support import (
    end_everything,
    make_workspace,
    recipe,
    until,
    until_state,
    until_stepping,
)

# A driver with as many GPUs of 24 GiB as a file has lines; each line is how much of one is used.
_DRIVER = """
import os, types
class NVMLError(Exception): value = 999
nvmlInit = nvmlShutdown = lambda: None
lines = lambda: open(os.environ["USED_OF_THE_GPUS"]).read().split()
nvmlDeviceGetCount = lambda: len(lines())
nvmlDeviceGetHandleByIndex = lambda index: index
nvmlDeviceGetName = lambda handle: "a GPU"
nvmlDeviceGetUUID = lambda handle: f"GPU-{handle}{handle}{handle}{handle}-feed"
def nvmlDeviceGetMemoryInfo(handle, version=0):
    used = int(lines()[handle])
    return types.SimpleNamespace(used=used, total=24 << 30, free=(24 << 30) - used)
"""
FIRST, SECOND = "GPU-0000-feed", "GPU-1111-feed"


@pytest.fixture
def used(tmp_path, monkeypatch):
    """What is used of each of two GPUs, here and in every process started from here."""
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setenv("USED_OF_THE_GPUS", str(tmp_path / "used"))
    (tmp_path / "used").write_text("0\n0")
    pretend(monkeypatch, tmp_path)
    (tmp_path / "first" / "pynvml.py").write_text(_DRIVER)
    driver: dict[str, object] = {}
    exec(_DRIVER, driver)
    module = type(sys)("pynvml")
    module.__dict__.update(driver)
    reader = nvml.Reader(module)
    monkeypatch.setattr(nvml, "snapshot", reader.snapshot)
    return tmp_path / "used"


@pytest.fixture
def workspace(used, tmp_path):
    workspace = make_workspace(tmp_path / "ws")
    yield workspace
    end_everything(workspace)


def sees(rundir):
    """The $CUDA_VISIBLE_DEVICES that a run's trainer was started with."""
    trainer = process.from_dict(until(lambda: rundir.read_proc().get("trainer")))
    lines = (Path("/proc") / str(trainer.pid) / "environ").read_bytes().split(b"\0")
    return next(
        (line.partition(b"=")[2].decode() for line in lines if line[:21] == b"CUDA_VISIBLE_DEVICES="), None
    )


def waits_for(workspace):
    command = [sys.executable, "-c", "from ftui.cli.main import main; main()", "runs", "queue", "--json"]
    done = subprocess.run(
        [*command, "--workspace", str(workspace.root)],
        env=child_environment(), capture_output=True, timeout=180, check=True,
    )  # fmt: skip
    return [run["reason"] for run in json.loads(done.stdout)["runs"]]


def test_two_queued_runs_train_at_once_on_a_gpu_each_and_the_third_waits_for_one_to_end(workspace):
    first, second, third = (put(workspace, name, 100_000) for name in ("one", "two", "three"))
    until_stepping(first)
    until_stepping(second)
    assert [run_state(rundir) for rundir in (first, second, third)] == ["running", "running", "queued"]
    assert [rundir.read_proc()["devices"] for rundir in (first, second)] == [["gpu0"], ["gpu1"]]
    assert (sees(first), sees(second)) == (FIRST, SECOND)
    assert {lease.who: lease.devices for lease in leases()} == {first.id: ("gpu0",), second.id: ("gpu1",)}
    assert waits_for(workspace) == [f"waits for {first.id} or {second.id} to end"]
    control.stop(second)
    until_stepping(third)
    assert third.read_proc()["devices"] == ["gpu1"]
    assert sees(third) == SECOND
    assert run_state(first) == "running"
    assert summarize(third).devices == ("gpu1",)


def test_the_gpus_given_when_it_was_queued_are_those_it_chooses_among(workspace, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", SECOND[:6])
    first, second = put(workspace, "one", 100_000), put(workspace, "two", 100_000)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    third = put(workspace, "three", 100_000)
    until_stepping(first)
    until_stepping(third)
    assert first.read_proc()["devices"] == ["gpu1"]
    assert third.read_proc()["devices"] == ["gpu0"]
    assert run_state(second) == "queued"
    assert waits_for(workspace) == [f"waits for {first.id} to end"]


def test_memory_that_comes_free_decides_where_it_starts(workspace, used):
    used.write_text(f"{20 << 30}\n{15 << 30}")
    rundir = put(workspace, "one", 100_000, needs=14 << 30)
    assert waits_for(workspace) == ["waits for 14.0 GiB free on GPU 1: 9.0 GiB now"]
    replace_bytes(used, f"{2 << 30}\n{15 << 30}".encode())
    until_stepping(rundir)
    assert (rundir.read_proc()["devices"], sees(rundir)) == (["gpu0"], FIRST)


def test_started_by_hand_it_goes_beside_the_one_that_trains(workspace):
    runs = [launch(workspace, recipe(**{"name": name, "training.max_steps": 100_000})) for name in "ab"]
    for rundir in runs:
        until_stepping(rundir)
    assert [rundir.read_proc()["devices"] for rundir in runs] == [["gpu0"], ["gpu1"]]
    assert [sees(rundir) for rundir in runs] == [FIRST, SECOND]


def test_a_resumed_run_takes_what_is_free_now(workspace):
    first = launch(workspace, recipe(**{"name": "a", "training.max_steps": 100_000}))
    until_stepping(first)
    control.stop(first)
    until_state(first, "stopped")
    other = launch(workspace, recipe(**{"name": "b", "training.max_steps": 100_000}))
    until_stepping(other)
    control.resume(first)
    until(lambda: first.read_proc().get("attempt") == 2)
    assert [rundir.read_proc()["devices"] for rundir in (other, first)] == [["gpu0"], ["gpu1"]]
    assert sees(first) == SECOND


def test_two_processes_take_both_and_are_waited_for(workspace):
    both = queue.enqueue(
        workspace, recipe(**{"name": "both", "training.max_steps": 100_000, "launch.processes": 2})
    )
    until_stepping(both)
    assert sees(both) == f"{FIRST},{SECOND}"
    waiting = put(workspace, "one", 3)
    assert waits_for(workspace) == [f"waits for {both.id} to end"]
    control.stop(both)
    until_state(waiting, "finished")


def test_a_gpu_named_by_its_number_is_the_one_that_is_shown_under_it(workspace, monkeypatch):
    """CUDA counts the fastest first, nvidia-smi and ftui along the bus: the trainer is told the UUID."""
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1")
    rundir = launch(workspace, recipe(**{"training.max_steps": 100_000}))
    until_stepping(rundir)
    assert (rundir.read_proc()["devices"], sees(rundir)) == (["gpu1"], SECOND)


def test_the_command_says_on_which_gpu_it_starts(workspace):
    first = launch(workspace, recipe(**{"name": "first", "training.max_steps": 100_000}))
    command = [sys.executable, "-c", "from ftui.cli.main import main; main()", "train", "tickets", "--json"]
    done = subprocess.run(
        [*command, "--workspace", str(workspace.root)],
        env=child_environment(), capture_output=True, timeout=180, check=True, text=True,
    )  # fmt: skip
    assert json.loads(done.stdout)["devices"] == ["gpu1"]
    assert f"ftui: on GPU 1: {first.id} trains on GPU 0\n" in done.stderr

"""The queue and death: whoever is killed, what is queued is run, once, in order."""

from __future__ import annotations

import itertools
import json
import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

from ftui.core.durable import replace_bytes
from ftui.core.errors import FtuiError
from ftui.core.text import one_line
from ftui.runs import control, process, queue
from ftui.runs.evidence import supervisor_of
from ftui.runs.process import child_environment
from ftui.runs.queue_kick import kick, runner_of
from ftui.runs.rundir import RunDir
from ftui.runs.state import list_runs, run_state, summarize
from tests.queue_support import pretend, put
from tests.runs_support import (
    end_everything,
    events_of,
    kill,
    kill_supervisor,
    kill_trainer,
    make_workspace,
    nothing_left,
    until,
    until_state,
    until_stepping,
)


@pytest.fixture
def workspace(tmp_path, monkeypatch):
    pretend(monkeypatch, tmp_path)
    workspace = make_workspace(tmp_path / "ws")
    yield workspace
    end_everything(workspace)


def all_finish(*runs):
    for rundir in runs:
        until_state(rundir, "finished")
        assert summarize(rundir).attempts == 1


def started(rundir):
    return rundir.read_proc()["started"]


def test_queued_runs_are_run_one_after_the_other_in_order(workspace):
    runs = [put(workspace, name) for name in ("one", "two", "three")]
    all_finish(*runs)
    ends = [until(rundir.read_exit)["ended"] for rundir in runs]
    starts = [started(rundir) for rundir in runs]
    assert starts[0] < ends[0] <= starts[1] < ends[1] <= starts[2]
    until(lambda: runner_of(workspace) is None)
    until(lambda: all(nothing_left(rundir) for rundir in runs))


def test_a_killed_supervisor_does_not_strand_the_queue(workspace):
    first, *others = [put(workspace, "one", 12, "slow"), put(workspace, "two"), put(workspace, "three")]
    until_stepping(first)
    kill_supervisor(first)
    all_finish(first, *others)
    assert max(event["t"] for event in events_of(first)) <= started(others[0])


def test_a_killed_runner_is_replaced_by_whoever_looks(workspace):
    first, *others = [put(workspace, "one", 10, "slow"), put(workspace, "two"), put(workspace, "three")]
    until_stepping(first)
    kill(runner_of(workspace))
    until(lambda: runner_of(workspace) is None)
    assert run_state(first) == "running", "what it started goes on"
    look = [sys.executable, "-m", "ftui.cli.main", "runs", "--workspace", str(workspace.root)]
    look[1:3] = ["-c", "from ftui.cli.main import main; main()"]
    subprocess.run(look, env=child_environment(), capture_output=True, timeout=180, check=True)
    all_finish(first, *others)


def test_supervisor_and_runner_killed_together_somebody_only_looks(workspace):
    first, *others = [put(workspace, "one", 10, "slow"), put(workspace, "two"), put(workspace, "three")]
    until_stepping(first)
    kill(runner_of(workspace))
    kill_supervisor(first)
    until_state(first, "finished")
    assert {run_state(rundir) for rundir in others} == {"queued"}
    until(lambda: kick(workspace) or None)
    all_finish(first, *others)


def test_a_supervisor_whose_run_ends_replaces_a_killed_runner(workspace):
    first, second = put(workspace, "one", 10, "slow"), put(workspace, "two")
    until_stepping(first)
    kill(runner_of(workspace))
    all_finish(first, second)


@pytest.mark.parametrize("traits", ["fail", "raise"])
def test_the_queue_goes_on_after_a_failure(workspace, traits):
    first, second = put(workspace, "one", 5, traits), put(workspace, "two")
    all_finish(second)
    assert run_state(first) == "failed"


def test_the_queue_goes_on_after_a_crash_and_after_a_stop(workspace):
    first, second, third = (
        put(workspace, "one", 10_000),
        put(workspace, "two", 10_000),
        put(workspace, "three"),
    )
    until_stepping(first)
    kill_trainer(first)
    until_stepping(second)
    control.stop(second)
    all_finish(third)
    assert (run_state(first), run_state(second)) == ("crashed", "stopped")


def test_a_run_that_cannot_be_started_has_failed_and_the_next_goes_on(workspace):
    queue.pause(workspace)
    first, second = put(workspace, "one"), put(workspace, "two")
    first.control.write_text("in the way")  # the directory of requests cannot be made
    queue.go(workspace)
    all_finish(second)
    assert summarize(first).state == "failed"
    assert "cannot start" in summarize(first).reason
    first.control.unlink()
    control.resume(first)
    until_state(first, "finished")


def test_a_run_started_by_hand_is_waited_for(workspace):
    from ftui.runs.launch import launch
    from tests.runs_support import recipe

    alone = launch(workspace, recipe(**{"name": "alone", "training.max_steps": 10_000}))
    waiting = put(workspace, "one")
    until_stepping(alone)
    (run,) = [run for run in list_runs(workspace) if run.state == "queued"]
    assert (run.id, run.position, run.reason) == (waiting.id, 1, f"waits for {alone.id} to end")
    control.stop(alone)
    all_finish(waiting)


def test_a_run_of_another_workspace_on_the_same_device_is_waited_for(workspace, tmp_path):
    other = make_workspace(tmp_path / "other")
    try:
        first = put(other, "far", 10_000)
        until_stepping(first)
        waiting = put(workspace, "near")
        place = one_line(str(other.root), 60)
        until(
            lambda: (
                [run.reason for run in list_runs(workspace)] == [f"waits for {first.id} in {place} to end"]
            )
        )
        control.stop(first)
        all_finish(waiting)
    finally:
        end_everything(other)


def test_two_workspaces_do_not_start_on_one_device_in_the_same_moment(workspace, tmp_path):
    other = make_workspace(tmp_path / "other")
    try:
        for place in (workspace, other):
            queue.pause(place)
        runs = [put(place, name, 5, "slow") for place in (workspace, other) for name in ("one", "two")]
        with ThreadPoolExecutor(2) as pool:
            list(pool.map(queue.go, (workspace, other)))
        all_finish(*runs)
        spans = sorted((started(rundir), until(rundir.read_exit)["ended"]) for rundir in runs)
        assert all(before[1] <= after[0] for before, after in itertools.pairwise(spans))
    finally:
        end_everything(other)


def test_pausing_starts_nothing_more_and_go_does(workspace):
    queue.pause(workspace)
    runs = [put(workspace, "one"), put(workspace, "two")]
    assert runner_of(workspace) is None
    assert {run.reason for run in list_runs(workspace)} == {"waits: the queue is paused"}
    assert not kick(workspace)
    queue.go(workspace)
    all_finish(*runs)


def test_the_new_order_is_the_one_that_is_run(workspace):
    first = put(workspace, "one", 10_000)
    until_stepping(first)
    second, third = put(workspace, "two"), put(workspace, "three")
    assert queue.move(workspace, third, -1) == 1
    control.stop(first)
    all_finish(third, second)
    assert started(third) < started(second)


def test_two_screens_that_reorder_at_once_leave_every_run_in_the_queue(workspace):
    queue.pause(workspace)
    runs = [put(workspace, f"run{number}") for number in range(5)]
    with ThreadPoolExecutor(4) as pool:
        moves = [pool.submit(queue.move, workspace, runs[number % 5], number % 3 - 1) for number in range(40)]
        moves += [pool.submit(put, workspace, f"new{number}") for number in range(4)]
        for future in moves:
            future.result()
    assert len(queue.queued(workspace)) == 9
    assert {run.position for run in list_runs(workspace)} == set(range(1, 10))


def test_many_queued_at_once_are_each_run_once(workspace):
    with ThreadPoolExecutor(4) as pool:
        runs = list(pool.map(lambda number: put(workspace, "same", 1), range(4)))
    assert len({rundir.id for rundir in runs}) == 4
    all_finish(*runs)


def test_many_who_kick_start_one_runner(workspace):
    first = put(workspace, "one", 10_000)
    waiting = put(workspace, "two")
    until_stepping(first)
    kill(runner_of(workspace))
    with ThreadPoolExecutor(4) as pool:
        # As screens do once a second: one that kicked just now waits a little before it tries again.
        until(lambda: list(pool.map(lambda _: kick(workspace), range(8))) and runner_of(workspace))
    mark = f"ftui.runs.queue_runner\0{workspace.root}".encode()

    def runners():
        found = []
        for name in os.listdir("/proc"):
            try:
                with open(f"/proc/{name}/cmdline", "rb") as file:
                    found += [name] if mark in file.read() else []
            except OSError:
                continue
        return found

    until(lambda: len(runners()) == 1)
    control.stop(first)
    all_finish(waiting)


def test_taken_out_of_the_queue_it_is_not_run_and_undo_queues_it_again(workspace):
    first = put(workspace, "one", 10_000)
    second = put(workspace, "two")
    until_stepping(first)
    queue.dequeue(workspace, second)
    assert [run.id for run in list_runs(workspace)] == [first.id]
    back = control.restore(workspace, second.id)
    assert run_state(back) == "queued"
    control.stop(first)
    all_finish(back)


def test_a_queued_run_whose_directory_vanished_is_not_missed(workspace):
    import shutil

    first = put(workspace, "one", 10_000)
    second, third = put(workspace, "two"), put(workspace, "three")
    until_stepping(first)
    shutil.rmtree(second.path)
    control.stop(first)
    all_finish(third)


def test_resume_starts_a_queued_run_before_its_turn(workspace):
    first = put(workspace, "one", 10_000)
    second = put(workspace, "two")
    until_stepping(first)
    control.resume(second)
    all_finish(second)
    with pytest.raises(FtuiError, match="not queued"):
        queue.move(workspace, second, -1)
    assert run_state(first) == "running"


def test_two_starts_of_one_queued_run_are_one(workspace, monkeypatch):
    """A runner was killed right after it started a run; the next one tries again."""
    from ftui.runs.launch import start_attempt

    queue.pause(workspace)
    rundir = put(workspace, "one", 1)
    with ThreadPoolExecutor(3) as pool:
        attempts = [pool.submit(start_attempt, rundir, workspace.root) for _ in range(3)]
    assert [attempt.exception() is None for attempt in attempts].count(True) == 1
    all_finish(rundir)
    assert [event["type"] for event in events_of(rundir)].count("attempt") == 1


def test_the_gpus_chosen_when_it_was_queued_are_those_it_gets(workspace, monkeypatch):
    """The environment of the one who queued it counts, not that of who starts it."""
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "7")
    rundir = put(workspace, "one", 10_000)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    until_stepping(rundir)
    trainer = process.from_dict(rundir.read_proc()["trainer"])
    environment = (process.Path("/proc") / str(trainer.pid) / "environ").read_bytes().split(b"\0")
    assert b"CUDA_VISIBLE_DEVICES=7" in environment


# A driver with one GPU of 24 GiB; how much of it is used stands in a file.
_DRIVER = """
import os, types
class NVMLError(Exception): value = 999
nvmlInit = nvmlShutdown = lambda: None
nvmlDeviceGetCount = lambda: 1
nvmlDeviceGetHandleByIndex = lambda index: index
nvmlDeviceGetName = lambda handle: "a GPU"
def nvmlDeviceGetMemoryInfo(handle, version=0):
    used = int(open(os.environ["USED_OF_THE_GPU"]).read())
    return types.SimpleNamespace(used=used, total=24 << 30, free=(24 << 30) - used)
"""


def test_it_starts_when_the_gpu_has_the_memory_it_needs(workspace, tmp_path, monkeypatch):
    (tmp_path / "first" / "pynvml.py").write_text(_DRIVER)
    used = tmp_path / "used"
    used.write_text(str(15 << 30))
    monkeypatch.setenv("USED_OF_THE_GPU", str(used))
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    rundir = put(workspace, "one", needs=14 << 30)

    def waits_for():
        command = [sys.executable, "-c", "from ftui.cli.main import main; main()", "runs", "queue", "--json"]
        done = subprocess.run(
            [*command, "--workspace", str(workspace.root)],
            env=child_environment(), capture_output=True, timeout=180, check=True,
        )  # fmt: skip
        return [run["reason"] for run in json.loads(done.stdout)["runs"]]

    assert waits_for() == ["waits for 14.0 GiB free on GPU 0: 9.0 GiB now"]
    assert waits_for() == ["waits for 14.0 GiB free on GPU 0: 9.0 GiB now"]
    assert run_state(rundir) == "queued"
    replace_bytes(used, str(9 << 30).encode())
    all_finish(rundir)
    assert rundir.read_proc()["devices"] == ["gpu0"]


def test_the_runner_carries_no_runs_mark(workspace):
    """Ending everything of a run by force leaves the queue alone, though that run's supervisor kicked it."""
    first, second = put(workspace, "one", 10, "slow"), put(workspace, "two", 10_000)
    third = put(workspace, "three")
    until_stepping(first)
    kill(runner_of(workspace))
    until_state(first, "finished")
    until_stepping(second)
    until(lambda: nothing_left(first))
    kill(supervisor_of(second), signal.SIGTERM)
    all_finish(third)


def test_a_copied_workspace_does_not_train_everything_again(workspace, tmp_path):
    import shutil

    from ftui.runs.workspace import Workspace

    queue.pause(workspace)
    put(workspace, "one")
    copy = Workspace(tmp_path / "copy")
    shutil.copytree(workspace.root, copy.root)
    queue.go(copy)
    assert not kick(copy)
    (run,) = list_runs(copy)
    assert (run.state, run.position) == ("queued", 1)
    assert "another place" in run.reason
    assert "resume" in run.hint
    assert isinstance(RunDir(run.path).read_manifest()["workspace"], str)
    end_everything(copy)

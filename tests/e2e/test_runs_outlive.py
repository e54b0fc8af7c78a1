"""Runs and death: whoever is killed, the state shown is true, nothing is lost, nobody is left behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from ftui.core.errors import FtuiError
from ftui.runs import control, process
from ftui.runs.evidence import supervisor_of, trainer_of
from ftui.runs.follow import follow
from ftui.runs.process import child_environment
from ftui.runs.rundir import RunDir
from ftui.runs.state import find_run, list_runs, run_state, summarize
from tests.runs_support import (
    events_of,
    fake_trainer,
    kill,
    kill_supervisor,
    kill_trainer,
    nothing_left,
    start,
    until,
    until_state,
    until_stepping,
)

# A shell or a screen that launched a run and is still there when it is killed.
_LAUNCHER = """
import signal, sys
from pathlib import Path
from ftui.runs.workspace import Workspace
from tests.runs_support import start
signal.signal(signal.SIGHUP, signal.SIG_DFL)  # the tests themselves may run under nohup
print(start(Workspace(Path(sys.argv[1])), 40, "slow").path, flush=True)
signal.pause()
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGHUP])
def test_ending_the_launchers_whole_group_leaves_the_run_alone(workspace, number):
    launcher = subprocess.Popen(
        [sys.executable, "-c", _LAUNCHER, str(workspace.root)],
        stdout=subprocess.PIPE,
        env=child_environment(),
        text=True,
        start_new_session=True,
    )
    rundir = RunDir(Path(launcher.stdout.readline().strip()))
    until_stepping(rundir)
    os.killpg(launcher.pid, number)
    launcher.wait(timeout=180)
    launcher.stdout.close()
    steps = len(events_of(rundir))
    until(lambda: len(events_of(rundir)) > steps + 3)
    assert run_state(rundir) == "running"


def test_a_hang_up_sent_to_supervisor_and_trainer_is_ignored(workspace):
    rundir = start(workspace)
    until_stepping(rundir)
    kill(supervisor_of(rundir), signal.SIGHUP)
    kill(trainer_of(rundir), signal.SIGHUP)
    steps = len(events_of(rundir))
    until(lambda: len(events_of(rundir)) > steps + 10)
    assert run_state(rundir) == "running"


def test_a_run_finishes_and_says_so(workspace):
    rundir = start(workspace, 12)
    until_state(rundir, "finished")
    run = summarize(rundir)
    assert (run.step, run.steps) == (12, 12)
    assert run.loss == pytest.approx(1 / 12)
    assert run.ended >= run.started
    until(rundir.read_exit)
    assert rundir.read_exit()["code"] == 0
    until(lambda: nothing_left(rundir))


def test_a_killed_supervisor_is_not_missed(workspace):
    rundir = start(workspace, 30, "slow")
    until_stepping(rundir)
    kill_supervisor(rundir)
    assert run_state(rundir) == "running"
    control.stop(rundir)
    until_state(rundir, "stopped")
    assert rundir.read_exit() == {}, "told by the trainer's own last event"
    until(lambda: nothing_left(rundir))


def test_a_killed_trainer_is_a_crash_with_its_signal(workspace):
    rundir = start(workspace)
    until_stepping(rundir)
    kill_trainer(rundir)
    until_state(rundir, "crashed")
    assert rundir.read_exit()["signal"] == "SIGKILL"
    assert "SIGKILL" in summarize(rundir).reason
    until(lambda: nothing_left(rundir))


def test_both_killed_is_a_crash_without_a_word(workspace):
    rundir = start(workspace)
    until_stepping(rundir)
    kill_supervisor(rundir)
    kill_trainer(rundir)
    until_state(rundir, "crashed")
    assert rundir.read_exit() == {}


def test_killed_while_starting_is_a_crash(workspace):
    rundir = start(workspace, 5, "loading")
    until(lambda: events_of(rundir))
    assert run_state(rundir) == "starting"
    kill_trainer(rundir)
    until_state(rundir, "crashed")


def test_a_trainer_that_was_never_written_down_is_found_again(workspace):
    rundir = start(workspace)
    until_stepping(rundir)
    kill_supervisor(rundir)
    record = rundir.read_proc()
    del record["trainer"]
    rundir.proc_path.write_text(json.dumps(record))
    assert run_state(rundir) == "running"
    assert control.stop(rundir, now=True) == "stopped"
    assert nothing_left(rundir)


def test_stop_saves_a_checkpoint_first(workspace):
    rundir = start(workspace)
    until_stepping(rundir, 7)
    control.stop(rundir)
    until_state(rundir, "stopped")
    last = [event for event in events_of(rundir) if event["type"] == "checkpoint"][-1]
    assert last["step"] == summarize(rundir).step
    until(rundir.read_exit)
    assert rundir.read_exit()["code"] == 10


def test_sigterm_to_the_supervisor_is_a_graceful_stop(workspace):
    rundir = start(workspace)
    until_stepping(rundir)
    kill(supervisor_of(rundir), signal.SIGTERM)
    until_state(rundir, "stopped")
    assert [event["type"] for event in events_of(rundir)][-3:] == ["stopping", "checkpoint", "end"]


def test_stop_while_starting_ends_the_run(workspace):
    rundir = start(workspace, 5, "loading")
    until(lambda: events_of(rundir))
    assert control.stop(rundir) in ("stopping", "stopped")
    until_state(rundir, "stopped")


def test_stop_before_the_trainer_exists_starts_none(workspace, tmp_path):
    """The request may be there before the supervisor is."""
    from ftui.runs.launch import start_attempt

    rundir = RunDir(workspace.runs / "early")
    rundir.control.mkdir(parents=True)
    rundir.request("stop")
    start_attempt(rundir, workspace.root, fake_trainer(5))
    until_state(rundir, "stopped")
    assert events_of(rundir) == []


def test_stop_now_ends_a_deaf_trainer_and_its_workers(workspace, monkeypatch):
    monkeypatch.setattr(control, "_TERM_SECONDS", 0.2)
    rundir = start(workspace, 100_000, "deaf", "worker")
    until_stepping(rundir)
    assert len(list(process.processes_of(rundir.path))) == 3
    told = []
    state = control.stop(rundir, now=True, grace_seconds=0.3, waiting=lambda what, left: told.append(what))
    assert state == "stopped"
    assert told
    assert nothing_left(rundir)
    assert rundir.read_exit()["outcome"] == "stopped"


def test_stop_now_works_without_a_supervisor(workspace, monkeypatch):
    monkeypatch.setattr(control, "_TERM_SECONDS", 0.2)
    monkeypatch.setattr(control, "_RECORD_SECONDS", 0.2)
    rundir = start(workspace, 100_000, "deaf", "worker")
    until_stepping(rundir)
    kill_supervisor(rundir)
    assert control.stop(rundir, now=True, grace_seconds=0.1) == "stopped"
    assert nothing_left(rundir)


def test_workers_of_a_killed_trainer_do_not_stay_behind(workspace):
    rundir = start(workspace, 100_000, "worker")
    until_stepping(rundir)
    kill_trainer(rundir)
    until_state(rundir, "crashed")
    until(lambda: nothing_left(rundir))


def test_resume_goes_on_from_the_newest_checkpoint_and_keeps_every_event(workspace):
    rundir = start(workspace)
    until_stepping(rundir, 12)
    kill_trainer(rundir)
    until_state(rundir, "crashed")
    before = events_of(rundir)
    saved = control.checkpoint_step(rundir)
    assert saved >= 10
    resumed = control.resume(rundir, trainer_command=fake_trainer(saved + 3))
    assert (resumed.step, resumed.notice) == (saved, "")
    until_state(rundir, "finished")
    after = events_of(rundir)
    assert after[: len(before)] == before
    assert next(event["step"] for event in after[len(before) :] if event["type"] == "step") == saved + 1
    assert [event["seq"] for event in after] == list(range(1, len(after) + 1))
    assert after[-1]["attempt"] == summarize(rundir).attempts == 2


def test_resume_without_a_checkpoint_starts_over_and_says_so(workspace):
    rundir = start(workspace, 3, "fail")
    until_state(rundir, "failed")
    resumed = control.resume(rundir, trainer_command=fake_trainer(3))
    assert resumed.step == 0
    assert "step 0" in resumed.notice
    until_state(rundir, "finished")


def test_resume_after_a_stop_is_not_stopped_again(workspace):
    rundir = start(workspace)
    until_stepping(rundir)
    control.stop(rundir)
    until_state(rundir, "stopped")
    saved = control.resume(rundir, trainer_command=fake_trainer(100_000)).step
    until_stepping(rundir, saved + 5)
    assert run_state(rundir) == "running"


def test_resume_is_refused_while_it_runs_and_when_it_is_done(workspace):
    rundir = start(workspace)
    until_stepping(rundir)
    with pytest.raises(FtuiError, match="running"):
        control.resume(rundir)
    with pytest.raises(FtuiError, match="running"):
        control.delete(rundir)
    done = start(workspace, 1)
    until_state(done, "finished")
    with pytest.raises(FtuiError, match="finished"):
        control.resume(done)


def test_a_second_supervisor_on_the_same_run_is_turned_away(workspace):
    """Two screens press resume in the same moment: the second finds the run locked."""
    from ftui.runs.process import python_command

    rundir = start(workspace)
    until_stepping(rundir)
    record = rundir.read_proc()
    second = subprocess.run(
        [*python_command("ftui.runs.supervise"), str(rundir.path), *fake_trainer(3)],
        env=child_environment(),
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )
    assert second.returncode == 75
    assert "still running" in second.stderr
    assert rundir.read_proc() == record


@pytest.mark.parametrize(
    ("trait", "state", "reason"),
    [
        ("fail", "failed", "not a number"),
        ("raise", "failed", "the model went away"),
        ("mute", "finished", ""),
    ],
)
def test_the_reason_for_an_end_is_told(workspace, trait, state, reason):
    rundir = start(workspace, 5, trait)
    until_state(rundir, state)
    assert reason in summarize(rundir).reason


def test_a_trainer_that_cannot_be_started_is_a_failure_not_a_riddle(workspace):
    from ftui.runs.launch import launch
    from tests.runs_support import recipe

    rundir = launch(workspace, recipe(), trainer_command=["/no/such/program"])
    until_state(rundir, "failed")
    assert "could not be started" in summarize(rundir).reason


def test_a_second_reader_sees_the_run_from_its_first_step(workspace):
    rundir = start(workspace, 20)
    code = (
        "import sys, json\nfrom pathlib import Path\nfrom ftui.runs.workspace import Workspace\n"
        "from ftui.runs.state import find_run\nfrom ftui.runs.follow import follow\n"
        "run = find_run(Workspace(Path(sys.argv[1])), 'last')\n"
        "print(json.dumps([e['step'] for e in follow(run) if e['type'] == 'step']))"
    )
    other = subprocess.run(
        [sys.executable, "-c", code, str(workspace.root)],
        env=child_environment(), capture_output=True, text=True, timeout=180, check=True,
    )  # fmt: skip
    assert json.loads(other.stdout) == list(range(1, 21))
    assert [event["step"] for event in follow(rundir) if event["type"] == "step"] == list(range(1, 21))


def test_two_runs_at_once_are_listed_newest_first(workspace):
    first, second = start(workspace, 3), start(workspace, 3)
    assert first.id != second.id
    until_state(first, "finished")
    until_state(second, "finished")
    assert [run.id for run in list_runs(workspace)] == [second.id, first.id]
    assert find_run(workspace, second.id).path == second.path

"""Two screens on one workspace: what both do to a run in the same moment comes to one end, and is said to both."""

from __future__ import annotations

import signal
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from ftui.core.errors import FtuiError
from ftui.runs import control, process
from ftui.runs import launch as launch_module
from ftui.runs.evidence import supervisor_of, trainer_of
from ftui.runs.rundir import RunDir
from ftui.runs.state import list_runs, run_state, summarize
from tests.kill_matrix import assert_goes_on_to_its_end, written
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
from tests.screen_process import ScreenProcess


def at_once(*jobs):
    """The results of jobs begun in the same moment; an FtuiError is one too."""
    gate = threading.Barrier(len(jobs))

    def do(job):
        gate.wait()
        try:
            return job()
        except FtuiError as error:
            return error

    with ThreadPoolExecutor(len(jobs)) as pool:
        return [future.result() for future in [pool.submit(do, job) for job in jobs]]


def crashed(workspace, *traits: str) -> RunDir:
    rundir = start(workspace, 100_000, *traits)
    until_stepping(rundir, 7)
    kill_supervisor(rundir)
    kill_trainer(rundir)
    until_state(rundir, "crashed")
    return rundir


@pytest.mark.parametrize("now", [(False, False), (True, True), (False, True)])
def test_both_stop_the_same_run(workspace, now):
    rundir = start(workspace, 100_000, "worker")
    until_stepping(rundir)
    said = at_once(*(lambda how=how: control.stop(rundir, now=how) for how in now))
    assert all(isinstance(one, str) or "not active" in one.message for one in said)
    until_state(rundir, "stopped")
    until(lambda: nothing_left(rundir))


def test_both_resume_the_same_run_and_one_attempt_is_made(workspace):
    rundir = crashed(workspace)
    before = written(rundir)
    resume = lambda: control.resume(rundir, trainer_command=fake_trainer(30, "slow"))  # noqa: E731
    said = at_once(resume, resume, resume)
    assert sum(not isinstance(one, FtuiError) for one in said) >= 1
    until_state(rundir, "finished")
    assert summarize(rundir).attempts == 2
    events = events_of(rundir)
    assert written(rundir).startswith(before)
    assert [event["seq"] for event in events] == list(range(1, len(events) + 1))
    assert sum(event["type"] == "attempt" for event in events) == 2


def test_one_deletes_while_the_other_resumes_and_one_of_them_is_refused(workspace):
    for _ in range(3):
        rundir = crashed(workspace)
        deleted, resumed = at_once(
            lambda run=rundir: control.delete(run),
            lambda run=rundir: control.resume(run, trainer_command=fake_trainer(100_000)),
        )
        assert isinstance(deleted, FtuiError) != isinstance(resumed, FtuiError)
        assert rundir.path.exists() == isinstance(deleted, FtuiError), "no part of it in both places"
        if isinstance(deleted, FtuiError):
            until_state(rundir, "running")
            assert control.stop(rundir, now=True) == "stopped"
        assert nothing_left(rundir)


def test_a_run_that_was_deleted_before_it_is_resumed_is_not_made_again(workspace, monkeypatch):
    """The supervisor of a resume that was too slow finds the run gone."""
    rundir = crashed(workspace)
    begin = launch_module.start_detached

    def too_slow(*arguments, **options):
        control.delete(rundir)
        options["log"] = workspace.root / "log"
        return begin(*arguments, **options)

    monkeypatch.setattr(launch_module, "start_detached", too_slow)
    with pytest.raises(FtuiError) as caught:
        control.resume(rundir, trainer_command=fake_trainer(5))
    assert "\n" not in str(caught.value)
    assert not rundir.path.exists()
    assert list_runs(workspace) == []
    assert run_state(control.restore(workspace, rundir.id)) == "crashed"


def test_workers_left_by_a_killed_run_are_ended_by_stop_now(workspace):
    rundir = crashed(workspace, "worker")
    assert len(list(process.processes_of(rundir.path))) == 1
    with pytest.raises(FtuiError, match="not active"):
        control.stop(rundir)
    assert control.stop(rundir, now=True) == "crashed"
    assert nothing_left(rundir)
    with pytest.raises(FtuiError, match="not active"):
        control.stop(rundir, now=True)


def test_a_graceful_end_within_the_grace_leaves_no_worker_where_the_supervisor_is_gone(workspace):
    rundir = start(workspace, 100_000, "worker")
    until_stepping(rundir)
    kill_supervisor(rundir)
    assert control.stop(rundir, now=True) == "stopped"
    assert nothing_left(rundir)


def test_a_run_that_something_is_left_of_is_not_deleted_under_it(workspace):
    rundir = start(workspace, 100_000)
    until_stepping(rundir)
    who = supervisor_of(rundir), trainer_of(rundir)
    kill(who[1], signal.SIGSTOP)
    rundir.proc_path.rename(rundir.path / "proc.lost")
    try:
        with pytest.raises(FtuiError, match=r"still at work|starting|running"):
            control.delete(rundir)
        assert rundir.path.is_dir()
    finally:
        for one in who:
            kill(one)


@pytest.mark.parametrize("heard", [True, False], ids=["by its signal", "under nohup"])
def test_a_terminal_that_is_closed_ends_its_screen_and_not_the_run(workspace, tmp_path, heard):
    rundir = start(workspace, 100_000, "slow")
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL if heard else signal.SIG_IGN)
    try:
        screen = ScreenProcess(workspace.root, tmp_path)
    finally:
        signal.signal(signal.SIGHUP, before)
    try:
        screen.open_train()
        until(lambda: screen.wrote("tickets"))
        screen.hang_up()
    finally:
        screen.close()
    steps = len(events_of(rundir))
    until(lambda: len(events_of(rundir)) > steps)
    assert run_state(rundir) == "running"


def test_two_screens_show_what_one_of_them_does(workspace, tmp_path):
    rundir = start(workspace, 100_000, "slow")
    screens = [ScreenProcess(workspace.root, tmp_path / name) for name in ("one", "two")]
    try:
        for screen in screens:
            screen.open_train()
        until(lambda: all(screen.wrote("tickets", "100000") for screen in screens))
        for screen in screens:
            screen.forget()
        control.stop(rundir)
        until(lambda: all(screen.wrote("stopped") for screen in screens))
        before = written(rundir)
    finally:
        for screen in screens:
            screen.close()
    until(lambda: nothing_left(rundir))
    steps = control.checkpoint_step(rundir) + 5
    assert_goes_on_to_its_end(rundir, before, steps, fake_trainer(steps))

"""The state of a run from every combination of evidence, and the list made of it."""

from __future__ import annotations

import os
import socket
import time

import pytest

from ftui.core.errors import FtuiError
from ftui.runs import evidence as evidence_module
from ftui.runs import lifecycle, process
from ftui.runs.lifecycle import Evidence, derive
from ftui.runs.process import Liveness
from ftui.runs.rundir import EventWriter, RunDir, replace_json
from ftui.runs.state import find_run, list_runs, run_state, summarize
from ftui.runs.workspace import Workspace

ALIVE, DEAD, UNKNOWN = Liveness.ALIVE, Liveness.DEAD, Liveness.UNKNOWN
LONG = lifecycle.STALLED_SECONDS + 1


@pytest.mark.parametrize(
    ("evidence", "state"),
    [
        (Evidence(0, age_seconds=1), "starting"),
        (Evidence(0, age_seconds=3600), "crashed"),
        (Evidence(1, ALIVE), "starting"),
        (Evidence(1, ALIVE, ALIVE), "starting"),
        (Evidence(1, ALIVE, ALIVE, stepping=True), "running"),
        (Evidence(1, DEAD, ALIVE, stepping=True), "running"),
        (Evidence(1, ALIVE, ALIVE, stepping=True, silent_seconds=LONG), "stalled"),
        (Evidence(1, ALIVE, ALIVE, silent_seconds=LONG), "stalled"),
        (Evidence(1, ALIVE, ALIVE, stop_requested=True), "stopping"),
        (Evidence(1, ALIVE, ALIVE, stepping=True, end={"outcome": "finished"}), "running"),
        (Evidence(1, ALIVE, ALIVE, end={"outcome": "failed"}), "starting"),
        (Evidence(1, ALIVE, ALIVE, end={"outcome": "stopped"}), "stopping"),
        (Evidence(1, ALIVE, ALIVE, end={"outcome": "finished"}, stop_requested=True), "stopping"),
        (Evidence(1, ALIVE, DEAD, stepping=True, end={"outcome": "finished"}), "finished"),
        (Evidence(1, ALIVE, DEAD, end={"outcome": "failed"}), "failed"),
        (Evidence(1, ALIVE, DEAD, stepping=True), "stopping"),
        (Evidence(1, DEAD, DEAD, stepping=True), "crashed"),
        (Evidence(1, DEAD, None), "crashed"),
        (Evidence(1, DEAD, DEAD, rebooted=True), "crashed"),
        (Evidence(1, DEAD, DEAD, stop_requested=True), "crashed"),
        (Evidence(1, DEAD, DEAD, end={"outcome": "finished"}), "finished"),
        (Evidence(1, DEAD, DEAD, end={"outcome": "stopped"}), "stopped"),
        (Evidence(1, DEAD, DEAD, end={"outcome": "failed"}), "failed"),
        (Evidence(1, DEAD, DEAD, end={"outcome": "what?"}), "crashed"),
        (Evidence(1, DEAD, DEAD, exit={"outcome": "crashed"}, end={"outcome": "finished"}), "crashed"),
        (Evidence(2, exit={"outcome": "stopped"}, stop_requested=True), "stopped"),
        (Evidence(1, UNKNOWN, UNKNOWN, stepping=True), "running"),
        (Evidence(1, UNKNOWN, UNKNOWN, silent_seconds=LONG), "stalled"),
        (Evidence(1, UNKNOWN, UNKNOWN, silent_seconds=lifecycle.LOST_SECONDS), "crashed"),
        (Evidence(1, UNKNOWN, UNKNOWN, end={"outcome": "finished"}), "finished"),
    ],
)
def test_the_state_is_what_the_evidence_proves(evidence, state):
    assert derive(evidence).state == state


def test_reasons_are_in_plain_words():
    assert "restarted" in derive(Evidence(1, DEAD, DEAD, rebooted=True)).reason
    assert "silent for 2 min" in derive(Evidence(1, ALIVE, ALIVE, silent_seconds=LONG)).reason
    assert (
        derive(Evidence(1, exit={"outcome": "failed", "reason": "out of memory"})).reason == "out of memory"
    )


def me(**changes):
    return {**process.identify(os.getpid()).to_dict(), **changes}


def make_run(workspace, name="run-1", *, supervisor=None, trainer=None, attempt=1, step=5, end=""):
    rundir = RunDir(workspace.runs / name)
    rundir.path.mkdir(parents=True)
    if supervisor is not None:
        replace_json(
            rundir.proc_path,
            {"attempt": attempt, "started": 1.0, "supervisor": supervisor, "trainer": trainer},
        )
    with EventWriter(rundir, attempt) as events:
        events.emit("attempt", pid=1)
        for number in range(1, step + 1):
            events.emit(
                "step", step=number, steps=10, loss=1.0 / number, tokens_per_second=7.0, step_time=2.0
            )
        if end:
            events.emit("end", outcome=end, message="as told")
    return rundir


@pytest.fixture
def workspace(tmp_path):
    return Workspace(tmp_path)


DEAD_PID = {"pid": 2**22 - 3}


def test_alive_means_pid_boot_and_start_time_match(workspace):
    assert run_state(make_run(workspace, "a", supervisor=me(), trainer=me())) == "running"
    # The pid lives, but it is somebody else's: reused.
    reused = me(start_ticks=process.identify(os.getpid()).start_ticks - 1)
    assert run_state(make_run(workspace, "b", supervisor=reused, trainer=reused)) == "crashed"
    # The same pid and start time, before the machine was restarted.
    earlier = me(boot_id="another boot")
    rebooted = make_run(workspace, "c", supervisor=earlier, trainer=earlier)
    assert summarize(rebooted).state == "crashed"
    assert "restarted" in summarize(rebooted).reason


def test_a_zombie_is_dead(workspace):
    child = os.fork()
    if child == 0:
        os._exit(0)
    try:
        os.waitid(os.P_PID, child, os.WEXITED | os.WNOWAIT)
        assert process.identify(child) is None
        stat = process._stat(child)
        assert stat is not None
        zombie = me(pid=child, start_ticks=stat[1])
        assert run_state(make_run(workspace, supervisor=zombie, trainer=zombie)) == "crashed"
    finally:
        os.waitpid(child, 0)


def test_a_run_on_another_machine_is_judged_by_its_heartbeat(workspace, monkeypatch):
    far = me(boot_id="theirs", host=socket.gethostname() + "-2")
    rundir = make_run(workspace, supervisor=far, trainer=far)
    assert run_state(rundir) == "running"
    old = time.time() - lifecycle.LOST_SECONDS - 5
    for path in (rundir.events_path, rundir.proc_path):
        os.utime(path, (old, old))
    monkeypatch.setattr(evidence_module, "_silence", evidence_module._Silence())
    assert run_state(rundir) == "crashed"


def test_silence_is_not_fooled_by_a_clock_that_jumps(workspace, monkeypatch):
    rundir = make_run(workspace, supervisor=me(), trainer=me())
    assert run_state(rundir) == "running"
    real = time.time()
    monkeypatch.setattr(time, "time", lambda: real + 86_400)
    assert run_state(rundir) == "running"
    monkeypatch.setattr(time, "time", lambda: real - 86_400)
    assert run_state(rundir) == "running"


def test_a_silent_heartbeat_is_a_stall(workspace, monkeypatch):
    rundir = make_run(workspace, supervisor=me(), trainer=me())
    assert run_state(rundir) == "running"
    now = time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: now + LONG)
    assert run_state(rundir) == "stalled"
    with EventWriter(rundir, 1) as events:
        events.emit("heartbeat", stage="step")
    assert run_state(rundir) == "running"


def test_an_exit_record_of_an_earlier_attempt_does_not_count(workspace):
    rundir = make_run(workspace, supervisor=me(), trainer=me(), attempt=2)
    replace_json(rundir.exit_path, {"attempt": 1, "outcome": "stopped"})
    assert run_state(rundir) == "running"
    replace_json(rundir.exit_path, {"attempt": 2, "outcome": "stopped"})
    assert run_state(rundir) == "stopped"


def test_the_summary_takes_the_newest_figures(workspace):
    rundir = make_run(workspace, supervisor=me(), trainer=me())
    run = summarize(rundir)
    assert (run.step, run.steps, run.loss, run.tokens_per_second) == (5, 10, 0.2, 7.0)
    assert run.eta_seconds == 10.0
    assert run.eval_loss is None
    assert run.pid == os.getpid()
    rundir.write_status(step=4, eval_loss=0.9, eta_seconds=33.0)
    run = summarize(rundir)
    assert (run.step, run.eval_loss, run.eta_seconds) == (5, 0.9, 33.0)
    rundir.write_status(step=4, eval_loss=0.9, eta_seconds=None)
    assert summarize(rundir).eta_seconds is None


def test_runs_are_listed_newest_first_and_damage_is_not_fatal(workspace):
    for number, name in enumerate(["old", "new"]):
        rundir = make_run(workspace, name, supervisor=me(**DEAD_PID), trainer=me(**DEAD_PID), end="finished")
        replace_json(rundir.manifest_path, {"name": f"name {name}", "created": 100.0 + number})
    broken = RunDir(workspace.runs / "broken")
    broken.path.mkdir()
    for path in (
        broken.manifest_path,
        broken.proc_path,
        broken.events_path,
        broken.exit_path,
        broken.status_path,
    ):
        path.write_bytes(b'{"attempt": "x", \xff\0')
    (workspace.runs / "stray file").touch()
    (workspace.runs / ".trash").mkdir()
    listed = list_runs(workspace)
    assert [run.id for run in listed] == ["broken", "new", "old"]
    assert [run.state for run in listed[1:]] == ["finished", "finished"]
    assert listed[1].name == "name new"


def test_an_ended_run_is_read_again_when_its_files_change(workspace):
    rundir = make_run(workspace, supervisor=me(**DEAD_PID), trainer=me(**DEAD_PID))
    assert list_runs(workspace)[0].state == "crashed"
    assert list_runs(workspace)[0] is list_runs(workspace)[0]
    replace_json(rundir.exit_path, {"attempt": 1, "outcome": "stopped", "ended": 5.0})
    run = list_runs(workspace)[0]
    assert (run.state, run.ended) == ("stopped", 5.0)


def test_no_runs_yet_is_an_empty_list(workspace):
    assert list_runs(workspace) == []


def test_a_run_is_found_by_its_id_its_beginning_or_last(workspace):
    for name in ("tickets-0412-153012", "tickets-0412-160000", "mail-0101-000000"):
        make_run(workspace, name, supervisor=me(**DEAD_PID), end="finished")
    assert find_run(workspace, "mail").id == "mail-0101-000000"
    assert find_run(workspace, "tickets-0412-153012").id == "tickets-0412-153012"
    assert find_run(workspace, "last").id in {run.id for run in list_runs(workspace)}
    for text in ("tickets", "nothing", "", "../runs", "last-one"):
        with pytest.raises(FtuiError):
            find_run(workspace, text)


def test_a_supervisor_that_dies_while_it_is_looked_at_hides_no_trainer(workspace, monkeypatch):
    rundir = make_run(workspace, supervisor=me(), trainer=None)
    looks = [ALIVE]
    monkeypatch.setattr(process, "liveness", lambda who: looks.pop() if looks else DEAD)
    assert run_state(rundir) == "running"


def test_a_long_evaluation_is_running_though_the_last_step_is_far_back(workspace):
    rundir = make_run(workspace, supervisor=me(), trainer=me())
    with EventWriter(rundir, 1) as events:
        for done in range(500):
            events.emit("progress", stage="evaluate", done=done, total=1000, unit="rows", note="")
    assert run_state(rundir) == "running"


def test_what_a_full_disk_kept_from_the_events_is_told_by_the_status(workspace):
    rundir = make_run(workspace, supervisor=me(), trainer=me())
    rundir.write_status(step=9, steps=10, loss=0.05, tokens_per_second=3.0)
    run = summarize(rundir)
    assert (run.step, run.steps, run.loss, run.tokens_per_second) == (9, 10, 0.05, 3.0)
    with EventWriter(rundir, 1) as events:
        events.emit("step", step=10, steps=10, loss=0.04, tokens_per_second=7.0, step_time=2.0)
    assert (summarize(rundir).step, summarize(rundir).loss) == (10, 0.04)


def test_a_run_whose_record_of_processes_is_lost_ended_as_its_other_files_say(workspace):
    rundir = make_run(workspace, supervisor=me(**DEAD_PID), trainer=me(**DEAD_PID), end="finished")
    rundir.proc_path.unlink()
    assert run_state(rundir) == "finished"
    replace_json(rundir.exit_path, {"attempt": 1, "outcome": "failed", "reason": "out of memory"})
    run = summarize(rundir)
    assert (run.state, run.reason, run.attempts) == ("failed", "out of memory", 1)


def test_a_run_made_in_the_future_by_a_clock_since_set_back_does_not_start_for_ever(workspace):
    rundir = RunDir(workspace.runs / "run-1")
    rundir.path.mkdir(parents=True)
    assert run_state(rundir) == "starting"
    later = time.time() + 86_400
    os.utime(rundir.path, (later, later))
    assert run_state(rundir) == "crashed"


def test_a_resumed_run_that_starts_says_nothing_of_the_attempt_before(workspace):
    rundir = make_run(workspace, supervisor=me(**DEAD_PID), trainer=me(**DEAD_PID), end="stopped")
    with EventWriter(rundir, 1) as events:
        events.emit("heartbeat", stage="train")
    rundir.write_status(stage="stopped", step=5)
    replace_json(
        rundir.proc_path, {"attempt": 2, "started": time.time() + 1, "supervisor": me(), "trainer": me()}
    )
    run = summarize(rundir)
    assert (run.state, run.stage, run.step) == ("starting", "", 5)
    with EventWriter(rundir, 2) as events:
        events.emit("attempt", pid=1)
        events.emit("progress", stage="load", done=1, total=2)
    assert summarize(rundir).stage == "load"


def test_an_end_is_not_taken_from_the_record_of_an_earlier_attempt(workspace):
    rundir = make_run(workspace, supervisor=me(**DEAD_PID), trainer=me(**DEAD_PID), attempt=2)
    replace_json(rundir.exit_path, {"attempt": 1, "outcome": "stopped", "ended": 5.0})
    run = summarize(rundir)
    assert run.state == "crashed"
    assert run.ended > 5.0
    replace_json(rundir.exit_path, {"attempt": 2, "outcome": "stopped", "ended": 6.0})
    assert summarize(rundir).ended == 6.0


def test_the_checkpoints_of_a_run_that_lives_are_not_listed_at_each_look(workspace, monkeypatch):
    def listed(rundir):
        raise AssertionError(rundir)

    monkeypatch.setattr(evidence_module, "checkpoint_step", listed)
    assert summarize(make_run(workspace, supervisor=me(), trainer=me())).active
    with pytest.raises(AssertionError):
        summarize(make_run(workspace, "gone", supervisor=me(**DEAD_PID), trainer=me(**DEAD_PID)))


def test_a_hint_is_a_command_that_can_be_typed(workspace):
    rundir = make_run(workspace, "run-7", supervisor=me(**DEAD_PID), trainer=me(**DEAD_PID))
    assert summarize(rundir).hint == "`ftui runs resume run-7` starts it over from step 0"
    for step in (3, 12):
        (rundir.checkpoints / f"step-{step}").mkdir(parents=True)
    (rundir.checkpoints / "step-3" / "complete").touch()
    assert summarize(rundir).hint == "`ftui runs resume run-7` goes on from step 3", "12 is half a checkpoint"
    assert "`ftui runs resume run-7`" in derive(Evidence(0, age_seconds=3600, run="run-7")).hint
    assert "`ftui runs stop run-7 --now`" in derive(Evidence(1, ALIVE, silent_seconds=LONG, run="run-7")).hint


def test_a_folder_that_holds_nothing_of_a_run_is_none(workspace):
    make_run(workspace, "run-1", supervisor=me(**DEAD_PID), end="finished")
    made = workspace.runs / "tickets-0412"
    made.mkdir()
    (made / "notes.txt").touch()
    assert [run.id for run in list_runs(workspace)] == ["run-1"]
    with pytest.raises(FtuiError, match="no such run"):
        find_run(workspace, "tickets-0412")
    (made / "recipe.toml").touch()  # it was one about to be made
    assert {run.id for run in list_runs(workspace)} == {"run-1", "tickets-0412"}
    assert find_run(workspace, "tickets").id == "tickets-0412"


def test_events_that_cannot_be_read_are_said_first(workspace):
    rundir = make_run(workspace, supervisor=me(**DEAD_PID), trainer=me(**DEAD_PID))
    rundir.events_path.write_bytes(bytes(range(256)) * 40)
    assert summarize(rundir).reason == "its events cannot be read; it was killed without a word"
    replace_json(rundir.exit_path, {"attempt": 1, "outcome": "finished"})
    assert summarize(rundir).reason == "its events cannot be read"
    rundir.events_path.write_bytes(b"")
    assert summarize(rundir).reason == ""

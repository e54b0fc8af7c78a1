"""A machine in trouble: full and read-only disks, restarts, reused pids, stopped processes, clocks that jump."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from click.testing import CliRunner

from ftui.cli.runs import command
from ftui.core.errors import FtuiError
from ftui.runs import control, lifecycle, process
from ftui.runs.evidence import supervisor_of, trainer_of
from ftui.runs.rundir import RunDir
from ftui.runs.state import list_runs, run_state, summarize
from tests.kill_matrix import assert_goes_on_to_its_end, written
from tests.runs_support import (
    end_everything,
    events_of,
    fake_trainer,
    kill,
    kill_supervisor,
    kill_trainer,
    make_workspace,
    nothing_left,
    start,
    until,
    until_state,
    until_stepping,
)
from tests.screen_process import ScreenProcess


def mount(*words: str) -> bool:
    done = subprocess.run(["mount", *words], capture_output=True, check=False)
    return done.returncode == 0


@pytest.fixture
def small_disk(tmp_path):
    """A workspace on a disk of its own with room for two megabytes."""
    place = tmp_path / "disk"
    place.mkdir()
    if not mount("-t", "tmpfs", "-o", "size=2m", "tmpfs", str(place)):
        pytest.skip("may not mount a disk here")
    workspace = make_workspace(place / "ws")
    try:
        yield workspace
    finally:
        end_everything(workspace)
        subprocess.run(["umount", "-l", str(place)], check=True)


@pytest.fixture
def read_only(request):
    """Makes a folder one that nobody can write; root too, who does not ask for permissions."""

    def make(folder):
        if os.geteuid():
            folder.chmod(0o555)
            request.addfinalizer(lambda: folder.chmod(0o755))
            return
        if not mount("--bind", "-o", "ro", str(folder), str(folder)):
            pytest.skip("may not mount a disk here")
        request.addfinalizer(lambda: subprocess.run(["umount", "-l", str(folder)], check=True))

    return make


def fill(folder) -> None:
    """Takes all the room there is."""
    with (folder / "ballast").open("ab", buffering=0) as file:
        for size in (65536, 512, 1):
            try:
                while True:
                    file.write(b"x" * size)
            except OSError:
                continue


# -- full disk -------------------------------------------------------------------------------------


def test_a_full_disk_ends_no_run_and_is_told_of_once_there_is_room(small_disk):
    rundir = start(small_disk)
    until_stepping(rundir)
    fill(small_disk.root)
    before = written(rundir)
    # Empty files need no room: its checkpoints show that it goes on where its events cannot.
    until(lambda: control.checkpoint_step(rundir) > written(rundir).count(b'"type":"step"') + 5)
    assert run_state(rundir) == "running"
    (small_disk.root / "ballast").unlink()
    notice = until(lambda: next((event for event in events_of(rundir) if event["type"] == "notice"), None))
    assert "could not be written" in notice["message"]
    assert notice["hint"] == "free disk space"
    assert written(rundir).startswith(before)
    control.stop(rundir)
    until_state(rundir, "stopped")


def test_a_run_that_ends_on_a_full_disk_is_told_of_once_there_is_room(small_disk):
    rundir = start(small_disk)
    until_stepping(rundir)
    fill(small_disk.root)
    before = written(rundir)
    kill_trainer(rundir)
    until(lambda: process.liveness(trainer_of(rundir)) is process.Liveness.DEAD)
    assert run_state(rundir) == "stopping", "its supervisor waits for room to say how it ended"
    (small_disk.root / "ballast").unlink()
    until_state(rundir, "crashed")
    assert "SIGKILL" in summarize(rundir).reason
    until(lambda: nothing_left(rundir))
    assert_goes_on_to_its_end(rundir, before, 200, fake_trainer(200))


def test_stop_now_works_on_a_full_disk(small_disk, monkeypatch):
    monkeypatch.setattr(control, "_TERM_SECONDS", 0.2)
    monkeypatch.setattr(control, "_RECORD_SECONDS", 0.2)
    rundir = start(small_disk, 100_000, "worker")
    until_stepping(rundir)
    fill(small_disk.root)
    control.stop(rundir, now=True, grace_seconds=0.2)
    assert nothing_left(rundir)
    (small_disk.root / "ballast").unlink()
    assert run_state(rundir) in ("stopped", "crashed")


def test_nothing_is_started_on_a_full_disk_and_nothing_stays_behind(small_disk):
    fill(small_disk.root)
    with pytest.raises(FtuiError, match=r"No space left|cannot"):
        start(small_disk)
    assert list_runs(small_disk) == []


def test_a_file_that_may_grow_no_further_ends_no_run(workspace):
    """A quota or a limit of the shell's: as a full disk, for one file."""
    code = (
        "import resource, sys\nfrom pathlib import Path\nfrom ftui.runs.workspace import Workspace\n"
        "from tests.runs_support import start\nresource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))\n"
        "print(start(Workspace(Path(sys.argv[1])), 150).path)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(workspace.root)],
        env=process.child_environment(), capture_output=True, text=True, timeout=180, check=True,
    )  # fmt: skip
    rundir = RunDir(Path(done.stdout.strip()))
    until_state(rundir, "finished")
    assert written(rundir).endswith(b"\n"), "no half line at its end"
    assert (summarize(rundir).step, summarize(rundir).steps) == (150, 150), "told by its status"


# -- a directory that cannot be written -----------------------------------------------------------------


def test_a_finished_run_on_a_read_only_disk_is_shown(workspace, read_only, tmp_path):
    rundir = start(workspace, 12)
    until_state(rundir, "finished")
    until(rundir.read_exit)
    read_only(workspace.root)
    assert [(run.state, run.step) for run in list_runs(workspace)] == [("finished", 12)]
    for words in ([], ["show", "last"], ["events", "last"]):
        shown = CliRunner().invoke(command, [*words, "--workspace", str(workspace.root)])
        assert shown.exception is None
        assert shown.stdout
    for change in (control.delete, control.resume, control.stop):
        with pytest.raises(FtuiError):
            change(rundir)
    screen = ScreenProcess(workspace.root, tmp_path)
    try:
        screen.open_train()
        until(lambda: screen.wrote("tickets", "12"))
    finally:
        screen.close()


def test_a_stop_that_cannot_be_left_says_so_in_a_line_and_force_ends_the_run(
    workspace, read_only, monkeypatch
):
    monkeypatch.setattr(control, "_TERM_SECONDS", 0.2)
    monkeypatch.setattr(control, "_RECORD_SECONDS", 0.2)
    rundir = start(workspace, 100_000, "worker")
    until_stepping(rundir)
    read_only(rundir.control)
    with pytest.raises(FtuiError, match="cannot leave the request") as caught:
        control.stop(rundir)
    assert "--now" in caught.value.hint
    assert "\n" not in str(caught.value)
    assert run_state(rundir) == "running"
    assert control.stop(rundir, now=True, grace_seconds=0.1) in ("stopped", "crashed")
    assert nothing_left(rundir)


def test_a_run_that_crashed_on_a_disk_now_read_only_is_not_resumed(workspace, read_only):
    rundir = start(workspace)
    until_stepping(rundir)
    control.stop(rundir)
    until_state(rundir, "stopped")
    until(lambda: nothing_left(rundir))
    read_only(rundir.path)
    with pytest.raises(FtuiError) as caught:
        control.resume(rundir)
    assert "\n" not in str(caught.value)
    assert run_state(rundir) == "stopped"


# -- restarts and other people's processes ------------------------------------------------------------------


def test_after_a_restart_of_the_machine_the_run_has_crashed_and_goes_on(workspace):
    rundir = start(workspace, 12, "training")
    until_stepping(rundir, 7)
    for who in (supervisor_of(rundir), trainer_of(rundir)):
        kill(who)
    until(lambda: nothing_left(rundir))
    before, record = written(rundir), rundir.read_proc()
    for who in ("supervisor", "trainer"):
        # The numbers live again, as something else, after the restart.
        record[who] |= {"boot_id": "before the restart", "pid": os.getpid()}
    rundir.proc_path.write_text(json.dumps(record))
    run = summarize(rundir)
    assert (run.state, run.reason) == ("crashed", "the machine was restarted")
    with pytest.raises(FtuiError, match="crashed"):
        control.stop(rundir, now=True)
    assert_goes_on_to_its_end(rundir, before, 12, fake_trainer(12))


def test_a_process_that_got_the_number_of_a_dead_one_is_left_alone(workspace):
    rundir = start(workspace, 12, "training")
    until_stepping(rundir, 7)
    kill_supervisor(rundir)
    kill_trainer(rundir)
    until_state(rundir, "crashed")
    innocent = subprocess.Popen([sys.executable, "-c", "import signal; signal.pause()"], process_group=0)
    try:
        record = rundir.read_proc()
        for who in ("supervisor", "trainer"):
            record[who]["pid"] = innocent.pid
        rundir.proc_path.write_text(json.dumps(record))
        assert run_state(rundir) == "crashed"
        with pytest.raises(FtuiError):
            control.stop(rundir, now=True)
        assert control.resume(rundir, trainer_command=fake_trainer(12)).step == 5
        until_state(rundir, "finished")
        assert innocent.poll() is None
    finally:
        innocent.kill()
        innocent.wait()


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b'{"attempt": "x", "supervisor": 3, "trainer": [1]}', None]
)
def test_a_damaged_record_of_its_processes_hides_no_run_and_none_is_left_behind(workspace, content):
    rundir = start(workspace, 100_000, "worker")
    until_stepping(rundir, 7)
    before = written(rundir)
    if content is None:
        rundir.proc_path.unlink()
    else:
        rundir.proc_path.write_bytes(content)
    assert run_state(rundir) == "running"
    with pytest.raises(FtuiError, match="running"):
        control.resume(rundir)
    assert control.stop(rundir, now=True) == "stopped"
    assert nothing_left(rundir)
    steps = control.checkpoint_step(rundir) + 5
    assert_goes_on_to_its_end(rundir, before, steps, fake_trainer(steps))


# -- stopped processes and clocks ------------------------------------------------------------------------


def test_a_frozen_trainer_is_stalled_and_back_when_it_thaws(workspace, monkeypatch):
    rundir = start(workspace, 100_000)
    until_stepping(rundir)
    kill(trainer_of(rundir), signal.SIGSTOP)
    until(lambda: psutil.Process(trainer_of(rundir).pid).status() == psutil.STATUS_STOPPED)
    assert run_state(rundir) == "running"
    real = time.monotonic
    with monkeypatch.context() as later:
        later.setattr(time, "monotonic", lambda: real() + lifecycle.STALLED_SECONDS + 1)
        stalled = summarize(rundir)
        assert stalled.state == "stalled"
        assert "silent" in stalled.reason
        assert f"stop {rundir.id} --now" in stalled.hint
        kill(trainer_of(rundir), signal.SIGCONT)
        until_state(rundir, "running")


def test_a_trainer_that_died_under_a_frozen_supervisor_is_not_said_to_run(workspace):
    rundir = start(workspace)
    until_stepping(rundir)
    kill(supervisor_of(rundir), signal.SIGSTOP)
    kill_trainer(rundir)
    until_state(rundir, "stopping")
    kill(supervisor_of(rundir), signal.SIGCONT)
    until_state(rundir, "crashed")


def test_a_frozen_supervisor_does_not_keep_stop_now_from_ending_everything(workspace, monkeypatch):
    monkeypatch.setattr(control, "_TERM_SECONDS", 0.2)
    monkeypatch.setattr(control, "_RECORD_SECONDS", 0.2)
    rundir = start(workspace, 100_000, "worker")
    until_stepping(rundir)
    kill(supervisor_of(rundir), signal.SIGSTOP)
    assert control.stop(rundir, now=True, grace_seconds=0.5) == "stopped"
    assert nothing_left(rundir)


@pytest.mark.parametrize("days", [-400, -1, 1, 400])
def test_a_clock_that_jumps_changes_no_state_and_no_figure_is_absurd(workspace, monkeypatch, days):
    done = start(workspace, 12)
    until_state(done, "finished")
    rundir = start(workspace)
    until_stepping(rundir)
    assert run_state(rundir) == "running"
    real = time.time
    monkeypatch.setattr(time, "time", lambda: real() + days * 86_400)
    for run in list_runs(workspace):
        assert run.state == ("finished" if run.id == done.id else "running")
        assert run.eta_seconds is None or run.eta_seconds >= 0
        assert run.ended is None or run.ended >= run.started
    control.stop(rundir)
    until_state(rundir, "stopped")

"""The real trainer, on a tiny model, killed in every phase: nothing written is lost and the run ends where it should.

By default one run suffers a death in each phase; FTUI_TEST_REAL_KILLS=1 kills every group in every phase (minutes).
"""

from __future__ import annotations

import json
import os
import signal
import time

import psutil
import pytest

from ftui.runs import control, process
from ftui.runs.evidence import trainer_of
from ftui.runs.launch import launch
from ftui.runs.rundir import RunDir, last_event
from ftui.runs.state import run_state
from tests.engine.run_folder import chat_rows
from tests.kill_matrix import (
    DEAD,
    PHASES,
    assert_goes_on_to_its_end,
    assert_nothing_stays_after_stop_now,
    kill_at_once,
    state_within,
    true_state,
    written,
)
from tests.runs_support import (
    end_everything,
    events_of,
    kill,
    make_workspace,
    nothing_left,
    recipe,
    until,
    until_stepping,
)
from tests.screen_process import ScreenProcess
from tests.tiny import make_tiny_model

STEPS = 40
_PATIENCE_SECONDS = 180.0


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    return make_tiny_model(tmp_path_factory.mktemp("tiny") / "base")


@pytest.fixture
def workspace(tmp_path, monkeypatch):
    for name, value in {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": "", "HF_HUB_OFFLINE": "1"}.items():
        monkeypatch.setenv(name, value)
    workspace = make_workspace(tmp_path / "ws")
    rows = "".join(json.dumps(row) + "\n" for row in chat_rows(300))
    (workspace.datasets / "tickets.jsonl").write_text(rows)
    yield workspace
    end_everything(workspace)


def begin(workspace, tiny, **changes) -> RunDir:
    values = {
        "model.base": str(tiny),
        "quantization.bits": 16,
        "data.packing": False,
        "data.max_length": 128,
        "data.validation": 0.5,
        "adapter.rank": 4,
        "training.max_steps": STEPS,
        "training.batch_size": 4,
        "evaluation.every": 10,
        "checkpoints.every": 4,
        "logging.every": 1,
    }
    return launch(workspace, recipe(**values | changes))


def is_in(rundir: RunDir, phase: str) -> bool:
    if phase == "saving":
        return any(rundir.checkpoints.glob(".saving-*"))
    last = last_event(rundir.events_path)
    if phase == "starting":
        return (
            last.get("type") in ("attempt", "progress", "data", "heartbeat")
            and last.get("stage") != "evaluate"
        )
    if phase == "training":
        return last.get("type") == "step"
    return last.get("type") == "progress" and last.get("stage") == "evaluate"


def freeze_in(rundir: RunDir, phase: str, attempt: int) -> None:
    """Stops the trainer the moment it is in a phase of this attempt; where it was faster, at the next chance."""
    until(lambda: last_event(rundir.events_path).get("attempt") == attempt, _PATIENCE_SECONDS)
    trainer = trainer_of(rundir)
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while True:
        while not is_in(rundir, phase):
            time.sleep(0.0005)  # a checkpoint is saved in milliseconds
            assert process.liveness(trainer) is process.Liveness.ALIVE, f"ended before it was {phase}"
            assert time.monotonic() < deadline
        kill(trainer, signal.SIGSTOP)
        until(lambda: psutil.Process(trainer.pid).status() == psutil.STATUS_STOPPED)
        if is_in(rundir, phase):
            return
        kill(trainer, signal.SIGCONT)


def suffer(
    rundir: RunDir, phase: str, dead: tuple[str, ...], attempt: int, screen: ScreenProcess | None
) -> bytes:
    """One attempt until its death; returns what it had written."""
    freeze_in(rundir, phase, attempt)
    before, since = written(rundir), time.monotonic()
    kill_at_once(rundir, dead, screen)
    wanted = true_state(phase, dead)
    assert state_within(rundir, wanted, since) == wanted
    if "trainer" not in dead:
        kill(trainer_of(rundir), signal.SIGCONT)
    assert_nothing_stays_after_stop_now(rundir)
    assert written(rundir).startswith(before)
    return before


def test_a_run_that_is_killed_in_every_phase_ends_where_it_should(workspace, tiny, tmp_path):
    screen = ScreenProcess(workspace.root, tmp_path)
    try:
        rundir = begin(workspace, tiny)
        suffer(rundir, "starting", ("trainer",), 1, screen)
        control.resume(rundir)
        suffer(rundir, "training", ("supervisor", "trainer"), 2, screen)
        control.resume(rundir)
        suffer(rundir, "evaluating", ("screen", "supervisor", "trainer"), 3, screen)
        control.resume(rundir)
        before = suffer(rundir, "saving", ("trainer",), 4, screen)
    finally:
        screen.close()
    assert_goes_on_to_its_end(rundir, before, STEPS, seconds=_PATIENCE_SECONDS)
    attempts = [event for event in events_of(rundir) if event["type"] == "attempt"]
    assert [event["attempt"] for event in attempts] == [1, 2, 3, 4, 5]
    assert (rundir.adapter / "adapter_config.json").is_file()
    assert not list(rundir.checkpoints.glob(".saving-*")), "what a killed save has left is cleared away"


def test_stop_now_leaves_no_worker_of_a_run_of_two_processes(workspace, tiny, monkeypatch):
    monkeypatch.setattr(control, "_TERM_SECONDS", 0.2)
    changes = {"launch.processes": 2, "training.max_steps": 100_000, "evaluation.every": 0}
    rundir = begin(workspace, tiny, **changes)
    until(lambda: events_of(rundir), _PATIENCE_SECONDS)
    until_stepping(rundir, 2)
    (worker,) = psutil.Process(trainer_of(rundir).pid).children(recursive=True)
    assert len(list(process.processes_of(rundir.path))) == 3
    assert control.stop(rundir, now=True, grace_seconds=0.0) == "stopped"
    assert nothing_left(rundir)
    until(lambda: not worker.is_running() or worker.status() == psutil.STATUS_ZOMBIE)


@pytest.mark.skipif(
    "FTUI_TEST_REAL_KILLS" not in os.environ, reason="takes minutes: FTUI_TEST_REAL_KILLS=1 asks for it"
)
@pytest.mark.parametrize("dead", DEAD, ids="+".join)
@pytest.mark.parametrize("phase", PHASES)
def test_whoever_is_killed_in_whatever_phase(workspace, tiny, tmp_path, phase, dead):
    """Every group in every phase, where FTUI_TEST_REAL_KILLS is set. FTUI_TEST_KILLS, a number, is of other tests."""
    screen = ScreenProcess(workspace.root, tmp_path) if "screen" in dead else None
    try:
        if screen is not None:
            screen.open_train()
        rundir = begin(workspace, tiny)
        before = suffer(rundir, phase, dead, 1, screen)
    finally:
        if screen is not None:
            screen.close()
    assert run_state(rundir) in ("stopped", "crashed")
    assert_goes_on_to_its_end(rundir, before, STEPS, seconds=_PATIENCE_SECONDS)

"""Whoever is killed in whatever phase: the state shown is true, nothing written is lost, the run can go on.

The trainer here only pretends, so that every phase can be stayed in; `test_runs_kill_matrix_real.py` kills real ones.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

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
from tests.runs_support import end_everything, events_of, fake_trainer, make_workspace, start, until
from tests.screen_process import ScreenProcess

if TYPE_CHECKING:
    from ftui.runs.rundir import RunDir

STEPS = 12
_STAGES = {"starting": "load", "training": "train", "evaluating": "evaluate", "saving": "checkpoint"}


@dataclass
class Cell:
    """A run after its deaths. before: the bytes of its events by then. state: what was shown within the time."""

    phase: str
    dead: tuple[str, ...]
    rundir: RunDir
    before: bytes = b""
    state: str = ""


@pytest.fixture(scope="module", params=PHASES)
def cells(request, tmp_path_factory):
    """A run for each group of the dead, all in one phase, on one workspace with a real screen open on it."""
    folder = tmp_path_factory.mktemp(request.param)
    workspace = make_workspace(folder / "ws")
    screen = ScreenProcess(workspace.root, folder)
    try:
        screen.open_train()
        made = [Cell(request.param, dead, start(workspace, STEPS, "worker", request.param)) for dead in DEAD]
        for cell in made:
            until(lambda cell=cell: is_held(cell))
        until(lambda: screen.wrote("tickets"))
        screen.forget()
        hit([cell for cell in made if "screen" not in cell.dead], screen)
        until(lambda: screen.wrote("✗"))
        hit([cell for cell in made if "screen" in cell.dead], screen)
        yield {cell.dead: cell for cell in made}
    finally:
        screen.close()
        end_everything(workspace)


def is_held(cell: Cell) -> bool:
    last = events_of(cell.rundir)[-1:]
    return bool(last) and last[0].get("stage") == _STAGES[cell.phase] and last[0]["type"] == "heartbeat"


def hit(cells: list[Cell], screen: ScreenProcess) -> None:
    since = time.monotonic()
    for cell in cells:
        cell.before = written(cell.rundir)
        kill_at_once(cell.rundir, cell.dead, screen)
    for cell in cells:
        cell.state = state_within(cell.rundir, true_state(cell.phase, cell.dead), since)


@pytest.mark.parametrize("dead", DEAD, ids="+".join)
def test_the_state_is_true_nothing_is_lost_and_the_run_goes_on_to_its_end(cells, dead):
    cell = cells[dead]
    assert cell.state == true_state(cell.phase, dead)
    assert written(cell.rundir).startswith(cell.before)
    assert_nothing_stays_after_stop_now(cell.rundir)
    assert_goes_on_to_its_end(cell.rundir, cell.before, STEPS, fake_trainer(STEPS, "worker"))

"""Shared by the tests of runs: waiting for conditions, a workspace, and a trainer that only pretends."""

from __future__ import annotations

import json
import signal
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ftui.core.recipe import Recipe, parse_recipe
from ftui.runs import process
from ftui.runs.evidence import supervisor_of, trainer_of
from ftui.runs.launch import launch
from ftui.runs.queue_files import set_paused
from ftui.runs.queue_kick import runner_of
from ftui.runs.rundir import RunDir
from ftui.runs.state import ENDED, run_state
from ftui.runs.tail import EventTail
from ftui.runs.workspace import Workspace

if TYPE_CHECKING:
    from collections.abc import Callable

ROW = {"messages": [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "hello"}]}
_FAKE = Path(__file__).parent / "e2e" / "fake_trainer.py"


def until(condition: Callable[[], Any], seconds: float = 180.0) -> Any:
    """Waits for `condition` to be true and returns what it said; fails with that at the deadline."""
    deadline = time.monotonic() + seconds
    while not (answer := condition()):
        assert time.monotonic() < deadline, f"still {answer!r} after {seconds} s"
        time.sleep(0.02)
    return answer


def make_workspace(root: Path) -> Workspace:
    """A workspace with one small dataset and a recipe, `recipes/tickets.toml`, that trains on it."""
    workspace = Workspace(root.resolve())
    workspace.ensure()
    workspace.datasets.mkdir()
    (workspace.datasets / "tickets.jsonl").write_text(json.dumps(ROW) + "\n")
    workspace.recipes.mkdir()
    (workspace.recipes / "tickets.toml").write_text(recipe().to_toml())
    return workspace


def recipe(**changes: Any) -> Recipe:
    base = parse_recipe({"schema": 1, "name": "tickets", "data": {"train": "datasets/tickets.jsonl"}})
    return base.with_values(changes) if changes else base


def fake_trainer(steps: int, *traits: str) -> list[str]:
    return [sys.executable, str(_FAKE), str(steps), *traits]


def start(workspace: Workspace, steps: int = 100_000, *traits: str) -> RunDir:
    """A run whose trainer only pretends, for `steps` steps."""
    return launch(workspace, recipe(), trainer_command=fake_trainer(steps, *traits))


def events_of(rundir: RunDir) -> list[dict[str, Any]]:
    return EventTail(rundir.events_path).read(100_000)


def until_state(rundir: RunDir, *wanted: str, seconds: float = 180.0) -> str:
    return until(lambda: state if (state := run_state(rundir)) in wanted else None, seconds)


def until_stepping(rundir: RunDir, step: int = 1) -> None:
    until(lambda: any(event.get("step", 0) >= step for event in events_of(rundir) if event["type"] == "step"))


def kill(who: process.ProcessId | None, number: signal.Signals = signal.SIGKILL) -> None:
    assert who is not None
    assert process.send(who, number)


def kill_supervisor(rundir: RunDir) -> None:
    kill(supervisor_of(rundir))


def kill_trainer(rundir: RunDir) -> None:
    kill(until(lambda: trainer_of(rundir)))


def nothing_left(rundir: RunDir) -> bool:
    return not list(process.processes_of(rundir.path))


def end_everything(workspace: Workspace) -> None:
    """Leaves no process behind, whatever a test did."""
    if not workspace.runs.is_dir():
        return
    set_paused(workspace, True)  # what ends now must not let the next one start
    if (runner := runner_of(workspace)) is not None:
        process.send(runner, signal.SIGKILL)
    for path in workspace.runs.iterdir():
        for stray in list(process.processes_of(path)):
            process.send(stray, signal.SIGKILL)


__all__ = [
    "ENDED",
    "end_everything",
    "events_of",
    "fake_trainer",
    "make_workspace",
    "recipe",
    "start",
    "until",
]

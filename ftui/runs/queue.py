"""The queue of runs: put one in, look at the order, change it, stop and go. Starting them is the runner's job."""

from __future__ import annotations

import os
import time
from dataclasses import replace
from typing import TYPE_CHECKING

from ftui.core.errors import FtuiError
from ftui.core.hardware import show_size
from ftui.gpu import nvml
from ftui.runs import control
from ftui.runs.devices import CPU, VISIBLE, free_memory, show_device, visible_devices
from ftui.runs.launch import hashed, make_run, plain_name
from ftui.runs.manifest import find_inputs
from ftui.runs.memory_need import memory_need
from ftui.runs.queue_files import (
    KEPT_VARIABLES,
    Entry,
    in_order,
    is_paused,
    is_waiting,
    locked,
    next_order,
    place,
    set_paused,
    waiting_dirs,
    write_entry,
)
from ftui.runs.queue_kick import kick

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from ftui.core.recipe import Recipe
    from ftui.runs.rundir import RunDir
    from ftui.runs.workspace import Workspace

__all__ = ["dequeue", "enqueue", "go", "is_paused", "kick", "move", "move_to", "pause", "queued"]


def enqueue(
    workspace: Workspace,
    recipe: Recipe,
    *,
    recipe_path: Path | None = None,
    name: str | None = None,
    command: str = "",
    needs: int | None = None,
) -> RunDir:
    """Makes a run of `recipe` that is started when its turn has come, and returns its directory.

    Recipe and data are those of now: the data is hashed, and a run whose data was changed meanwhile refuses
    to start. needs: bytes of memory that must be free; by default what the run is estimated to use. Raises
    FtuiError when a file is missing, the workspace cannot be written, or no device here has so much memory.
    """
    if name:
        recipe = recipe.with_values({"name": plain_name(name)})
    inputs = find_inputs(workspace, recipe, recipe_path)
    if needs is not None:
        _refuse_impossible(workspace, recipe, needs)
    workspace.ensure()
    manifest = hashed(workspace, inputs)
    entry = Entry(
        needs=needs,
        estimate=memory_need(workspace, recipe, recipe_path),
        processes=recipe.launch.processes,
        queued=time.time(),
        environment={variable: os.environ.get(variable) for variable in KEPT_VARIABLES},
    )
    with locked(workspace.runs):
        order = next_order(in_order(waiting_dirs(workspace.runs)))
        rundir = make_run(workspace, inputs, manifest, command, replace(entry, order=order))
    kick(workspace)
    return rundir


def queued(workspace: Workspace) -> list[RunDir]:
    """The queued runs, the next one first."""
    return [rundir for rundir, _ in in_order(waiting_dirs(workspace.runs))]


def move(workspace: Workspace, rundir: RunDir, by: int) -> int:
    """Moves a queued run `by` places, earlier where negative, and returns its place, 1 for the next.

    Raises FtuiError when it is not queued, perhaps no longer, or the queue cannot be written.
    """
    with locked(workspace.runs):
        return _place(workspace, rundir, lambda index: index + by)


def move_to(workspace: Workspace, rundir: RunDir, position: int) -> int:
    """Moves a queued run to a place, 1 for the next; returns the place it got. Raises as `move`."""
    with locked(workspace.runs):
        return _place(workspace, rundir, lambda _: position - 1)


def dequeue(workspace: Workspace, rundir: RunDir) -> Path:
    """Takes a run out of the queue: into the trash, from where `control.restore` queues it again.

    Raises FtuiError when it is not queued, perhaps no longer.
    """
    _refuse_started(rundir)
    return control.delete(rundir)


def pause(workspace: Workspace) -> None:
    """No further queued run is started; those at work go on. Raises FtuiError."""
    set_paused(workspace, True)


def go(workspace: Workspace) -> None:
    """Queued runs are started again. Raises FtuiError."""
    set_paused(workspace, False)
    kick(workspace)


def _place(workspace: Workspace, rundir: RunDir, to: Callable[[int], int]) -> int:
    _refuse_started(rundir)
    entries = in_order(waiting_dirs(workspace.runs))
    index = next((number for number, (one, _) in enumerate(entries) if one.id == rundir.id), None)
    if index is None:
        raise FtuiError("the run is not in this queue", "", rundir.id)
    wanted = max(0, min(len(entries) - 1, to(index)))
    try:
        for one, entry in place(entries, index, wanted) if wanted != index else ():
            write_entry(one, entry)
    except OSError as error:
        raise FtuiError(f"cannot change the queue: {error.strerror}", "", str(rundir.queue_path)) from None
    return wanted + 1


def _refuse_started(rundir: RunDir) -> None:
    if not is_waiting(rundir):
        raise FtuiError("the run is not queued", "`ftui runs queue` lists those that are", rundir.id)


def _refuse_impossible(workspace: Workspace, recipe: Recipe, needs: int) -> None:
    """A run that waits for more than there is would wait for ever."""
    gpus, processes = nvml.snapshot(), recipe.launch.processes
    seen = visible_devices(gpus, os.environ.get(VISIBLE))
    totals = [(free_memory(device, gpus, workspace.root)[1], device) for device in seen]
    if any(total is None for total, _ in totals):
        return
    for total, device in sorted(totals, key=lambda one: -(one[0] or 0))[: max(1, processes)]:
        if total is not None and needs > total:
            where = "this machine" if device == CPU else show_device(device)
            raise FtuiError(f"{where} has {show_size(total)}", "ask for less with --needs", show_size(needs))

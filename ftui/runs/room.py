"""Whether a run that is to start now would collide with what computes on its device already."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from ftui.core.errors import FtuiError
from ftui.core.hardware import show_size
from ftui.gpu import nvml
from ftui.runs.choice import could_use, has_choice, least_disturbed, seen_by
from ftui.runs.devices import CPU, VISIBLE, devices_used, free_memory, show_device, show_devices
from ftui.runs.lease import holders
from ftui.runs.memory_need import memory_need
from ftui.runs.occupancy import look
from ftui.runs.queue_files import Entry
from ftui.runs.state import summaries

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from ftui.core.recipe import Recipe
    from ftui.runs.lease import Lease
    from ftui.runs.occupancy import Machine
    from ftui.runs.workspace import Workspace


def look_for_room(
    workspace: Workspace,
    recipe: Recipe,
    recipe_path: Path | None = None,
    *,
    anyway: bool = False,
    otherwise: str = "--queue waits for its turn, --anyway starts it now",
) -> str:
    """What to know before starting `recipe` now: who it will share its device with, or which of several GPUs
    it takes where that is not the first; "" for nothing.

    Raises FtuiError where others train or chat on every GPU it could take and what is free there is not
    enough, or not known to be; not with `anyway`. On a CPU it is only slower. otherwise: what else to do,
    said with the refusal.
    """
    gpus, visible = nvml.snapshot(), os.environ.get(VISIBLE)
    entry = Entry(processes=recipe.launch.processes, environment={VISIBLE: visible})
    devices, elsewhere = devices_used(gpus, visible, recipe.launch.processes), ""
    if choice := has_choice(entry, gpus):
        needs = memory_need(workspace, recipe, recipe_path)
        entry = Entry(processes=entry.processes, environment=entry.environment, estimate=needs)
        machine = look(workspace, summaries(workspace), gpus)
        devices = least_disturbed(entry, machine)
        elsewhere = _elsewhere(entry, devices, machine)
    others = holders(devices)
    trains = [lease for lease in others if lease.kind == "train"]
    if not others or (devices == (CPU,) and not trains):
        return elsewhere
    if devices == (CPU,):
        return f"{_named(trains)} on the CPU too: both are slower"
    needs = entry.estimate if choice else memory_need(workspace, recipe, recipe_path)
    short = _short(workspace, devices, needs)
    where = next(show_device(device) for device in devices if device in (trains or others)[0].devices)
    if short and not anyway:
        every = "no GPU is free: " if choice else ""
        raise FtuiError(f"{every}{_named(others)} on {where} already: {short}", otherwise)
    return f"{_named(others)} on {where} too: both are slower"


def training_here(devices: Sequence[str]) -> str:
    """Which run trains on one of `devices` now, for whoever wants to load a model there; "" for none."""
    trains = holders(devices, "train")
    return f"{_named(trains)} on {show_device(trains[0].devices[0])}" if trains else ""


def _elsewhere(entry: Entry, devices: tuple[str, ...], machine: Machine) -> str:
    """Where it goes and why not to the first GPU it sees; "" where it does."""
    seen = seen_by(entry, machine.gpus)
    if devices == seen[: len(devices)]:
        return ""
    passed = next(device for device in seen if device not in devices)
    return f"on {show_devices(devices)}: {_passed_over(entry, passed, machine)}"


def _passed_over(entry: Entry, device: str, machine: Machine) -> str:
    name = show_device(device)
    if holder := machine.busy.get(device):
        return f"{holder} trains on {name}"
    if chats := holders([device], "chat"):
        return f"{_named(chats)} on {name}"
    free, total = machine.memory.get(device, (None, None))
    if free is None or total is None:
        return f"{name} does not tell its memory"
    if device not in could_use(entry, machine):
        return f"{name} has only {show_size(total)}"
    return f"{name} has only {show_size(free)} free"


def _short(workspace: Workspace, devices: Sequence[str], needs: int | None) -> str:
    """Why the run does not fit beside the others; "" when it does on every device."""
    if needs is None:
        return "how much memory this run needs is not known"
    gpus = nvml.snapshot()
    for device in devices:
        free, _ = free_memory(device, gpus, workspace.root)
        if free is None:
            return "how much memory is free is not known"
        if free < needs:
            return f"{show_size(needs)} needed, {show_size(free)} free"
    return ""


def _named(found: Sequence[Lease]) -> str:
    first = next((lease for lease in found if lease.kind == "train"), found[0])
    more = f" and {len(found) - 1} more" if len(found) > 1 else ""
    return f"{first.who}{more} trains" if first.kind == "train" else f"a chat with {first.who}{more} runs"

"""Whether a run that is to start now would collide with what computes on its device already."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ftui.core.errors import FtuiError
from ftui.core.hardware import show_size
from ftui.gpu import nvml
from ftui.runs.devices import CPU, devices_here, free_memory, show_device
from ftui.runs.lease import holders
from ftui.runs.memory_need import memory_need

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from ftui.core.recipe import Recipe
    from ftui.runs.lease import Lease
    from ftui.runs.workspace import Workspace


def look_for_room(
    workspace: Workspace,
    recipe: Recipe,
    recipe_path: Path | None = None,
    *,
    anyway: bool = False,
    otherwise: str = "--queue waits for its turn, --anyway starts it now",
) -> str:
    """What to know before starting `recipe` now: who it will share its device with, "" for nobody.

    Raises FtuiError where others train or chat on its GPU and what is free there is not enough, or not known
    to be; not with `anyway`. On a CPU it is only slower. otherwise: what else to do, said with the refusal.
    """
    devices = devices_here(recipe.launch.processes)
    others = holders(devices)
    trains = [lease for lease in others if lease.kind == "train"]
    if not others or (devices == (CPU,) and not trains):
        return ""
    if devices == (CPU,):
        return f"{_named(trains)} on the CPU too: both are slower"
    needs = memory_need(workspace, recipe, recipe_path)
    short = _short(workspace, devices, needs)
    if short and not anyway:
        raise FtuiError(
            f"{_named(others)} on {show_device(devices[0])} already: {short}",
            otherwise,
        )
    return f"{_named(others)} on {show_device(devices[0])} too: both are slower"


def training_here(devices: Sequence[str]) -> str:
    """Which run trains on one of `devices` now, for whoever wants to load a model there; "" for none."""
    trains = holders(devices, "train")
    return f"{_named(trains)} on {show_device(trains[0].devices[0])}" if trains else ""


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

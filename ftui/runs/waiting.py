"""What each queued run waits for, and whether it may start: decided from one look at the machine.

In order. A run starts on the first devices of those it sees (`runs.choice`) that nobody trains on, that have
the memory it needs and that no run before it takes. One that cannot start yet keeps every device it could
start on from those behind it, so that a large run is not overtaken for ever; what it can never use, because
it does not see it or it is too small, it keeps from nobody.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ftui.core.hardware import show_size
from ftui.gpu import nvml
from ftui.runs.choice import can_ever_start, could_use, count_of, first_of, has_choice, short_of_memory
from ftui.runs.occupancy import Machine, look
from ftui.runs.queue_files import at_home, in_order
from ftui.runs.rundir import RunDir

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ftui.gpu.nvml import Gpu
    from ftui.runs.queue_files import Entry
    from ftui.runs.state import RunSummary
    from ftui.runs.workspace import Workspace

# Below this no run is started: it could not save what it makes.
LEAST_DISK = 200 * 2**20
_FOREIGN = "was queued in another place: it does not start by itself"


@dataclass(frozen=True, slots=True)
class Turn:
    """A queued run's turn. position: 1 is started next. reason: what it waits for; "" when it may start.

    hint: what to do where waiting does not help. devices: what it starts on, where it may.
    """

    rundir: RunDir
    entry: Entry
    position: int
    reason: str
    hint: str = ""
    devices: tuple[str, ...] = ()

    @property
    def ready(self) -> bool:
        return not self.reason


def turns(
    workspace: Workspace, runs: Sequence[RunSummary], gpus: Callable[[], tuple[Gpu, ...]] = nvml.snapshot
) -> list[Turn]:
    """The queued runs among `runs` (all of the workspace's) in order, as of now. gpus: asked only for those."""
    waiting = in_order([RunDir(run.path) for run in runs if run.state == "queued"])
    return decide(waiting, look(workspace, runs, gpus())) if waiting else []


def decide(waiting: Sequence[tuple[RunDir, Entry]], machine: Machine) -> list[Turn]:
    """Whose turn it is. waiting: in order."""
    found: list[Turn] = []
    kept: list[frozenset[str]] = []  # the devices that each run before keeps
    for position, (rundir, entry) in enumerate(waiting, 1):
        if not at_home(rundir, machine.root):
            found.append(Turn(rundir, entry, position, _FOREIGN, f"`ftui runs resume {rundir.id}` starts it"))
            continue
        devices = could_use(entry, machine)
        reason, chosen = _decide(entry, devices, kept, machine)
        found.append(Turn(rundir, entry, position, reason, devices=chosen))
        if chosen or can_ever_start(entry, machine):
            kept.append(frozenset(chosen or devices))
    return found


def _decide(
    entry: Entry, devices: Sequence[str], kept: Sequence[frozenset[str]], machine: Machine
) -> tuple[str, tuple[str, ...]]:
    """(what it waits for, nothing), or ("", what it starts on)."""
    if machine.paused:
        return "waits: the queue is paused", ()
    count = count_of(entry, machine.gpus)
    left = [device for device in devices if not any(device in one for one in kept)]
    if len(left) < count:
        ahead = sum(not one.isdisjoint(devices) for one in kept)
        return f"waits for its turn: {ahead} before it", ()
    if holder := machine.busy.get(""):
        return f"waits for {holder} to end", ()
    idle = [device for device in left if device not in machine.busy]
    if len(idle) >= count and machine.disk is not None and machine.disk < LEAST_DISK:
        return f"waits for {show_size(LEAST_DISK)} of free disk: {show_size(machine.disk)} now", ()
    free = [device for device in idle if not short_of_memory(entry, device, machine)]
    if len(free) >= count:
        return "", first_of(free, count, machine)
    return f"waits for {_what_for(entry, left, idle, free, machine)}", ()


def _what_for(
    entry: Entry, left: Sequence[str], idle: Sequence[str], free: Sequence[str], machine: Machine
) -> str:
    """What must happen first: any of the runs that end, or memory where nobody trains."""
    count = count_of(entry, machine.gpus)
    ways = []
    holders = list(dict.fromkeys(machine.busy[device] for device in left if device in machine.busy))
    if holders:
        ways.append(f"{_any_of(holders)} to end")
    if short := [device for device in idle if device not in free]:
        best = max(short, key=lambda device: machine.memory[device][0] or 0)
        ways.append(short_of_memory(entry, best, machine))
    if not has_choice(entry, machine.gpus):
        return ways[0]
    several = f"{count} GPUs, {len(free)} free: " if count > 1 else ""
    return several + " or for ".join(ways)


def _any_of(holders: Sequence[str]) -> str:
    if len(holders) > 2:
        return f"{holders[0]} or one of {len(holders) - 1} more"
    return " or ".join(holders)

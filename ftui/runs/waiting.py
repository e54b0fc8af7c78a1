"""What each queued run waits for, and whether it may start: decided from one look at the machine.

In order, device by device: a run that cannot start yet keeps its devices from those behind it, so that a
large one is not overtaken for ever. One that wants other devices goes on.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from ftui.core.hardware import show_size
from ftui.core.text import one_line
from ftui.gpu import nvml
from ftui.gpu.host import disk_free
from ftui.runs import process
from ftui.runs.devices import CPU, VISIBLE, devices_used, free_memory, show_device
from ftui.runs.lease import Lease, leases
from ftui.runs.lifecycle import ACTIVE
from ftui.runs.queue_files import at_home, in_order, is_paused
from ftui.runs.rundir import RunDir

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from ftui.gpu.nvml import Gpu
    from ftui.runs.queue_files import Entry
    from ftui.runs.state import RunSummary
    from ftui.runs.workspace import Workspace

# Below this no run is started: it could not save what it makes.
LEAST_DISK = 200 * 2**20
# An estimate near the whole of a GPU would wait for ever where a desktop takes a little of it.
_MOST_ESTIMATED = 0.9
_FOREIGN = "was queued in another place: it does not start by itself"


@dataclass(frozen=True, slots=True)
class Turn:
    """A queued run's turn. position: 1 is started next. reason: what it waits for; "" when it may start.

    hint: what to do where waiting does not help.
    """

    rundir: RunDir
    entry: Entry
    position: int
    reason: str
    hint: str = ""

    @property
    def ready(self) -> bool:
        return not self.reason


@dataclass(frozen=True, slots=True)
class Machine:
    """What there is to wait for.

    busy: by device, who trains on it; under "" a run that does not say where. chats: devices a chat has a
    model on. memory: (free, total) by device. root: of the workspace.
    """

    busy: Mapping[str, str] = field(default_factory=dict)
    chats: frozenset[str] = frozenset()
    memory: Mapping[str, tuple[int | None, int | None]] = field(default_factory=dict)
    gpus: tuple[Gpu, ...] = ()
    disk: int | None = None
    paused: bool = False
    root: Path = Path()


def turns(
    workspace: Workspace, runs: Sequence[RunSummary], gpus: Callable[[], tuple[Gpu, ...]] = nvml.snapshot
) -> list[Turn]:
    """The queued runs among `runs` (all of the workspace's) in order, as of now. gpus: asked only for those."""
    waiting = in_order([RunDir(run.path) for run in runs if run.state == "queued"])
    return decide(waiting, look(workspace, runs, gpus())) if waiting else []


def decide(waiting: Sequence[tuple[RunDir, Entry]], machine: Machine) -> list[Turn]:
    """Whose turn it is. waiting: in order."""
    found: list[Turn] = []
    claimed: dict[str, int] = {}  # by device: how many before it want that device
    for position, (rundir, entry) in enumerate(waiting, 1):
        if not at_home(rundir, machine.root):
            found.append(Turn(rundir, entry, position, _FOREIGN, f"`ftui runs resume {rundir.id}` starts it"))
            continue
        devices = wanted_devices(entry, machine.gpus)
        ahead = max(claimed.get(device, 0) for device in devices)
        found.append(Turn(rundir, entry, position, _reason(entry, devices, machine, ahead)))
        for device in devices:
            claimed[device] = claimed.get(device, 0) + 1
    return found


def look(workspace: Workspace, runs: Sequence[RunSummary], gpus: tuple[Gpu, ...]) -> Machine:
    """The machine as of now. Never raises."""
    busy: dict[str, str] = {}
    held = leases()
    for lease in held:
        if lease.kind == "train":
            busy.update(dict.fromkeys(lease.devices, _called(lease, workspace)))
    for run in runs:
        if run.state in ACTIVE and (devices := devices_of_run(RunDir(run.path))) is not None:
            name = one_line(run.id, 60) + (" (stalled)" if run.state == "stalled" else "")
            busy.update(dict.fromkeys(devices or ("",), name))
    names = dict.fromkeys([CPU, *devices_used(gpus, None, len(gpus))])
    return Machine(
        busy=busy,
        chats=frozenset(device for lease in held if lease.kind == "chat" for device in lease.devices),
        memory={name: free_memory(name, gpus, workspace.root) for name in names},
        gpus=gpus,
        disk=disk_free(workspace.root),
        paused=is_paused(workspace),
        root=workspace.root,
    )


def devices_of_run(rundir: RunDir) -> tuple[str, ...] | None:
    """What an active run was started on; () when it does not say. None when it runs on another machine."""
    record = rundir.read_proc()
    who = process.from_dict(record.get("trainer")) or process.from_dict(record.get("supervisor"))
    if who is not None and process.liveness(who) is process.Liveness.UNKNOWN:
        return None
    devices = record.get("devices")
    return tuple(str(device) for device in devices) if isinstance(devices, list) else ()


def wanted_devices(entry: Entry, gpus: tuple[Gpu, ...]) -> tuple[str, ...]:
    """The devices a queued run would take if it started now."""
    return devices_used(gpus, (entry.environment or {}).get(VISIBLE), entry.processes)


def _reason(entry: Entry, devices: tuple[str, ...], machine: Machine, ahead: int) -> str:
    if machine.paused:
        return "waits: the queue is paused"
    if ahead:
        return f"waits for its turn: {ahead} before it"
    for device in (*devices, ""):
        if holder := machine.busy.get(device):
            return f"waits for {holder} to end"
    if machine.disk is not None and machine.disk < LEAST_DISK:
        return f"waits for {show_size(LEAST_DISK)} of free disk: {show_size(machine.disk)} now"
    for device in devices:
        if short := _short_of_memory(entry, device, machine):
            return short
    return ""


def _short_of_memory(entry: Entry, device: str, machine: Machine) -> str:
    free, total = machine.memory.get(device, (None, None))
    needs = entry.needs
    if needs is None and device != CPU and entry.estimate is not None:
        needs = min(entry.estimate, int(_MOST_ESTIMATED * total)) if total else entry.estimate
    if needs is None or free is None or free >= needs:
        return ""
    where = "" if device == CPU else f" on {show_device(device)}"
    chat = "; a chat has a model there" if device in machine.chats and device != CPU else ""
    return f"waits for {show_size(needs)} free{where}: {show_size(free)} now{chat}"


def _called(lease: Lease, workspace: Workspace) -> str:
    if lease.workspace in ("", str(workspace.root)):
        return lease.who
    home, place = str(Path.home()), lease.workspace
    place = f"~{place.removeprefix(home)}" if place.startswith(f"{home}/") else place
    return f"{lease.who} in {one_line(place, 60)}"

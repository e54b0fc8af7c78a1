"""Who computes where on this machine, and what is free there: one look, for whoever is to choose a device."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from ftui.core.text import one_line
from ftui.gpu.host import disk_free
from ftui.runs import process
from ftui.runs.devices import CPU, device_name, free_memory
from ftui.runs.lease import Lease, leases
from ftui.runs.lifecycle import ACTIVE
from ftui.runs.queue_files import is_paused
from ftui.runs.rundir import RunDir

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from ftui.gpu.nvml import Gpu
    from ftui.runs.state import RunSummary
    from ftui.runs.workspace import Workspace

_MOST_DEVICES = 64


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


def look(workspace: Workspace, runs: Sequence[RunSummary], gpus: tuple[Gpu, ...]) -> Machine:
    """The machine as of now. runs: all of the workspace's. Never raises."""
    busy: dict[str, str] = {}
    held = leases()
    for lease in held:
        if lease.kind == "train":
            busy.update(dict.fromkeys(lease.devices, _called(lease, workspace)))
    for run in runs:
        if run.state in ACTIVE and (devices := devices_of(RunDir(run.path).read_proc())) is not None:
            name = one_line(run.id, 60) + (" (stalled)" if run.state == "stalled" else "")
            busy.update(dict.fromkeys(devices or ("",), name))
    names = dict.fromkeys([CPU, *map(device_name, gpus)])
    return Machine(
        busy=busy,
        chats=frozenset(device for lease in held if lease.kind == "chat" for device in lease.devices),
        memory={name: free_memory(name, gpus, workspace.root) for name in names},
        gpus=gpus,
        disk=disk_free(workspace.root),
        paused=is_paused(workspace),
        root=workspace.root,
    )


def devices_of(record: Mapping[str, Any]) -> tuple[str, ...] | None:
    """What a run was started on last, by its proc.json; () when that does not say, None on another machine."""
    who = process.from_dict(record.get("trainer")) or process.from_dict(record.get("supervisor"))
    if who is not None and process.liveness(who) is process.Liveness.UNKNOWN:
        return None
    devices = record.get("devices")
    return (
        tuple(one_line(str(one), 80) for one in devices[:_MOST_DEVICES]) if isinstance(devices, list) else ()
    )


def _called(lease: Lease, workspace: Workspace) -> str:
    if lease.workspace in ("", str(workspace.root)):
        return lease.who
    home, place = str(Path.home()), lease.workspace
    place = f"~{place.removeprefix(home)}" if place.startswith(f"{home}/") else place
    return f"{lease.who} in {one_line(place, 60)}"

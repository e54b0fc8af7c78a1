"""Which of the devices that a run may use it takes: pure functions of its wishes and one look at the machine.

A run sees what its $CUDA_VISIBLE_DEVICES shows it, and takes one GPU a process. GPUs that are too small for it
even when empty are left out, as long as enough others remain. Of the free ones it takes the first; one that a
chat has a model on, or that somebody has filled to more than half, comes after the others.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ftui.core.hardware import show_size
from ftui.runs.devices import CPU, VISIBLE, show_device, visible_devices

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ftui.gpu.nvml import Gpu
    from ftui.runs.occupancy import Machine
    from ftui.runs.queue_files import Entry

# An estimate near the whole of a GPU would wait for ever where a desktop takes a little of it.
_MOST_ESTIMATED = 0.9


def seen_by(entry: Entry, gpus: Sequence[Gpu]) -> tuple[str, ...]:
    """The devices that a run sees, as CUDA numbers them."""
    return visible_devices(tuple(gpus), (entry.environment or {}).get(VISIBLE))


def count_of(entry: Entry, gpus: Sequence[Gpu]) -> int:
    """How many devices it takes: one a process, as far as there are so many."""
    return min(max(1, entry.processes), len(seen_by(entry, gpus)))


def has_choice(entry: Entry, gpus: Sequence[Gpu]) -> bool:
    return len(seen_by(entry, gpus)) > count_of(entry, gpus)


def could_use(entry: Entry, machine: Machine) -> tuple[str, ...]:
    """The devices that a run may be started on, now or later."""
    seen = seen_by(entry, machine.gpus)
    large = _large(seen, entry.needs or entry.estimate or 0, machine)
    return large if len(large) >= count_of(entry, machine.gpus) else seen


def can_ever_start(entry: Entry, machine: Machine) -> bool:
    """Whether there is in all what it was said to need."""
    seen = seen_by(entry, machine.gpus)
    known = any(_memory(device, machine)[1] is not None for device in seen)
    if entry.needs is None or not known:
        return True
    return len(_large(seen, entry.needs, machine)) >= count_of(entry, machine.gpus)


def short_of_memory(entry: Entry, device: str, machine: Machine) -> str:
    """Which memory is missing there now, with both figures; "" for none, and where it is not known."""
    free, total = _memory(device, machine)
    needs = entry.needs
    if needs is None and device != CPU and entry.estimate is not None:
        needs = min(entry.estimate, int(_MOST_ESTIMATED * total)) if total else entry.estimate
    if needs is None or free is None or free >= needs:
        return ""
    where = "" if device == CPU else f" on {show_device(device)}"
    chat = "; a chat has a model there" if device in machine.chats and device != CPU else ""
    return f"{show_size(needs)} free{where}: {show_size(free)} now{chat}"


def first_of(free: Sequence[str], count: int, machine: Machine) -> tuple[str, ...]:
    """`count` of the devices that are free, in their order."""
    return _in_order(sorted(free, key=lambda device: _is_filled(device, machine))[:count], free)


def least_disturbed(entry: Entry, machine: Machine) -> tuple[str, ...]:
    """What a run takes that starts now whatever: what is free, else where it collides least.

    Beside another run that leaves it enough memory it is slower; where there is too little it does not run.
    """
    devices = could_use(entry, machine)

    def trouble(device: str) -> tuple[bool, bool, bool]:
        short = bool(short_of_memory(entry, device, machine))
        return short, device in machine.busy, _is_filled(device, machine)

    return _in_order(sorted(devices, key=trouble)[: count_of(entry, machine.gpus)], devices)


def _large(devices: Sequence[str], least: int, machine: Machine) -> tuple[str, ...]:
    """Those with so much memory in all. A GPU that does not tell, where others do, has fallen off the bus."""
    totals = {device: _memory(device, machine)[1] for device in devices}
    return tuple(device for device, total in totals.items() if total is not None and total >= least)


def _is_filled(device: str, machine: Machine) -> bool:
    free, total = _memory(device, machine)
    return device in machine.chats or (free is not None and total is not None and 2 * free < total)


def _in_order(chosen: Sequence[str], devices: Sequence[str]) -> tuple[str, ...]:
    return tuple(device for device in devices if device in chosen)


def _memory(device: str, machine: Machine) -> tuple[int | None, int | None]:
    return machine.memory.get(device, (None, None))

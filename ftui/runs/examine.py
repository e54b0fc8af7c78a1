"""A run as the run doctor sees it: its history, its files and its GPU put together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ftui.core.doctor import Examination, examine
from ftui.core.errors import FtuiError
from ftui.core.recipe import fields, read_document
from ftui.core.text import one_line
from ftui.core.vitals import GpuFigures, Vitals
from ftui.gpu.host import disk_free
from ftui.runs.devices import gpus_of
from ftui.runs.evidence import silent_seconds
from ftui.runs.figures import whole
from ftui.runs.lifecycle import STALLED_SECONDS
from ftui.runs.occupancy import devices_of
from ftui.runs.rundir import FREE_DISK
from ftui.runs.state import ACTIVE

if TYPE_CHECKING:
    from ftui.gpu.nvml import Gpu
    from ftui.runs.columns import Columns
    from ftui.runs.history import History
    from ftui.runs.rundir import RunDir
    from ftui.runs.state import State

STEPS = (
    "step", "loss", "grad_norm", "learning_rate", "step_time", "tokens_per_second", "data_time", "overflows",
)  # fmt: skip
EVALS = ("step", "eval_loss")
_RECENT = 500  # steps looked at one by one
_EARLIER = 2000  # older ones, drawn evenly: a look at a million steps costs as much as one at thousands


def examine_run(
    rundir: RunDir,
    history: History,
    state: State,
    gpus: Sequence[Sequence[Gpu]] = (),
    pid: int | None = None,
) -> Examination:
    """What is wrong with a run, by what it has told so far.

    gpus: snapshots of the last minute, the oldest first. pid: of the trainer; of several GPUs it tells which
    is the run's where its files do not.
    """
    active = state in ACTIVE
    sizes = [whole(event.get("bytes")) for event in history.checkpoints]
    steps = (history.plan or {}).get("steps")
    return examine(
        Vitals(
            steps=drawn(history.steps, STEPS),
            evals=drawn(history.evals, EVALS),
            total_steps=whole(steps) or 0,
            clip=clip_of(rundir),
            active=active,
            silence=silent_seconds(rundir) if active else None,
            patience=STALLED_SECONDS,
            gpu=_gpu_figures(gpus, devices_of(rundir.read_proc()), pid) if active and gpus else None,
            disk_free=disk_free(rundir.path),
            checkpoint_bytes=next((float(size) for size in sizes if size is not None), None),
            refused=_unsaved(history),
        )
    )


def disk_refusals(history: History) -> list[tuple[str, int]]:
    """(what the disk would not take, at which step or 0), the oldest first."""
    told = [event for event in history.notices if event.get("hint") == FREE_DISK]
    return [(one_line(str(event.get("message")), 200), whole(event.get("step")) or 0) for event in told]


def _unsaved(history: History) -> str:
    """That this attempt could not save its newest checkpoint; "" once it could."""
    number = history.newest.get("attempt", {}).get("attempt")
    told = [event for event in history.notices if event.get("hint") == FREE_DISK and event.get("step")]
    if not told or told[-1].get("attempt") != number:
        return ""
    saved = history.checkpoints[-1] if history.checkpoints else {}
    later = (whole(saved.get("seq")) or 0) > (whole(told[-1].get("seq")) or 0)
    return "" if later else one_line(str(told[-1].get("message")), 200)


def clip_of(rundir: RunDir) -> float:
    """The norm that the run's gradients are clipped to, 0 where they are not."""
    usual = float(fields()["training.max_grad_norm"].default)
    try:
        training = read_document(rundir.recipe_path).get("training")
    except FtuiError:
        return usual
    told = training.get("max_grad_norm", usual) if isinstance(training, dict) else usual
    return float(told) if isinstance(told, int | float) else usual


def drawn(
    table: Columns, names: Sequence[str], count: int | None = None, first: int = 0
) -> dict[str, Sequence[float]]:
    """The columns that are there, thinned where they are long: their rows `first` to `count`, else all."""
    count = len(table) if count is None else count
    known = [name for name in names if name in table.names]
    if count - first <= _RECENT + _EARLIER:
        return {name: table.column(name)[first:count] for name in known}
    old = count - _RECENT
    thinned: dict[str, Sequence[float]] = {}
    for name in known:
        column = table.column(name)
        thinned[name] = [*column[first : old : (old - first) // _EARLIER], *column[old:count]]
    return thinned


def _gpu_figures(
    snapshots: Sequence[Sequence[Gpu]], devices: Sequence[str] | None, pid: int | None
) -> GpuFigures | None:
    if devices is None:  # it runs on another machine
        return None
    mine = [_gpu_of(snapshot, devices, pid) for snapshot in snapshots]
    samples = [gpu for gpu in mine if gpu is not None]
    if not samples:
        return None
    return GpuFigures(
        utilization=[sample.utilization for sample in samples if sample.utilization is not None],
        throttle=[sample.throttle for sample in samples],
        memory=[sample.memory_used for sample in samples if sample.memory_used is not None],
        memory_total=samples[-1].memory_total or 0.0,
    )


def _gpu_of(gpus: Sequence[Gpu], devices: Sequence[str], pid: int | None) -> Gpu | None:
    """The run's GPU, the first where it has several; the only one there is where it does not say."""
    if found := gpus_of(devices, gpus, pid):
        return found[0]
    return gpus[0] if len(gpus) == 1 and not devices else None

"""Two or more runs side by side: what differs in their recipes and data, and what came of it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ftui.core.errors import FtuiError
from ftui.core.recipe import fields, load_recipe
from ftui.runs.history import SECONDS, read_history
from ftui.runs.state import run_state

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ftui.runs.history import History
    from ftui.runs.rundir import RunDir

_NOT_COMPARED = frozenset({"name", "description"})
_MEMORY = ("memory_peak", "memory_reserved", "memory_rss")


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a run; None is not known. loss: median of its last steps. Bytes, seconds, tokens a second."""

    run: str
    state: str
    steps: int | None
    loss: float | None
    eval_loss: float | None
    best_eval_loss: float | None
    best_step: int | None
    tokens_per_second: float | None
    peak_memory: float | None
    seconds: float | None

    def to_dict(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self.__slots__}


@dataclass(frozen=True, slots=True)
class Difference:
    """A recipe field, or a fact of the data, that is not the same in all runs; a value a run, in order."""

    field: str
    values: tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Comparison:
    outcomes: tuple[Outcome, ...]
    differences: tuple[Difference, ...]

    def to_dict(self) -> dict[str, Any]:
        """As `ftui runs compare --json` prints it."""
        return {
            "runs": [outcome.to_dict() for outcome in self.outcomes],
            "differences": [{"field": one.field, "values": list(one.values)} for one in self.differences],
        }


def compare(rundirs: Sequence[RunDir]) -> Comparison:
    """Reads every run whole: for a thread. Raises FtuiError where there are fewer than two."""
    if len(rundirs) < 2:
        raise FtuiError("it takes two runs to compare", "name another one")
    return Comparison(tuple(map(_outcome, rundirs)), tuple(_differences(rundirs)))


def _outcome(rundir: RunDir) -> Outcome:
    history = read_history(rundir.events_path)
    lowest = _lowest(history)
    speeds = sorted(v for v in history.steps.column("tokens_per_second") if math.isfinite(v))
    peak = next((known for name in _MEMORY if (known := _highest(history, name)) is not None), None)
    last = history.steps.last("step")
    recent = sorted(v for v in history.steps.column("loss")[-10:] if math.isfinite(v))
    return Outcome(
        run=rundir.id,
        state=run_state(rundir),
        steps=int(last) if last is not None else None,
        loss=recent[len(recent) // 2] if recent else None,
        eval_loss=history.evals.last("eval_loss"),
        best_eval_loss=lowest[0] if lowest else None,
        best_step=lowest[1] if lowest else None,
        tokens_per_second=speeds[len(speeds) // 2] if speeds else None,
        peak_memory=peak,
        seconds=history.steps.last(SECONDS),
    )


def _lowest(history: History) -> tuple[float, int] | None:
    pairs = zip(history.evals.column("eval_loss"), history.evals.column("step"), strict=True)
    return min(((loss, int(step)) for loss, step in pairs if math.isfinite(loss)), default=None)


def _highest(history: History, name: str) -> float | None:
    if name not in history.steps.names:
        return None
    return max((value for value in history.steps.column(name) if math.isfinite(value)), default=None)


def _differences(rundirs: Sequence[RunDir]) -> list[Difference]:
    found = []
    documents = [_recipe(rundir) for rundir in rundirs]
    for name in fields():
        values = tuple(document.get(name) if document else None for document in documents)
        if name not in _NOT_COMPARED and any(value != values[0] for value in values):
            found.append(Difference(name, values))
    manifests = [rundir.read_manifest() for rundir in rundirs]
    for what, path in (
        ("data file", ("data", "train", "sha256")),
        ("annotations", ("data", "train", "journal_sha256")),
        ("chat template", ("template_sha256",)),
        ("base weights", ("base_fingerprint",)),
        ("torch", ("versions", "torch")),
        ("transformers", ("versions", "transformers")),
    ):
        values = tuple(_dig(manifest, path) for manifest in manifests)
        if any(value != values[0] for value in values):
            found.append(Difference(what, values))
    return found


def _recipe(rundir: RunDir) -> Any:
    try:
        return load_recipe(rundir.recipe_path)
    except FtuiError:
        return None


def _dig(value: Any, path: Sequence[str]) -> Any:
    for name in path:
        value = value.get(name) if isinstance(value, dict) else None
    return value[:12] if isinstance(value, str) else value

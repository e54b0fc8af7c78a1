"""Two or more runs side by side: what differs in their recipes and data, and what came of it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ftui.core.errors import FtuiError
from ftui.core.recipe import fields, load_recipe
from ftui.runs.history import SECONDS
from ftui.runs.live import read_history
from ftui.runs.state import run_state

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ftui.runs.history import History
    from ftui.runs.rundir import RunDir

_NOT_COMPARED = frozenset({"name", "description"})
_DATA = (("data", "train", "sha256"), ("data", "train", "journal_sha256"))
_DRAWN = 20_000  # steps
_MEMORY = ("memory_peak", "memory_reserved", "memory_rss")


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a run; None is not known.

    loss: median of its last steps. eval_loss, perplexity: of the newest evaluation. Bytes, seconds, tokens a
    second.
    """

    run: str
    state: str
    steps: int | None
    loss: float | None
    eval_loss: float | None
    perplexity: float | None
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
    """same_data: whether all were trained on the same rows, None where a run does not tell."""

    outcomes: tuple[Outcome, ...]
    differences: tuple[Difference, ...]
    same_data: bool | None = None

    def to_dict(self) -> dict[str, Any]:
        """As `ftui runs compare --json` prints it."""
        return {
            "runs": [outcome.to_dict() for outcome in self.outcomes],
            "differences": [{"field": one.field, "values": list(one.values)} for one in self.differences],
            "same_data": self.same_data,
        }


def compare(rundirs: Sequence[RunDir], histories: Sequence[History] = ()) -> Comparison:
    """What differs between runs and what came of each. Raises FtuiError where there are fewer than two.

    histories: of the runs, in order, where they were read already; reading them whole takes a while.
    """
    if len(rundirs) < 2:
        raise FtuiError("it takes two runs to compare", "name another one")
    histories = histories or [read_history(rundir.events_path) for rundir in rundirs]
    outcomes = tuple(map(_outcome, rundirs, histories))
    manifests = [rundir.read_manifest() for rundir in rundirs]
    hashes = [[_dig(manifest, path) for path in _DATA] for manifest in manifests]
    known = all(file is not None for file, _ in hashes)
    same = all(one == hashes[0] for one in hashes) if known else None
    return Comparison(outcomes, tuple(differences(rundirs, manifests)), same)


def _outcome(rundir: RunDir, history: History) -> Outcome:
    lowest = _lowest(history)
    peak = next((known for name in _MEMORY if (known := _highest(history, name)) is not None), None)
    last = history.steps.last("step")
    recent = sorted(v for v in history.steps.column("loss")[-10:] if math.isfinite(v))
    return Outcome(
        run=rundir.id,
        state=run_state(rundir),
        steps=int(last) if last is not None else None,
        loss=recent[len(recent) // 2] if recent else None,
        eval_loss=history.evals.last("eval_loss"),
        perplexity=history.evals.last("eval_perplexity"),
        best_eval_loss=lowest[0] if lowest else None,
        best_step=lowest[1] if lowest else None,
        tokens_per_second=_median(history.steps.column("tokens_per_second")),
        peak_memory=peak,
        seconds=history.steps.last(SECONDS),
    )


def _lowest(history: History) -> tuple[float, int] | None:
    pairs = zip(history.evals.column("eval_loss"), history.evals.column("step"), strict=True)
    return min(((loss, int(step)) for loss, step in pairs if math.isfinite(loss)), default=None)


def _median(values: Sequence[float]) -> float | None:
    """Of the finite values; of a long run, of some drawn evenly."""
    drawn = values[:: max(1, len(values) // _DRAWN)]
    finite = sorted(value for value in drawn if math.isfinite(value))
    return finite[len(finite) // 2] if finite else None


def _highest(history: History, name: str) -> float | None:
    if name not in history.steps.names:
        return None
    return max((value for value in history.steps.column(name) if math.isfinite(value)), default=None)


def differences(rundirs: Sequence[RunDir], manifests: Sequence[dict[str, Any]]) -> list[Difference]:
    """What runs were made of that is not the same: recipe, data, base and versions."""
    found = []
    documents = [_recipe(rundir) for rundir in rundirs]
    for name in fields():
        values = tuple(document.get(name) if document else None for document in documents)
        if name not in _NOT_COMPARED and any(value != values[0] for value in values):
            found.append(Difference(name, values))
    for what, path in (
        ("data file", _DATA[0]),
        ("annotations", _DATA[1]),
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

"""How fast runs like this one have been on this machine."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING

from ftui.core.errors import FtuiError
from ftui.core.recipe import load_recipe
from ftui.runs.rundir import RunDir
from ftui.runs.state import list_runs

if TYPE_CHECKING:
    from ftui.core.recipe import Recipe
    from ftui.runs.workspace import Workspace

_MOST_RUNS = 30  # newest first: older ones say little about today's machine
_ALIKE = ("model.base", "model.dtype", "quantization.bits", "adapter.method")


@dataclass(frozen=True, slots=True)
class Speed:
    """Tokens a second, the median of `runs` runs with the same base, number format and method."""

    tokens_per_second: float
    runs: int


def measured_speed(workspace: Workspace, recipe: Recipe) -> Speed | None:
    """What the workspace's runs like `recipe` measured; None where there was none. Reads their recipes."""
    wanted = [recipe.get(field) for field in _ALIKE]
    measured = []
    for run in list_runs(workspace)[:_MOST_RUNS]:
        if not run.tokens_per_second:
            continue
        try:
            other = load_recipe(RunDir(run.path).recipe_path)
        except FtuiError:
            continue  # a run without a readable recipe says nothing about this one
        if [other.get(field) for field in _ALIKE] == wanted:
            measured.append(run.tokens_per_second)
    return Speed(median(measured), len(measured)) if measured else None

"""How much memory a run is going to take, as far as that is known without reading its data."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ftui.core.errors import FtuiError

if TYPE_CHECKING:
    from pathlib import Path

    from ftui.core.recipe import Recipe
    from ftui.runs.workspace import Workspace


def memory_need(workspace: Workspace, recipe: Recipe, recipe_path: Path | None = None) -> int | None:
    """Bytes at the peak by the closed-form estimate for this machine; None where the base is not known yet."""
    from ftui.core.memory import estimate
    from ftui.runs.base_model import find_base
    from ftui.runs.recipe_facts import this_machine

    base = find_base(recipe.model.base, recipe.model.revision, workspace=workspace, recipe_path=recipe_path)
    if base.geometry is None:
        return None
    try:
        return estimate(recipe, base.geometry, this_machine()).total
    except FtuiError:  # targets that fit no layer: the trainer says so
        return None

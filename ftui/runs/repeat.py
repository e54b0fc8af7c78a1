"""How a run is made again: with its command, as long as that still gives the same recipe, else with its own copy."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING

from ftui.core.errors import FtuiError
from ftui.core.recipe import load_recipe, parse_assignment
from ftui.runs.launch import plain_name
from ftui.runs.manifest import find_inputs
from ftui.runs.workspace import Workspace

if TYPE_CHECKING:
    from ftui.core.recipe import Recipe
    from ftui.runs.rundir import RunDir


def repeat_command(rundir: RunDir) -> str:
    """The command that trains on the recipe of `rundir` again; "" when not known. Not safe to show."""
    command = str(rundir.read_manifest().get("command") or "")
    try:
        frozen = load_recipe(rundir.recipe_path)
    except FtuiError:
        return command
    if _gives(command, frozen, Workspace(rundir.path.parent.parent)):
        return command
    return shlex.join(["ftui", "train", str(rundir.recipe_path), "--name", frozen.name])


def _gives(command: str, frozen: Recipe, workspace: Workspace) -> bool:
    """Whether `command` would train on `frozen` now."""
    try:
        program, verb, file, *options = shlex.split(command)
        if (program, verb) != ("ftui", "train"):
            return False
        recipe = load_recipe(Path(file))
        for option, value in zip(options[::2], options[1::2], strict=True):
            change = ("name", plain_name(value)) if option == "--name" else parse_assignment(value)
            recipe = recipe.with_values(dict([change]))
        return recipe == frozen or find_inputs(workspace, recipe, Path(file)).recipe == frozen
    except (FtuiError, ValueError, OSError):
        return False

"""How a run is made again: with its command, as long as that still gives the same recipe, else with its own copy."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING

from ftui.core.errors import FtuiError
from ftui.core.recipe import load_recipe, parse_assignment
from ftui.runs.launch import plain_name
from ftui.runs.launcher import launcher_of
from ftui.runs.manifest import find_inputs
from ftui.runs.workspace import Workspace

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ftui.core.recipe import Recipe
    from ftui.runs.rundir import RunDir

_WORKSPACE = "--workspace"
_LAUNCHER = "--launcher"


def repeat_command(rundir: RunDir) -> str:
    """The command that trains on the recipe of `rundir` again, from any directory; "" when not known.

    It names the workspace the run lies in now. Not safe to show.
    """
    command = str(rundir.read_manifest().get("command") or "")
    workspace = Workspace(rundir.path.resolve().parent.parent, here=False)
    try:
        frozen = load_recipe(rundir.recipe_path)
    except FtuiError:
        return command
    words = _without_workspace(command)
    if not _gives(words, frozen, workspace):
        words = ["ftui", "train", str(rundir.recipe_path), "--name", frozen.name]
        words += [_LAUNCHER, launcher] if (launcher := launcher_of(rundir)) else []
    return shlex.join([*words, _WORKSPACE, str(workspace.root)])


def _without_workspace(command: str) -> list[str]:
    try:
        words = shlex.split(command)
    except ValueError:  # nothing that ftui wrote
        return []
    if _WORKSPACE in words:
        at = words.index(_WORKSPACE)
        del words[at : at + 2]
    return words


def _gives(words: Sequence[str], frozen: Recipe, workspace: Workspace) -> bool:
    """Whether the command `words` would train on `frozen` now."""
    try:
        program, verb, file, *options = words
        if (program, verb) != ("ftui", "train"):
            return False
        recipe = load_recipe(Path(file))
        for option, value in zip(options[::2], options[1::2], strict=True):
            if option == _LAUNCHER:  # where it runs is no part of the recipe
                continue
            change = ("name", plain_name(value)) if option == "--name" else parse_assignment(value)
            recipe = recipe.with_values(dict([change]))
        return recipe == frozen or find_inputs(workspace, recipe, Path(file)).recipe == frozen
    except (FtuiError, ValueError, OSError):
        return False

"""What a recipe says of its model that cannot be: known before anything is loaded or downloaded."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ftui.core.chat_templates import BUILT_IN
from ftui.core.findings import Finding
from ftui.core.model_names import may_be_on_hub

if TYPE_CHECKING:
    from ftui.core.recipe import Recipe
    from ftui.runs.workspace import Workspace


def model_problems(
    recipe: Recipe, workspace: Workspace | None, recipe_path: Path | None = None
) -> tuple[Finding, ...]:
    """A base that is a path to nothing, a chat template that is neither built in nor a file.

    A hub id is left to the run: only the hub knows whether it is one.
    """
    found = []
    base, template = recipe.model.base, recipe.model.chat_template
    if not may_be_on_hub(base) and not _is_here(base, workspace, recipe_path):
        message, hint = f"no such model folder or file: {base}", "check the path, or give a hub id or demo"
        found.append(Finding("model.base", "error", message, hint))
    if template and template not in BUILT_IN and not _is_here(template, workspace, recipe_path, file=True):
        message, hint = f"no chat template {template!r}", f"give a file, or one of {', '.join(BUILT_IN)}"
        found.append(Finding("model.chat_template", "error", message, hint))
    return tuple(found)


def _is_here(
    value: str, workspace: Workspace | None, recipe_path: Path | None, *, file: bool = False
) -> bool:
    try:
        path = workspace.find_local(recipe_path, value) if workspace else Path(value).expanduser()
        return path is not None and (path.is_file() if file else path.exists())
    except (OSError, ValueError, RuntimeError):
        return False  # a NUL, an over-long name, or `~nobody`

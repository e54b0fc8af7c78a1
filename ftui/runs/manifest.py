"""manifest.json: everything needed to say what a run was made of, and to make it again."""

from __future__ import annotations

import platform
import socket
import time
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

from ftui import __version__
from ftui.core.errors import FtuiError
from ftui.runs.model_problems import model_problems

if TYPE_CHECKING:
    from pathlib import Path

    from ftui.core.recipe import Recipe
    from ftui.runs.workspace import Workspace

SCHEMA = 1
# What decides numerical results; a run made with other versions is another run.
PACKAGES = (
    "torch", "transformers", "tokenizers", "peft", "bitsandbytes", "accelerate", "safetensors", "numpy",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Inputs:
    """A recipe whose files have been found.

    recipe: with paths that lead to the same files from anywhere: relative inside the workspace, else
    absolute; this is the copy that is frozen. train, validation: absolute; validation None for a share.
    source: the recipe file, None for one that was never saved.
    """

    recipe: Recipe
    train: Path
    validation: Path | None
    source: Path | None


def find_inputs(workspace: Workspace, recipe: Recipe, source: Path | None) -> Inputs:
    """Finds every file a recipe names. Raises FtuiError naming the field and, for data, the places looked at."""
    changes: dict[str, Any] = {}
    train = _data_file(workspace, source, recipe.data.train, "data.train")
    changes["data.train"] = _from_anywhere(workspace, train)
    validation = None
    if isinstance(recipe.data.validation, str):
        validation = _data_file(workspace, source, recipe.data.validation, "data.validation")
        changes["data.validation"] = _from_anywhere(workspace, validation)
    for problem in model_problems(recipe, workspace, source):
        raise FtuiError(problem.message, problem.hint, problem.field)
    base, template = recipe.model.base, recipe.model.chat_template
    if base != "demo" and (folder := workspace.find_local(source, base)) is not None:
        changes["model.base"] = str(folder)
    if template and (file := workspace.find_local(source, template)) is not None and file.is_file():
        changes["model.chat_template"] = str(file)
    return Inputs(recipe.with_values(changes), train, validation, source.resolve() if source else None)


def build_manifest(
    workspace: Workspace, inputs: Inputs, *, run_id: str, name: str, command: str
) -> dict[str, Any]:
    """The manifest of a new run; reads the datasets whole to hash them.

    Raises FtuiError, also for an exported file that is not what its export's manifest says.
    """
    from ftui.data.verify import verified

    data: dict[str, Any] = {"train": verified(inputs.train)}
    if inputs.validation is not None:
        data["validation"] = verified(inputs.validation)
    return {
        "schema": SCHEMA,
        "id": run_id,
        "name": name,
        "created": time.time(),
        "ftui": __version__,
        "workspace": str(workspace.root),
        "recipe_source": str(inputs.source) if inputs.source else "",
        "command": command,
        "seed": inputs.recipe.training.seed,
        "base": inputs.recipe.model.base,
        "data": data,
        "versions": package_versions(),
        "python": platform.python_version(),
        "host": socket.gethostname(),
    }


def package_versions(names: tuple[str, ...] = PACKAGES) -> dict[str, str | None]:
    """Installed versions by package, None for one that is missing. Imports none of them."""
    found: dict[str, str | None] = {}
    for name in names:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = None
    return found


def _data_file(workspace: Workspace, source: Path | None, value: str, field: str) -> Path:
    try:
        path = workspace.resolve_data(source, value)
    except FtuiError as error:
        raise FtuiError(f"{field}: {error.message}", error.hint, error.where if value else "") from None
    if path.is_dir():
        raise FtuiError(f"{field}: is a directory", "name the dataset file in it", str(path))
    return path


def _from_anywhere(workspace: Workspace, path: Path) -> str:
    root = workspace.root.resolve()
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else str(path)

"""Recipe files: the workspace's own and the shipped presets, found, listed and saved without losing one."""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ftui.assets import asset_dir
from ftui.core.durable import replace_bytes
from ftui.core.errors import FtuiError
from ftui.core.recipe import Recipe, load_recipe, parse_recipe
from ftui.core.recipe_toml import parse_text, patch, read_text

if TYPE_CHECKING:
    from ftui.runs.workspace import Workspace


@dataclass(frozen=True, slots=True)
class ListedRecipe:
    """A recipe file at a glance. `problem` says why it does not load; the other facts are then empty."""

    name: str
    path: Path
    preset: bool
    description: str = ""
    base: str = ""
    problem: str = ""


def list_recipes(workspace: Workspace | None) -> list[ListedRecipe]:
    """The workspace's recipes by name, then the presets. A broken one is listed with its problem."""
    own = _files(workspace.recipes) if workspace else []
    return [_listed(path, False) for path in own] + [_listed(path, True) for path in presets()]


def presets() -> list[Path]:
    """The shipped recipes, by name."""
    return _files(asset_dir("recipes"))


def find_recipe(workspace: Workspace | None, name: str) -> Path:
    """The file of a recipe: a path, a name in the workspace or among the presets, or the id of a run.

    Raises FtuiError with the closest names there are.
    """
    direct = Path(name).expanduser()
    with suppress(OSError, ValueError):
        if direct.is_file() or (direct.suffix == ".toml" and os.sep in name):
            return direct
    wanted = name.removesuffix(".toml")
    folders = ([workspace.recipes] if workspace else []) + [asset_dir("recipes")]
    known = [path for folder in folders for path in _files(folder)]
    for path in known:
        if path.stem == wanted:
            return path
    if workspace and (frozen := workspace.runs / Path(name).name / "recipe.toml").is_file():
        return frozen
    from difflib import get_close_matches

    close = get_close_matches(wanted, [path.stem for path in known], n=1)
    hint = f"did you mean {close[0]}?" if close else "`ftui recipe list` shows the ones there are"
    raise FtuiError("no such recipe", hint, name)


def find_preset(name: str) -> Path:
    """The file of the shipped preset called `name`. Raises FtuiError naming the ones there are."""
    for path in presets():
        if path.stem == name.removesuffix(".toml"):
            return path
    raise FtuiError("no such preset", f"there are {', '.join(path.stem for path in presets())}", name)


def new_recipe_path(workspace: Workspace, out: str, *, force: bool = False) -> Path:
    """Where a new recipe goes: a path as it is, a bare name into the workspace's recipes.

    Raises FtuiError where something is there already, unless it may be overwritten.
    """
    path = (
        Path(out).expanduser()
        if os.sep in out or out.endswith(".toml")
        else workspace.recipes / f"{out}.toml"
    )
    if path.exists() and not force:
        raise FtuiError("already there", "choose another name, or overwrite it with --force", str(path))
    return path


def save_recipe(path: Path, recipe: Recipe, *, was: str | None = None) -> str:
    """Writes `recipe` to `path` and returns the text written; the file is the old or the new one, never half.

    An existing file keeps its comments and order: only changed values are. `was`, the text the recipe was
    opened from, guards against overwriting someone else's edit. Raises FtuiError when the file has changed
    since or cannot be written.
    """
    target = path.resolve() if path.is_symlink() else path
    before = _existing(target)
    if was is not None and before != was:
        raise FtuiError(
            "the file has changed since you opened it", "save under another name, or open it again", str(path)
        )
    text = text_to_save(before, recipe)
    if text != before:
        _replace(target, text.encode())
    return text


def _existing(path: Path) -> str:
    try:
        return read_text(path) if path.exists() else ""
    except FtuiError:
        return ""  # not a recipe's text: nothing in it to keep


def text_to_save(before: str, recipe: Recipe) -> str:
    """What saving `recipe` over a file holding `before` ("" for a new one) will write.

    `before` with the changed values, or the recipe afresh where that would not read back the same.
    """
    if not before:
        return recipe.to_toml(comments=True)
    wanted, default = _flat(recipe.to_dict()), _flat(Recipe().to_dict())
    with suppress(FtuiError):
        written = _flat(parse_text(before))
        # A field the file leaves out stays out as long as its default will do.
        changes = {name: value for name, value in wanted.items() if written.get(name, default[name]) != value}
        text = patch(before, changes)
        if parse_recipe(parse_text(text)) == recipe:
            return text
    return recipe.to_toml(comments=True)


def _flat(document: dict[str, Any]) -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in document.items():
        flat.update(
            {f"{name}.{key}": inner for key, inner in value.items()}
            if isinstance(value, dict)
            else {name: value}
        )
    return flat


def _replace(path: Path, data: bytes) -> None:
    """A power cut leaves the old file or the new one, whose permissions are those of the old."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        mode = path.stat().st_mode & 0o777 if path.exists() else 0o644
        replace_bytes(path, data, durable=True, mode=mode)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not a file name"
        hint = "save it elsewhere"
        raise FtuiError(
            f"cannot save the recipe: {(reason or str(error)).lower()}", hint, str(path)
        ) from None


def _files(folder: Path) -> list[Path]:
    try:
        return sorted(
            path for path in folder.glob("*.toml") if path.is_file() and not path.name.startswith(".")
        )
    except OSError:
        return []


def _listed(path: Path, preset: bool) -> ListedRecipe:
    try:
        recipe = load_recipe(path)
    except FtuiError as error:
        return ListedRecipe(path.stem, path, preset, problem=error.message)
    return ListedRecipe(path.stem, path, preset, recipe.description, recipe.model.base)

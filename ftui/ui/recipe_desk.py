"""The work behind the Recipe pane: files, datasets and launching, each in a thread, answered by a message."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any

from textual.message import Message

from ftui.assets import asset_dir
from ftui.core.errors import FtuiError
from ftui.core.recipe import Recipe, load_recipe, parse_recipe
from ftui.core.recipe_toml import key_lines, parse_text, read_text
from ftui.runs.launch import launch
from ftui.runs.queue import enqueue
from ftui.runs.recipe_facts import gather
from ftui.runs.recipes import list_recipes, save_recipe
from ftui.runs.room import look_for_room
from ftui.runs.speed import measured_speed
from ftui.runs.state import list_runs
from ftui.ui import files
from ftui.ui.recipe_draft import Draft

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from ftui.runs.recipe_facts import RecipeFacts
    from ftui.runs.recipes import ListedRecipe
    from ftui.runs.rundir import RunDir
    from ftui.runs.speed import Speed
    from ftui.runs.workspace import Workspace

Key = tuple[str, ...]


class Opened(Message):
    """A recipe to work on. field: where the cursor goes; words: what to say of it."""

    def __init__(self, draft: Draft, field: str = "", words: str = "") -> None:
        super().__init__()
        self.draft, self.field, self.words = draft, field, words


class Gathered(Message):
    """What surrounds a recipe. key: what it was gathered for. datasets: those there are to name."""

    def __init__(self, key: Key, around: RecipeFacts, speed: Speed | None, datasets: list[str]) -> None:
        super().__init__()
        self.key, self.around, self.speed, self.datasets = key, around, speed, datasets


class Listed(Message):
    """The recipes there are. wanted: what they were asked for, "preset" or "diff"."""

    def __init__(self, wanted: str, recipes: list[ListedRecipe]) -> None:
        super().__init__()
        self.wanted, self.recipes = wanted, recipes


class Compared(Message):
    """Another recipe, to be compared with this one or to take its values."""

    def __init__(self, wanted: str, name: str, recipe: Recipe) -> None:
        super().__init__()
        self.wanted, self.name, self.recipe = wanted, name, recipe


class Saved(Message):
    """A recipe is on the disk. then: what the user wanted beside saving. draft: whose recipe it is."""

    def __init__(self, path: Path, text: str, recipe: Recipe, then: Callable[[], None] | None) -> None:
        super().__init__()
        self.path, self.text, self.recipe, self.then = path, text, recipe, then
        self.draft: Draft | None = None


class Launched(Message):
    """A run has started. notice: whom it shares its device with, "" for nobody."""

    def __init__(self, rundir: RunDir, notice: str) -> None:
        super().__init__()
        self.rundir, self.notice = rundir, notice


class Queued(Message):
    """A run waits for its turn. position: 1 is started next, None when it has been already."""

    def __init__(self, run: str, position: int | None, reason: str) -> None:
        super().__init__()
        self.run, self.position, self.reason = run, position, reason


class Refused(Message):
    """Something could not be done. wanted: "save", the path and the draft where saving was."""

    def __init__(self, error: FtuiError, wanted: str = "", path: Path | None = None) -> None:
        super().__init__()
        self.error, self.wanted, self.path = error, wanted, path
        self.draft: Draft | None = None


def key_of(recipe: Recipe, path: Path | None) -> Key:
    """What the surroundings of a recipe depend on; the rest of it may change without looking again."""
    model, data = recipe.model, recipe.data
    return (model.base, model.revision, model.chat_template, data.train, data.only, str(path or ""))


def open_file(path: Path) -> Message:
    """The recipe in `path`. A preset is opened as a new recipe: it is not the user's to change."""
    try:
        text = read_text(path)
        recipe = parse_recipe(parse_text(text, str(path)), str(path), key_lines(text))
    except FtuiError as error:
        return Refused(error)
    with suppress(FileNotFoundError):
        if path.resolve().parent == asset_dir("recipes").resolve():
            return Opened(Draft.fresh(recipe))
    return Opened(Draft.opened(path, text, recipe))


def open_first(workspace: Workspace) -> Message:
    """What the pane opens on: the recipe changed last, else a new one for the dataset there is."""
    with suppress(OSError):
        mine = [recipe.path for recipe in list_recipes(workspace) if not recipe.preset and not recipe.problem]
        if mine:
            return open_file(max(mine, key=lambda path: path.stat().st_mtime))
    return Opened(Draft.fresh(new_recipe(workspace)))


def new_recipe(workspace: Workspace, name: str = "untitled") -> Recipe:
    """A recipe with the usual values, on the workspace's dataset where there is exactly one."""
    found = datasets_of(workspace)
    recipe = Recipe().with_values({"name": name})
    return recipe.with_values({"data.train": found[0]}) if len(found) == 1 else recipe


def datasets_of(workspace: Workspace) -> list[str]:
    """The workspace's datasets as a recipe names them."""
    found = [file.path for file in files.dataset_files(workspace, workspace.root) if not file.folder]
    root = workspace.root
    return [str(path.relative_to(root)) for path in found if path.is_relative_to(root)]


def gather_facts(
    recipe: Recipe, workspace: Workspace, path: Path | None, cancelled: Callable[[], bool]
) -> Gathered:
    around = gather(recipe, workspace, path, cancelled=cancelled)
    speed = measured_speed(workspace, recipe)
    return Gathered(key_of(recipe, path), around, speed, datasets_of(workspace))


def save(
    path: Path, recipe: Recipe, was: str | None, *, new: bool, then: Callable[[], Any] | None
) -> Saved | Refused:
    """new: the file must not be there yet. was: what it held when it was opened; None overwrites."""
    try:
        if new and path.exists():
            return Refused(FtuiError("there is a recipe of that name already", "", str(path)), "save", path)
        return Saved(path, save_recipe(path, recipe, was=was), recipe, then)
    except FtuiError as error:
        return Refused(error, "save" if was is not None else "", path)


def compare(wanted: str, name: str, path: Path) -> Message:
    try:
        return Compared(wanted, name, load_recipe(path))
    except FtuiError as error:
        return Refused(error)


def list_for(wanted: str, workspace: Workspace) -> Listed:
    return Listed(wanted, list_recipes(workspace))


def start_run(workspace: Workspace, recipe: Recipe, path: Path | None, command: str) -> Message:
    try:
        notice = look_for_room(workspace, recipe, path, otherwise="q queues it")
        return Launched(launch(workspace, recipe, recipe_path=path, command=command), notice)
    except FtuiError as error:
        return Refused(error)


def queue_run(workspace: Workspace, recipe: Recipe, path: Path | None, command: str) -> Message:
    try:
        rundir = enqueue(workspace, recipe, recipe_path=path, command=command)
        run = next((run for run in list_runs(workspace) if run.id == rundir.id), None)
    except FtuiError as error:
        return Refused(error)
    return Queued(rundir.id, run.position if run else None, run.reason if run else "")

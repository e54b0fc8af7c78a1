"""What the run doctor would change in a run's recipe, as a draft for the Recipe pane. For a thread."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from ftui.core.errors import FtuiError
from ftui.core.recipe import Recipe, fields, load_recipe, parse_recipe
from ftui.core.recipe_toml import parse_text, read_text
from ftui.core.text import one_line
from ftui.runs.manifest import find_inputs
from ftui.runs.workspace import Workspace
from ftui.ui import recipe_desk as desk
from ftui.ui.recipe_draft import Draft

if TYPE_CHECKING:
    from textual.message import Message

    from ftui.core.vitals import Change
    from ftui.runs.rundir import RunDir


def propose(rundir: RunDir, change: Change) -> Message:
    """The recipe the run had, with `change` made where it can be.

    A draft of the file it was made from if that still says the same, else one that was never saved.
    """
    try:
        frozen = load_recipe(rundir.recipe_path)
        draft, origin = _draft(rundir, frozen)
    except FtuiError as error:
        return desk.Refused(error)
    field = fields()[change.field]
    before = frozen.get(change.field)
    words = f"look at {change.field}"
    if (wanted := changed(before, change)) is not None:
        try:
            draft.set({change.field: wanted})
            words = f"{change.field}: {field.show(before)} -> {field.show(wanted)}; u takes it back"
        except FtuiError:  # such a value is not allowed: the person decides
            words = f"look at {change.field}"
    return desk.Opened(draft, change.field, f"{words}; {origin}" if origin else words)


def changed(before: Any, change: Change) -> Any:
    """The value to propose; None when there is none."""
    if change.value is not None:
        return change.value
    if not change.factor or isinstance(before, bool) or not isinstance(before, int | float):
        return None
    wanted = float(f"{before * change.factor:.2g}")  # two digits: it is a suggestion
    if isinstance(before, int):
        return max(1, round(before * change.factor))
    return wanted


def _draft(rundir: RunDir, frozen: Recipe) -> tuple[Draft, str]:
    """The draft to change, and what there is to say of where it comes from."""
    manifest = rundir.read_manifest()
    source = Path(str(manifest.get("recipe_source") or ""))
    if not source.is_file():
        return Draft.fresh(frozen), ""
    try:
        text = read_text(source)
        recipe = parse_recipe(parse_text(text, str(source)))
        same = recipe.with_values({"name": frozen.name})  # a run may be given another name
        workspace = Workspace(Path(str(manifest.get("workspace") or "")))
        if same == frozen or _as_run(same, source, workspace) == frozen:
            return Draft.opened(source, text, recipe), ""
    except FtuiError:  # no recipe any more, or what it names has moved: the run's own copy is one
        pass
    return Draft.fresh(frozen), f"as the run had it: {one_line(source.name, 40)} now says something else"


def _as_run(recipe: Recipe, source: Path, workspace: Workspace) -> Recipe:
    """What a run of `recipe` would have as its own copy: its paths lead to the same files from anywhere."""
    return find_inputs(workspace, recipe, source).recipe

"""What the run doctor would change in a run's recipe, as a draft for the Recipe pane. For a thread."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from ftui.core.errors import FtuiError
from ftui.core.recipe import Recipe, fields, load_recipe, parse_recipe
from ftui.core.recipe_toml import parse_text, read_text
from ftui.ui import recipe_desk as desk
from ftui.ui.recipe_draft import Draft

if TYPE_CHECKING:
    from textual.message import Message

    from ftui.core.vitals import Change
    from ftui.runs.rundir import RunDir


def propose(rundir: RunDir, change: Change) -> Message:
    """The recipe file the run was made from, or its frozen copy, with `change` made where it can be."""
    try:
        frozen = load_recipe(rundir.recipe_path)
        draft = _draft(rundir, frozen)
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
    return desk.Opened(draft, change.field, words)


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


def _draft(rundir: RunDir, frozen: Recipe) -> Draft:
    source = Path(str(rundir.read_manifest().get("recipe_source") or ""))
    if source.is_file():
        try:
            text = read_text(source)
            return Draft.opened(source, text, parse_recipe(parse_text(text, str(source))))
        except FtuiError:
            return Draft.fresh(frozen)  # no recipe any more: the run's own copy is one
    return Draft.fresh(frozen)

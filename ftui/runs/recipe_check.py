"""Everything that can be told of a recipe file at once: its text, its values, and what surrounds it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ftui.core.errors import FtuiError
from ftui.core.findings import Finding
from ftui.core.lint import lint
from ftui.core.recipe import field_errors, parse_recipe
from ftui.core.recipe_toml import key_lines, parse_text, read_text
from ftui.runs.recipe_facts import gather

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from ftui.runs.workspace import Workspace


def check_recipe(path: Path, workspace: Workspace | None) -> tuple[list[Finding], dict[str, int]]:
    """The findings in the recipe at `path`, and the lines its fields are on.

    What is no TOML is one finding, of no field, on the line "". Raises FtuiError for what is no text file.
    """
    text = read_text(path)
    try:
        document = parse_text(text)
    except FtuiError as error:
        line = {"": int(error.where)} if error.where else {}
        return [Finding("", "error", error.message, error.hint)], line
    errors = [Finding(field, "error", message) for field, message in field_errors(document)]
    return errors + _around(document, {error.field for error in errors}, path, workspace), key_lines(text)


def _around(
    document: Mapping[str, Any], wrong: set[str], path: Path, workspace: Workspace | None
) -> list[Finding]:
    """What lint finds; where fields are `wrong`, the errors that do not depend on them."""
    try:
        recipe = parse_recipe(_without(document, wrong))
    except FtuiError:  # a section that is none, another version: nothing more to say before that is mended
        return []
    facts = gather(recipe, workspace, path).facts(recipe)
    if not wrong:
        return lint(recipe, facts)
    # Memory and steps come from every value, and the usual one stands in for a wrong one here.
    apart = replace(facts, schedule=None, estimate=None)
    found = [one for one in lint(recipe, apart) if one.severity == "error"]
    return [one for one in found if wrong.isdisjoint((one.field, one.field.partition(".")[0]))]


def _without(document: Mapping[str, Any], wrong: set[str]) -> dict[str, Any]:
    kept: dict[str, Any] = {}
    for name, value in document.items():
        if isinstance(value, dict):
            kept[name] = {key: inner for key, inner in value.items() if f"{name}.{key}" not in wrong}
        elif name not in wrong:
            kept[name] = value
    return kept

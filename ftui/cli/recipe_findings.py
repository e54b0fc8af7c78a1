"""What lint finds in a recipe that is about to run: errors refuse it, warnings are told and it goes on."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import click

from ftui.cli.recipe_text import finding_line
from ftui.core.errors import FtuiError
from ftui.core.text import one_line

if TYPE_CHECKING:
    from pathlib import Path

    from ftui.core.recipe import Recipe
    from ftui.runs.workspace import Workspace


def tell_findings(
    workspace: Workspace, recipe: Recipe, path: Path, *, anyway: bool, as_json: bool, launcher: str = ""
) -> list[dict[str, Any]]:
    """The warnings about `recipe`, also on stderr where the answer is not JSON.

    Reads its dataset once. launcher: what starts its processes: these may share the base out (FSDP), and how
    much memory each needs is not known. Raises FtuiError for the first error; with `anyway` that is a warning
    too.
    """
    from ftui.core.lint import lint
    from ftui.runs.recipe_facts import gather

    facts = gather(recipe, workspace, path).facts(recipe)
    found = lint(recipe, replace(facts, estimate=None) if launcher else facts)
    for finding in found:
        if finding.severity == "error" and not anyway:
            ways = [finding.hint, "`ftui recipe check` shows all findings"]
            raise FtuiError(one_line(finding.message, 300), "; ".join(filter(None, ways)), finding.field)
    told = [finding for finding in found if finding.severity != "hint"]
    for finding in () if as_json else told:
        click.echo(f"ftui: {finding_line(finding)}", err=True)
    return [finding.to_dict() for finding in told]

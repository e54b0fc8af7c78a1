"""`ftui recipe try`: two real steps of a recipe on its longest rows, before the whole run."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from ftui.cli.output import Progress, emit, example, json_option
from ftui.cli.recipe_text import safe
from ftui.cli.runs import open_workspace, workspace_option

if TYPE_CHECKING:
    from ftui.runs.trial import Trial


@click.command("try", epilog=example("ftui recipe try tickets", "ftui recipe try tickets --json"))
@click.argument("recipe", metavar="RECIPE")
@click.option(
    "--set", "assignments", multiple=True, metavar="FIELD=VALUE", help="Change a field for this trial."
)
@workspace_option
@json_option
def try_(recipe: str, assignments: tuple[str, ...], directory: Path | None, as_json: bool) -> int:
    """Train RECIPE for two steps on its longest rows, evaluate, save: will it fit, learn, and how fast.

    Real training, thrown away. Exits 1 when the run would fail.
    """
    from ftui.core.recipe import load_recipe, parse_assignment
    from ftui.runs.recipes import find_recipe
    from ftui.runs.trial import try_out

    workspace = open_workspace(directory)
    path = find_recipe(workspace, recipe)
    wanted = load_recipe(path).with_values(dict(map(parse_assignment, assignments)))
    progress = Progress(enabled=not as_json)
    trial = try_out(workspace, wanted, path, tell=progress)
    progress.clear()
    assert trial is not None  # nothing cancels it but Ctrl-C
    emit(trial.to_dict(), as_json, lambda: _text(trial))
    return 0 if trial.ok else 1


def _text(trial: Trial) -> str:
    from ftui.runs.trial_words import lines

    mark = "✓ it runs" if trial.ok else f"✗ {safe(trial.problem)}"
    rows = [mark, *([f"    {safe(trial.hint)}"] if trial.hint else [])]
    return "\n".join([*rows, *(f"  {name:<12} {safe(value)}" for name, value in lines(trial))])

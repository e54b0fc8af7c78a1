"""`ftui recipe import`: a LLaMA-Factory or Axolotl YAML as a recipe."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from ftui.cli.output import emit, example, json_option
from ftui.cli.recipe_text import safe
from ftui.cli.workspaces import open_workspace, workspace_option
from ftui.core.text import sanitize

if TYPE_CHECKING:
    from ftui.core.import_reading import Imported


@click.command(
    "import",
    epilog=example(
        "ftui recipe import llama3_lora_sft.yaml tickets", "ftui recipe import axolotl.yml --json"
    ),
)
@click.argument("file", type=click.Path(path_type=Path))
@click.argument("out", required=False)
@click.option("--force", is_flag=True, help="Overwrite OUT.")
@workspace_option
@json_option
def import_(file: Path, out: str | None, force: bool, directory: Path | None, as_json: bool) -> None:
    """A LLaMA-Factory or Axolotl YAML as a recipe, and what of it has no equivalent.

    Written to OUT: a file, or a name in the workspace's recipes. Without OUT it is printed.
    """
    from ftui.core.recipe import Recipe
    from ftui.runs.recipe_import import import_file
    from ftui.runs.recipes import new_recipe_path, save_recipe

    imported = import_file(file)
    recipe = Recipe().with_values(imported.values)
    path = new_recipe_path(open_workspace(directory), out, force=force) if out else None
    if path is not None:
        save_recipe(path, recipe)
    result = {
        "kind": imported.kind,
        "path": path,
        "recipe": recipe.to_dict(),
        "remarks": [remark.to_dict() for remark in imported.remarks],
    }
    if not as_json:
        click.echo(_told(imported), err=True)
    text = sanitize(recipe.to_toml(comments=True).rstrip("\n"))
    emit(result, as_json, lambda: f"wrote {safe(str(path))}" if path else text)


def _told(imported: Imported) -> str:
    """What was taken over and what was not, for people."""
    told = [remark for remark in imported.remarks if remark.kind != "needless"]
    lines = [f"from {imported.kind}: {imported.taken} key{'s' * (imported.taken != 1)} taken over"]
    for remark in told:
        mark = "✗" if remark.kind == "dropped" else "!"
        lines.append(f"  {mark} {safe(remark.key)}: {safe(remark.value)}  {safe(remark.message)}")
    if needless := len(imported.remarks) - len(told):
        lines.append(f"  {needless} more need no equivalent")
    return "\n".join(lines)

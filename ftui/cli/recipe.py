"""`ftui recipe`: what the Recipe pane does, from scripts."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import click

from ftui.cli.output import emit, example, json_option
from ftui.cli.recipe_import import import_
from ftui.cli.recipe_text import estimate_dict, estimate_text, explained, explained_text, findings_text, safe
from ftui.cli.recipe_try import try_
from ftui.cli.workspaces import workspace_option
from ftui.core.errors import FtuiError
from ftui.core.recipe import Recipe, field_errors, fields, known_field, load_recipe, parse_assignment
from ftui.core.recipe_fields import shown
from ftui.core.text import sanitize
from ftui.runs.recipes import find_preset, find_recipe, list_recipes, new_recipe_path, save_recipe
from ftui.runs.workspace import Workspace, find_workspace

_RECIPE = click.argument("recipe", metavar="RECIPE")
_SET = click.option(
    "--set",
    "assignments",
    multiple=True,
    metavar="FIELD=VALUE",
    help="Change a field, such as adapter.rank=32.",
)


@click.group(epilog=example("ftui recipe new --preset qlora-chat tickets", "ftui recipe check tickets"))
def command() -> None:
    """Write and check recipes.

    RECIPE is a TOML file, the name of one in the workspace, a preset, or the id of a run.
    """


@command.command("list", epilog=example("ftui recipe list --json"))
@workspace_option
@json_option
def list_(directory: Path | None, as_json: bool) -> None:
    """The workspace's recipes and the presets."""
    listed = list_recipes(_workspace(directory))
    rows = [
        {"name": r.name, "path": r.path, "preset": r.preset, "description": r.description, "base": r.base}
        | ({"problem": r.problem} if r.problem else {})
        for r in listed
    ]

    def text() -> str:
        lines = []
        for title, preset in (("in this workspace", False), ("presets", True)):
            some = [r for r in listed if r.preset is preset]
            if some:
                lines += [
                    title,
                    *(f"  {safe(r.name):<18} {safe(r.problem or r.description)}" for r in some),
                ]
        return "\n".join(lines)

    emit({"recipes": rows}, as_json, text)


@command.command(
    epilog=example("ftui recipe new --preset qlora-chat --set data.train=datasets/chat.jsonl chat")
)
@click.argument("out")
@click.option("--preset", help="Start from a preset; `ftui recipe list` shows them.")
@click.option("--goal", help="style, domain, task or reasoning.")
@click.option("--force", is_flag=True, help="Overwrite OUT.")
@_SET
@workspace_option
@json_option
def new(
    *,
    out: str,
    preset: str | None,
    goal: str | None,
    force: bool,
    assignments: tuple[str, ...],
    directory: Path | None,
    as_json: bool,
) -> None:
    """Write a new recipe to OUT: a file, or a name in the workspace's recipes."""
    from ftui.core.goals import goal_changes

    path = new_recipe_path(_workspace(directory), out, force=force)
    recipe = load_recipe(find_preset(preset)) if preset else Recipe()
    stem = path.stem if not field_errors({"name": path.stem}) else recipe.name
    changes = {"name": stem} | (goal_changes(goal) if goal else {})
    recipe = recipe.with_values(changes | dict(map(parse_assignment, assignments)))
    save_recipe(path, recipe)
    emit({"path": path, "recipe": recipe.to_dict()}, as_json, lambda: f"wrote {safe(str(path))}")


@command.command(epilog=example("ftui recipe check tickets", "ftui recipe check recipes/tickets.toml --json"))
@_RECIPE
@workspace_option
@json_option
def check(recipe: str, directory: Path | None, as_json: bool) -> int:
    """Everything wrong or unwise in RECIPE, with what to do. Exits 1 when there are errors."""
    from ftui.runs.recipe_check import check_recipe

    workspace = _workspace(directory)
    path = find_recipe(workspace, recipe)
    found, lines = check_recipe(path, workspace)
    valid = not any(finding.severity == "error" for finding in found)
    report = [finding.to_dict() | {"line": lines.get(finding.field)} for finding in found]
    emit(
        {"valid": valid, "path": path, "findings": report},
        as_json,
        lambda: findings_text(path, found, lines),
    )
    return 0 if valid else 1


@command.command(epilog=example("ftui recipe show demo"))
@_RECIPE
@workspace_option
@json_option
def show(recipe: str, directory: Path | None, as_json: bool) -> None:
    """RECIPE with every field, defaults included."""
    path = find_recipe(_workspace(directory), recipe)
    value = load_recipe(path)
    emit(
        {"path": path, "name": value.name, "recipe": value.to_dict()},
        as_json,
        lambda: sanitize(value.to_toml(comments=True).rstrip("\n")),
    )


@command.command(epilog=example("ftui recipe explain training.learning_rate"))
@click.argument("field", required=False)
@json_option
def explain(field: str | None, as_json: bool) -> None:
    """What FIELD does and what it accepts; without FIELD, every one in a line."""
    if field is None:
        everything = [explained(one) for one in fields().values()]
        emit(
            {"fields": everything},
            as_json,
            lambda: "\n".join(f"{f['field']:<26} {f['why']}" for f in everything),
        )
        return
    keys = [one for one in fields().values() if one.key == field]
    one = keys[0] if len(keys) == 1 else known_field(field)
    emit(explained(one), as_json, lambda: explained_text(one))


@command.command(epilog=example("ftui recipe diff qlora-chat recipes/tickets.toml"))
@click.argument("a")
@click.argument("b")
@workspace_option
@json_option
def diff(a: str, b: str, directory: Path | None, as_json: bool) -> None:
    """The fields in which recipes A and B differ."""
    workspace = _workspace(directory)
    left, right = (load_recipe(find_recipe(workspace, name)) for name in (a, b))
    changes = [
        {"field": name, "a": left.get(name), "b": right.get(name)}
        for name in fields()
        if left.get(name) != right.get(name)
    ]

    def text() -> str:
        rows = [f"{c['field']:<26} {safe(shown(c['a'])):<28} {safe(shown(c['b']))}" for c in changes]
        return "\n".join(rows) or "no difference"

    emit({"changes": changes}, as_json, text)


@command.command(epilog=example("ftui recipe schema > recipe.schema.json"))
@json_option
def schema(as_json: bool) -> None:
    """The recipe format as a JSON schema, for editors that complete and check TOML."""
    value = Recipe.model_json_schema(by_alias=True)
    emit(value, as_json, lambda: json.dumps(value, indent=2))


@command.command(
    epilog=example("ftui recipe estimate demo", "ftui recipe estimate tickets --gpu-memory 24GiB --exact")
)
@_RECIPE
@click.option("--gpu-memory", metavar="SIZE", help="As if on a GPU with so much memory, such as 24GiB.")
@click.option(
    "--exact", is_flag=True, help="Build the model on fake tensors and count: slower, any architecture."
)
@workspace_option
@json_option
def estimate(recipe: str, gpu_memory: str | None, exact: bool, directory: Path | None, as_json: bool) -> None:
    """Memory, by part, and steps that RECIPE takes, from the base model's config.json."""
    from ftui.core.hardware import parse_size
    from ftui.runs.recipe_facts import gather, on_memory, this_machine

    machine = this_machine()
    if gpu_memory:
        machine = on_memory(machine, parse_size(gpu_memory))
    workspace = _workspace(directory)
    path = find_recipe(workspace, recipe)
    value = load_recipe(path)
    around = gather(value, workspace, path, machine)
    facts = around.facts(value)
    if exact and around.base.config is not None:
        from ftui.runs.exact_memory import exact_estimate

        geometry = around.base.geometry
        layers = geometry.layers if geometry else None
        counted = exact_estimate(value, around.base.config, machine, layers=layers, longest=facts.longest)
        facts = replace(facts, estimate=counted)
    if facts.estimate is None:
        problem = next(
            (p.message for p in facts.problems if p.field == "adapter.targets"), around.base.reason
        )
        raise FtuiError(f"memory {problem}", "", value.model.base)
    emit(
        estimate_dict(facts.estimate, facts.schedule),
        as_json,
        lambda: estimate_text(facts.estimate, facts.schedule, machine.name) if facts.estimate else "",
    )


command.add_command(import_)
command.add_command(try_)


def _workspace(directory: Path | None) -> Workspace:
    return find_workspace(directory, Path.cwd())

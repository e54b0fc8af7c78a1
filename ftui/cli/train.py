"""`ftui train`: start a run that outlives the terminal it was started from."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ftui.cli.output import Progress, emit, example, json_line, json_option
from ftui.cli.run_text import event_line, run_line
from ftui.cli.workspaces import open_workspace, workspace_option
from ftui.core.errors import FtuiError
from ftui.core.hardware import parse_size
from ftui.core.recipe import load_recipe, parse_assignment
from ftui.core.text import one_line
from ftui.runs.state import list_runs, run_state, summarize

if TYPE_CHECKING:
    from ftui.core.recipe import Recipe
    from ftui.runs.manifest import Inputs
    from ftui.runs.rundir import RunDir
    from ftui.runs.state import RunSummary
    from ftui.runs.workspace import Workspace

# What --follow exits with: a run that was stopped did not fail, but did not do its job either.
_EXIT_CODES = {"finished": 0, "stopped": 1}
_EXIT_RUN_FAILED = 3
_EXIT_INTERRUPTED = 130


@click.command(
    epilog=example(
        "ftui train support-triage",
        "ftui train recipes/triage.toml --set training.learning_rate=1e-4 --follow",
        "ftui train support-triage --queue",
    )
)
@click.argument("recipe_name", metavar="RECIPE")
@click.option("--name", help="The run's name; the recipe's by default.")
@click.option(
    "--set", "assignments", multiple=True, metavar="FIELD=VALUE", help="Change a recipe field for this run."
)
@click.option("--follow", "following", is_flag=True, help="Show its progress; Ctrl-C leaves it running.")
@click.option(
    "--queue", "queueing", is_flag=True, help="Start it when its turn has come: see `ftui runs queue`."
)
@click.option(
    "--needs", metavar="SIZE", help="With --queue: memory that must be free, such as 14GB; else as estimated."
)
@click.option(
    "--anyway", is_flag=True, help="Start it in spite of errors found in it, and of a run on the same GPU."
)
@click.option(
    "--launcher",
    default="",
    metavar="COMMAND",
    help='Starts the run\'s processes: "torchrun --nproc-per-node=8", "accelerate launch --use_fsdp".',
)
@click.option("--dry-run", is_flag=True, help="Check everything and say what would run, then stop.")
@workspace_option
@json_option
@click.pass_context
def command(
    ctx: click.Context,
    *,
    recipe_name: str,
    name: str | None,
    assignments: tuple[str, ...],
    following: bool,
    queueing: bool,
    needs: str | None,
    anyway: bool,
    launcher: str,
    dry_run: bool,
    directory: Path | None,
    as_json: bool,
) -> None:
    """Start a run that outlives your connection.

    RECIPE is a file, the name of a recipe in the workspace, or a preset. The run goes on in the background
    when this command has returned, when the terminal is closed, and when the connection is lost.
    """
    from ftui.cli.recipe_findings import tell_findings
    from ftui.runs.launch import launch, plain_name
    from ftui.runs.launcher import check_launcher, join_command
    from ftui.runs.manifest import find_inputs
    from ftui.runs.recipes import find_recipe
    from ftui.runs.room import look_for_room

    workspace = open_workspace(directory)
    path = find_recipe(workspace, recipe_name)
    recipe = load_recipe(path).with_values(dict(map(parse_assignment, assignments)))
    if name:
        recipe = recipe.with_values({"name": plain_name(name)})
    if queueing and (following or anyway):
        raise FtuiError("--queue waits for its turn", "leave --follow and --anyway out")
    if needs and not queueing:
        raise FtuiError("--needs says what a queued run waits for", "add --queue")
    if launcher and queueing:
        raise FtuiError("a launcher starts on machines that wait for it", "leave --queue or --launcher out")
    if launcher:
        check_launcher(launcher)
    memory = parse_size(needs) if needs else None
    inputs = find_inputs(workspace, recipe, path)
    findings = tell_findings(workspace, recipe, path, anyway=anyway, as_json=as_json, launcher=launcher)
    if dry_run:
        _dry_run(workspace, recipe, inputs, findings, as_json)
        return
    repeat = _to_repeat(path, name, assignments, launcher, workspace)
    if queueing:
        _enqueue(workspace, recipe, path, repeat, memory, findings, as_json)
        return
    if not launcher and (notice := look_for_room(workspace, recipe, path, anyway=anyway)):
        click.echo(f"ftui: {notice}", err=True)
    rundir = launch(workspace, recipe, recipe_path=path, command=repeat, launcher=launcher)
    if following:
        ctx.exit(follow_run(rundir, as_json))
    run = summarize(rundir)
    result = {"run": run.id, "dir": run.path, "state": run.state, "devices": run.devices}
    emit({**result, "findings": findings}, as_json, lambda: _started(run, join_command(rundir)))


def _enqueue(
    workspace: Workspace,
    recipe: Recipe,
    path: Path,
    repeat: str,
    needs: int | None,
    findings: list[dict[str, Any]],
    as_json: bool,
) -> None:
    from ftui.runs.queue import enqueue

    rundir = enqueue(workspace, recipe, recipe_path=path, command=repeat, needs=needs)
    run = next((one for one in list_runs(workspace) if one.id == rundir.id), summarize(rundir))
    result = {"run": rundir.id, "dir": rundir.path, "state": run.state, "position": run.position}
    emit({**result, "reason": run.reason, "findings": findings}, as_json, lambda: _queued(run))


def _queued(run: RunSummary) -> str:
    if run.position is None:
        return f"{run.id} is {run.state}"
    return (
        f"{run.id} is number {run.position} in the queue: {one_line(run.reason, 160)}\n"
        f"  look     ftui runs queue   (or open ftui)\n"
        f"  take out ftui runs queue --remove {run.id}"
    )


def follow_run(rundir: RunDir, as_json: bool, *, skip_bytes: int = 0) -> int:
    """Shows a run until it has ended, a line a step, and returns the exit code that tells how it ended.

    Ctrl-C only stops looking. skip_bytes: of its events, those told before a resume.
    """
    from ftui.runs.follow import follow_batches
    from ftui.runs.pace import Clock
    from ftui.runs.tail import EventTail

    progress, clock = Progress(), Clock(rundir)
    try:
        for batch in follow_batches(rundir, EventTail(rundir.events_path, skip_bytes)):
            for event in batch:
                _tell(event, clock.left(event), progress, as_json)
    except KeyboardInterrupt:
        progress.clear()
        click.echo(
            f"\nno longer looking: {rundir.id} goes on. `ftui runs stop {rundir.id}` ends it", err=True
        )
        if as_json:
            click.echo(json_line({"run": rundir.id, "state": run_state(rundir)}))
        return _EXIT_INTERRUPTED
    progress.clear()
    run = summarize(rundir)
    if as_json:
        click.echo(json_line({"run": run.id, **run.to_dict()}))
    else:
        click.echo(run_line(run))
        if run.hint:
            click.echo(f"  {one_line(run.hint, 200)}")
    return _EXIT_CODES.get(run.state, _EXIT_RUN_FAILED)


def _tell(event: dict[str, Any], left: float | None, progress: Progress, as_json: bool) -> None:
    if event["type"] == "progress":
        done, total = event.get("done"), event.get("total")
        if isinstance(done, int | float) and isinstance(total, int | float):
            progress(one_line(str(event.get("stage")), 28), int(done), int(total))
    elif (line := event_line(event, left)) and not as_json:
        progress.clear()
        click.echo(line)


def _dry_run(
    workspace: Workspace, recipe: Recipe, inputs: Inputs, findings: list[dict[str, Any]], as_json: bool
) -> None:
    """Opens everything the run needs. Raises FtuiError for the first thing that is wrong."""
    from ftui.data.dataset import Dataset

    for file in filter(None, (inputs.train, inputs.validation)):
        Dataset.open(file)
    plan = {
        "run": None,
        "would": {
            "name": recipe.name,
            "workspace": workspace.root,
            "base": inputs.recipe.model.base,
            "train": inputs.train,
            "validation": inputs.validation or recipe.data.validation,
            "recipe": inputs.recipe.to_dict(),
        },
        "findings": findings,
    }
    emit(plan, as_json, lambda: _planned(workspace, inputs))


def _planned(workspace: Workspace, inputs: Inputs) -> str:
    recipe = inputs.recipe
    length = (
        f"{recipe.training.max_steps} steps"
        if recipe.training.max_steps
        else f"{recipe.training.epochs:g} epochs"
    )
    bits = f"{recipe.quantization.bits}-bit" if recipe.quantization.bits < 16 else "unquantized"
    facts = [
        (
            "would run",
            f"{recipe.name}: {recipe.training.objective}, {recipe.adapter.method}, {bits}, {length}",
        ),
        ("base", recipe.model.base),
        ("data", inputs.train),
        ("held back", inputs.validation or recipe.data.validation),
        ("in", workspace.runs),
    ]
    return "\n".join(f"{label:<10} {one_line(str(value), 300)}" for label, value in facts)


def _started(run: RunSummary, join: str) -> str:
    other = f"\n  join   on other machines, with their own rank: {one_line(join, 400)}" if join else ""
    return (
        f"{run.id} is training in the background; it outlives this terminal\n"
        f"  watch  ftui runs events {run.id} --follow   (or open ftui)\n"
        f"  stop   ftui runs stop {run.id}{other}"
    )


def _to_repeat(
    path: Path, name: str | None, assignments: tuple[str, ...], launcher: str, workspace: Workspace
) -> str:
    """The same command for any directory: recipe and workspace are named in full."""
    words = ["ftui", "train", str(path.resolve())]
    words += ["--name", name] if name else []
    for assignment in assignments:
        words += ["--set", assignment]
    words += ["--launcher", launcher] if launcher else []
    words += ["--workspace", str(workspace.root)]
    return shlex.join(words)

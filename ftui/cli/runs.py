"""`ftui runs`: list, watch, stop, resume and delete runs."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ftui.cli.output import Progress, emit, example, json_option
from ftui.cli.run_labels import note, tag
from ftui.cli.run_queue import queue
from ftui.cli.run_text import comparison_table, run_line, run_table
from ftui.cli.runs_tensorboard import tensorboard
from ftui.cli.workspaces import open_workspace, workspace_option
from ftui.core.errors import FtuiError
from ftui.core.events import encode
from ftui.core.text import one_line, sanitize
from ftui.runs.state import ENDED, find_run, list_runs, run_state, summarize
from ftui.runs.workspace import Workspace

if TYPE_CHECKING:
    from ftui.runs.rundir import RunDir
    from ftui.runs.state import RunSummary, State


@click.group(
    invoke_without_command=True,
    epilog=example("ftui runs", "ftui runs events last --follow", "ftui runs stop tickets-0412-153012"),
)
@workspace_option
@json_option
@click.pass_context
def command(ctx: click.Context, directory: Path | None, as_json: bool) -> None:
    """List, watch, stop, resume and queue runs.

    RUN is an id, the beginning of one, or `last`.
    """
    ctx.obj = directory
    if ctx.invoked_subcommand is None:
        from ftui.runs.queue_kick import kick

        workspace = open_workspace(directory)
        kick(workspace)
        runs = list_runs(workspace)
        empty = f"no runs in {sanitize(str(workspace.root), lines=False)} yet; `ftui train RECIPE` starts one"
        emit({"runs": [run.to_dict() for run in runs]}, as_json, lambda: run_table(runs) if runs else empty)


for _command in (note, queue, tag, tensorboard):
    command.add_command(_command)


@command.command(epilog=example("ftui runs show last --json"))
@click.argument("run_name", metavar="RUN")
@workspace_option
@json_option
def show(run_name: str, directory: Path | None, as_json: bool) -> None:
    """Everything about one run."""
    rundir = find_run(open_workspace(directory), run_name)
    run = summarize(rundir)
    if run.state == "queued":  # what it waits for is known from the whole queue
        listed = list_runs(Workspace(rundir.path.parent.parent))
        run = next((one for one in listed if one.id == run.id), run)
    shown = describe(rundir, run)
    emit(shown, as_json, lambda: _details(rundir, run, shown))


@command.command(epilog=example("ftui runs events last --follow | jq .loss"))
@click.argument("run")
@click.option("--follow", "following", is_flag=True, help="Wait for more until the run has ended.")
@workspace_option
@click.option("--json", "as_json", is_flag=True, help="JSON is what it prints in any case.")
def events(run: str, following: bool, directory: Path | None, as_json: bool) -> None:
    """The run's events, one JSON object a line."""
    from ftui.runs.follow import follow_batches
    from ftui.runs.tail import EventTail

    rundir = find_run(open_workspace(directory), run)
    tail = EventTail(rundir.events_path)
    terminal = sys.stdout.isatty()
    batches = follow_batches(rundir, tail) if following else iter(tail.read, [])
    try:
        for batch in batches:
            text = b"".join(map(encode, batch)).decode("utf-8", "replace")
            click.echo(sanitize(text) if terminal else text, nl=False)
    except BrokenPipeError:
        raise
    except OSError as error:
        raise FtuiError(f"cannot read the run's events: {error.strerror}", "", str(tail.path)) from None
    if tail.bad:
        click.echo(f"ftui: {tail.bad} line{'s' * (tail.bad != 1)} could not be read", err=True)


@command.command(epilog=example("ftui runs stop last", "ftui runs stop last --now"))
@click.argument("run")
@click.option(
    "--now", is_flag=True, help="After ten seconds, end it by force: work since its last checkpoint is lost."
)
@click.option("--wait", "wait_seconds", type=click.FloatRange(0), default=60.0, show_default=True,
              help="Seconds to wait for it to save and end; it stops in any case.")  # fmt: skip
@workspace_option
@json_option
def stop(run: str, now: bool, wait_seconds: float, directory: Path | None, as_json: bool) -> None:
    """Ask a run to save a checkpoint and end."""
    from ftui.runs import control

    rundir, progress = find_run(open_workspace(directory), run), Progress(not as_json)

    def waiting(what: str, left: float) -> None:
        progress(f"{left:3.0f} s {what}", 0, 0)

    state = control.stop(rundir, now, waiting=waiting)
    deadline = time.monotonic() + wait_seconds
    while state not in ENDED and time.monotonic() < deadline:
        waiting("for a checkpoint", deadline - time.monotonic())
        time.sleep(0.1)
        state = run_state(rundir)
    progress.clear()
    text = "" if state in ENDED else "; it ends after its next step, or with --now"
    emit({"run": rundir.id, "state": state}, as_json, lambda: f"{rundir.id} is {state}{text}")


@command.command(epilog=example("ftui runs resume last --follow"))
@click.argument("run")
@click.option("--follow", "following", is_flag=True, help="Show its progress; Ctrl-C leaves it running.")
@workspace_option
@json_option
@click.pass_context
def resume(ctx: click.Context, run: str, following: bool, directory: Path | None, as_json: bool) -> None:
    """Go on with a run from its newest checkpoint."""
    from ftui.cli.train import follow_run
    from ftui.runs import control

    rundir = find_run(open_workspace(directory), run)
    seen = rundir.events_path.stat().st_size if rundir.events_path.exists() else 0
    resumed = control.resume(rundir)
    if resumed.notice:
        click.echo(f"ftui: {resumed.notice}", err=True)
    if following:
        ctx.exit(follow_run(rundir, as_json, skip_bytes=seen))
    result = {"run": rundir.id, "state": run_state(rundir), "step": resumed.step, "notice": resumed.notice}
    over = "starts over from step 0" if resumed.notice else "is started"
    how = f"goes on from step {resumed.step}" if resumed.step else over
    emit(result, as_json, lambda: f"{rundir.id} {how}, in the background")


@command.command(epilog=example("ftui runs compare last tickets-0412-153012"))
@click.argument("runs", nargs=-1, required=True, metavar="RUN RUN...")
@workspace_option
@json_option
def compare(runs: tuple[str, ...], directory: Path | None, as_json: bool) -> None:
    """What differs between runs, and what came of each."""
    from ftui.runs.compare import compare as compare_runs

    workspace = open_workspace(directory)
    found = compare_runs([find_run(workspace, run) for run in runs])
    emit(found.to_dict(), as_json, lambda: comparison_table(found))


@command.command(
    epilog=example("ftui runs delete tickets-0412-153012", "ftui runs delete tickets-0412-153012 --undo")
)
@click.argument("run")
@click.option("--undo", is_flag=True, help="Bring a deleted run back.")
@workspace_option
@json_option
def delete(run: str, undo: bool, directory: Path | None, as_json: bool) -> None:
    """Move a run into the trash (runs/.trash), from where it can be brought back."""
    from ftui.runs import control
    from ftui.runs.queue_kick import kick

    workspace = open_workspace(directory)
    if undo:
        rundir = control.restore(workspace, run)
        kick(workspace)  # it may have been queued
        emit({"run": rundir.id, "restored": rundir.path}, as_json, lambda: f"{rundir.id} is back")
        return
    rundir = find_run(workspace, run)
    place = control.delete(rundir)
    emit(
        {"run": rundir.id, "deleted": place},
        as_json,
        lambda: f"{rundir.id} is in the trash; `ftui runs delete {rundir.id} --undo` brings it back",
    )


def describe(rundir: RunDir, run: RunSummary) -> dict[str, Any]:
    """The object of `ftui runs show --json`."""
    from ftui.core.recipe import read_document

    try:
        recipe = read_document(rundir.recipe_path)
    except FtuiError:
        recipe = {}
    adapter = rundir.adapter if (rundir.adapter / "adapter_config.json").is_file() else None
    return {
        **run.to_dict(),
        "dir": rundir.path,
        "pid": run.pid,
        "attempts": run.attempts,
        "recipe": recipe,
        "manifest": rundir.read_manifest(),
        "adapter": adapter,
        "exit": rundir.read_exit() or None,
        **_examination(rundir, run.state),
    }


def _examination(rundir: RunDir, state: State) -> dict[str, Any]:
    """What the run doctor says: alarms, those of before, and the checks that could not run."""
    from dataclasses import asdict

    from ftui.runs.examine import examine_run
    from ftui.runs.live import read_history
    from ftui.runs.past_alarms import PastAlarms

    history = read_history(rundir.events_path)
    found, past = examine_run(rundir, history, state), PastAlarms()
    gone = past.look(rundir, history, found.alarms)
    while past.behind:
        gone = past.look(rundir, history, found.alarms)
    unchecked = [{"check": name, "reason": reason} for name, reason in found.unchecked]
    return {
        "alarms": [asdict(alarm) for alarm in found.alarms],
        "past_alarms": [asdict(alarm) for alarm in gone],
        "unchecked": unchecked,
    }


def _details(rundir: RunDir, run: RunSummary, shown: dict[str, Any]) -> str:
    from ftui.runs.devices import show_devices
    from ftui.runs.repeat import repeat_command

    manifest = shown["manifest"]
    data = manifest.get("data") if isinstance(manifest.get("data"), dict) else {}
    train = data.get("train") if isinstance(data.get("train"), dict) else {}
    facts = [
        ("note", run.note),
        ("tags", " ".join(run.tags)),
        ("place", f"{run.position} in the queue" if run.position else ""),
        ("directory", shown["dir"]),
        ("attempts", shown["attempts"]),
        ("device", show_devices(run.devices)),
        ("trainer", f"pid {shown['pid']}" if shown["pid"] else ""),
        ("base", manifest.get("base", "")),
        ("data", train.get("path", "")),
        ("adapter", shown["adapter"] or ""),
        ("log", rundir.log_path),
    ]
    lines = [run_line(run)]
    if shown["hint"]:
        lines.append(f"  {one_line(shown['hint'], 200)}")
    lines += [f"  {name:<10} {one_line(str(value), 300)}" for name, value in facts if value]
    if command := repeat_command(rundir):  # never cut short: it is there to be copied
        lines.append(f"  {'to repeat':<10} {sanitize(command, lines=False)}")
    for alarm in shown["alarms"]:
        lines += [f"  {alarm['severity']:<10} {alarm['message']}", f"  {'':<10} {alarm['hint']}"]
    for alarm in shown["past_alarms"]:
        lines += [f"  {'was':<10} {alarm['check'].replace('-', ' ')} at step {alarm['step']}"]
        lines += [f"  {'':<10} {alarm['message']}"]
    return "\n".join(lines)

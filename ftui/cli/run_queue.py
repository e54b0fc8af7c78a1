"""`ftui runs queue`: what waits for its turn, in which order, and for what."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ftui.cli.output import emit, example, json_option
from ftui.cli.workspaces import open_workspace, workspace_option
from ftui.core.errors import FtuiError
from ftui.core.text import one_line
from ftui.runs.state import find_run, list_runs

if TYPE_CHECKING:
    from ftui.runs.state import RunSummary
    from ftui.runs.workspace import Workspace

_FAR = 1_000_000


@click.command(
    epilog=example(
        "ftui runs queue",
        "ftui runs queue --move tickets-0412-153012 --first",
        "ftui runs queue --remove tickets-0412-153012",
    )
)
@click.option("--move", metavar="RUN", help="Move this run: with --up, --down, --first, --last or --to.")
@click.option("--up", "by", flag_value=-1, type=int, help="One place earlier.")
@click.option("--down", "by", flag_value=1, type=int, help="One place later.")
@click.option("--first", "by", flag_value=-_FAR, type=int, help="To the next to start.")
@click.option("--last", "by", flag_value=_FAR, type=int, help="To the end.")
@click.option("--to", type=click.IntRange(1), metavar="N", help="To this place, 1 is the next to start.")
@click.option(
    "--remove", metavar="RUN", help="Take this run out; `ftui runs delete RUN --undo` puts it back."
)
@click.option("--pause", "going", flag_value="pause", help="Start no more runs until --go.")
@click.option("--go", "going", flag_value="go", help="Start runs again.")
@workspace_option
@json_option
def queue(
    *,
    move: str | None,
    by: int | None,
    to: int | None,
    remove: str | None,
    going: str | None,
    directory: Path | None,
    as_json: bool,
) -> None:
    """Show the queue in order and what each run waits for, or change it.

    Runs are put in it with `ftui train RECIPE --queue`, and started in order, each as soon as a GPU with the
    memory it needs comes free.
    """
    from ftui.runs import queue as runs_queue

    workspace = open_workspace(directory)
    if (move is not None) != (by is not None or to is not None):
        raise FtuiError("say which run, and where to", "`--move RUN --up`, --down, --first, --last or --to N")
    if remove is not None:
        runs_queue.dequeue(workspace, find_run(workspace, remove))
    if move is not None:
        rundir = find_run(workspace, move)
        if to is not None:
            runs_queue.move_to(workspace, rundir, to)
        else:
            runs_queue.move(workspace, rundir, by or 0)
    if going is not None:
        (runs_queue.pause if going == "pause" else runs_queue.go)(workspace)
    _show(workspace, as_json)


def _show(workspace: Workspace, as_json: bool) -> None:
    from ftui.runs.queue_files import is_paused, read_entry
    from ftui.runs.queue_kick import kick, runner_of
    from ftui.runs.rundir import RunDir

    kick(workspace)
    runs = sorted((run for run in list_runs(workspace) if run.position), key=lambda run: run.position or 0)
    paused, runner = is_paused(workspace), runner_of(workspace)
    listed = []
    for run in runs:
        entry = read_entry(RunDir(run.path))
        wishes = {"needs": entry.needs, "estimate": entry.estimate, "queued": entry.queued}
        listed.append({**run.to_dict(), **wishes})
    found: dict[str, Any] = {"runs": listed, "paused": paused, "runner": runner.pid if runner else None}
    emit(found, as_json, lambda: _table(runs, paused))


def _table(runs: list[RunSummary], paused: bool) -> str:
    lines = ["the queue is paused; `ftui runs queue --go` starts runs again"] if paused else []
    if not runs:
        return "\n".join([*lines, "no run is queued; `ftui train RECIPE --queue` puts one in"])
    width = max(len(one_line(run.id, 60)) for run in runs)
    for run in runs:
        hint = f" ({one_line(run.hint, 120)})" if run.hint else ""
        lines.append(f"{run.position:>3}  {one_line(run.id, 60):<{width}}  {one_line(run.reason, 160)}{hint}")
    return "\n".join(lines)

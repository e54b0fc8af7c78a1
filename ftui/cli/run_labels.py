"""`ftui runs note` and `ftui runs tag`: what a person writes on a run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from ftui.cli.output import emit, example, json_option
from ftui.cli.workspaces import open_workspace, workspace_option
from ftui.runs.labels import Labels, read_labels, retag, write_labels
from ftui.runs.state import find_run


@click.command(
    epilog=example("ftui runs note last 'rank 32 forgets the greeting'", "ftui runs note last --clear")
)
@click.argument("run")
@click.argument("text", required=False)
@click.option("--clear", is_flag=True, help="Take the note off.")
@workspace_option
@json_option
def note(run: str, text: str | None, clear: bool, directory: Path | None, as_json: bool) -> None:
    """Write a note on a run, or read it."""
    rundir = find_run(open_workspace(directory), run)
    wanted = "" if clear else text
    labels = read_labels(rundir) if wanted is None else write_labels(rundir, note=wanted)
    emit(_to_dict(rundir.id, labels), as_json, lambda: labels.note or f"{rundir.id} has no note")


@click.command(
    # No -h: it would be read out of -hello, which takes a tag off.
    context_settings={"ignore_unknown_options": True, "help_option_names": ["--help"]},
    epilog=example("ftui runs tag last +good -draft", "ftui runs tag last"),
)
@click.argument("run")
@click.argument("changes", nargs=-1, type=click.UNPROCESSED, metavar="[+TAG] [-TAG]...")
@workspace_option
@json_option
def tag(run: str, changes: tuple[str, ...], directory: Path | None, as_json: bool) -> None:
    """Put tags on a run and take them off, or list them."""
    if option := next((change for change in changes if change.startswith("--")), ""):
        raise click.NoSuchOption(option, ctx=click.get_current_context())
    rundir = find_run(open_workspace(directory), run)
    labels = read_labels(rundir)
    if changes:
        labels = write_labels(rundir, tags=retag(labels.tags, changes))
    emit(_to_dict(rundir.id, labels), as_json, lambda: " ".join(labels.tags) or f"{rundir.id} has no tags")


def _to_dict(run: str, labels: Labels) -> dict[str, Any]:
    return {"run": run, "note": labels.note, "tags": labels.tags}

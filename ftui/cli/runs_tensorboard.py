"""`ftui runs tensorboard`: a run's curves for TensorBoard."""

from __future__ import annotations

import shlex
from pathlib import Path

import click

from ftui.cli.output import Progress, emit, example, json_option
from ftui.cli.workspaces import open_workspace, workspace_option
from ftui.core.errors import FtuiError
from ftui.core.text import sanitize
from ftui.runs.state import find_run


@click.command(
    epilog=example("ftui runs tensorboard last", "ftui runs tensorboard last --out /tmp/logs"),
)
@click.argument("run")
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    help="Log directory; the run gets a folder of its own in it. By default the run's own folder.",
)
@workspace_option
@json_option
def tensorboard(run: str, out: Path | None, directory: Path | None, as_json: bool) -> None:
    """Write a run's figures as an event file that TensorBoard reads.

    TensorBoard itself is not needed for that. An earlier export of the run is replaced.
    """
    from ftui.runs.tensorboard import export

    rundir, progress = find_run(open_workspace(directory), run), Progress(not as_json)
    folder = out / rundir.id if out else rundir.path / "tensorboard"
    try:
        made = export(rundir, folder, lambda done, total: progress("writing", done, total))
    except OSError as error:
        raise FtuiError(f"cannot write it: {error.strerror}", "", str(error.filename or folder)) from None
    finally:
        progress.clear()
    result = {
        "run": rundir.id, "path": made.path, "steps": made.steps, "evals": made.evals, "tags": list(made.tags),
    }  # fmt: skip
    logs = shlex.quote(str(out or rundir.path))
    emit(
        result,
        as_json,
        lambda: (
            f"wrote {len(made.tags)} curves, {made.steps} steps and {made.evals} evaluations\n"
            f"  {sanitize(str(made.path), lines=False)}\n"
            f"`tensorboard --logdir {sanitize(logs, lines=False)}` shows them"
        ),
    )

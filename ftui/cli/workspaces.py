"""Which workspace a command means."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ftui.runs.workspace import find_workspace

if TYPE_CHECKING:
    from collections.abc import Callable

    from ftui.runs.workspace import Workspace


def workspace_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """Adds `--workspace DIR` to a command as the parameter `directory`."""
    return click.option(
        "--workspace",
        "directory",
        type=click.Path(path_type=Path),
        help="The workspace; by default the one you are in.",
    )(command)


def open_workspace(directory: Path | None) -> Workspace:
    """The workspace a command means: its own --workspace, else the one given to the group before it."""
    context = click.get_current_context(silent=True)
    outer = context.parent.obj if context and context.parent else None
    return find_workspace(directory or (outer if isinstance(outer, Path) else None), Path.cwd())

"""Runs that were deleted: they lie in `.trash` beside the others until somebody empties it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from ftui.runs.control import TRASH

if TYPE_CHECKING:
    from ftui.runs.workspace import Workspace


def deleted_runs(workspace: Workspace) -> list[str]:
    """The ids of the runs in the trash, the one thrown away last first."""
    found = []
    try:
        with os.scandir(workspace.runs / TRASH) as entries:
            # Moving a directory is a change of it, though not of what is in it.
            found = [(entry.stat().st_ctime_ns, entry.name) for entry in entries if entry.is_dir()]
    except OSError:
        return []
    return [name for _, name in sorted(found, reverse=True)]

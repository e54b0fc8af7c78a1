"""The example a new workspace can look at: the demo's tickets, copied in so that they can be annotated."""

from __future__ import annotations

import os
import shutil
from importlib.resources import as_file, files
from typing import TYPE_CHECKING

from ftui.core.errors import FtuiError

if TYPE_CHECKING:
    from pathlib import Path

    from ftui.runs.workspace import Workspace

_NAME = "tickets.jsonl"


def copy_example(workspace: Workspace) -> Path:
    """The path of the example in the workspace, put there unless it is. Raises FtuiError."""
    target = workspace.datasets / _NAME
    if target.exists():
        return target
    part = target.with_name(f".{_NAME}.{os.getpid()}.part")
    try:
        workspace.ensure()
        target.parent.mkdir(parents=True, exist_ok=True)
        with as_file(files("ftui.demo") / _NAME) as source:
            shutil.copyfile(source, part)
        part.replace(target)
    except OSError as error:
        raise FtuiError(
            f"cannot copy the example: {error.strerror or error}",
            "open a dataset elsewhere with o",
            str(target),
        ) from None
    return target

"""torchrun or accelerate as what starts a run's trainer: its processes are then theirs, here and on other machines.

The launcher's command is kept in the run's manifest, so a resumed run starts as it did before.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from ftui.core.errors import FtuiError
from ftui.runs.process import python_command

if TYPE_CHECKING:
    from ftui.runs.rundir import RunDir

_TRAINER = "ftui.engine.train"
_SEVERAL_MACHINES = re.compile(r"--(?:nnodes|num[-_]machines)[=\s]\s*+(?!1(?:\s|$))")


def check_launcher(launcher: str) -> None:
    """Raises FtuiError where `launcher` is no command of this machine."""
    try:
        words = shlex.split(launcher)
    except ValueError as error:
        raise FtuiError(f"{error} in {launcher!r}", "quote it as in a shell", "--launcher") from None
    if not words or _program(words[0]) is None:
        raise FtuiError(
            f"no such command: {words[0] if words else launcher!r}",
            'name one that starts Python modules, such as "torchrun --nproc-per-node=2"',
            "--launcher",
        )


def launcher_of(rundir: RunDir) -> str:
    """What starts the run's trainer; "" when nothing but ftui does."""
    return str(rundir.read_manifest().get("launcher") or "")


def trainer_command(rundir: RunDir) -> list[str]:
    """The command that trains this run on this machine."""
    if not (launcher := launcher_of(rundir)):
        return python_command(_TRAINER, str(rundir.path))
    program, *rest = shlex.split(launcher)
    return [_program(program) or program, *rest, "-m", _TRAINER, str(rundir.path)]


def join_command(rundir: RunDir) -> str:
    """What is typed on each other machine, as far as it is the same there; "" for a run on this one alone.

    The launcher's own options that tell machines apart (--node-rank, --machine_rank) are the user's to change.
    """
    launcher = launcher_of(rundir)
    if not _SEVERAL_MACHINES.search(launcher):
        return ""
    return f"{launcher} -m {_TRAINER} {shlex.quote(str(rundir.path))}"


def _program(name: str) -> str | None:
    """Where a command is, looking first beside this Python: a virtual environment need not be active."""
    beside = str(Path(sys.executable).parent)
    return shutil.which(name, path=os.pathsep.join([beside, os.environ.get("PATH", os.defpath)]))

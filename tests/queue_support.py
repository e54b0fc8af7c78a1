"""Shared by the tests of the queue: runs whose trainer only pretends, though somebody else starts them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ftui.runs import queue_kick
from ftui.runs.queue import enqueue
from tests.runs_support import recipe

if TYPE_CHECKING:
    import pytest

    from ftui.runs.rundir import RunDir
    from ftui.runs.workspace import Workspace

# Python runs this first in every process: one that was to be the trainer becomes the pretended one, which does
# the steps and has the traits that the run's recipe says.
_IN_ITS_PLACE = """
import os, sys
if "ftui.engine.train" in sys.orig_argv:
    import runpy, tomllib, traceback
    with open(os.path.join(os.environ["FTUI_RUN_DIR"], "recipe.toml"), "rb") as file:
        recipe = tomllib.load(file)
    sys.argv = [{fake!r}, str(recipe["training"]["max_steps"]), *recipe.get("description", "").split()]
    code = 1
    try:
        runpy.run_path(sys.argv[0], run_name="__main__")
    except SystemExit as end:
        code = end.code
    except BaseException:
        traceback.print_exc()
    sys.stdout.flush()
    os._exit(code)
"""


def pretend(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    """Every trainer started from here on, by whomever, only pretends; leases of others are not seen."""
    place, runtime = folder / "first", folder / "runtime"
    place.mkdir()
    runtime.mkdir()
    fake = Path(__file__).parent / "e2e" / "fake_trainer.py"
    (place / "sitecustomize.py").write_text(_IN_ITS_PLACE.format(fake=str(fake)))
    monkeypatch.setenv(
        "PYTHONPATH", os.pathsep.join(filter(None, [str(place), os.environ.get("PYTHONPATH")]))
    )
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(runtime))
    monkeypatch.setattr(queue_kick, "_AGAIN_SECONDS", 0.0)


def put(workspace: Workspace, name: str, steps: int = 3, traits: str = "", **options: Any) -> RunDir:
    """Queues a pretended run of `steps` steps."""
    wanted = recipe(**{"name": name, "training.max_steps": steps, "description": traits})
    return enqueue(workspace, wanted, **options)

"""Prepares the default model in a child process, for those who must not import the engine."""

from __future__ import annotations

import json
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from ftui.core.errors import FtuiError, ModelError
from ftui.core.text import one_line
from ftui.runs.process import child_environment, python_command

if TYPE_CHECKING:
    from collections.abc import Callable


def prepare_default_model(progress: Callable[[str, int, int], None] | None = None) -> Path:
    """Fetches and converts the default model in a child process when it is not there; returns its folder.

    An exception out of `progress` cancels it. Raises FtuiError with the next step.
    """
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(
            python_command("ftui.engine.default_model"),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=log,
            env=child_environment(),
        )
        assert process.stdout
        try:
            for line in process.stdout:
                event = json.loads(line)
                if event["event"] == "error":
                    raise FtuiError(event["message"], event["hint"], event["where"])
                if event["event"] == "ready":
                    return Path(event["path"])
                if progress:
                    progress(event["stage"], event["done"], event["total"])
        finally:
            process.terminate()
            process.wait()
            process.stdout.close()
        log.seek(0)
        said = one_line((log.read().decode("utf-8", "replace").strip().splitlines() or [""])[-1], 200)
    raise ModelError(f"preparing the default model stopped unexpectedly: {said}", "run it again")

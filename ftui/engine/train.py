"""Trains one run: `python -m ftui.engine.train RUN_DIR`.

The run directory says what to do (`recipe.toml`, `manifest.json`) and is told how it goes (`events.jsonl`,
`checkpoints/`, `adapter/`). Exit codes: 0 finished, 10 stopped on request with a checkpoint, 3 failed.

Read on in `setup.py` for how a recipe becomes a model and data, in `loop.py` for the steps.
"""

from __future__ import annotations

import contextlib
import os
import sys
import traceback
import warnings
from pathlib import Path

from ftui.core.errors import FtuiError
from ftui.core.recipe import load_recipe
from ftui.core.text import one_line
from ftui.engine import setup
from ftui.engine.device import find_device
from ftui.engine.loop import Training
from ftui.engine.telemetry import Control, Reporter, StopRequested, open_trackers
from ftui.runs.rundir import EXIT_FAILED, EXIT_FINISHED, EXIT_STOPPED, EventWriter, RunDir


def run(rundir: RunDir, writer: EventWriter) -> int:
    """One attempt of a run, from its first event to its last; returns the exit code."""
    control = Control(rundir)
    reporter = Reporter(rundir, writer, [])
    training: Training | None = None

    def end(outcome: str, message: str = "", hint: str = "", adapter: str = "") -> None:
        step = training.progress.step if training else 0
        reporter.show(stage=outcome)
        reporter.close()
        writer.emit("end", outcome=outcome, step=step, message=message, hint=hint, adapter=adapter)

    try:
        recipe = load_recipe(rundir.recipe_path)
        device = find_device()
        setup.refuse(recipe, device)
        reporter = Reporter(rundir, writer, open_trackers(recipe, rundir))
        parts = setup.prepare(rundir, recipe, device, reporter, control)
        training = Training(rundir, parts, reporter, control)
        training.run()
        adapter = training.finish()
    except StopRequested as stop:
        end("stopped", stop.reason, f"`ftui runs resume {rundir.id}` goes on from here")
        return EXIT_STOPPED
    except FtuiError as error:
        where = f"{error.where}: " if error.where else ""
        print(f"{where}{error.message}", file=sys.stderr)
        end("failed", f"{where}{error.message}", error.hint)
        return EXIT_FAILED
    except Exception as error:  # noqa: BLE001 - the last line of defence: the run must say why it ended
        traceback.print_exc()
        end("failed", one_line(f"{type(error).__name__}: {error}", 300), "the traceback is in out.log")
        return EXIT_FAILED
    end("finished", adapter=str(adapter))
    return EXIT_FINISHED


def quiet_libraries() -> None:
    """Keeps the run's log for what a person should read: no progress bars, no notes between libraries."""
    import transformers

    transformers.utils.logging.disable_progress_bar()
    warnings.filterwarnings("ignore", category=FutureWarning)


def main(arguments: list[str]) -> int:
    if len(arguments) != 1:
        print("usage: python -m ftui.engine.train RUN_DIR", file=sys.stderr)
        return 2
    rundir = RunDir(Path(arguments[0]).absolute())
    if not rundir.recipe_path.is_file():
        print(f"{rundir.path}: not a run directory", file=sys.stderr)
        return 2
    quiet_libraries()
    with contextlib.suppress(OSError):
        os.nice(5)  # a run shares the machine with its user
    with EventWriter(rundir) as writer:
        return run(rundir, writer)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

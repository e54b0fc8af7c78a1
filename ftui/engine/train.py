"""Trains one run: `python -m ftui.engine.train RUN_DIR`.

The run directory says what to do (`recipe.toml`, `manifest.json`) and is told how it goes (`events.jsonl`,
`checkpoints/`, `adapter/`). Exit codes: 0 finished, 10 stopped on request with a checkpoint, 3 failed.

Read on in `setup.py` for how a recipe becomes a model and data, in `loop.py` for the steps, in `objectives.py` for
what is learned in them, in `ranks.py`, `workers.py` and `shards.py` for several processes.
"""

from __future__ import annotations

import contextlib
import errno
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
from ftui.engine.ranks import Ranks, is_lost_peer, is_worker
from ftui.engine.telemetry import Control, Reporter, Silent, StopRequested
from ftui.engine.trackers import open_trackers
from ftui.engine.workers import gather
from ftui.runs.rundir import (
    EXIT_FAILED,
    EXIT_FINISHED,
    EXIT_STOPPED,
    FREE_DISK,
    EventWriter,
    RunDir,
    checkpoint_step,
    resuming,
)


def run(rundir: RunDir, reporter: Reporter, control: Control) -> int:
    """One attempt of a run, from its first event to its last; returns the exit code."""
    training: Training | None = None
    ranks, workers = Ranks(), None
    agreed = False  # all processes come to the same end by themselves

    def end(outcome: str, message: str = "", hint: str = "", adapter: str = "") -> None:
        step = training.progress.step if training else 0
        reporter.show(stage=outcome)
        reporter.close()
        made = training.adapter_step if training and adapter else None
        told = {"message": message, "hint": hint, "adapter": adapter, "adapter_step": made}
        reporter.emit("end", outcome=outcome, step=step, **told)

    def again() -> str:
        return resuming(rundir.id, checkpoint_step(rundir))

    def give_up(reason: str) -> None:
        end("failed", reason, again())
        os._exit(EXIT_FAILED)

    try:
        recipe = load_recipe(rundir.recipe_path)
        setup.refuse(recipe, find_device())
        if not is_worker():
            reporter.trackers = open_trackers(recipe, rundir)
        ranks, workers = gather(rundir, recipe.launch.processes, give_up)
        with reporter.alive():
            parts = setup.prepare(rundir, recipe, find_device(ranks.local), ranks, reporter, control)
            training = Training(rundir, parts, reporter, control)
            training.run()
            adapter = training.finish()
            agreed = True
    except StopRequested as stop:
        agreed = training is not None
        end("stopped", stop.reason, again())
        return EXIT_STOPPED
    except FtuiError as error:
        where = f"{error.where}: " if error.where else ""
        print(f"{where}{error.message}", file=sys.stderr)
        end("failed", f"{where}{error.message}", error.hint)
        return EXIT_FAILED
    except Exception as error:  # noqa: BLE001 - the last line of defence: the run must say why it ended
        if workers and (lost := workers.lost()):
            end("failed", lost, again())
        elif is_lost_peer(error):
            end("failed", "another process of the run has ended", again())
        elif isinstance(error, OSError) and error.errno == errno.ENOSPC:
            end("failed", "the disk is full", f"{FREE_DISK}, then {again()}")
        else:
            traceback.print_exc()
            end("failed", one_line(f"{type(error).__name__}: {error}", 300), "the traceback is in out.log")
        return EXIT_FAILED
    finally:
        if workers:
            workers.finish(waiting=agreed)
        ranks.leave()
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
    if is_worker():
        return run(rundir, Silent(), Control(rundir, listens=False))
    with EventWriter(rundir) as writer:
        return run(rundir, Reporter(rundir, writer), Control(rundir))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""Trainers forked from a process that has imported torch already: real processes to kill, in half a second each.

A trainer is told at which of its own calls to die, so that a kill falls exactly where it hurts.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable
    from multiprocessing.process import BaseProcess

    from ftui.runs.rundir import RunDir

SECONDS = 120


def attempt(run: RunDir, die: Callable[..., None] | None = None, *arguments: Any) -> int:
    """Trains in a process of its own until its end; the exit code, negative for a signal.

    die: called there first with `arguments`; puts the SIGKILL in place.
    """
    process = start(run, die, *arguments)
    process.join(SECONDS)
    assert process.exitcode is not None, run.log_path.read_text()
    return process.exitcode


def start(run: RunDir, die: Callable[..., None] | None = None, *arguments: Any) -> BaseProcess:
    """The trainer of `run`, as a process of its own that is under way."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["ftui.engine.train", __name__])
    process = context.Process(target=_train, args=(str(run.path), die, arguments))
    process.start()
    return process


def die_at_step(step: int, *, told: bool) -> None:
    """SIGKILL when `step` is done: once it was told, or just before."""
    from ftui.engine.telemetry import Reporter

    emit = Reporter.emit

    def emit_and_die(self: Reporter, kind: str, **fields: Any) -> None:
        due = kind == "step" and fields["step"] == step
        if due and not told:
            _die()
        emit(self, kind, **fields)
        if due:
            _die()

    Reporter.emit = emit_and_die  # type: ignore[method-assign]


def die_in_save(point: int, saves: int) -> None:
    """SIGKILL before the `point`th of the calls by which the `saves`th checkpoint reaches the disk."""
    import torch

    from ftui.engine import checkpoint

    save, begun, calls = checkpoint.save, 0, 0

    def counted(call: Callable[..., Any]) -> Callable[..., Any]:
        def count(*arguments: Any, **keywords: Any) -> Any:
            nonlocal calls
            calls += begun == saves
            if begun == saves and calls == point:
                _die()
            return call(*arguments, **keywords)

        return count

    def save_and_die(*arguments: Any, **keywords: Any) -> Path:
        nonlocal begun
        begun += 1
        return save(*arguments, **keywords)

    checkpoint.save = save_and_die
    checkpoint.save_adapter = counted(checkpoint.save_adapter)
    checkpoint.replace_bytes = counted(checkpoint.replace_bytes)
    checkpoint._prune = counted(checkpoint._prune)
    torch.save = counted(torch.save)
    os.fsync = counted(os.fsync)
    Path.touch = counted(Path.touch)  # type: ignore[method-assign]
    Path.rename = counted(Path.rename)  # type: ignore[method-assign]


def _train(path: str, die: Callable[..., None] | None, arguments: tuple[Any, ...]) -> None:
    log = os.open(Path(path) / "out.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    os.dup2(log, 1)
    os.dup2(log, 2)
    import torch

    from ftui.engine.train import main

    torch.set_num_threads(1)
    if die is not None:
        die(*arguments)
    os._exit(main([path]))


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)

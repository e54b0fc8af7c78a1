"""A trial of a recipe: the real trainer, two steps on its longest rows, one evaluation, one checkpoint.

It answers before the night, not after it, whether a run fits into memory, whether its data teach anything and
how fast it goes. It is a run like any other in a directory of its own, which is thrown away.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import shutil
import signal
import subprocess
import tempfile
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import tomli_w

from ftui.core.durable import replace_bytes
from ftui.core.errors import FtuiError
from ftui.runs.manifest import build_manifest, find_inputs
from ftui.runs.process import RUN_VARIABLE, child_environment, python_command
from ftui.runs.recipe_facts import gather
from ftui.runs.rundir import EXIT_FINISHED, RunDir, replace_json
from ftui.runs.tail import EventTail

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from ftui.core.estimate import Estimate
    from ftui.core.recipe import Recipe
    from ftui.runs.workspace import Workspace

STEPS = 2
TRIAL = "trial"  # the manifest's word to the trainer: the longest rows come first
_FOLDER = ".trials"
_PERIOD_SECONDS = 0.1
_TERM_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Trial:
    """What came of it. Bytes, seconds; None is not known.

    ok: the run can be started. problem, hint: why not. peak: of the device's memory, or on a CPU of the
    process's; expected: the estimate of the same; memory: what there is. losses: of the two steps.
    step_seconds: of the second step, on the longest rows: the others take less. steps: of the whole run.
    """

    ok: bool
    problem: str = ""
    hint: str = ""
    peak: int | None = None
    expected: int | None = None
    memory: int | None = None
    micro_batch: int | None = None
    checkpointed_layers: int | None = None
    losses: tuple[float, ...] = ()
    eval_loss: float | None = None
    tokens_per_second: float | None = None
    step_seconds: float | None = None
    steps: int | None = None
    checkpoint_bytes: int | None = None
    rows: int | None = None
    left_out: int | None = None
    trained_tokens: int | None = None
    notices: tuple[str, ...] = ()
    seconds: float = 0.0

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


def try_out(
    workspace: Workspace,
    recipe: Recipe,
    recipe_path: Path | None = None,
    *,
    tell: Callable[[str, int, int], None] = lambda stage, done, total: None,
    cancelled: Callable[[], bool] = lambda: False,
) -> Trial | None:
    """Trains `recipe` for two steps and says what it took; None when cancelled. For a thread.

    tell: (stage, done, total) as the trainer goes on. Raises FtuiError where it cannot even be started.
    """
    begun = time.monotonic()
    inputs = find_inputs(workspace, recipe, recipe_path)
    around = gather(recipe, workspace, recipe_path)
    facts = around.facts(recipe)
    trial = inputs.recipe.with_values(
        {
            "training.max_steps": STEPS,
            "evaluation.every": STEPS if recipe.evaluation.every else 0,
            "evaluation.early_stopping": 0,
            "evaluation.prompts": [],
            "checkpoints.every": STEPS,
            "logging.every": 1,
            "logging.report_to": [],
        }
    )
    workspace.ensure()
    with _folder(workspace) as folder:
        rundir = RunDir(folder)
        rundir.control.mkdir()
        manifest = build_manifest(workspace, inputs, run_id=folder.name, name=recipe.name, command="")
        replace_bytes(rundir.recipe_path, tomli_w.dumps(trial.to_dict()).encode())
        replace_json(rundir.manifest_path, {**manifest, TRIAL: True})
        ended = _run(rundir, tell, cancelled)
        if ended is None:
            return None
        code, resident = ended
        found = _found(EventTail(rundir.events_path).read(100_000), _saved(rundir))
        if not found.problem and code != EXIT_FINISHED:
            said = rundir.last_log_line() or f"the trainer ended with {code}"
            found = replace(found, problem=said)
    on_gpu = around.hardware.device == "cuda"
    return replace(
        found,
        ok=code == EXIT_FINISHED,
        peak=found.peak if on_gpu else resident,
        expected=_expected(facts.estimate, on_gpu=on_gpu),
        memory=around.hardware.memory,
        steps=facts.schedule.steps if facts.schedule else None,
        seconds=time.monotonic() - begun,
    )


def _expected(estimate: Estimate | None, *, on_gpu: bool) -> int | None:
    if estimate is None:
        return None
    return estimate.allocated if on_gpu else estimate.total


@contextlib.contextmanager
def _folder(workspace: Workspace) -> Any:
    """A directory among the runs that no list shows; those of screens that were killed are cleared away."""
    trials = workspace.runs / _FOLDER
    try:
        trials.mkdir(parents=True, exist_ok=True)
        for left in trials.iterdir():
            with contextlib.suppress(ValueError):
                if not Path(f"/proc/{int(left.name.partition('-')[0])}").exists():
                    shutil.rmtree(left, ignore_errors=True)
        folder = Path(tempfile.mkdtemp(prefix=f"{os.getpid()}-", dir=trials))
    except OSError as error:
        raise FtuiError(f"cannot try it out: {error.strerror}", "", str(trials)) from None
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        with contextlib.suppress(OSError):
            trials.rmdir()


def _run(
    rundir: RunDir, tell: Callable[[str, int, int], None], cancelled: Callable[[], bool]
) -> tuple[int, int | None] | None:
    """The trainer's exit code and the most memory it held; None when cancelled. It never outlives the call."""
    with rundir.log_path.open("ab") as log:
        trainer = subprocess.Popen(
            python_command("ftui.engine.train", str(rundir.path)),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            process_group=0,
            env=child_environment(**{RUN_VARIABLE: str(rundir.path)}),
        )
    tail, resident = EventTail(rundir.events_path), None
    try:
        while trainer.poll() is None:
            if cancelled():
                return None
            for event in tail.read():
                _tell(event, tell)
            resident = _most_resident(trainer.pid) or resident
            with contextlib.suppress(subprocess.TimeoutExpired):
                trainer.wait(_PERIOD_SECONDS)
        return trainer.returncode, resident
    finally:
        _end(trainer)


def _tell(event: dict[str, Any], tell: Callable[[str, int, int], None]) -> None:
    if event["type"] == "progress":
        done, total = event.get("done"), event.get("total")
        known = isinstance(done, int | float) and isinstance(total, int | float)
        tell(str(event.get("stage")), int(done) if known else 0, int(total) if known else 0)  # type: ignore[arg-type]
    elif event["type"] == "step":
        tell("train", int(event.get("step") or 0), STEPS)


def _most_resident(pid: int) -> int | None:
    """The most memory a process has held at once, in bytes (VmHWM of /proc/<pid>/status)."""
    with contextlib.suppress(OSError, ValueError, IndexError):
        for line in Path(f"/proc/{pid}/status").read_text("utf-8").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    return None


def _end(trainer: subprocess.Popen[bytes]) -> None:
    """The trainer and its workers, if they still run."""
    if trainer.poll() is None:
        trainer.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            trainer.wait(_TERM_SECONDS)
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(trainer.pid, signal.SIGKILL)
    trainer.wait()


def _found(events: Iterable[dict[str, Any]], saved: dict[str, Any]) -> Trial:
    """What the trainer told. saved: its progress as the checkpoint holds it: what memory allowed in the end."""
    newest: dict[str, dict[str, Any]] = {}
    steps, notices = [], []
    for event in events:
        newest[event["type"]] = event
        if event["type"] == "step":
            steps.append(event)
        elif event["type"] == "notice" and event.get("level") != "info":
            notices.append(str(event.get("message")))
    data, model, end = (newest.get(name, {}) for name in ("data", "model", "end"))
    peaks = [int(peak) for step in steps if isinstance(peak := step.get("memory_peak"), int | float)]
    losses = tuple(float(loss) for step in steps if isinstance(loss := step.get("loss"), int | float))
    problem, hint = _problem(end, losses, steps)
    last = steps[-1] if steps else {}
    dropped: dict[str, Any] = data.get("dropped") or {}
    return Trial(
        ok=False,
        problem=problem,
        hint=hint,
        peak=max(peaks, default=None),
        micro_batch=saved.get("micro_batch", model.get("micro_batch")),
        checkpointed_layers=saved.get("checkpointed_layers", model.get("checkpointed_layers")),
        losses=losses,
        eval_loss=newest.get("eval", {}).get("eval_loss"),
        tokens_per_second=last.get("tokens_per_second"),
        step_seconds=last.get("step_time"),
        checkpoint_bytes=newest.get("checkpoint", {}).get("bytes"),
        rows=data.get("train_rows"),
        left_out=sum(count for count in dropped.values() if isinstance(count, int)),
        trained_tokens=data.get("trained_tokens"),
        notices=tuple(notices),
    )


def _saved(rundir: RunDir) -> dict[str, Any]:
    with contextlib.suppress(OSError, ValueError):
        state = json.loads((rundir.checkpoints / f"step-{STEPS:06d}" / "state.json").read_bytes())
        return state if isinstance(state, dict) else {}
    return {}


def _problem(end: dict[str, Any], losses: tuple[float, ...], steps: list[dict[str, Any]]) -> tuple[str, str]:
    """What is wrong although, or because, the trainer has ended."""
    if end.get("outcome") not in (None, "finished"):
        return str(end.get("message") or "the trainer failed"), str(end.get("hint") or "")
    if any(not math.isfinite(loss) for loss in losses):
        return "the loss is not a number", "lower training.learning_rate, or train in bfloat16"
    if steps and all(step.get("grad_norm") == 0 for step in steps):
        return (
            "nothing is learned: every gradient is zero",
            "look at the tokens of a row (`i` in the Data pane)",
        )
    return "", ""

"""`ftui demo`: the whole job on the embedded default model and dataset."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ftui.cli.output import Progress, emit, example, json_option
from ftui.core.text import sanitize

if TYPE_CHECKING:
    from ftui.demo.headless import Answered
    from ftui.runs.rundir import RunDir
    from ftui.runs.workspace import Workspace

_STAGES = {
    "download": "fetching the model (93 MB)",
    "convert": "preparing the model (once)",
    "load": "loading the model",
    "quantize": "quantizing",
    "encode": "encoding tickets",
}


@click.command("demo", epilog=example("ftui demo", "ftui demo --headless --steps 24"))
@click.option(
    "--headless", is_flag=True, help="Without the screen; exits 0 only if the adapter learned the format."
)
@click.option(
    "--steps", type=click.IntRange(1, 10_000), default=None, help="Optimizer steps instead of the recipe's."
)
@click.option("--dir", "directory", type=click.Path(path_type=Path), help="Where the demo workspace goes.")
@json_option
def command(headless: bool, steps: int | None, directory: Path | None, as_json: bool) -> int:
    """Fine-tune a small real model on support tickets, then ask it and its base the same question.

    Fetches the default model once (93 MB), trains a QLoRA adapter in a background process and compares.
    Under three minutes of training on two CPU cores; no GPU, nothing simulated.
    """
    from ftui.demo.workspace import demo_root, make_demo_workspace
    from ftui.runs.workspace import find_workspace

    workspace = find_workspace(directory or demo_root(), Path.cwd())
    make_demo_workspace(workspace)
    if headless or as_json:
        return _headless(workspace, steps or 0, as_json)
    from ftui.cli.main import run_app

    return run_app(workspace.root, demo_steps=steps or 0)


def _headless(workspace: Workspace, steps: int, as_json: bool) -> int:
    from ftui.demo import headless
    from ftui.runs.follow import follow
    from ftui.runs.state import run_state

    rundir = headless.start_demo_run(workspace, steps)
    if not as_json:
        click.echo(f"run {rundir.id} in {sanitize(str(workspace.root), lines=False)}")
    watch = _Watch(show=not as_json)
    for event in follow(rundir):
        watch(event)
    state = run_state(rundir)
    watch.progress.clear()
    if state != "finished":
        raise headless.failure(rundir, state)
    if not as_json:
        click.echo(watch.trained())
    progress = Progress(enabled=not as_json)
    answered = headless.ask_both(workspace, rundir, progress)
    progress.clear()
    kept = sum(item.keeps_format for item in answered)
    emit(_result(rundir, watch, answered, kept), as_json, lambda: _text(answered, kept))
    return 0 if kept >= headless.ENOUGH else 3


class _Watch:
    """Turns a run's events into one progress line, and remembers what the summary says."""

    def __init__(self, show: bool) -> None:
        self.progress = Progress(enabled=show)
        self.first_loss = self.last_loss = None
        self.steps = 0
        self.started = self.ended = 0.0

    def __call__(self, event: dict[str, Any]) -> None:
        if event["type"] == "progress":
            stage = str(event.get("stage", ""))
            self.progress(
                _STAGES.get(stage, stage), int(event.get("done") or 0), int(event.get("total") or 0)
            )
        elif event["type"] == "plan":
            self.started = float(event["t"])
        elif event["type"] == "step":
            loss = event["loss"]
            self.first_loss = loss if self.first_loss is None else self.first_loss
            self.last_loss, self.steps, self.ended = loss, int(event["step"]), float(event["t"])
            self.progress(f"training, loss {loss:.2f}", self.steps, int(event.get("steps") or 0))

    @property
    def seconds(self) -> float:
        return max(0.0, self.ended - (self.started or self.ended))

    def trained(self) -> str:
        first, last = (
            f"{value:.2f}" if value is not None else "?" for value in (self.first_loss, self.last_loss)
        )
        return f"trained {self.steps} steps in {self.seconds:.0f} s, loss {first} -> {last}\n"


def _result(rundir: RunDir, watch: _Watch, answered: list[Answered], kept: int) -> dict[str, Any]:
    return {
        "run": rundir.id,
        "dir": str(rundir.path),
        "adapter": str(rundir.adapter),
        "steps": watch.steps,
        "loss_first": watch.first_loss,
        "loss_last": watch.last_loss,
        "training_seconds": round(watch.seconds, 1),
        "asked": len(answered),
        "kept_format": kept,
        "finished_at": time.time(),
        "replies": [
            {
                "ticket": item.ticket.question,
                "base": item.base,
                "adapter": item.adapter,
                "keeps_format": item.keeps_format,
            }
            for item in answered
        ],
    }


def _text(answered: list[Answered], kept: int) -> str:
    bold = sys.stdout.isatty()
    parts = []
    for number, item in enumerate(answered, 1):
        mark = "keeps the format" if item.keeps_format else "does not keep the format"
        parts += [
            _heading(f"ticket {number}", bold), sanitize(item.ticket.question), "",
            _heading("base", bold), sanitize(item.base.strip()), "",
            _heading(f"adapter ({mark})", bold), sanitize(item.adapter.strip()), "",
        ]  # fmt: skip
    parts.append(f"{kept} of {len(answered)} held-out tickets answered in the five-line format.")
    if kept < len(answered):
        parts.append("A few more steps help: `ftui demo --headless --steps 60`.")
    return "\n".join(parts)


def _heading(text: str, bold: bool) -> str:
    return click.style(text, bold=True) if bold else f"[{text}]"

"""Run directories as a trainer leaves them, written through the real EventWriter: for tests, screenshots, benches."""

from __future__ import annotations

import math
import os
import random
import time
from typing import TYPE_CHECKING, Any

from ftui.core.recipe import parse_recipe
from ftui.runs import process
from ftui.runs.rundir import EventWriter, RunDir, replace_json
from ftui.runs.workspace import Workspace

if TYPE_CHECKING:
    from pathlib import Path

GIB = 1024**3


def make_workspace(root: Path) -> Workspace:
    workspace = Workspace(root)
    workspace.ensure()
    workspace.runs.mkdir(exist_ok=True)
    return workspace


def make_run(
    workspace: Workspace, name: str, *, age: float = 60.0, alive: bool = True, pid: int = 0, **manifest: Any
) -> RunDir:
    """A run whose trainer is this very process (or `pid`) when `alive`. `age`: seconds since it was made."""
    rundir = RunDir(workspace.runs / f"run-{len(list(workspace.runs.iterdir())):03d}")
    rundir.path.mkdir(parents=True)
    rundir.control.mkdir()
    recipe = parse_recipe({"schema": 1, "name": "tickets", "data": {"train": "datasets/tickets.jsonl"}})
    rundir.recipe_path.write_text(recipe.to_toml(), encoding="utf-8")
    created = time.time() - age
    words = {
        "name": name,
        "created": created,
        "workspace": str(workspace.root),
        "command": f"ftui train {rundir.recipe_path}",
        "base": "demo",
        "seed": 0,
        "data": {"train": {"path": "datasets/tickets.jsonl", "sha256": "9f2c" * 16, "rows": 200}},
        "versions": {"torch": "2.13.0", "transformers": "5.23.0", "peft": "0.21.2"},
    }
    replace_json(rundir.manifest_path, {**words, **manifest})
    me = process.identify(pid or os.getpid()) if alive else None
    who = me.to_dict() if me else None
    replace_json(rundir.proc_path, {"attempt": 1, "started": created, "supervisor": who, "trainer": who})
    rundir.log_path.write_text("", encoding="utf-8")
    return rundir


def finish(rundir: RunDir, outcome: str, *, reason: str = "", hint: str = "", ago: float = 0.0) -> None:
    """Writes the exit record; with outcome "finished" an adapter folder too."""
    if outcome == "finished":
        rundir.adapter.mkdir(exist_ok=True)
        replace_json(rundir.adapter / "adapter_config.json", {"peft_type": "LORA"})
    record = {"attempt": 1, "code": 0, "outcome": outcome, "reason": reason, "hint": hint}
    replace_json(rundir.exit_path, {**record, "ended": time.time() - ago})


def write_steps(
    writer: EventWriter, first: int, last: int, steps: int, *, seed: int = 0, gpu: bool = False
) -> None:
    """Steps `first` to `last` of `steps` that look like a healthy fine-tuning."""
    noise = random.Random(seed + first)
    for step in range(first, last + 1):
        share = step / steps
        clean = 0.62 + 2.8 * math.exp(-step / (steps * 0.12))
        warmup = min(1.0, step / (steps * 0.08))
        memory = {
            "memory_reserved": int(13.4 * GIB),
            "memory_allocated": int(11.8 * GIB),
            "memory_peak": int(12.9 * GIB),
        }
        writer.emit(
            "step",
            step=step,
            steps=steps,
            loss=clean * (1 + noise.gauss(0, 0.06)),
            learning_rate=2e-4 * warmup * (0.5 + 0.5 * math.cos(math.pi * share)),
            grad_norm=0.7
            + 0.5 * math.exp(-step / 40)
            + abs(noise.gauss(0, 0.08))
            + (1.9 if step == steps // 4 else 0),
            epoch=3 * share,
            num_tokens=step * 5800,
            tokens_per_second=1900 + noise.gauss(0, 70),
            step_time=1.4,
            **(memory if gpu else {"memory_rss": int((2.1 + 0.3 * warmup) * GIB)}),
        )
        if step % max(1, steps // 10) == 0:
            loss = clean * 1.05
            writer.emit("eval", step=step, eval_loss=loss, eval_perplexity=math.exp(loss))
        if step % max(1, steps // 4) == 0:
            writer.emit(
                "checkpoint", step=step, path=f"checkpoints/step-{step}", bytes=9_000_000, seconds=0.4
            )

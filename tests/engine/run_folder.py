"""A run directory as the launcher makes it, without the launcher: what the trainer needs and no more."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

from ftui.core.events import decode
from ftui.core.recipe import parse_recipe
from ftui.runs.rundir import RunDir

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

TOPICS = ("tent", "boots", "stove", "rope", "jacket", "map", "bottle", "lamp")


def chat_rows(count: int) -> list[dict[str, Any]]:
    """Short conversations of different lengths, all different."""
    rows = []
    for n in range(count):
        topic = TOPICS[n % len(TOPICS)]
        question = f"My {topic} number {n} is " + "very " * (n % 5) + "broken."
        answer = f"category: {topic}\npriority: {'high' if n % 2 else 'low'}\nreply: sorry" + " indeed" * (
            n % 7
        )
        messages = [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]
        if n % 3 == 0:
            messages.insert(0, {"role": "system", "content": "You are a helpful assistant."})
        rows.append({"messages": messages})
    return rows


def make_run(
    folder: Path, base: Path, values: dict[str, dict[str, Any]] | None = None, rows: list[Any] | None = None
) -> RunDir:
    """A run directory in `folder` for `base`; `values` are recipe sections laid over a small, exact default."""
    folder.mkdir(parents=True, exist_ok=True)
    data = folder / "data.jsonl"
    data.write_text("".join(json.dumps(row) + "\n" for row in (rows if rows is not None else chat_rows(40))))
    document: dict[str, Any] = {
        "schema": 1,
        "name": "test",
        "model": {"base": str(base), "dtype": "float32"},
        "quantization": {"bits": 16},
        "data": {"train": str(data), "validation": 0.2, "max_length": 128, "packing": False},
        "adapter": {"rank": 4, "alpha": 8},
        "training": {"max_steps": 6, "batch_size": 4, "learning_rate": 1e-2, "warmup": 0},
        "evaluation": {"every": 0},
        "checkpoints": {"every": 0},
    }
    for section, fields in (values or {}).items():
        document.setdefault(section, {}).update(fields)
    run = RunDir(folder / "run")
    run.path.mkdir()
    run.recipe_path.write_text(parse_recipe(document).to_toml())
    manifest = {"workspace": str(folder), "data": {"train": {"path": str(data)}}}
    run.manifest_path.write_text(json.dumps(manifest))
    return run


def start(run: RunDir, *, module: str = "ftui.engine.train") -> subprocess.Popen[bytes]:
    """The trainer as a process of its own, its output in the run's log."""
    with run.log_path.open("ab") as log:
        return subprocess.Popen(
            [sys.executable, "-m", module, str(run.path)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env=os.environ | {"HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""},
        )


def events(run: RunDir, kind: str = "") -> list[dict[str, Any]]:
    lines = run.events_path.read_bytes().splitlines() if run.events_path.exists() else []
    found = [event for line in lines if (event := decode(line)) is not None]
    return [event for event in found if not kind or event["type"] == kind]


def losses(run: RunDir) -> dict[int, float]:
    """The loss of each step; of a step done twice, the newer one."""
    return {event["step"]: event["loss"] for event in events(run, "step")}


def adapter_change(run: RunDir, other: RunDir) -> float:
    """How far the adapter of `run` is from that of `other`, relative to its size."""
    import torch
    from safetensors.torch import load_file

    one, two = (load_file(each.adapter / "adapter_model.safetensors") for each in (run, other))
    assert one.keys() == two.keys()
    differences = torch.cat([(one[name] - two[name]).flatten() for name in two])
    return float(differences.norm() / torch.cat([weight.flatten() for weight in two.values()]).norm())


def wait_for(
    condition: Callable[[], Any], process: subprocess.Popen[bytes], run: RunDir, seconds: float = 300
) -> None:
    until(condition, run, lambda: process.poll() is None, seconds)


def until(condition: Callable[[], Any], run: RunDir, lives: Callable[[], bool], seconds: float = 300) -> None:
    """Waits for `condition` while the trainer lives; otherwise what it had to say."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert lives(), run.log_path.read_text()
        assert time.monotonic() < deadline, run.log_path.read_text()
        time.sleep(0.02)


def kill(process: subprocess.Popen[bytes]) -> None:
    process.send_signal(signal.SIGKILL)
    process.wait()

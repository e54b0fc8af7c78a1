"""What lint and the estimate need to know beside a recipe: its data, its base, this machine."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from ftui.core.errors import FtuiError
from ftui.core.findings import Facts, Finding
from ftui.core.hardware import Hardware
from ftui.core.memory import estimate
from ftui.core.schedule import schedule
from ftui.data.dataset import Dataset
from ftui.gpu import host, nvml
from ftui.runs.base_model import BaseModel, find_base
from ftui.runs.devices import CPU, VISIBLE, gpus_of, visible_devices
from ftui.runs.model_problems import model_problems

if TYPE_CHECKING:
    from ftui.core.recipe import Recipe
    from ftui.runs.workspace import Workspace

# Characters a token of ordinary text, and how many rows are looked at for the mean.
CHARS_PER_TOKEN = 4.0
_SAMPLE = 400
_BLOCK = 20


@dataclass(frozen=True, slots=True)
class DataFacts:
    """The training file as the recipe would use it. mean_tokens: from characters, a token being about four.

    shape: what most of its rows are (core.shapes).

    problem, hint: why it could not be read and what to do; "" when it could.
    """

    path: Path | None = None
    rows: int | None = None
    mean_tokens: float | None = None
    shape: str = ""
    problem: str = ""
    hint: str = ""


@dataclass(frozen=True, slots=True)
class RecipeFacts:
    """Everything around a recipe. Cheap to put together again when only the recipe changes."""

    data: DataFacts
    base: BaseModel
    hardware: Hardware
    model_problems: tuple[Finding, ...] = ()

    def facts(self, recipe: Recipe) -> Facts:
        """The facts of `recipe`, for lint. A recipe whose targets fit no layer has no estimate."""
        # Labelled replies are made of pairs two by two.
        doubled = recipe.training.objective == "kto" and self.data.shape == "preference"
        rows = self.data.rows * 2 if doubled and self.data.rows else self.data.rows
        course = schedule(recipe, rows, self.data.mean_tokens)
        problems = []
        if self.data.problem:
            problems.append(Finding("data.train", "error", self.data.problem, self.data.hint))
        problems += self.model_problems
        problems += [
            Finding(
                "logging.report_to",
                "error",
                f"{name} is not installed",
                f"`pip install {name}`, or leave it out",
            )
            for name in recipe.logging.report_to
            if find_spec(name) is None
        ]
        needed = None
        if self.base.geometry is not None:
            try:
                needed = estimate(recipe, self.base.geometry, self.hardware)
            except FtuiError as error:
                problems.append(Finding(error.where, "error", error.message, error.hint))
        return Facts(
            rows=self.data.rows,
            shape=self.data.shape,
            problems=tuple(problems),
            schedule=course,
            hardware=self.hardware,
            estimate=needed,
        )


@functools.cache
def this_machine() -> Hardware:
    """The largest GPU that a run sees, with its whole memory, or the host. Asked once: neither changes meanwhile."""
    gpus = nvml.snapshot()
    seen = visible_devices(gpus, os.environ.get(VISIBLE))
    if CPU not in seen:
        gpu = max(gpus_of(seen, gpus) or gpus, key=lambda gpu: gpu.memory_total or 0)
        return Hardware("cuda", gpu.name, gpu.memory_total)
    return Hardware(
        "cpu", "this machine (no GPU)", host.snapshot(Path("/")).memory_total, _cpu_has_bfloat16()
    )


def gather(
    recipe: Recipe,
    workspace: Workspace | None,
    recipe_path: Path | None = None,
    machine: Hardware | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> RecipeFacts:
    """Everything around `recipe`. Reads its whole dataset once: call it off the screen's thread."""
    base = find_base(recipe.model.base, recipe.model.revision, workspace=workspace, recipe_path=recipe_path)
    data = read_data(recipe, workspace, recipe_path, cancelled)
    wrong = model_problems(recipe, workspace, recipe_path)
    return RecipeFacts(data, base, machine or this_machine(), wrong)


def read_data(
    recipe: Recipe,
    workspace: Workspace | None,
    recipe_path: Path | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> DataFacts:
    """The rows `recipe` would use and their mean length. Never raises: a problem is a fact too."""
    if not recipe.data.train:
        return DataFacts()
    path = None
    try:
        path = _resolve(recipe.data.train, workspace, recipe_path)
        with Dataset.open(path) as dataset:
            dataset.build(cancelled=cancelled)
            counts = dataset.counts()
            rows = {
                "accepted": counts.accepted,
                "all": dataset.rows_known - counts.deleted,
            }.get(recipe.data.only, counts.undecided + counts.accepted)
            usable = max(0, min(rows, dataset.rows_known - counts.broken))
            return DataFacts(path, usable, _mean_tokens(dataset), dataset.shape)
    except FtuiError as error:
        return DataFacts(path, problem=f"{recipe.data.train}: {error.message}", hint=error.hint)


def _resolve(value: str, workspace: Workspace | None, recipe_path: Path | None) -> Path:
    if workspace is not None:
        return workspace.resolve_data(recipe_path, value)
    return Path(value).expanduser()


def _mean_tokens(dataset: Dataset) -> float | None:
    """Mean length in tokens, from the characters of rows spread evenly over the file."""
    total = dataset.rows_known
    blocks = max(1, min(_SAMPLE, total) // _BLOCK)
    chars = [
        summary.chars
        for block in range(blocks)
        for summary in dataset.summaries(1 + block * total // blocks, _BLOCK)
        if not summary.broken and not summary.deleted
    ]
    return sum(chars) / len(chars) / CHARS_PER_TOKEN if chars else None


def _cpu_has_bfloat16() -> bool:
    """Whether the CPU multiplies bf16 itself; one that emulates it is tens of times slower."""
    try:
        flags = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return False
    line = next((line for line in flags.splitlines() if line.startswith(("flags", "Features"))), "")
    return any(flag in line.split() for flag in ("avx512_bf16", "amx_bf16", "bf16"))


def on_memory(machine: Hardware, memory: int) -> Hardware:
    """`machine` as a GPU with `memory` bytes: what `--gpu-memory` asks about."""
    name = machine.name if machine.device == "cuda" else "a GPU"
    return replace(machine, device="cuda", name=name, memory=memory, bfloat16=True)

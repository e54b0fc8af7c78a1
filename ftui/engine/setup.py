"""From a run directory to everything the training loop needs, in the order it is needed."""

from __future__ import annotations

import math
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from ftui.core.errors import FtuiError
from ftui.core.objectives import REFERENCED, packs
from ftui.engine import checkpoint, shards
from ftui.engine.adapter import attach, trainable
from ftui.engine.checkpoint import Progress
from ftui.engine.device import DTYPES, Device
from ftui.engine.flops import Flops
from ftui.engine.layout import (
    Layout,
    attentions,
    choose_layout,
    choose_loss,
    choose_replies,
    load_with,
)
from ftui.engine.model import (
    Formats,
    checkpoint_layers,
    choose_formats,
    layers,
    load_model,
    parameters_in,
)
from ftui.engine.model_report import tell_model
from ftui.engine.models import resolve_model
from ftui.engine.noise import EmbeddingNoise
from ftui.engine.objectives import class_weights, make_objective, unit_lengths
from ftui.engine.optim import choose_optimizer, make_optimizer
from ftui.engine.pack import Order, Steps
from ftui.engine.reference import Scorer
from ftui.engine.setup_data import load_reference, load_rows, record_base, refuse_unknown_tokens
from ftui.engine.tokenizer import load_tokenizer

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import nn
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    from ftui.core.recipe import Recipe
    from ftui.engine.objectives import Objective
    from ftui.engine.ranks import Ranks
    from ftui.engine.rows import Prepared
    from ftui.engine.shards import Shards
    from ftui.engine.telemetry import Control, Reporter
    from ftui.runs.rundir import RunDir

# Tokens of a micro-batch on a CPU: more gain nothing there and cost memory.
CPU_TOKENS = 4096
# Tokens scored at once before training, without gradients; halved where that is too many.
GPU_TOKENS = 32768


@dataclass
class Parts:
    """A run, ready to train. base: the transformers model; model: the same with its adapter around it."""

    recipe: Recipe
    device: Device
    base_path: Path
    tokenizer: PreTrainedTokenizerBase
    base: PreTrainedModel
    model: nn.Module
    layout: Layout
    objective: Objective
    scorer: Scorer
    ranks: Ranks
    shards: Shards
    autocast: Callable[[], Any]
    noise: EmbeddingNoise
    rows: Prepared
    steps: Steps
    total_steps: int
    layers: int
    flops: Flops
    optimizer: torch.optim.Optimizer
    scaler: torch.amp.GradScaler
    progress: Progress
    resumed: bool


def refuse(recipe: Recipe, device: Device) -> None:
    """Raises FtuiError for what this version cannot do, before anything is loaded."""
    if recipe.quantization.bits < 16 and recipe.adapter.method == "full":
        raise FtuiError(
            "full fine-tuning changes the weights, so they cannot be quantized",
            "set quantization.bits = 16",
            "adapter.method",
        )
    if os.environ.get("ACCELERATE_USE_DEEPSPEED", "").lower() in ("1", "true"):
        raise FtuiError(
            "DeepSpeed would split the model over processes in its own way",
            "use accelerate with --use_fsdp, or without either",
            "launch.processes",
        )
    if shards.wanted():
        shards.refuse(recipe)
    if device.is_cuda and recipe.launch.processes > (gpus := torch.cuda.device_count()):
        raise FtuiError(
            f"{recipe.launch.processes} processes need a GPU each, and there are {gpus}",
            f"set it to {gpus}",
            "launch.processes",
        )
    choose_formats(recipe, device)
    choose_optimizer(recipe, device)
    attentions(recipe, device)


def prepare(
    rundir: RunDir, recipe: Recipe, device: Device, ranks: Ranks, reporter: Reporter, control: Control
) -> Parts:
    """Loads, encodes and counts; emits the events that say so. Raises FtuiError, StopRequested.

    The first of several processes leaves on disk what the others then find there.
    """
    resume_from = ranks.same(checkpoint.newest(rundir.checkpoints) if ranks.leads else None)
    progress = checkpoint.read_progress(resume_from) if resume_from else Progress()
    reporter.emit(
        "attempt",
        pid=os.getpid(),
        versions=versions(),
        device=device.name,
        resumed_from=str(resume_from or ""),
        step=progress.step,
    )

    with ranks.first(), reporter.phase("load"):
        base_path = resolve_model(recipe.model.base, recipe.model.revision, _told(reporter, control))
        tokenizer = load_tokenizer(base_path, recipe.model, _workspace(rundir))
    control.check()
    if ranks.leads:
        record_base(rundir, tokenizer, base_path)
    with ranks.first():
        rows = load_rows(rundir, recipe, tokenizer, base_path, reporter, control, leads=ranks.leads)

    formats = ranks.same(choose_formats(recipe, device, parameters_in(base_path)))
    if progress.dtype:
        formats = Formats(formats.weights, DTYPES[progress.dtype])
    tried = [progress.attention] if progress.attention else attentions(recipe, device)
    progress.dtype = str(formats.compute).removeprefix("torch.")

    def autocast() -> Any:
        return torch.autocast(device.torch.type, dtype=formats.compute, enabled=formats.autocast)

    packed = recipe.data.packing and packs(recipe.training.objective)
    control.check()
    reporter.progress("load", note=str(base_path))
    with reporter.phase("load"):
        shared = shards.wanted() and ranks.count > 1
        base = load_model(base_path, recipe, device, formats, load_with(tried[0]), on_host=shared)
        refuse_unknown_tokens(rows, tokenizer, base)
        kept = shards.share_out(base, ranks, device.torch) if shared else shards.Shards()
        layout = choose_layout(base, tried, autocast, packing=packed)
        kept.serve()
        progress.attention = layout.attention
        with ranks.first():
            model = attach(base, recipe, pissa_start(rundir))
        loss = choose_loss(base, layout, autocast)
        kept.serve()
    control.check()
    scorer = Scorer(base, layout, choose_replies(loss), autocast, kept)
    if recipe.training.objective in REFERENCED:
        capacity = GPU_TOKENS if device.is_cuda else CPU_TOKENS
        load_reference(rundir, recipe, rows, scorer, ranks, reporter, control, capacity=capacity)
    if resume_from:
        checkpoint.load_weights(resume_from, model)
    objective = make_objective(recipe, base, loss, choose_replies(loss), rows.train)
    if recipe.training.objective == "kto" and (weights := class_weights(rows.train)) != (1, 1):
        told = " and ".join(f"{weight:.3g}" for weight in weights)
        reporter.notice(
            f"desirable and undesirable replies count {told} times: there are not as many", "", "info"
        )

    batch = recipe.training.batch_size
    lengths = unit_lengths(objective, rows.train)
    order = Order(
        lengths,
        batch,
        recipe.data.max_length if packed else 0,
        recipe.data.seed,
        grouped=not layout.flat,
        longest_first=bool(rundir.read_manifest().get("trial")),
    )
    steps = Steps(order, objective.documents)
    total = recipe.training.max_steps or math.ceil(recipe.training.epochs * steps.per_epoch)
    longest = recipe.data.max_length if packed else int(lengths.max())
    fitting = _micro_batch(recipe, longest, device, ranks)
    progress.micro_batch = min(progress.micro_batch or fitting, fitting)
    wanted = recipe.training.checkpointing
    number = {"none": 0, "all": 10**6, "auto": progress.checkpointed_layers}.get(str(wanted))
    progress.checkpointed_layers = checkpoint_layers(base, int(wanted) if number is None else number)

    optimizer = make_optimizer(list(trainable(model).values()), recipe, device)
    scaler = torch.amp.GradScaler(device.torch.type, enabled=formats.compute is torch.float16)
    if resume_from:
        checkpoint.load_optimizer(resume_from, optimizer, scaler)

    tell_model(reporter, recipe, model, base, formats, layout, progress)
    if shared:
        reporter.notice(kept.words(), "", "info")
    reporter.emit(
        "plan",
        steps=total,
        epochs=total / steps.per_epoch,
        batch_size=batch,
        micro_batch=progress.micro_batch,
        tokens_per_step=int(lengths.sum() / steps.per_epoch),
        processes=ranks.count,
    )
    return Parts(
        recipe=recipe,
        device=device,
        base_path=base_path,
        tokenizer=tokenizer,
        base=base,
        model=model,
        layout=layout,
        objective=objective,
        scorer=scorer,
        ranks=ranks,
        shards=kept,
        autocast=autocast,
        noise=EmbeddingNoise(base, recipe.training.neftune_alpha),
        rows=rows,
        steps=steps,
        total_steps=total,
        layers=layers(base),
        flops=Flops.of_model(base),
        optimizer=optimizer,
        scaler=scaler,
        progress=progress,
        resumed=resume_from is not None,
    )


def _micro_batch(recipe: Recipe, longest: int, device: Device, ranks: Ranks) -> int:
    """Examples at once to begin with, of at most `longest` tokens; every process gets some. Memory has the
    last word (`together.within_memory`)."""
    share = math.ceil(recipe.training.batch_size / ranks.count)
    if recipe.training.micro_batch != "auto":
        return min(int(recipe.training.micro_batch), share)
    return share if device.is_cuda else max(1, min(share, CPU_TOKENS // longest))


def _told(reporter: Reporter, control: Control) -> Callable[[str, int, int], None]:
    def tell(stage: str, done: int, total: int) -> None:
        control.check()
        reporter.progress(stage, done, total, "bytes" if stage == "download" else "")

    return tell


def _workspace(rundir: RunDir) -> Path | None:
    root = rundir.read_manifest().get("workspace")
    return Path(root) if root else None


def versions() -> dict[str, str]:
    from importlib.metadata import version

    return {name: version(name) for name in ("torch", "transformers", "peft", "bitsandbytes", "tokenizers")}


def pissa_start(rundir: RunDir) -> Path:
    return rundir.path / "checkpoints" / "pissa-start.safetensors"


def remove(folder: Path) -> None:
    if folder.exists():
        shutil.rmtree(folder)

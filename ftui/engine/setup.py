"""From a run directory to everything the training loop needs, in the order it is needed."""

from __future__ import annotations

import hashlib
import math
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from ftui.core.errors import FtuiError
from ftui.engine import checkpoint
from ftui.engine.adapter import attach, trainable
from ftui.engine.checkpoint import Progress
from ftui.engine.device import DTYPES, Device
from ftui.engine.encode import Encoder
from ftui.engine.flops import Flops
from ftui.engine.layout import Layout, attentions, choose_layout, choose_loss, load_with
from ftui.engine.model import (
    Formats,
    checkpoint_layers,
    choose_formats,
    count,
    fingerprint,
    layers,
    load_model,
    parameters_in,
    unquantized,
)
from ftui.engine.models import resolve_model
from ftui.engine.noise import EmbeddingNoise
from ftui.engine.optim import choose_optimizer, make_optimizer
from ftui.engine.pack import Order, Steps
from ftui.engine.rows import Prepared
from ftui.engine.rows import prepare as prepare_rows
from ftui.engine.tokenizer import load_tokenizer, stop_ids

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import nn
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    from ftui.core.recipe import Recipe
    from ftui.engine.telemetry import Control, Reporter
    from ftui.runs.rundir import RunDir

# Tokens of a micro-batch on a CPU: more gain nothing there and cost memory.
CPU_TOKENS = 4096


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
    loss: Callable[..., Any]
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
    if recipe.training.objective in ("dpo", "orpo", "kto"):
        raise FtuiError(
            f"{recipe.training.objective} is not in this version",
            'use "sft" or "pretrain"',
            "training.objective",
        )
    if recipe.quantization.bits < 16 and recipe.adapter.method in ("full", "pissa"):
        why = {"full": "full fine-tuning changes the weights", "pissa": "PiSSA splits the weights"}
        raise FtuiError(
            f"{why[recipe.adapter.method]}, so they cannot be quantized",
            "set quantization.bits = 16",
            "adapter.method",
        )
    if recipe.launch.processes > 1:
        raise FtuiError("this version trains in one process", "set it to 1", "launch.processes")
    choose_formats(recipe, device)
    choose_optimizer(recipe, device)
    attentions(recipe, device)


def prepare(rundir: RunDir, recipe: Recipe, device: Device, reporter: Reporter, control: Control) -> Parts:
    """Loads, encodes and counts; emits the events that say so. Raises FtuiError, StopRequested."""
    resume_from = checkpoint.newest(rundir.checkpoints)
    progress = checkpoint.read_progress(resume_from) if resume_from else Progress()
    reporter.emit(
        "attempt",
        pid=os.getpid(),
        versions=versions(),
        device=device.name,
        resumed_from=str(resume_from or ""),
        step=progress.step,
    )

    with reporter.phase("load"):
        base_path = resolve_model(recipe.model.base, recipe.model.revision, _told(reporter, control))
        tokenizer = load_tokenizer(base_path, recipe.model, _workspace(rundir))
    control.check()
    rows = _rows(rundir, recipe, tokenizer, base_path, reporter, control)

    formats = choose_formats(recipe, device, parameters_in(base_path))
    if progress.dtype:
        formats = Formats(formats.weights, DTYPES[progress.dtype])
    tried = [progress.attention] if progress.attention else attentions(recipe, device)
    progress.dtype = str(formats.compute).removeprefix("torch.")

    def autocast() -> Any:
        return torch.autocast(device.torch.type, dtype=formats.compute, enabled=formats.autocast)

    control.check()
    reporter.progress("load", note=str(base_path))
    with reporter.phase("load"):
        base = load_model(base_path, recipe, device, formats, load_with(tried[0]))
        layout = choose_layout(base, tried, autocast, packing=recipe.data.packing)
        progress.attention = layout.attention
        model = attach(base, recipe, pissa_start(rundir))
        if resume_from:
            checkpoint.load_weights(resume_from, model)
        loss = choose_loss(base, layout, autocast)
    control.check()

    batch = recipe.training.batch_size
    packed = recipe.data.packing
    order = Order(
        rows.train.lengths, batch, recipe.data.max_length if packed else 0, recipe.data.seed, not layout.flat
    )
    steps = Steps(order)
    total = recipe.training.max_steps or math.ceil(recipe.training.epochs * steps.per_epoch)
    progress.micro_batch = progress.micro_batch or _micro_batch(recipe, rows, device)
    wanted = recipe.training.checkpointing
    number = {"none": 0, "all": 10**6, "auto": progress.checkpointed_layers}.get(str(wanted))
    progress.checkpointed_layers = checkpoint_layers(base, int(wanted) if number is None else number)

    optimizer = make_optimizer(list(trainable(model).values()), recipe, device)
    scaler = torch.amp.GradScaler(device.torch.type, enabled=formats.compute is torch.float16)
    if resume_from:
        checkpoint.load_optimizer(resume_from, optimizer, scaler)

    _tell_model(reporter, recipe, model, base, formats, layout, progress)
    reporter.emit(
        "plan",
        steps=total,
        epochs=total / steps.per_epoch,
        batch_size=batch,
        micro_batch=progress.micro_batch,
        tokens_per_step=int(rows.train.lengths.sum() / steps.per_epoch),
    )
    return Parts(
        recipe=recipe,
        device=device,
        base_path=base_path,
        tokenizer=tokenizer,
        base=base,
        model=model,
        layout=layout,
        loss=loss,
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


def _rows(
    rundir: RunDir,
    recipe: Recipe,
    tokenizer: PreTrainedTokenizerBase,
    base_path: Path,
    reporter: Reporter,
    control: Control,
) -> Prepared:
    """The encoded dataset, told as a `data` event."""
    data = rundir.read_manifest().get("data", {})
    train = Path(data.get("train", {}).get("path") or recipe.data.train)
    validation = data.get("validation", {}).get("path")
    pretrain = recipe.training.objective == "pretrain"

    def tell(done: int) -> None:
        control.check()
        reporter.progress("encode", done, 0, "rows")

    def encoder() -> Encoder:
        return Encoder(
            tokenizer,
            train_on="all" if pretrain else recipe.data.train_on,
            max_length=recipe.data.max_length,
            overlong="split" if pretrain else recipe.data.overlong,
            stop_ids=stop_ids(base_path),
        )

    rows = prepare_rows(
        cache(rundir),
        recipe,
        encoder,
        train=train,
        validation=Path(validation) if validation else None,
        tell=tell,
    )
    reporter.emit(
        "data",
        train_rows=len(rows.train),
        eval_rows=len(rows.validation),
        train_tokens=int(rows.train.lengths.sum()),
        trained_tokens=int(rows.train.trained.sum()),
        **rows.tally,
    )
    if recipe.data.validation and not len(rows.validation):
        reporter.notice("no row was held back for validation", "raise data.validation, or give a file")
    if tokenizer.chat_template:
        rundir.update_manifest(
            template_sha256=hashlib.sha256(str(tokenizer.chat_template).encode()).hexdigest(),
            base_path=str(base_path),
            base_fingerprint=fingerprint(base_path),
        )
    return rows


def _micro_batch(recipe: Recipe, rows: Prepared, device: Device) -> int:
    """Sequences at once to begin with; memory has the last word (`Training.within_memory`)."""
    if recipe.training.micro_batch != "auto":
        return min(int(recipe.training.micro_batch), recipe.training.batch_size)
    if device.is_cuda:
        return recipe.training.batch_size
    longest = recipe.data.max_length if recipe.data.packing else int(rows.train.lengths.max())
    return max(1, min(recipe.training.batch_size, CPU_TOKENS // longest))


def _tell_model(
    reporter: Reporter,
    recipe: Recipe,
    model: nn.Module,
    base: PreTrainedModel,
    formats: Formats,
    layout: Layout,
    progress: Progress,
) -> None:
    counts = count(model)
    reporter.emit(
        "model",
        parameters=counts.parameters,
        trainable_parameters=counts.trainable,
        quantized_fraction=counts.quantized_fraction,
        dtype=str(formats.compute).removeprefix("torch."),
        attention=layout.attention,
        layout="flat" if layout.flat else "padded",
        micro_batch=progress.micro_batch,
        checkpointed_layers=progress.checkpointed_layers,
    )
    if recipe.quantization.bits != 16 and (left := unquantized(base)):
        named = ", ".join(f"{number:,} weights in {name}" for name, number in sorted(left.items()))
        reporter.notice(f"not quantized, so memory is higher than the recipe suggests: {named}", "", "info")


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


def cache(rundir: RunDir) -> Path:
    """Where the encoded rows are while the run is not finished."""
    return rundir.path / "cache"


def pissa_start(rundir: RunDir) -> Path:
    return rundir.path / "checkpoints" / "pissa-start.safetensors"


def remove(folder: Path) -> None:
    if folder.exists():
        shutil.rmtree(folder)

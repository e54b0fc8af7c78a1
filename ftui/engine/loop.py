"""The training loop: optimizer steps, and what is due between them.

Every random draw of a step comes from a seed made of the recipe's and the step's number. So a step that ran
out of memory is simply done again in smaller pieces, and a resumed run repeats what the killed one would have
done.
"""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING, Any

import torch

from ftui.core.errors import ModelError
from ftui.core.schedule import as_steps
from ftui.engine import checkpoint, setup
from ftui.engine.adapter import save_adapter, trainable
from ftui.engine.device import free_memory, is_out_of_memory
from ftui.engine.figures import Interval, Step
from ftui.engine.model import checkpoint_layers
from ftui.engine.optim import learning_rate, set_learning_rate
from ftui.engine.pack import collate, micro_batches
from ftui.engine.telemetry import StopRequested
from ftui.engine.validation import answer, validation_loss

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from ftui.engine.setup import Parts
    from ftui.engine.telemetry import Control, Reporter
    from ftui.runs.rundir import RunDir

# Updates left out in a row, with on_nan = "warn", before a run is taken to be lost.
_LOST_AFTER = 10


class Training:
    """A run under way: the parts made by `setup`, and the loop."""

    def __init__(self, rundir: RunDir, parts: Parts, reporter: Reporter, control: Control) -> None:
        self.rundir = rundir
        self.recipe = parts.recipe
        self.parts = parts
        self.reporter = reporter
        self.control = control
        self.progress = parts.progress
        self.parameters = list(trainable(parts.model).values())
        self.interval = Interval(parts)
        self.evaluate_every = as_steps(self.recipe.evaluation.every, parts.total_steps)
        self.save_every = as_steps(self.recipe.checkpoints.every, parts.total_steps)
        self.saved_step = self.progress.step if parts.resumed else -1

    def run(self) -> None:
        """From the step it is at to the last. Raises StopRequested, with a checkpoint saved."""
        total = self.parts.total_steps
        try:
            if self.evaluation_is_due() and self.progress.evaluated_step != self.progress.step:
                self.evaluate()  # before the first step, or what an interrupted attempt did not get to
            while self.progress.step < total and not self.should_stop_early():
                self.step()
                self.after_step()
        except StopRequested as stop:
            self.reporter.emit("stopping", reason=stop.reason)
            self.save()
            raise

    def step(self) -> None:
        """One optimizer step, with as many micro-batches as memory needs."""
        begun = time.monotonic()
        rate = learning_rate(self.recipe, self.progress.step, self.parts.total_steps)
        set_learning_rate(self.parts.optimizer, rate)
        sequences = self.parts.steps.sequences(self.progress.step)
        documents = [number for sequence in sequences for number in sequence]
        weight = float(self.parts.rows.train.weight_sums[documents].sum())
        sums, padding = self.within_memory(lambda: self.gradients(sequences, 1 / weight))
        self.parts.scaler.unscale_(self.parts.optimizer)
        largest = self.recipe.training.max_grad_norm or math.inf
        norm = torch.nn.utils.clip_grad_norm_(self.parameters, largest)
        # The step's one wait for the device.
        nll, correct, entropy, grad_norm = torch.cat([sums, norm.reshape(1)]).tolist()
        if self.is_usable(nll / weight, grad_norm):
            self.parts.scaler.step(self.parts.optimizer)
        self.parts.scaler.update()
        self.parts.optimizer.zero_grad(set_to_none=True)
        rows = self.parts.rows.train
        self.progress.step += 1
        self.progress.tokens += int(rows.lengths[documents].sum())
        self.progress.trained_tokens += int(rows.trained[documents].sum())
        seconds = time.monotonic() - begun
        self.interval.add(documents, Step(nll, weight, correct, entropy, grad_norm, padding, rate, seconds))

    def gradients(self, sequences: list[list[int]], scale: float) -> tuple[torch.Tensor, float]:
        """Adds up the gradients of a step; returns [nll, correct, entropy] sums and the share of padding."""
        parts = self.parts
        parts.optimizer.zero_grad(set_to_none=True)
        torch.manual_seed(self.recipe.training.seed * 1_000_003 + self.progress.step)
        sums = torch.zeros(3, device=parts.device.torch)
        padding = places = 0
        for micro in micro_batches(sequences, self.progress.micro_batch):
            self.control.check()
            self.reporter.beat("train")
            documents = [parts.rows.train[number] for sequence in micro for number in sequence]
            batch = collate(documents, device=parts.device.torch, padded=not parts.layout.flat)
            parts.noise.expect(batch)
            with parts.autocast():
                loss = parts.loss(parts.base, batch, parts.layout.arguments(batch), scale)
            parts.scaler.scale(loss.loss).backward()
            sums += torch.stack([loss.nll, loss.correct, loss.entropy])
            padding += batch.padding
            places += batch.input_ids.numel()
        return sums, padding / places

    def within_memory(self, work: Callable[[], Any]) -> Any:
        """`work()`, done again in smaller pieces for as long as it runs out of memory. Raises ModelError."""
        while True:
            try:
                return work()
            except Exception as error:
                if not is_out_of_memory(error):
                    raise
            # Outside the handler, where the exception no longer holds the tensors of the failed attempt.
            self.parts.optimizer.zero_grad(set_to_none=True)
            free_memory(self.parts.device)
            self.shrink()

    def shrink(self) -> None:
        """Makes the next attempt need less memory, the effective batch staying as it is."""
        if self.progress.micro_batch > 1:
            self.progress.micro_batch = math.ceil(self.progress.micro_batch / 2)
            what = f"the micro-batch is now {self.progress.micro_batch}, the effective batch stays"
        elif (
            self.recipe.training.checkpointing == "auto"
            and self.progress.checkpointed_layers < self.parts.layers
        ):
            quarter = math.ceil(self.parts.layers / 4)
            wanted = self.progress.checkpointed_layers + quarter
            self.progress.checkpointed_layers = checkpoint_layers(self.parts.base, wanted)
            what = f"{self.progress.checkpointed_layers} layers are now recomputed in the backward pass"
        else:
            raise ModelError(
                "out of memory with one example at a time", "lower data.max_length or the adapter's rank"
            )
        self.reporter.notice(f"out of memory: {what}", "", "warning")

    def is_usable(self, loss: float, grad_norm: float) -> bool:
        """Whether to take the update. Raises ModelError where the recipe says to stop or nothing helps."""
        if math.isfinite(loss) and math.isfinite(grad_norm):
            self.progress.skipped = 0
            return True
        if self.parts.scaler.is_enabled() and math.isfinite(loss):
            return True  # float16 overflowed: the scaler leaves this update out and lowers its scale
        self.progress.skipped += 1
        step = self.progress.step + 1
        what = f"the loss is {loss}" if not math.isfinite(loss) else f"the gradient norm is {grad_norm}"
        if self.recipe.training.on_nan == "stop":
            raise ModelError(
                f"{what} at step {step}", "lower training.learning_rate; the update was not applied"
            )
        if self.progress.skipped >= _LOST_AFTER:
            raise ModelError(f"{what} for {_LOST_AFTER} steps in a row", "lower training.learning_rate")
        self.reporter.notice(
            f"{what} at step {step}: the update was left out", "lower training.learning_rate"
        )
        return False

    def after_step(self) -> None:
        """What is due after an optimizer step: report, evaluate, save."""
        step, last = self.progress.step, self.progress.step == self.parts.total_steps
        if step % self.recipe.logging.every == 0 or last:
            self.reporter.emit("step", **self.interval.figures(self.progress))
            self.reporter.show(**self.interval.status)
        best = self.evaluation_is_due() and self.evaluate()
        scheduled = bool(self.save_every) and step % self.save_every == 0
        if scheduled or best or last or self.control.take_checkpoint_request():
            self.save()
            if scheduled or last:
                self.sample()

    def evaluation_is_due(self) -> bool:
        step = self.progress.step
        if not self.evaluate_every or not len(self.parts.rows.validation):
            return False
        return step % self.evaluate_every == 0 or step == self.parts.total_steps

    def evaluate(self) -> bool:
        """Measures the validation loss; whether it is the lowest since training began."""
        rows = self.parts.rows.validation

        def tell(done: int) -> None:
            self.control.check()
            self.reporter.progress("evaluate", done, len(rows), "rows")

        parts = self.parts
        figures = self.within_memory(
            lambda: validation_loss(
                parts.base,
                rows,
                layout=parts.layout,
                loss=parts.loss,
                autocast=parts.autocast,
                capacity=self.progress.micro_batch * self.recipe.data.max_length,
                tell=tell,
            )
        )
        self.reporter.emit("eval", step=self.progress.step, **figures)
        self.reporter.show(eval_loss=figures["eval_loss"])
        self.progress.evaluated_step = self.progress.step
        lowest, loss = self.progress.best_loss, figures["eval_loss"]
        if self.progress.step == 0 or not math.isfinite(loss):
            return False
        if lowest is not None and loss >= lowest:
            self.progress.evaluations_since_best += 1
            return False
        self.progress.best_loss, self.progress.best_step = loss, self.progress.step
        self.progress.evaluations_since_best = 0
        return True

    def should_stop_early(self) -> bool:
        patience = self.recipe.evaluation.early_stopping
        if not patience or self.progress.evaluations_since_best < patience:
            return False
        self.reporter.notice(
            f"stopped early: no improvement in {patience} evaluations since step {self.progress.best_step}",
            "",
            "info",
        )
        return True

    def save(self) -> None:
        """Saves a checkpoint, unless this step already has one. A full disk is reported; training goes on."""
        if self.saved_step == self.progress.step:
            return
        begun = time.monotonic()
        parts = self.parts
        try:
            with self.reporter.phase("checkpoint"):
                path = checkpoint.save(
                    self.rundir.checkpoints,
                    self.progress,
                    parts.model,
                    base=parts.base_path,
                    optimizer=parts.optimizer,
                    scaler=parts.scaler,
                    pissa=setup.pissa_start(self.rundir),
                    keep=self.recipe.checkpoints.keep,
                )
        except checkpoint.NotSaved as error:
            self.reporter.notice(f"the checkpoint could not be saved: {error}", "free disk space")
            return
        self.saved_step = self.progress.step
        self.reporter.emit(
            "checkpoint",
            step=self.progress.step,
            path=str(path),
            bytes=checkpoint.size(path),
            seconds=time.monotonic() - begun,
            best=self.progress.best_step == self.progress.step,
        )

    def sample(self) -> None:
        """Answers the recipe's prompts, so that a person sees it learn."""
        parts = self.parts
        for prompt in self.recipe.evaluation.prompts:
            with self.reporter.phase("sample"):
                reply = answer(
                    parts.model,
                    parts.tokenizer,
                    prompt,
                    max_new_tokens=self.recipe.evaluation.max_new_tokens,
                    autocast=parts.autocast,
                    tell=self.control.check,
                )
            self.reporter.emit("sample", step=self.progress.step, prompt=prompt, reply=reply)

    def finish(self) -> Path:
        """Writes the adapter: the last weights, or with early stopping the best ones. Raises ModelError."""
        parts = self.parts
        if self.recipe.evaluation.early_stopping and (best := checkpoint.best(self.rundir.checkpoints)):
            checkpoint.load_weights(best, parts.model)
        final = self.rundir.adapter
        temporary = final.with_name(".adapter-saving")
        setup.remove(temporary)
        try:
            with self.reporter.phase("save"), checkpoint.writing():
                save_adapter(parts.model, temporary, parts.base_path, setup.pissa_start(self.rundir))
                parts.tokenizer.save_pretrained(temporary)
        except checkpoint.NotSaved as error:
            raise ModelError(
                f"the adapter could not be written: {error}",
                f"free disk space, then `ftui runs resume {self.rundir.id}`",
            ) from None
        setup.remove(final)
        temporary.rename(final)
        setup.remove(setup.cache(self.rundir))
        return final

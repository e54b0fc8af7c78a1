"""The training loop: optimizer steps, and what is due between them.

Every random draw of a micro-batch comes from a seed made of the recipe's, the step's and its own number. So a
step that ran out of memory is simply done again in smaller pieces, a resumed run repeats what the killed one
would have done, and it does not matter which process a micro-batch falls to.
"""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING

import torch

from ftui.core.errors import ModelError
from ftui.engine.figures import Interval, Step
from ftui.engine.milestones import Milestones
from ftui.engine.objectives import Micro, Whole
from ftui.engine.optim import learning_rate, set_learning_rate
from ftui.engine.pack import collate, micro_batches
from ftui.engine.telemetry import StopRequested

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ftui.engine.setup import Parts
    from ftui.engine.telemetry import Control, Reporter
    from ftui.runs.rundir import RunDir

# Updates left out in a row, with on_nan = "warn", before a run is taken to be lost.
_LOST_AFTER = 10
# The same where float16 overflows: its scale is halved each time, from 65536, and is then no help any more.
_LOST_AFTER_OVERFLOWS = 32
# Seeds of torch's generators have 64 bits.
_SEED_BITS = 2**64 - 1


class Training(Milestones):
    """A run under way: the parts made by `setup`, and the loop."""

    def __init__(self, rundir: RunDir, parts: Parts, reporter: Reporter, control: Control) -> None:
        super().__init__(rundir, parts, reporter, control)
        self.interval = Interval(parts)
        self.data_seconds = 0.0

    def run(self) -> None:
        """From the step it is at to the last. Raises StopRequested, with a checkpoint saved."""
        total = self.parts.total_steps
        try:
            # Before the first step, or what an interrupted attempt did not get to.
            due = self.evaluation_is_due() and self.progress.evaluated_step != self.progress.step
            if due and self.evaluate():
                self.save(again=True)
            if self.progress.step == 0:  # what the untrained model says, to compare with
                self.sample()
            while self.progress.step < total and not self.should_stop_early():
                self.step()
                self.after_step()
        except StopRequested as stop:
            self.reporter.emit("stopping", reason=stop.reason)
            self.save()
            raise

    def step(self) -> None:
        """One optimizer step, with as many micro-batches as memory needs."""
        begun, self.data_seconds = time.monotonic(), 0.0
        parts, rows, objective = self.parts, self.parts.rows.train, self.parts.objective
        rate = learning_rate(self.recipe, self.progress.step, parts.total_steps)
        set_learning_rate(parts.optimizer, rate)
        sequences = parts.steps.sequences(self.progress.step)
        self.data_seconds = time.monotonic() - begun
        documents = [number for sequence in sequences for number in sequence]
        counts = objective.counts(rows, documents)
        sums = self.within_memory(lambda: self.gradients(sequences, counts))
        self.ranks.add(sums)
        self.ranks.add_gradients(self.parameters)
        parts.scaler.unscale_(parts.optimizer)
        largest = self.recipe.training.max_grad_norm or math.inf
        norm = torch.nn.utils.clip_grad_norm_(self.parameters, largest)
        # The step's one wait for the device.
        *measured, padding, places, grad_norm = torch.cat([sums, norm.reshape(1)]).tolist()
        named = dict(zip(objective.sums, measured, strict=True))
        if self.is_usable(objective.figures(named, counts)["loss"], grad_norm):
            parts.scaler.step(parts.optimizer)
        parts.scaler.update()
        parts.optimizer.zero_grad(set_to_none=True)
        self.progress.step += 1
        self.progress.tokens += int(rows.lengths[documents].sum())
        self.progress.trained_tokens += int(rows.trained[documents].sum())
        seconds = time.monotonic() - begun
        done = Step(named, counts, grad_norm, padding / places, rate, seconds, self.data_seconds)
        self.interval.add(documents, done)

    def gradients(self, sequences: list[list[int]], counts: dict[str, float]) -> torch.Tensor:
        """Adds up the gradients of this process's share of a step; returns the objective's sums, then the
        places that were padding and all places. Raises OutOfMemory, StopRequested."""
        parts = self.parts
        parts.optimizer.zero_grad(set_to_none=True)
        mine = self.ranks.share(list(enumerate(micro_batches(sequences, self.progress.micro_batch))))
        documents = [number for _, micro in mine for sequence in micro for number in sequence]
        total = sum(len(sequence) for sequence in sequences)
        whole = Whole(counts, self.divergence(parts.rows.train, documents, total))
        return self.together(lambda: self._accumulate(mine, whole))

    def _accumulate(self, mine: Sequence[tuple[int, list[list[int]]]], whole: Whole) -> torch.Tensor:
        parts, rows = self.parts, self.parts.rows.train
        sums = torch.zeros(len(parts.objective.sums) + 2, device=parts.device.torch)
        padding = places = 0
        seed = self.recipe.training.seed * 1_000_003 + self.progress.step
        for index, micro in mine:
            self.control.check()
            self.reporter.beat("train")
            torch.manual_seed(((seed << 20) + index) & _SEED_BITS)
            documents = [number for sequence in micro for number in sequence]
            begun = time.monotonic()
            batch = collate(
                [rows[number] for number in documents],
                device=parts.device.torch,
                padded=not parts.layout.flat,
            )
            self.data_seconds += time.monotonic() - begun
            parts.noise.expect(batch)
            with parts.autocast():
                loss, measured = parts.objective.measure(
                    Micro(rows, documents, batch, parts.layout.arguments(batch)), whole
                )
            parts.scaler.scale(loss).backward()
            sums[:-2] += measured
            padding += batch.padding
            places += batch.input_ids.numel()
        sums[-2:] += torch.tensor([padding, places], dtype=sums.dtype).to(sums.device, non_blocking=True)
        return sums

    def is_usable(self, loss: float, grad_norm: float) -> bool:
        """Whether to take the update. Raises ModelError where the recipe says to stop or nothing helps."""
        if math.isfinite(loss) and math.isfinite(grad_norm):
            self.progress.skipped = 0
            return True
        self.progress.skipped += 1
        step = self.progress.step + 1
        if self.parts.scaler.is_enabled() and math.isfinite(loss):
            if self.progress.skipped >= _LOST_AFTER_OVERFLOWS:
                raise ModelError(
                    f"gradients overflow float16 for {_LOST_AFTER_OVERFLOWS} steps in a row",
                    "lower training.learning_rate, or set model.dtype to float32",
                )
            return True  # the scaler leaves this update out and lowers its scale
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
            left = self.reporter.pace.remaining(step, self.parts.total_steps)
            self.reporter.show(**self.interval.status, eta_seconds=left)
        best = self.evaluation_is_due() and self.evaluate()
        scheduled = bool(self.save_every) and step % self.save_every == 0
        if scheduled or best or last or self.control.take_checkpoint_request():
            self.save()
            if scheduled or last:
                self.sample()

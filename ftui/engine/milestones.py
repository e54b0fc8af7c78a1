"""What is due between optimizer steps: evaluation, checkpoints, samples, and the adapter at the end."""

from __future__ import annotations

import itertools
import math
import time
from typing import TYPE_CHECKING

from ftui.core import objectives
from ftui.core.errors import ModelError
from ftui.core.eta import Pace
from ftui.core.schedule import as_steps
from ftui.engine import checkpoint, setup, setup_data
from ftui.engine.adapter import save_adapter
from ftui.engine.device import free_memory, is_out_of_memory
from ftui.engine.objectives import Whole
from ftui.engine.telemetry import StopRequested
from ftui.engine.together import Together
from ftui.engine.validation import answer, evaluation, longest_first, prompt_ids, validation_sums
from ftui.runs.rundir import FREE_DISK, events_backwards

if TYPE_CHECKING:
    from pathlib import Path

    import torch

    from ftui.engine.setup import Parts
    from ftui.engine.telemetry import Control, Reporter
    from ftui.runs.rundir import RunDir


_PACE_EVENTS = 400  # of the attempts before, from which a resumed run knows how fast it goes


class Milestones(Together):
    """A run under way, as far as it is not stepping. Only the first process writes."""

    def __init__(self, rundir: RunDir, parts: Parts, reporter: Reporter, control: Control) -> None:
        super().__init__(parts, reporter, control)
        self.rundir = rundir
        self.adapter_step = 0
        self.evaluate_every = as_steps(self.recipe.evaluation.every, parts.total_steps)
        self.save_every = as_steps(self.recipe.checkpoints.every, parts.total_steps)
        self.saved_step = self.progress.step if parts.resumed else -1
        self.not_saved = ""  # why, as long as that is so
        self.loss = math.inf  # of the newest evaluation
        reporter.pace = Pace(self.evaluate_every, self.save_every)
        if parts.resumed:
            newest = itertools.islice(events_backwards(rundir.events_path), _PACE_EVENTS)
            reporter.pace.feed(reversed(list(newest)))
        self.prompts = {
            prompt: prompt_ids(parts.tokenizer, prompt) for prompt in self.recipe.evaluation.prompts
        }

    def evaluation_is_due(self) -> bool:
        step = self.progress.step
        if not self.evaluate_every or not len(self.parts.rows.validation):
            return False
        return step % self.evaluate_every == 0 or step == self.parts.total_steps

    def evaluate(self) -> bool:
        """Measures the validation loss; whether it is the lowest since training began."""
        begun = time.monotonic()
        parts, rows, objective = self.parts, self.parts.rows.validation, self.parts.objective
        order = longest_first(parts, rows).tolist()
        units = self.ranks.share(order)
        mine = [document for unit in units for document in objective.documents(unit)]
        every = [document for unit in order for document in objective.documents(unit)]
        counts = objective.counts(rows, every)

        def tell(done: int) -> None:
            self.control.check()
            self.reporter.progress("evaluate", done, len(units), "rows")

        def measure() -> torch.Tensor:
            whole = Whole(counts, self.divergence(rows, mine, len(every)))
            at_once = self.progress.micro_batch * objectives.sequences(self.recipe.training.objective)
            capacity = at_once * self.recipe.data.max_length
            return self.together(
                lambda: validation_sums(parts, rows, units, whole, capacity=capacity, tell=tell)
            )

        sums = self.within_memory(measure)
        self.ranks.add(sums)
        named = dict(zip(objective.sums, sums.tolist(), strict=True))
        figures = evaluation(objective.figures(named, counts), counts, time.monotonic() - begun)
        self.reporter.emit("eval", step=self.progress.step, **figures)
        self.reporter.show(eval_loss=figures["eval_loss"])
        self.progress.evaluated_step = self.progress.step
        lowest, loss = self.progress.best_loss, figures["eval_loss"]
        self.loss = loss
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

    def save(self, *, again: bool = False) -> None:
        """Saves a checkpoint, unless this step already has one and there is nothing to add to it (`again`).
        A full disk is reported, once for as long as it is; training goes on."""
        if (self.saved_step == self.progress.step and not again) or not self.ranks.leads:
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
            if str(error) != self.not_saved:
                self.not_saved, step = str(error), self.progress.step
                message = f"the checkpoint of step {step} could not be saved: {error}"
                self.reporter.emit("notice", level="warning", message=message, hint=FREE_DISK, step=step)
            return
        self.not_saved = ""
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
        self._answer()
        self.parts.shards.serve()

    def _answer(self) -> None:
        """Where this is the first process. Lack of memory costs an answer only."""
        parts = self.parts
        if not self.ranks.leads:
            return
        for number, (prompt, ids) in enumerate(self.prompts.items()):
            self.reporter.progress("sample", number, len(self.prompts), "prompts")
            begun = time.monotonic()
            try:
                with self.reporter.phase("sample"):
                    reply = answer(
                        parts.model,
                        parts.tokenizer,
                        ids,
                        max_new_tokens=self.recipe.evaluation.max_new_tokens,
                        autocast=parts.autocast,
                        tell=self.control.check,
                    )
            except StopRequested:
                if self.ranks.count > 1:
                    return  # the others are at the next step already: all stop there
                raise
            except Exception as error:
                if not is_out_of_memory(error):
                    raise
                self.reporter.notice(
                    "out of memory while a prompt was answered: there is no sample",
                    "lower evaluation.max_new_tokens",
                )
            else:
                seconds = time.monotonic() - begun
                self.reporter.emit(
                    "sample", step=self.progress.step, prompt=prompt, reply=reply, seconds=seconds
                )
                continue
            free_memory(parts.device)

    def finish(self) -> Path:
        """Writes the adapter: the last weights, or with early stopping the best ones. Raises ModelError."""
        parts, final = self.parts, self.rundir.adapter
        if not self.ranks.leads:
            return final
        self.adapter_step = self.progress.step
        self._choose_weights()
        temporary = final.with_name(".adapter-saving")
        setup.remove(temporary)
        try:
            with self.reporter.phase("save"), checkpoint.writing(temporary):
                save_adapter(parts.model, temporary, parts.base_path, setup.pissa_start(self.rundir))
                parts.tokenizer.save_pretrained(temporary)
                # A run that says "finished" has its adapter after a power cut too.
                checkpoint.sync_files(temporary)
        except checkpoint.NotSaved as error:
            setup.remove(temporary)
            raise ModelError(
                f"the adapter could not be written: {error}",
                f"{FREE_DISK}, then `ftui runs resume {self.rundir.id}`",
            ) from None
        setup.remove(final)
        temporary.rename(final)
        setup.remove(setup_data.cache(self.rundir))
        return final

    def _choose_weights(self) -> None:
        """With early stopping puts the best weights there are into the model; says so where those of another
        step were better."""
        lowest = self.progress.best_step
        if lowest in (0, self.progress.step):
            return
        saved = checkpoint.best(self.rundir.checkpoints)
        kept = checkpoint.read_progress(saved) if saved else checkpoint.Progress()
        missed = "" if kept.step == lowest else ", whose adapter could not be saved"
        early = bool(self.recipe.evaluation.early_stopping)
        if saved is None or kept.best_loss is None or (early and self.loss < kept.best_loss):
            told = "the adapter is the last step's"
        elif early:
            checkpoint.load_weights(saved, self.parts.model)
            self.adapter_step = kept.step
            told = f"the adapter is step {kept.step}'s"
        else:
            told = f"the adapter of step {kept.step} is kept as {saved.name}"
        self.reporter.notice(f"the validation loss was lowest at step {lowest}{missed}: {told}", "", "info")

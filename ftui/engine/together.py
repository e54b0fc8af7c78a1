"""Work that may run out of memory or be stopped half way, done by all processes of a run alike.

What happens to one happens to all: nobody may wait for a sum that another will never come to add to.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, TypeVar

import torch

from ftui.core.errors import ModelError
from ftui.engine.adapter import trainable
from ftui.engine.device import free_memory, is_out_of_memory
from ftui.engine.model import checkpoint_layers
from ftui.engine.telemetry import StopRequested

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ftui.engine.rows import Rows
    from ftui.engine.setup import Parts
    from ftui.engine.telemetry import Control, Reporter

T = TypeVar("T")


class OutOfMemory(Exception):
    """Memory ran out, here or in another process of the run."""


class Together:
    """The parts of a run, and how its processes stay in step."""

    def __init__(self, parts: Parts, reporter: Reporter, control: Control) -> None:
        self.recipe = parts.recipe
        self.parts = parts
        self.ranks = parts.ranks
        self.reporter = reporter
        self.control = control
        self.progress = parts.progress
        self.parameters = list(trainable(parts.model).values())

    def together(self, work: Callable[[], T]) -> T:
        """`work()`, in which no process talks to another but for its parts of the base, if that is shared out.
        Raises StopRequested or OutOfMemory in all of them when one has to stop or has no memory left."""
        result: list[T] = []
        stop, scarce = None, False
        try:
            result.append(work())
        except StopRequested as request:
            stop = request
        except Exception as error:
            if not is_out_of_memory(error):
                raise
            scarce = True
        # Outside the handler, where the exception no longer holds the tensors of the failed attempt.
        self.parts.shards.serve()
        stopping, short = self.ranks.any(stop is not None, scarce)
        if stopping:
            raise stop or StopRequested("stop requested")
        if short:
            raise OutOfMemory
        return result[0]

    def within_memory(self, work: Callable[[], T]) -> T:
        """`work()`, done again in smaller pieces for as long as it runs out of memory. Raises ModelError."""
        while True:
            try:
                return work()
            except OutOfMemory:
                pass
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

    def divergence(self, rows: Rows, documents: list[int], total: int) -> torch.Tensor | None:
        """KTO's estimate of how far the model has moved: the mean over the replies put to prompts not theirs,
        and never below 0. None where the objective has no use for it.

        documents: this process's part of the `total` that are trained on or evaluated.
        """
        parts = self.parts
        if not parts.objective.probes([0]):
            return None
        probes = parts.objective.probes(documents)
        scorer = parts.scorer
        assert rows.reference is not None
        nothing = torch.zeros(0, device=parts.device.torch)  # a process may have no part in a small batch
        moved = self.together(lambda: torch.cat([nothing, *scorer.score(rows, self._pieces(probes))]))
        before = torch.from_numpy(rows.reference[probes]).to(moved.device)
        change = (moved - before).sum().reshape(1)
        self.ranks.add(change)
        return (change[0] / total).clamp(min=0)

    def _pieces(self, documents: list[int]) -> Iterator[list[int]]:
        size = self.progress.micro_batch
        for start in range(0, len(documents), size):
            self.control.check()
            self.reporter.beat("train")
            yield documents[start : start + size]

"""The figures of `step` events: sums over the optimizer steps since the last one."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ftui.engine.device import memory

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ftui.engine.checkpoint import Progress
    from ftui.engine.setup import Parts


@dataclass(frozen=True, slots=True)
class Step:
    """One optimizer step.

    sums, counts: what its objective measured and counted (`objectives.py`). padding: the share of its places
    that were padding. rate: the learning rate. data_seconds: of `seconds`, spent putting batches together.
    """

    sums: dict[str, float]
    counts: dict[str, float]
    grad_norm: float
    padding: float
    rate: float
    seconds: float
    data_seconds: float


def added(each: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """The sum under each name; all have the same names."""
    return {name: sum(one[name] for one in each) for name in each[0]}


class Interval:
    """Steps since the last event. Only steps are timed, not the evaluations and checkpoints between them."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._steps: list[Step] = []
        self._samples = self._tokens = self._trained = 0
        self._flops = 0.0
        self.status: dict[str, Any] = {}

    def add(self, documents: list[int], step: Step) -> None:
        rows = self._parts.rows.train
        lengths, trained = rows.lengths[documents], int(rows.trained[documents].sum())
        self._steps.append(step)
        self._samples += len(documents) // len(self._parts.objective.documents(0))
        self._tokens += int(lengths.sum())
        self._trained += trained
        self._flops += self._parts.flops.of(lengths, trained)

    def figures(self, progress: Progress) -> dict[str, Any]:
        """The fields of a `step` event; begins a new interval and refreshes `status`."""
        parts, steps, last = self._parts, self._steps, self._steps[-1]
        seconds = max(1e-9, sum(step.seconds for step in steps))
        peak = parts.device.peak_flops * parts.ranks.count if parts.device.peak_flops else None
        objective = parts.objective
        figures = {
            "step": progress.step,
            "steps": parts.total_steps,
            **objective.figures(added([step.sums for step in steps]), added([step.counts for step in steps])),
            "learning_rate": last.rate,
            "grad_norm": last.grad_norm,
            "epoch": progress.step / parts.steps.per_epoch,
            "num_tokens": progress.tokens,
            "trained_tokens": progress.trained_tokens,
            "tokens_per_second": self._tokens / seconds,
            "samples_per_second": self._samples / seconds,
            "step_time": seconds / len(steps),
            "data_time": sum(step.data_seconds for step in steps) / len(steps),
            "padding_fraction": sum(step.padding for step in steps) / len(steps),
            "mfu": self._flops / seconds / peak if peak else None,
            **memory(parts.device),
        }
        if parts.scaler.is_enabled():  # float16: each lowers the loss scale, and is no news while it is found
            figures["overflows"] = sum(not math.isfinite(step.grad_norm) for step in steps)
        self.status = {
            "stage": "train",
            "step": progress.step,
            "steps": parts.total_steps,
            "loss": figures["loss"],
            "tokens_per_second": figures["tokens_per_second"],
        }
        self._steps, self._samples, self._tokens, self._trained, self._flops = [], 0, 0, 0, 0.0
        return figures

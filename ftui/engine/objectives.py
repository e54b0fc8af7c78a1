"""What is learned from a micro-batch: its loss, and the sums that a run's figures are made of.

Every loss is normalised by counts over the whole effective batch, so a gradient is the same whatever was in
memory at once, and whichever process had which part.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import torch

from ftui.core.objectives import PAIRED, PREFERENCE
from ftui.engine import preference_loss
from ftui.engine.preference_rows import LabelledUnits, PairUnits, SingleUnits

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from transformers import PreTrainedModel

    from ftui.core.recipe import Recipe
    from ftui.engine.logps import Replies
    from ftui.engine.loss import Loss
    from ftui.engine.pack import Batch
    from ftui.engine.rows import Rows, Units

    ReplyFunction = Callable[[PreTrainedModel, Batch, dict[str, Any]], Replies]
    Sums = Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Micro:
    """A micro-batch. documents: their numbers in `rows`, in the order of the batch. arguments: for the model."""

    rows: Rows
    documents: list[int]
    batch: Batch
    arguments: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Whole:
    """The effective batch a micro-batch is part of. divergence: KTO's, a 0-d tensor on the device."""

    counts: dict[str, float]
    divergence: torch.Tensor | None = None


class Objective(Protocol):
    """sums: names of what `measure` adds up. stride: documents a unit takes on disk (`preference_rows`)."""

    sums: tuple[str, ...]
    stride: int

    def documents(self, unit: int) -> list[int]:
        """The documents of a unit that are trained on together."""

    def probes(self, documents: list[int]) -> list[int]:
        """The documents whose likelihood must be known before the step, [] for none."""

    def counts(self, rows: Rows, documents: list[int]) -> dict[str, float]:
        """What losses and figures over these documents are divided by."""

    def measure(self, micro: Micro, whole: Whole) -> tuple[torch.Tensor, torch.Tensor]:
        """Where backward starts, and the sums, [len(sums)]."""

    def figures(self, sums: Sums, counts: Sums) -> dict[str, float]:
        """The figures of any number of steps, or of an evaluation, by their names in the field."""


class Likelihood:
    """sft and pretrain: the mean negative log-likelihood of the trained tokens, by their weights."""

    sums = ("nll", "correct", "entropy")
    stride = 1

    def __init__(self, model: PreTrainedModel, loss: Callable[..., Loss]) -> None:
        self._model = model
        self._loss = loss

    def documents(self, unit: int) -> list[int]:
        return [unit]

    def probes(self, documents: list[int]) -> list[int]:
        return []

    def counts(self, rows: Rows, documents: list[int]) -> dict[str, float]:
        return {
            "weight": float(rows.weight_sums[documents].sum()),
            "tokens": float(rows.trained[documents].sum()),
        }

    def measure(self, micro: Micro, whole: Whole) -> tuple[torch.Tensor, torch.Tensor]:
        loss = self._loss(self._model, micro.batch, micro.arguments, 1 / whole.counts["weight"])
        return loss.loss, torch.stack([loss.nll, loss.correct, loss.entropy])

    def figures(self, sums: Sums, counts: Sums) -> dict[str, float]:
        return {
            "loss": sums["nll"] / max(1e-9, counts["weight"]),
            "mean_token_accuracy": sums["correct"] / max(1, counts["tokens"]),
            "entropy": sums["entropy"] / max(1, counts["tokens"]),
        }


class Pairs:
    """dpo and orpo: the chosen reply made likelier than the rejected one.

    orpo adds the likelihood of the chosen reply, of its own tokens only, as in the paper's equation 6.
    """

    sums = (
        "losses", "nll", "correct", "entropy", "rewards/chosen", "rewards/rejected", "rewards/accuracies",
        "logps/chosen", "logps/rejected",
    )  # fmt: skip
    stride = 2

    def __init__(self, objective: str, beta: float, model: PreTrainedModel, replies: ReplyFunction) -> None:
        self._objective = objective
        self._beta = beta
        self._model = model
        self._replies = replies

    def documents(self, unit: int) -> list[int]:
        return [2 * unit, 2 * unit + 1]

    def probes(self, documents: list[int]) -> list[int]:
        return []

    def counts(self, rows: Rows, documents: list[int]) -> dict[str, float]:
        trained = rows.trained[documents]
        return {
            "pairs": len(documents) / 2,
            "chosen_tokens": float(trained[::2].sum()),
            "tokens": float(trained.sum()),
        }

    def measure(self, micro: Micro, whole: Whole) -> tuple[torch.Tensor, torch.Tensor]:
        replies = self._replies(self._model, micro.batch, micro.arguments)
        logps = replies.logps
        nll = -logps[::2].sum()
        if self._objective == "dpo":
            reference = _reference(micro, logps)
            losses, better, worse = preference_loss.dpo(
                logps[::2], logps[1::2], reference[::2], reference[1::2], self._beta
            )
            loss = losses.sum() / whole.counts["pairs"]
        else:
            logps = logps / replies.tokens
            losses, better, worse = preference_loss.orpo(logps[::2], logps[1::2], self._beta)
            loss = losses.sum() / whole.counts["pairs"] + nll / whole.counts["chosen_tokens"]
        sums = [
            losses.sum(), nll, replies.correct[::2].sum(), replies.entropy.sum(), better.sum(), worse.sum(),
            (better > worse).sum().float(), logps[::2].sum(), logps[1::2].sum(),
        ]  # fmt: skip
        return loss, torch.stack([one.detach() for one in sums])

    def figures(self, sums: Sums, counts: Sums) -> dict[str, float]:
        pairs, tokens = max(1.0, counts["pairs"]), max(1.0, counts["chosen_tokens"])
        mean = {name: sums[name] / pairs for name in self.sums if "/" in name}
        nll = sums["nll"] / tokens
        loss = sums["losses"] / pairs
        return {
            "loss": loss if self._objective == "dpo" else loss + nll,
            "mean_token_accuracy": sums["correct"] / tokens,
            "entropy": sums["entropy"] / max(1.0, counts["tokens"]),
            "nll_loss": nll,
            "rewards/margins": mean["rewards/chosen"] - mean["rewards/rejected"],
            **mean,
        }


class Labelled:
    """kto: desirable replies made likelier, undesirable ones less likely."""

    sums = (
        "losses", "correct", "entropy", "rewards/chosen", "rewards/rejected", "logps/chosen", "logps/rejected",
        "kl",
    )  # fmt: skip
    stride = 2

    def __init__(
        self, beta: float, weights: tuple[float, float], model: PreTrainedModel, replies: ReplyFunction
    ) -> None:
        self._beta = beta
        self._weights = weights
        self._model = model
        self._replies = replies

    def documents(self, unit: int) -> list[int]:
        return [2 * unit]

    def probes(self, documents: list[int]) -> list[int]:
        return [document + 1 for document in documents]

    def counts(self, rows: Rows, documents: list[int]) -> dict[str, float]:
        desirable = float(rows.labels[documents].sum())
        return {
            "replies": float(len(documents)),
            "chosen": desirable,
            "rejected": len(documents) - desirable,
            "tokens": float(rows.trained[documents].sum()),
        }

    def measure(self, micro: Micro, whole: Whole) -> tuple[torch.Tensor, torch.Tensor]:
        replies = self._replies(self._model, micro.batch, micro.arguments)
        desirable = torch.from_numpy(micro.rows.labels[micro.documents]).to(replies.logps.device)
        assert whole.divergence is not None
        losses, rewards = preference_loss.kto(
            replies.logps,
            _reference(micro, replies.logps),
            desirable,
            whole.divergence,
            self._beta,
            self._weights,
        )
        logps, other = replies.logps.detach(), 1 - desirable
        sums = [
            losses.detach().sum(), replies.correct.sum(), replies.entropy.sum(),
            (rewards * desirable).sum(), (rewards * other).sum(),
            (logps * desirable).sum(), (logps * other).sum(), whole.divergence * len(micro.documents),
        ]  # fmt: skip
        return losses.sum() / whole.counts["replies"], torch.stack(sums)

    def figures(self, sums: Sums, counts: Sums) -> dict[str, float]:
        """A figure of desirable or undesirable replies is left out where there were none."""
        replies, tokens = max(1.0, counts["replies"]), max(1.0, counts["tokens"])
        figures = {
            "loss": sums["losses"] / replies,
            "mean_token_accuracy": sums["correct"] / tokens,
            "entropy": sums["entropy"] / tokens,
            "kl": sums["kl"] / replies,
        }
        for side in ("chosen", "rejected"):
            if counts[side]:
                figures[f"rewards/{side}"] = sums[f"rewards/{side}"] / counts[side]
                figures[f"logps/{side}"] = sums[f"logps/{side}"] / counts[side]
        if counts["chosen"] and counts["rejected"]:
            figures["rewards/margins"] = figures["rewards/chosen"] - figures["rewards/rejected"]
        return figures


def units_for(objective: str) -> Units:
    """How rows are encoded for an objective."""
    if objective not in PREFERENCE:
        return SingleUnits()
    return PairUnits(objective) if objective in PAIRED else LabelledUnits(objective)


def stride(objective: str) -> int:
    """Documents a unit takes on disk."""
    return 2 if objective in PREFERENCE else 1


def make_objective(
    recipe: Recipe,
    model: PreTrainedModel,
    loss: Callable[..., Loss],
    replies: ReplyFunction,
    train: Rows,
) -> Objective:
    """The recipe's objective on `model`. train: decides KTO's weights."""
    objective, beta = recipe.training.objective, recipe.training.beta
    if objective in PAIRED:
        return Pairs(objective, beta, model, replies)
    if objective == "kto":
        return Labelled(beta, class_weights(train), model, replies)
    return Likelihood(model, loss)


def class_weights(train: Rows) -> tuple[float, float]:
    """KTO's weights of desirable and undesirable replies, from how many there are."""
    desirable = int(train.labels[::2].sum())
    return preference_loss.kto_weights(desirable, len(train) // 2 - desirable)


def unit_lengths(objective: Objective, rows: Rows) -> np.ndarray:
    """Tokens of each unit, all documents of it that are trained on."""
    units = range(len(rows) // objective.stride)
    if objective.stride == 1:
        return rows.lengths
    used = np.array([objective.documents(unit) for unit in units], np.int64).reshape(len(units), -1)
    return rows.lengths[used].sum(1) if units else np.zeros(0, np.int32)


def _reference(micro: Micro, like: torch.Tensor) -> torch.Tensor:
    """What the model before training gave the replies of a micro-batch."""
    assert micro.rows.reference is not None
    return torch.from_numpy(micro.rows.reference[micro.documents]).to(like.device, non_blocking=True)

"""How long a run is: steps from rows, and the shares of a run as steps."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ftui.core.objectives import packs

if TYPE_CHECKING:
    from ftui.core.recipe import Recipe


@dataclass(frozen=True, slots=True)
class Schedule:
    """The course of a run. tokens_per_step: all tokens of an optimizer step, None where lengths are unknown.

    sequences: what one epoch trains on: rows, or full sequences when packed. Rows are 0 while unknown.
    """

    train_rows: int
    validation_rows: int
    sequences: int
    steps: int
    tokens_per_step: int | None


def schedule(recipe: Recipe, rows: int | None, mean_tokens: float | None = None) -> Schedule | None:
    """The course of `recipe` over `rows` rows of `mean_tokens` tokens; None where it cannot be told."""
    if not rows:
        return Schedule(0, 0, 0, recipe.training.max_steps, None) if recipe.training.max_steps else None
    share = recipe.data.validation
    validation = (
        min(rows - 1, max(1, round(rows * share))) if isinstance(share, float) and share and rows > 1 else 0
    )
    train = rows - validation
    batch = recipe.training.batch_size
    sequences: int | None = train
    tokens = round(batch * mean_tokens) if mean_tokens else None
    if recipe.data.packing and packs(recipe.training.objective):
        sequences = max(1, math.ceil(train * mean_tokens / recipe.data.max_length)) if mean_tokens else None
        tokens = batch * recipe.data.max_length
        if sequences is not None and mean_tokens:
            tokens = min(tokens, round(train * mean_tokens))
    steps = recipe.training.max_steps
    if not steps:
        if sequences is None:
            return None
        steps = max(1, math.ceil(recipe.training.epochs * max(1, math.ceil(sequences / batch))))
    return Schedule(train, validation, sequences or 0, steps, tokens)


def as_steps(value: float, steps: int) -> int:
    """A share of the run (below 1) or a number of steps, as steps; a share is at least one, 0 stays 0."""
    if value == 0:
        return 0
    return max(1, round(value * steps)) if value < 1 else int(value)

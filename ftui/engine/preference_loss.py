"""The formulas of preference learning, from the log-probabilities of whole replies.

Each takes [P] tensors, one value a pair (or a labelled reply), and gives the [P] losses and rewards; what they
are divided by is the caller's business. They are those of TRL's trainers, which the tests hold them to.
"""

from __future__ import annotations

import torch
from torch.nn import functional


def dpo(
    chosen: torch.Tensor,
    rejected: torch.Tensor,
    reference_chosen: torch.Tensor,
    reference_rejected: torch.Tensor,
    beta: float,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Losses, chosen rewards, rejected rewards: -log sigmoid(beta (chosen ratio - rejected ratio)).

    A reward is beta x how much likelier a reply has become than it was. Rafailov et al. 2023, "Direct
    Preference Optimization", arXiv 2305.18290, equation 7.
    """
    better = beta * (chosen - reference_chosen)
    worse = beta * (rejected - reference_rejected)
    return -functional.logsigmoid(better - worse), better.detach(), worse.detach()


def orpo(
    chosen: torch.Tensor, rejected: torch.Tensor, beta: float
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Odds-ratio losses, chosen rewards, rejected rewards, from MEAN log-probabilities a token.

    Hong et al. 2024, "ORPO: Monolithic Preference Optimization without Reference Model", arXiv 2403.07691,
    equations 4 and 7; beta is the paper's lambda. The likelihood of the chosen reply (equation 6) is added by
    the caller.
    """
    odds = (chosen - rejected) - (_log1mexp(chosen) - _log1mexp(rejected))
    return -beta * functional.logsigmoid(odds), beta * chosen.detach(), beta * rejected.detach()


def kto(
    replies: torch.Tensor,
    reference: torch.Tensor,
    desirable: torch.Tensor,
    divergence: torch.Tensor,
    beta: float,
    weights: tuple[float, float],
) -> tuple[torch.Tensor, torch.Tensor]:
    """Losses and rewards of labelled replies.

    desirable: [P] 1 or 0. divergence: how far the model has moved already, from replies put to prompts that are
    not theirs; no gradient flows through it. weights: of desirable and undesirable replies.
    Ethayarajh et al. 2024, "KTO: Model Alignment as Prospect Theoretic Optimization", arXiv 2402.01306,
    equations 7 and 8.
    """
    ratio = replies - reference
    sign = 2 * desirable - 1
    losses = 1 - torch.sigmoid(beta * sign * (ratio - divergence))
    return losses * torch.where(desirable > 0, *weights), (beta * ratio).detach()


def kto_weights(desirable: int, undesirable: int) -> tuple[float, float]:
    """Weights that make up for unequal numbers: the smaller class counts more until the ratio of what the two
    weigh is between 1 and 4/3 (KTO, section 4.2)."""
    if not desirable or not undesirable:
        return 1.0, 1.0
    ratio = desirable / undesirable
    if ratio < 1:
        return undesirable / desirable, 1.0
    return (1.0, 1.0) if ratio <= 4 / 3 else (1.0, 0.75 * ratio)


def _log1mexp(x: torch.Tensor) -> torch.Tensor:
    """log(1 - exp(x)) for x < 0, without cancellation on either side of -ln 2, finite where x rounds to 0."""
    x = x.clamp(max=-1e-6)
    return torch.where(x < -0.6931471805599453, torch.log1p(-torch.exp(x)), torch.log(-torch.expm1(x)))

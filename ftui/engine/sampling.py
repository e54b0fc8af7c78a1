"""Choosing the next token: settings a person knows, and one generator a side.

Each side draws from its own generator, so that the same seed gives the same reply whatever the sides beside
it do.
"""

from __future__ import annotations

import math
import secrets
from dataclasses import dataclass, fields
from typing import Any

import torch

from ftui.core.errors import FtuiError


@dataclass(frozen=True, slots=True)
class Sampling:
    """How one side's reply is drawn.

    max_new_tokens: longest reply. temperature: 0 always takes the likeliest token. top_p: only the likeliest
    tokens that together have this probability. top_k: only this many; 0 is all. min_p: only tokens at least
    this share as likely as the likeliest. repetition_penalty: above 1 makes tokens seen before less likely
    (Keskar et al. 2019, https://arxiv.org/abs/1909.05858). seed: None draws one.
    """

    max_new_tokens: int = 256
    temperature: float = 0.7
    top_p: float = 0.95
    top_k: int = 0
    min_p: float = 0.0
    repetition_penalty: float = 1.0
    seed: int | None = None

    @staticmethod
    def parse(values: Any) -> Sampling:
        """Settings out of a request. Raises FtuiError naming the first bad one."""
        if not isinstance(values, dict):
            raise FtuiError("sampling must be an object")
        known = {field.name for field in fields(Sampling)}
        for name, value in values.items():
            if name not in known:
                raise FtuiError(
                    "no such sampling setting", f"there are {', '.join(sorted(known))}", str(name)
                )
            _check(name, value)
        return Sampling(**values)


# name -> (whole numbers only, lowest, highest, whether the lowest itself is allowed)
_LIMITS: dict[str, tuple[bool, float, float, bool]] = {
    "max_new_tokens": (True, 1, 1_048_576, True),
    "temperature": (False, 0, 10, True),
    "top_p": (False, 0, 1, False),
    "top_k": (True, 0, 10_000_000, True),
    "min_p": (False, 0, 1, True),
    "repetition_penalty": (False, 0, 100, False),
    "seed": (True, 0, 2**63 - 1, True),
}


def _check(name: str, value: Any) -> None:
    whole, low, high, inclusive = _LIMITS[name]
    if name == "seed" and value is None:
        return
    right_type = type(value) is int or (not whole and type(value) is float and math.isfinite(value))
    if not right_type or not low <= value <= high or (value == low and not inclusive):
        kind = "a whole number" if whole else "a number"
        raise FtuiError(
            f"expected {kind} {'from' if inclusive else 'above'} {low} to {high}, got {value!r}", "", name
        )


class Sampler:
    """Draws one side's tokens. Not thread-safe; remembers what it has seen for the repetition penalty."""

    def __init__(self, settings: Sampling, prompt: list[int], device: torch.device) -> None:
        self.settings = settings
        self.seed = secrets.randbits(31) if settings.seed is None else settings.seed
        # On the CPU whatever the device: the same seed then gives the same numbers everywhere.
        self._generator = torch.Generator().manual_seed(self.seed)
        self._seen: torch.Tensor | None = None
        if settings.repetition_penalty != 1.0:
            self._seen = torch.tensor(sorted(set(prompt)), dtype=torch.long, device=device)

    def pick(self, logits: torch.Tensor) -> int:
        """The next token id from `logits` of shape [vocabulary]."""
        logits = self._penalised(logits.float())
        token = int(logits.argmax()) if self.settings.temperature == 0 else self._draw(logits)
        if self._seen is not None:
            self._seen = torch.cat([self._seen, self._seen.new_tensor([token])])
        return token

    def _penalised(self, logits: torch.Tensor) -> torch.Tensor:
        if self._seen is None:
            return logits
        penalty = self.settings.repetition_penalty
        seen = logits[self._seen]
        return logits.index_put((self._seen,), torch.where(seen > 0, seen / penalty, seen * penalty))

    def _draw(self, logits: torch.Tensor) -> int:
        """Gumbel-max sampling: the largest sum of log probability and noise, among the tokens that remain.

        One noise value a token of the vocabulary, so sides with the same seed differ only where their models
        do. (Maddison et al. 2014, https://arxiv.org/abs/1411.0030.)
        """
        logits = logits / self.settings.temperature
        noise = torch.empty(logits.shape[-1]).exponential_(generator=self._generator).log_().neg_()
        return int((self._limited(logits) + noise.to(logits.device)).argmax())

    def _limited(self, logits: torch.Tensor) -> torch.Tensor:
        """`logits` with everything top_p, top_k and min_p leave out at minus infinity; never all of it."""
        settings = self.settings
        if settings.top_p >= 1 and not settings.top_k and not settings.min_p:
            return logits
        ordered, ids = logits.sort(descending=True, stable=True)
        # float64: the running sum of 100,000 float32 probabilities is off by more than a rare token's share.
        probabilities = torch.softmax(ordered.double(), dim=-1)
        dropped = probabilities.cumsum(-1) - probabilities >= settings.top_p
        dropped |= probabilities < settings.min_p * probabilities[0]
        if settings.top_k:
            dropped[settings.top_k :] = True
        dropped[0] = False
        return logits.index_fill(0, ids[dropped], float("-inf"))

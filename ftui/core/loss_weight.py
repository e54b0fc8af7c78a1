"""How much a turn counts in the loss, where its dataset says so: the one place that decides what that may be."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from ftui.core.text import one_line

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from ftui.core.example import Message

WEIGHT_KEYS = ("loss_weight", "weight", "train")

# Beside 0: no float32 sum of them vanishes or overflows.
LOWEST, HIGHEST = 1e-6, 1e3

_NUMBER = re.compile(r"\s*[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?\s*", re.ASCII)


def given_weight(turn: Mapping[str, Any]) -> tuple[float | None, Any]:
    """(weight, what is written instead of one) of a turn as its dataset has it; None for what is not there.

    A number counts, also written as text ("0", as tables have it), and so does a boolean: trained or not.
    """
    given = next((turn[key] for key in WEIGHT_KEYS if turn.get(key) is not None), None)
    if isinstance(given, int | float) or (isinstance(given, str) and _NUMBER.fullmatch(given)):
        try:
            return float(given), None
        except OverflowError:  # a whole number of hundreds of digits
            return None, given
    return None, given


def refused_weight(messages: Iterable[Message]) -> str:
    """Which of `messages`, numbered from 1, has a weight that cannot be trained with; "" when none has."""
    for number, message in enumerate(messages, start=1):
        weight = message.weight
        if message.odd_weight:
            written = repr(one_line(message.odd_weight, 40))
        elif weight is None or weight == 0 or LOWEST <= weight <= HIGHEST:
            continue
        else:
            written = f"{weight:g}"
        return f"turn {number} has a loss weight of {written}: 0, or 1e-6 to 1000, is possible"
    return ""

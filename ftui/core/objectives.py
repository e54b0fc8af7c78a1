"""What the objectives need of a dataset and of memory, apart from the engine that trains them."""

from __future__ import annotations

# Learned from what people prefer: pairs of a chosen and a rejected reply, or replies labelled good and bad.
PAIRED = ("dpo", "orpo")
PREFERENCE = (*PAIRED, "kto")
# Measured against the model as it was before training.
REFERENCED = ("dpo", "kto")

_NEEDS = {
    "dpo": (("preference",), "pairs of a chosen and a rejected reply"),
    "orpo": (("preference",), "pairs of a chosen and a rejected reply"),
    "kto": (("kto", "preference"), "replies labelled desirable or undesirable, or pairs of replies"),
}


def needs(objective: str) -> str:
    """What the rows of a preference objective are, in words."""
    return _NEEDS[objective][1]


def suits(objective: str, shape: str) -> bool:
    """Whether rows of `shape` (see core.shapes) can be trained on by `objective`; an unknown one may."""
    return objective not in _NEEDS or not shape or shape == "unknown" or shape in _NEEDS[objective][0]


def sequences(objective: str) -> int:
    """How many sequences of an example are in memory at once: a pair has two."""
    return 2 if objective in PAIRED else 1


def counted_turns(objective: str, train_on: str) -> str:
    """Which turns count: data.train_on, but for raw text, which is trained whole, and for preferences, whose prompt
    is what both replies have in common."""
    if objective == "pretrain":
        return "all"
    return "assistant" if objective in PREFERENCE and train_on == "all" else train_on


def packs(objective: str) -> bool:
    """Whether short examples may be joined into full sequences: an example of a pair stays with the other."""
    return objective not in PREFERENCE

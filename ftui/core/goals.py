"""What people fine-tune for, and what each goal sets in a recipe. Figures are from practitioners' guides."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ftui.core.errors import FtuiError


@dataclass(frozen=True, slots=True)
class Goal:
    """rows: how many examples it usually takes, from and to. changes: recipe fields by dotted name."""

    name: str
    title: str
    rows: tuple[int, int]
    changes: dict[str, Any]


GOALS: dict[str, Goal] = {
    goal.name: goal
    for goal in (
        Goal(
            "style",
            "a tone or an output format",
            (100, 500),
            {"adapter.rank": 16, "adapter.alpha": 32, "training.learning_rate": 2e-4, "training.epochs": 3},
        ),
        Goal(
            "domain",
            "the language and knowledge of a field",
            (500, 2000),
            {"adapter.rank": 32, "adapter.alpha": 64, "training.learning_rate": 2e-4, "training.epochs": 2},
        ),
        Goal(
            "task",
            "a task the base cannot do yet",
            (1000, 5000),
            {
                "adapter.rank": 32,
                "adapter.alpha": 64,
                "training.learning_rate": 1e-4,
                "training.epochs": 3,
                "evaluation.early_stopping": 3,
            },
        ),
        Goal(
            "reasoning",
            "working out an answer in many steps",
            (5000, 20000),
            {
                "adapter.rank": 64,
                "adapter.alpha": 128,
                "training.learning_rate": 1e-4,
                "training.epochs": 2,
                "data.max_length": 4096,
                "evaluation.early_stopping": 3,
            },
        ),
    )
}


def goal_changes(name: str) -> dict[str, Any]:
    """The fields goal `name` sets, itself included. Raises FtuiError naming the goals there are."""
    if name not in GOALS:
        listed = ", ".join(f"{goal.name} ({goal.title})" for goal in GOALS.values())
        raise FtuiError("no such goal", f"there are {listed}", name)
    return {"goal": name, **GOALS[name].changes}

"""How long a run still takes, as its events are read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ftui.core.errors import FtuiError
from ftui.core.eta import Pace
from ftui.core.recipe import load_recipe
from ftui.core.schedule import as_steps
from ftui.runs.figures import whole

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ftui.runs.rundir import RunDir


class Clock:
    """Follows a run's events; without a readable recipe, what interrupts its steps is not counted."""

    def __init__(self, rundir: RunDir) -> None:
        self._rundir = rundir
        self._pace = Pace()

    def left(self, event: Mapping[str, Any]) -> float | None:
        """Takes in the next event; after a step the seconds that are left, where they are known."""
        steps, step = whole(event.get("steps")), whole(event.get("step"))
        if event.get("type") == "plan" and steps:
            self._pace = self._planned(steps)
        self._pace.feed([event])
        if event.get("type") != "step" or steps is None or step is None:
            return None
        return self._pace.remaining(step, max(step, steps))

    def _planned(self, steps: int) -> Pace:
        try:
            recipe = load_recipe(self._rundir.recipe_path)
        except FtuiError:
            return Pace()
        return Pace(as_steps(recipe.evaluation.every, steps), as_steps(recipe.checkpoints.every, steps))

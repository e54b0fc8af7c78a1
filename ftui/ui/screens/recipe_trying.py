"""The Recipe pane's trial: two real steps on the longest rows before the whole run."""

from __future__ import annotations

from typing import Any, ClassVar

from ftui.core.errors import FtuiError
from ftui.ui.bindings import ordered
from ftui.ui.screens.recipe_running import RecipeRunning


class RecipeTrying(RecipeRunning):
    """Tries the draft as it is, saved or not."""

    BINDINGS: ClassVar[list[Any]] = [ordered("v", "try", "try two steps", id="recipe.try")]

    def action_try(self) -> None:
        from ftui.ui.modals.try_recipe import TryRecipe

        if problem := self.first_error():
            self.say_error(FtuiError(f"cannot try it yet: {problem}", "enter on the finding applies its fix"))
            return

        def answered(run: bool | None) -> None:
            if run:
                self.action_run()

        self.app.push_screen(TryRecipe(self.app.workspace, self.draft.recipe, self.draft.path), answered)

"""The Recipe pane's presets and other recipes: taking their values, and what is different in them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from textual import on

from ftui.core.recipe import fields
from ftui.core.text import one_line
from ftui.ui import recipe_desk as desk
from ftui.ui.bindings import ordered
from ftui.ui.screens.recipe_part import RecipePart

if TYPE_CHECKING:
    from ftui.core.recipe import Recipe

# Taking over a preset or another recipe leaves these as they are: they say what this recipe is about.
_OWN = ("name", "description", "data.train")


class RecipeComparing(RecipePart):
    """Holds the draft against another recipe."""

    BINDINGS: ClassVar[list[Any]] = [
        ordered("p", "presets", "presets", id="recipe.presets", show=True),
        ordered("d", "diff", "diff", id="recipe.diff", show=True),
    ]

    def action_presets(self) -> None:
        self._list("preset")

    def action_diff(self) -> None:
        self._list("diff")

    def _list(self, wanted: str) -> None:
        workspace = self.app.workspace
        self._about_files(lambda: desk.list_for(wanted, workspace))

    @on(desk.Listed)
    def choose_listed(self, message: desk.Listed) -> None:
        from ftui.ui.modals.choose_recipe import ChooseRecipe

        if not self.is_active:
            return  # asked for twice, or the user is elsewhere by now
        wanted = message.wanted
        recipes = [
            recipe
            for recipe in message.recipes
            if (recipe.preset if wanted == "preset" else recipe.path != self.draft.path)
        ]
        title, hint = (
            ("start from a preset", "enter takes its values, u undoes · esc back")
            if wanted == "preset"
            else ("compare with", "enter compares · esc back")
        )
        self.app.push_screen(
            ChooseRecipe(title, hint, recipes),
            lambda chosen: (
                self._about_files(lambda: desk.compare(wanted, chosen.name, chosen.path)) if chosen else None
            ),
        )

    @on(desk.Compared)
    def take_compared(self, message: desk.Compared) -> None:
        if message.wanted == "preset":
            self.take_values(message.recipe, message.name)
            return
        from ftui.ui.modals.recipe_diff import RecipeDiff

        if not self.is_active:
            return
        other = message.recipe
        self.app.push_screen(
            RecipeDiff(self.draft.recipe, other, message.name),
            lambda take: self.take_values(other, message.name) if take else None,
        )

    def take_values(self, other: Recipe, name: str) -> None:
        """Gives the draft another recipe's values, as one change that `u` takes back."""
        mine = self.draft.recipe
        kept = [field for field in _OWN if mine.get(field) not in ("", "untitled")]
        changes = {field: other.get(field) for field in fields() if field not in kept}
        if self.change(changes):
            self.say(f"took the values of {one_line(name, 40)}; u takes them back")

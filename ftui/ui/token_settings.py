"""Whose tokens the Data pane shows: the model and the length policy of the recipe in use."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from ftui.core.errors import FtuiError
from ftui.core.objectives import counted_turns
from ftui.core.text import one_line

if TYPE_CHECKING:
    from pathlib import Path

    from ftui.core.recipe import Recipe
    from ftui.runs.workspace import Workspace
    from ftui.ui.app import FtuiApp

TRAIN_ON = ("assistant", "last", "all")


@dataclass(frozen=True, slots=True)
class TokenSettings:
    """As in a recipe's [model], [data] and [training]. origin: whose they are, as words; "" for the defaults."""

    model: str = "demo"
    max_length: int = 1024
    train_on: str = "assistant"
    overlong: str = "drop"
    only: str = "not-rejected"
    objective: str = "sft"
    chat_template: str = ""
    revision: str = ""
    trust_remote_code: bool = False
    origin: str = ""

    @property
    def options(self) -> dict[str, Any]:
        """What else decides the tokens, as the encoder takes it."""
        names = ("chat_template", "revision", "trust_remote_code", "objective")
        named = {name: getattr(self, name) for name in names}
        return {name: value for name, value in named.items() if value}

    @property
    def words(self) -> str:
        """ "demo · max 1,024 · trains assistant · tickets"."""
        turns = counted_turns(self.objective, self.train_on)
        trains = f"trains {turns}" if self.objective == "sft" else f"{self.objective}, {turns}"
        parts = [one_line(self.model, 28), f"max {self.max_length:,}", trains]
        return " · ".join([*parts, one_line(self.origin.removeprefix("recipe ") or "no recipe", 30)])

    def with_answer(self, text: str) -> TokenSettings:
        """`text` is "MODEL MAX_LENGTH" or one of the two. Raises FtuiError where the length is none."""
        words = text.split()
        length = words[-1].replace(",", "").replace("_", "") if words else ""
        changed: dict[str, Any] = {}
        if length.isdigit():
            if not 8 <= int(length) <= 1_048_576:
                raise FtuiError(f"{length} is no length for rows", "max_length is 8 to 1048576 tokens")
            changed["max_length"] = int(length)
            words = words[:-1]
        if words:
            model = " ".join(words)
            changed["model"] = model
            if model != self.model:  # another model has a template and revisions of its own
                changed |= {"chat_template": "", "revision": ""}
        return replace(self, **changed, origin="set here") if changed else self


def of_recipe(recipe: Recipe, origin: str) -> TokenSettings:
    model, data = recipe.model, recipe.data
    return TokenSettings(
        model.base,
        data.max_length,
        data.train_on,
        data.overlong,
        data.only,
        recipe.training.objective,
        model.chat_template,
        model.revision,
        model.trust_remote_code,
        origin,
    )


def recipe_pane(app: FtuiApp) -> Any:
    """The Recipe pane's screen where it was shown already, else None."""
    stack = app._screen_stacks.get("recipe")
    return stack[0] if stack and stack[0].is_mounted else None


def find_settings(workspace: Workspace, dataset: Path, open_recipe: Recipe | None) -> TokenSettings:
    """Of the recipe in the Recipe pane; else of the workspace's latest for `dataset`, else of its latest.

    Reads the recipe files: for a thread.
    """
    if open_recipe is not None:
        return of_recipe(open_recipe, f"recipe {open_recipe.name}")
    from ftui.core.recipe import load_recipe
    from ftui.runs.recipes import list_recipes

    found: list[tuple[bool, float, TokenSettings]] = []
    with suppress(OSError):
        for listed in list_recipes(workspace):
            if listed.preset or listed.problem:
                continue
            with suppress(FtuiError, OSError):
                recipe = load_recipe(listed.path)
                train = workspace.find_local(listed.path, recipe.data.train) if recipe.data.train else None
                settings = of_recipe(recipe, f"recipe {recipe.name}")
                found.append((train == dataset.resolve(), listed.path.stat().st_mtime, settings))
    return max(found, key=lambda one: one[:2])[2] if found else TokenSettings()

"""The recipe being edited: what it is now, what the file says, and every step between. No Textual."""

from __future__ import annotations

import shlex
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ftui.core.recipe import Recipe, fields
from ftui.core.recipe_fields import toml_value

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


@dataclass
class Draft:
    """path: the file it was opened from or saved to, None for a new one. text: that file as last seen.

    saved: the recipe in that file, or what a new one began as; undo goes back without limit.
    """

    recipe: Recipe
    path: Path | None = None
    text: str | None = None
    saved: Recipe = field(default_factory=Recipe)
    _steps: list[Recipe] = field(default_factory=list)

    @classmethod
    def opened(cls, path: Path, text: str, recipe: Recipe) -> Draft:
        return cls(recipe, path, text, recipe)

    @classmethod
    def fresh(cls, recipe: Recipe) -> Draft:
        return cls(recipe, saved=recipe)

    @property
    def modified(self) -> bool:
        return self.recipe != self.saved

    @property
    def can_undo(self) -> bool:
        return bool(self._steps)

    def set(self, changes: Mapping[str, Any]) -> bool:
        """Changes fields; False when they already were so. Raises FtuiError and changes nothing."""
        changed = self.recipe.with_values(changes)
        if changed == self.recipe:
            return False
        self._steps.append(self.recipe)
        self.recipe = changed
        return True

    def undo(self) -> list[str]:
        """Takes back the last change; the fields that changed back."""
        if not self._steps:
            return []
        before, self.recipe = self.recipe, self._steps.pop()
        return [name for name in fields() if before.get(name) != self.recipe.get(name)]

    def written(self, path: Path, text: str, recipe: Recipe) -> None:
        """Notes that `recipe` is now what `path` holds."""
        self.path, self.text, self.saved = path, text, recipe

    def changed_fields(self) -> list[str]:
        """Fields that differ from the file."""
        return [name for name in fields() if self.recipe.get(name) != self.saved.get(name)]

    def command(self, default_name: str = "") -> str:
        """The command line that runs this recipe as it is here."""
        words = [f"--set={name}={toml_value(self.recipe.get(name))}" for name in self.changed_fields()]
        if self.path is not None:
            return shlex.join(["ftui", "train", str(self.path), *words])
        other = [name for name in fields() if self.recipe.get(name) != Recipe().get(name)]
        words = [f"--set={name}={toml_value(self.recipe.get(name))}" for name in other]
        out = default_name or self.recipe.name
        new = shlex.join(["ftui", "recipe", "new", *words, out])
        return f"{new} && {shlex.join(['ftui', 'train', out])}"

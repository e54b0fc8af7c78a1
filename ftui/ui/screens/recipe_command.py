"""The draft as the command that runs it: copied, or written to a file."""

from __future__ import annotations

from typing import Any, ClassVar

from ftui.core.errors import FtuiError
from ftui.core.text import one_line
from ftui.ui.bindings import ordered
from ftui.ui.screens.recipe_part import RecipePart
from ftui.ui.widgets.prompt_line import KeyLine


class RecipeCommand(RecipePart):
    """Hands the command out."""

    BINDINGS: ClassVar[list[Any]] = [
        ordered("y", "copy_command", "copy command", id="recipe.copy_command", show=True)
    ]

    async def action_copy_command(self) -> None:
        command = self.draft.command()
        self.app.copy_to_clipboard(command)
        await self.ask(
            KeyLine(
                f"copied, where your terminal allows it:  {one_line(command, 60)}",
                (("w", "write it to a file"),),
                lambda _key: self._write_command(command),
            )
        )

    def _write_command(self, command: str) -> None:
        path = self.app.workspace.root / f"train-{self.draft.recipe.name}.sh"
        try:
            path.write_text(f"#!/bin/sh\n{command}\n", encoding="utf-8")
        except OSError as error:
            self.say_error(FtuiError(f"cannot write it: {error.strerror}", "", str(path)))
        else:
            self.say(f"wrote {path}")

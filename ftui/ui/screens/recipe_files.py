"""The Recipe pane's files: opening one, and beginning a new one, with a question where changes would be lost."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from textual import on

from ftui.core.errors import FtuiError
from ftui.core.recipe import Recipe
from ftui.ui import recipe_desk as desk
from ftui.ui.bindings import ordered
from ftui.ui.recipe_draft import Draft
from ftui.ui.screens.recipe_saving import RecipeSaving
from ftui.ui.widgets.prompt_line import KeyLine, PromptLine

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from textual.message import Message


class RecipeFiles(RecipeSaving):
    """Puts another recipe into the pane."""

    BINDINGS: ClassVar[list[Any]] = [
        ordered("o", "open", "open", id="recipe.open", show=True),
        ordered("n", "new", "new", id="recipe.new", show=True),
    ]

    def __init__(self) -> None:
        super().__init__()
        self._wanted: Path | None = None
        self._remedy: Callable[[], Message] | None = None

    def open_recipe(self, path: Path) -> None:
        """Shows the recipe in `path`; asks first when there are unsaved changes."""
        if not self.is_mounted:
            self._wanted = path
            return

        def go_on() -> None:
            self._about_files(lambda: desk.open_file(path))

        if self.draft.modified:
            self.call_later(self._ask_about_changes, go_on)
        else:
            go_on()

    def open_remedy(self, propose: Callable[[], Message]) -> None:
        """Shows what `propose` (for a thread) would change in a run's recipe; asks first, as `open_recipe`."""
        if not self.is_mounted:
            self._remedy = propose
        elif self.draft.modified:
            self.call_later(self._ask_about_changes, lambda: self._about_files(propose))
        else:
            self._about_files(propose)

    def open_first(self) -> None:
        workspace, path = self.app.workspace, self._wanted
        first = self._remedy or (lambda: desk.open_file(path) if path else desk.open_first(workspace))
        self._about_files(first)

    @on(desk.Opened)
    def take_opened(self, message: desk.Opened) -> None:
        self.take_back_questions()  # they are about the recipe of before
        self.leave_value()
        self.draft = message.draft
        self.show_draft()
        if message.field:
            self.to_form(message.field)
            self.say(message.words)

    async def action_open(self) -> None:
        await self.app.run_action("open_recipe")

    async def action_new(self) -> None:
        if self.draft.modified:
            await self._ask_about_changes(lambda: self.call_later(self._ask_name))
        else:
            await self._ask_name()

    async def _ask_name(self) -> None:
        await self.ask(PromptLine("new recipe", self._begin, placeholder="its name, such as tickets-r16"))

    def _begin(self, name: str) -> None:
        name = name.strip() or "untitled"
        try:
            Recipe().with_values({"name": name})
        except FtuiError as error:
            self.say_error(error)
            return
        workspace = self.app.workspace
        self._about_files(lambda: desk.Opened(Draft.fresh(desk.new_recipe(workspace, name))))

    async def _ask_about_changes(self, go_on: Callable[[], Any]) -> None:
        """Goes on once the user has said what is to become of the changes."""

        def answered(key: str) -> None:
            if key == "s":
                self.call_later(self._save, go_on)
            else:
                go_on()

        choices = (("s", "save it"), ("x", "give it up"))
        await self.ask(KeyLine(f"{self.title_words()} is not saved", choices, answered))

"""The Recipe pane's saving: to the file it came from, under a name, or over what somebody else has changed."""

from __future__ import annotations

from threading import Lock
from typing import TYPE_CHECKING, Any, ClassVar

from textual import on

from ftui.core.errors import FtuiError
from ftui.core.recipe import Recipe
from ftui.core.text import one_line
from ftui.ui import recipe_desk as desk
from ftui.ui.bindings import ordered
from ftui.ui.screens.recipe_part import RecipePart
from ftui.ui.widgets.prompt_line import KeyLine, PromptLine

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from textual.message import Message


class RecipeSaving(RecipePart):
    """Saves the draft, one saving after the other."""

    BINDINGS: ClassVar[list[Any]] = [ordered("ctrl+s", "save", "save", id="recipe.save", show=True)]

    def __init__(self) -> None:
        super().__init__()
        self._saving = Lock()

    async def action_save(self) -> None:
        if await self.keep_value():
            await self._save(None)

    async def _save(self, then: Callable[[], Any] | None) -> None:
        if self.draft.path is None:
            await self._save_as(then)
        elif self.draft.modified or then:
            self._save_to(self.draft.path, self.draft.text, then)
        else:
            self.say("nothing to save: the file says the same")

    async def _save_as(self, then: Callable[[], Any] | None = None) -> None:
        def named(name: str) -> None:
            name = name.strip().removesuffix(".toml")
            try:
                Recipe().with_values({"name": name})
            except FtuiError as error:
                self.say_error(error)
                return
            # A recipe that was never named is called what its file is.
            if self.draft.recipe.name == "untitled" and not self.change({"name": name}):
                return
            self._save_to(self.app.workspace.recipes / f"{name}.toml", None, then, new=True)

        name = "" if self.draft.recipe.name == "untitled" else self.draft.recipe.name
        await self.ask(
            PromptLine(
                "save as  recipes/", named, value=name, placeholder="a name", hint=".toml · enter · esc"
            )
        )

    def _save_to(
        self, path: Path, was: str | None, then: Callable[[], Any] | None = None, *, new: bool = False
    ) -> None:
        draft, recipe, workspace = self.draft, self.draft.recipe, self.app.workspace

        def work() -> Message:
            try:
                workspace.ensure()
            except FtuiError as error:
                return desk.Refused(error)
            with self._saving:  # one after the other: the second is of what the first has written
                before = None if was is None else draft.text
                message = desk.save(path, recipe, before, new=new, then=then)
                message.draft = draft
                if isinstance(message, desk.Saved):
                    draft.text = message.text
            return message

        self.in_thread(work, "save")

    @on(desk.Saved)
    def take_saved(self, message: desk.Saved) -> None:
        if message.draft is not self.draft:
            self.say(f"saved {message.path.name}")  # another one was opened meanwhile
            return
        self.draft.written(message.path, message.text, message.recipe)
        self.show_draft()
        self.say(f"saved {self.title_words()}")
        if message.then:
            message.then()

    @on(desk.Refused)
    async def tell_refused(self, message: desk.Refused) -> None:
        if message.wanted != "save" or message.path is None or message.draft is not self.draft:
            self.say_error(message.error)
            if not self.opened:
                self.show_draft()  # what was to be opened first cannot be: a new one
            return
        path, draft = message.path, self.draft

        def answered(key: str) -> None:
            if self.draft is not draft:
                return
            if key == "w":
                self._save_to(path, None)
            else:
                self.call_later(self._save_as)

        question = f"{one_line(path.name, 30)}: {message.error.message}"
        await self.ask(KeyLine(question, (("w", "overwrite it"), ("n", "another name")), answered))

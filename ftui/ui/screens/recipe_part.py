"""What the parts of the Recipe pane share: the draft, work in threads, and what they ask of each other."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from textual.worker import get_current_worker

from ftui.core.recipe import Recipe
from ftui.core.text import one_line
from ftui.ui.recipe_draft import Draft
from ftui.ui.screens.base import PaneScreen

if TYPE_CHECKING:
    from collections.abc import Callable

    from textual.message import Message

_ON_DRAFT = {
    "save", "run", "queue", "try", "presets", "diff", "copy_command", "undo", "fix", "find", "all", "takes",
    "edit_value",
}  # fmt: skip


class RecipePart(PaneScreen):
    """One part of the pane. `screens.recipe.RecipeScreen` is all of them."""

    PANE = "recipe"

    def __init__(self) -> None:
        super().__init__()
        self.draft = Draft.fresh(Recipe())
        self.opened = False  # whether there is a draft to work on

    def show_draft(self) -> None:
        """The draft is another one, or another's value."""
        raise NotImplementedError

    def change(self, changes: dict[str, Any]) -> bool:
        """Changes the draft and shows it; False (and said why) when a value is not accepted."""
        raise NotImplementedError

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Before the first recipe is there only another one can be asked for."""
        return self.opened or action not in _ON_DRAFT

    def leave_value(self) -> None:
        """Closes the editor without taking what is typed."""
        raise NotImplementedError

    async def keep_value(self) -> bool:
        """Closes the editor and takes what is typed; False where that is no value."""
        raise NotImplementedError

    def to_form(self, field: str, *, focus: bool = True) -> None:
        """Puts the cursor on a field, shown so far or not."""
        raise NotImplementedError

    def first_error(self) -> str:
        """Why the recipe cannot run, "" when it can."""
        raise NotImplementedError

    def in_thread(self, work: Callable[[], Message], group: str, *, drop: bool = False) -> None:
        """Runs `work` off the screen's thread and posts the message it returns.

        drop: what was asked for is of no use any more once something else of `group` is asked for.
        """

        def post() -> None:
            message = work()
            if not (drop and get_current_worker().is_cancelled):
                self.post_message(message)

        self.run_worker(post, thread=True, exclusive=True, group=group, exit_on_error=False)

    def _about_files(self, work: Callable[[], Message]) -> None:
        """Only the latest wish counts: a slow file must not replace one that was opened after it."""
        self.in_thread(work, "files", drop=True)

    def title_words(self) -> str:
        """What the draft is called, safe to show."""
        path = self.draft.path
        if path is None:
            return f"{self.draft.recipe.name}, new"
        root = self.app.workspace.root
        return one_line(str(path.relative_to(root) if path.is_relative_to(root) else path), 60)

    def unsaved(self) -> str:
        return f"{self.title_words()} is not saved" if self.draft.modified else ""

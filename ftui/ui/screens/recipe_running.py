"""The Recipe pane's running: starting the draft, or putting it into the queue."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from textual import on

from ftui.core.errors import FtuiError
from ftui.core.text import one_line
from ftui.ui import recipe_desk as desk
from ftui.ui.bindings import ordered
from ftui.ui.screens.recipe_part import RecipePart

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from textual.message import Message

    from ftui.core.recipe import Recipe
    from ftui.runs.workspace import Workspace


class RecipeRunning(RecipePart):
    """Runs the draft as it is, saved or not."""

    BINDINGS: ClassVar[list[Any]] = [
        ordered("r", "run", "run", id="recipe.run", show=True),
        ordered("q", "queue", "queue this run", id="recipe.queue"),
    ]

    def action_run(self) -> None:
        # The same key twice is one wish: a second run would fight the first for the machine.
        if all(worker.is_finished for worker in self.workers if worker.group == "launch"):
            self._begin_run("starting", desk.start_run)

    def action_queue(self) -> None:
        self._begin_run("queueing", desk.queue_run, "queue")

    def _begin_run(
        self,
        doing: str,
        begin: Callable[[Workspace, Recipe, Path | None, str], Message],
        group: str = "launch",
    ) -> None:
        if problem := self.first_error():
            self.say_error(FtuiError(f"cannot run yet: {problem}", "enter on the finding applies its fix"))
            return
        recipe, path, command = self.draft.recipe, self.draft.path, self.draft.command()
        workspace = self.app.workspace
        self.say(f"{doing} {recipe.name}…")
        self.in_thread(lambda: begin(workspace, recipe, path, command), group)

    @on(desk.Launched)
    def take_launched(self, message: desk.Launched) -> None:
        more = f"; {message.notice}" if message.notice else ""
        self.say(f"{message.rundir.id} is training in the background{more}")
        self.app.run_to_show = message.rundir.id
        if self.is_active:  # else the user is busy elsewhere by now
            self.app.pane("train")

    @on(desk.Queued)
    def take_queued(self, message: desk.Queued) -> None:
        if message.position is None:
            self.app.run_to_show = message.run
        place = f"is number {message.position} in the queue" if message.position else "is training"
        self.say(f"{message.run} {place}" + (f": {one_line(message.reason, 80)}" if message.reason else ""))

"""The Recipe pane's files: opening, saving, presets, comparing, and starting the run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from textual import on
from textual.binding import Binding

from ftui.core.errors import FtuiError
from ftui.core.recipe import Recipe, fields
from ftui.core.text import one_line
from ftui.ui import recipe_desk as desk
from ftui.ui.recipe_draft import Draft
from ftui.ui.screens.base import PaneScreen
from ftui.ui.widgets.prompt_line import KeyLine, PromptLine

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from textual.message import Message

    from ftui.runs.workspace import Workspace

# Taking over a preset or another recipe leaves these as they are: they say what this recipe is about.
_OWN = ("name", "description", "data.train")


class RecipeFiles(PaneScreen):
    """What the pane does with files. The pane itself is `screens.recipe.RecipeScreen`."""

    PANE = "recipe"
    BINDINGS: ClassVar[list[Any]] = [
        Binding("ctrl+s", "save", "save", id="recipe.save"),
        Binding("r", "run", "run", id="recipe.run"),
        Binding("q", "queue", "queue this run", show=False, id="recipe.queue"),
        Binding("p", "presets", "presets", id="recipe.presets"),
        Binding("d", "diff", "diff", id="recipe.diff"),
        Binding("y", "copy_command", "copy command", id="recipe.copy_command"),
        Binding("o", "open", "open", id="recipe.open"),
        Binding("n", "new", "new", id="recipe.new"),
    ]

    def __init__(self) -> None:
        super().__init__()
        self.draft = Draft.fresh(Recipe())
        self._wanted: Path | None = None
        self._remedy: Callable[[], Message] | None = None

    # -- for the pane to do

    def show_draft(self) -> None:
        """The draft is another one, or another's value."""
        raise NotImplementedError

    def change(self, changes: dict[str, Any]) -> bool:
        """Changes the draft and shows it; False (and said why) when a value is not accepted."""
        raise NotImplementedError

    def to_form(self, field: str, *, focus: bool = True) -> None:
        """Puts the cursor on a field, shown so far or not."""
        raise NotImplementedError

    def first_error(self) -> str:
        """Why the recipe cannot run, "" when it can."""
        raise NotImplementedError

    def in_thread(self, work: Callable[[], Message], group: str) -> None:
        """Runs `work` off the screen's thread and posts the message it returns."""
        self.run_worker(
            lambda: self.post_message(work()), thread=True, exclusive=True, group=group, exit_on_error=False
        )

    # -- opening

    def open_recipe(self, path: Path) -> None:
        """Shows the recipe in `path`; asks first when there are unsaved changes."""
        if not self.is_mounted:
            self._wanted = path
            return

        def go_on() -> None:
            self.in_thread(lambda: desk.open_file(path), "files")

        if self.draft.modified:
            self.call_later(self._ask_about_changes, go_on)
        else:
            go_on()

    def open_remedy(self, propose: Callable[[], Message]) -> None:
        """Shows what `propose` (for a thread) would change in a run's recipe; asks first, as `open_recipe`."""
        if not self.is_mounted:
            self._remedy = propose
        elif self.draft.modified:
            self.call_later(self._ask_about_changes, lambda: self.in_thread(propose, "files"))
        else:
            self.in_thread(propose, "files")

    def open_first(self) -> None:
        workspace, path = self.app.workspace, self._wanted
        first = self._remedy or (lambda: desk.open_file(path) if path else desk.open_first(workspace))
        self.in_thread(first, "files")

    @on(desk.Opened)
    def take_opened(self, message: desk.Opened) -> None:
        self.draft = message.draft
        self.show_draft()
        if message.field:
            self.to_form(message.field)
            self.say(message.words)

    @on(desk.Refused)
    async def tell_refused(self, message: desk.Refused) -> None:
        if message.wanted != "save" or message.path is None:
            self.say_error(message.error)
            return
        path = message.path

        def answered(key: str) -> None:
            if key == "w":
                self._save_to(path, None)
            else:
                self.call_later(self._save_as)

        question = f"{one_line(path.name, 30)}: {message.error.message}"
        await self.ask(KeyLine(question, (("w", "overwrite it"), ("n", "another name")), answered))

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
        self.in_thread(lambda: desk.Opened(Draft.fresh(desk.new_recipe(workspace, name))), "files")

    async def _ask_about_changes(self, go_on: Callable[[], Any]) -> None:
        """Goes on once the user has said what is to become of the changes."""

        def answered(key: str) -> None:
            if key == "s":
                self.call_later(self._save, go_on)
            else:
                go_on()

        choices = (("s", "save it"), ("x", "give it up"))
        await self.ask(KeyLine(f"{self.title_words()} is not saved", choices, answered))

    def title_words(self) -> str:
        """What the draft is called, safe to show."""
        path = self.draft.path
        if path is None:
            return f"{self.draft.recipe.name}, new"
        root = self.app.workspace.root
        return one_line(str(path.relative_to(root) if path.is_relative_to(root) else path), 60)

    def unsaved(self) -> str:
        return f"{self.title_words()} is not saved" if self.draft.modified else ""

    # -- saving

    async def action_save(self) -> None:
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
        recipe, workspace = self.draft.recipe, self.app.workspace

        def work() -> Message:
            try:
                workspace.ensure()
            except FtuiError as error:
                return desk.Refused(error)
            return desk.save(path, recipe, was, new=new, then=then)

        self.in_thread(work, "save")

    @on(desk.Saved)
    def take_saved(self, message: desk.Saved) -> None:
        self.draft.written(message.path, message.text, message.recipe)
        self.show_draft()
        self.say(f"saved {self.title_words()}")
        if message.then:
            message.then()

    # -- presets and other recipes

    def action_presets(self) -> None:
        self._list("preset")

    def action_diff(self) -> None:
        self._list("diff")

    def _list(self, wanted: str) -> None:
        workspace = self.app.workspace
        self.in_thread(lambda: desk.list_for(wanted, workspace), "files")

    @on(desk.Listed)
    def choose_listed(self, message: desk.Listed) -> None:
        from ftui.ui.modals.choose_recipe import ChooseRecipe

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
                self.in_thread(lambda: desk.compare(wanted, chosen.name, chosen.path), "files")
                if chosen
                else None
            ),
        )

    @on(desk.Compared)
    def take_compared(self, message: desk.Compared) -> None:
        if message.wanted == "preset":
            self.take_values(message.recipe, message.name)
            return
        from ftui.ui.modals.recipe_diff import RecipeDiff

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

    # -- running

    def action_run(self) -> None:
        self._begin_run("starting", desk.start_run)

    def action_queue(self) -> None:
        self._begin_run("queueing", desk.queue_run)

    def _begin_run(self, doing: str, begin: Callable[[Workspace, Recipe, Path | None, str], Message]) -> None:
        if problem := self.first_error():
            self.say_error(FtuiError(f"cannot run yet: {problem}", "enter on the finding applies its fix"))
            return
        recipe, path, command = self.draft.recipe, self.draft.path, self.draft.command()
        workspace = self.app.workspace
        self.say(f"{doing} {recipe.name}…")
        self.in_thread(lambda: begin(workspace, recipe, path, command), "launch")

    @on(desk.Launched)
    def take_launched(self, message: desk.Launched) -> None:
        more = f"; {message.notice}" if message.notice else ""
        self.say(f"{message.rundir.id} is training in the background{more}")
        self.app.run_to_show = message.rundir.id
        self.app.action_pane("train")

    @on(desk.Queued)
    def take_queued(self, message: desk.Queued) -> None:
        if message.position is None:
            self.app.run_to_show = message.run
        place = f"is number {message.position} in the queue" if message.position else "is training"
        self.say(f"{message.run} {place}" + (f": {one_line(message.reason, 80)}" if message.reason else ""))

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

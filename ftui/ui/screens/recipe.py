"""Pane 2, Recipe: what decides a run, in the order a person decides it; what it takes, beside it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from rich.style import Style
from rich.text import Text
from textual import on
from textual.containers import Container, Horizontal, Vertical
from textual.worker import get_current_worker

from ftui.core.findings import NOTHING, Facts
from ftui.core.hardware import show_size
from ftui.core.lint import lint
from ftui.core.recipe import Recipe, fields
from ftui.core.recipe_toml import key_lines
from ftui.core.text import sanitize
from ftui.runs.recipes import text_to_save
from ftui.ui import recipe_desk as desk
from ftui.ui import recipe_rows
from ftui.ui.bindings import ordered
from ftui.ui.screens.recipe_command import RecipeCommand
from ftui.ui.screens.recipe_comparing import RecipeComparing
from ftui.ui.screens.recipe_editing import RecipeEditing
from ftui.ui.screens.recipe_files import RecipeFiles
from ftui.ui.screens.recipe_running import RecipeRunning
from ftui.ui.screens.recipe_saving import RecipeSaving
from ftui.ui.screens.recipe_trying import RecipeTrying
from ftui.ui.themes import palette
from ftui.ui.widgets.captions import set_subtitle, set_title
from ftui.ui.widgets.field_list import FieldList
from ftui.ui.widgets.findings_list import FindingsList, summary
from ftui.ui.widgets.flow import Flow
from ftui.ui.widgets.recipe_facts_view import CourseView, MemoryView
from ftui.ui.widgets.value_editor import ValueEditor

if TYPE_CHECKING:
    from textual.app import ComposeResult

    from ftui.runs.recipe_facts import RecipeFacts
    from ftui.runs.speed import Speed


# The parts from the last to the first: keys are shown in the order of their declaration, a base's before ours.
class RecipeScreen(
    RecipeEditing, RecipeTrying, RecipeFiles, RecipeCommand, RecipeComparing, RecipeRunning, RecipeSaving
):
    """The form on the left; memory, course, findings and the file on the right, new with every change."""

    KEY_OWNERS = (ValueEditor,)
    CSS = """
    RecipeScreen #recipe { height: 1fr; }
    RecipeScreen #form { width: 11fr; height: 1fr; layers: base above; padding: 0 0 0 1; }
    RecipeScreen #fields { height: 1fr; }
    RecipeScreen #takes { width: 9fr; height: 1fr; }
    RecipeScreen #memory { height: 8; }
    RecipeScreen #course { height: 4; }
    RecipeScreen #findings { height: auto; min-height: 3; max-height: 12; }
    RecipeScreen #toml { height: 1fr; min-height: 4; }
    RecipeScreen.-narrow #takes { display: none; width: 1fr; }
    RecipeScreen.-narrow.-takes #takes { display: block; }
    RecipeScreen.-narrow.-takes #form { display: none; }
    """
    HORIZONTAL_BREAKPOINTS: ClassVar[list[tuple[int, str]]] = [(0, "-narrow"), (100, "-wide")]
    BINDINGS: ClassVar[list[Any]] = [
        ordered("i", "takes", "memory, findings", id="recipe.takes", show=True),
        ordered("escape", "back", "back to the fields", id="recipe.back"),
    ]

    def __init__(self) -> None:
        super().__init__()
        self._around: RecipeFacts | None = None
        self._speed: Speed | None = None
        self._text = ""

    def compose_body(self) -> ComposeResult:
        with Horizontal(id="recipe"):
            with Container(id="form", classes="panel"):
                yield FieldList(id="fields")
                yield ValueEditor()
            with Vertical(id="takes"):
                yield MemoryView(id="memory", classes="panel")
                yield CourseView(id="course", classes="panel")
                yield FindingsList(id="findings", classes="panel")
                yield Flow(id="toml", follow=False, wrap=False)

    def on_mount(self) -> None:
        for name, title in (
            ("memory", "memory"),
            ("course", "run"),
            ("findings", "findings"),
            ("toml", "file"),
        ):
            set_title(self.query_one(f"#{name}"), title)
        self.query_one(FieldList).focus()
        self.open_first()

    def on_screen_resume(self) -> None:
        super().on_screen_resume()
        if self.key is not None:
            self._look(again=True)  # rows may have been decided on, or a run may have been measured

    # -- showing

    def show_draft(self) -> None:
        self.opened = True
        self.show_recipe(self.draft.recipe)
        self.query_one(FieldList).show_error("")
        self._look()
        self.refresh_bindings()

    def show_recipe(self, recipe: Recipe) -> None:
        """Everything that follows from a recipe: the draft, or what it would be with what is being typed."""
        facts = self._facts(recipe)
        self.findings = lint(recipe, facts)
        width = self.query_one("#takes").content_size.width - 4
        self.query_one(MemoryView).show(facts, self._why_unknown(recipe, facts), width)
        self.query_one(CourseView).show(facts, self._speed)
        self.query_one(FindingsList).show(self.findings)
        self._show_fields(recipe, facts)
        self._text = text_to_save(self.draft.text or "", recipe)
        self.show_file()

    def _show_draft_again(self) -> None:
        # The draft as it is by then: a file may have been opened since this was asked for.
        if self.opened:
            self.show_recipe(self.draft.recipe)

    def _why_unknown(self, recipe: Recipe, facts: Facts) -> str:
        """Why there is no memory estimate, as far as that is known."""
        if self._around is None:
            return "looking…"
        if problem := next((one for one in facts.problems if one.field == "adapter.targets"), None):
            return f"unknown: adapter.targets {problem.message}"
        return f"{recipe.model.base}: {self._around.base.reason}"

    def _show_fields(self, recipe: Recipe, facts: Facts) -> None:
        shown = recipe_rows.sections(
            recipe,
            recipe_rows.notes(recipe, self._around, facts),
            self.findings,
            self.draft.changed_fields(),
            everything=self.everything,
        )
        form = self.query_one("#form")
        self.query_one(FieldList).show(shown)
        set_title(form, self.title_words())
        count = sum(len(section.rows) for section in shown)
        state = "modified" if self.draft.modified else "saved" if self.draft.path else "not saved yet"
        parts = [state, f"{count} of {len(fields())} fields"]
        if self.has_class("-narrow"):
            parts += [self._in_short(facts)]
        set_subtitle(form, " · ".join(part for part in parts if part))

    def _in_short(self, facts: Facts) -> str:
        """The right column in a few words, for where there is no room for it."""
        words = []
        if facts.estimate:
            words.append(
                show_size(facts.estimate.total) + (" does not fit" if facts.estimate.fits is False else "")
            )
        if found := summary(self.findings):
            words.append(found)
        return " · ".join([*words, "i shows more"])

    def show_file(self) -> None:
        colors, flow, text = palette(self.app), self.query_one("#toml", Flow), self._text
        places = key_lines(text)
        here = places.get(self.query_one(FieldList).cursor, 0)
        dim, special = Style(color=colors.dim), Style(color=colors.special)
        plainly, accent = Style(color=colors.foreground), Style(color=colors.accent)
        lines = []
        for number, line in enumerate(text.rstrip("\n").split("\n"), 1):
            safe = sanitize(line, lines=False)
            code, mark, comment = safe.partition("  # ") if not safe.startswith("#") else ("", "", safe)
            style = special if code.startswith("[") else accent if number == here else plainly
            lines.append(Text.assemble((code, style), (mark + comment, dim), no_wrap=True))
        flow.show(lines)
        section = places.get(self.query_one(FieldList).cursor.partition(".")[0], 1)
        wanted = section - 1 if here - section < flow.scrollable_content_region.height else here - 2
        flow.scroll_to(y=max(0, wanted), animate=False, immediate=True, force=True)

    def _facts(self, recipe: Recipe) -> Facts:
        return self._around.facts(recipe) if self._around is not None else NOTHING

    # -- looking around

    def _look(self, *, again: bool = False) -> None:
        """Reads the dataset, the base's config and past runs, when the recipe names others than before."""
        recipe, path, workspace = self.draft.recipe, self.draft.path, self.app.workspace
        key = desk.key_of(recipe, path)
        if key == self.key and not again:
            return
        if key != self.key:
            self._around = self._speed = None
            self.key = key

        def work() -> desk.Gathered:
            worker = get_current_worker()
            return desk.gather_facts(recipe, workspace, path, lambda: worker.is_cancelled)

        self.in_thread(work, "look", drop=True)

    @on(desk.Gathered)
    def take_gathered(self, message: desk.Gathered) -> None:
        if message.key == self.key:
            self._around, self._speed, self.datasets = message.around, message.speed, message.datasets
            self.show_recipe(self.draft.recipe)

    # -- room

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        if action == "back":  # what is asked or typed has an esc of its own
            return not self.asking and not isinstance(self.focused, ValueEditor)
        return super().check_action(action, parameters)

    def on_resize(self) -> None:
        self.call_after_refresh(self._show_draft_again)
        self.call_after_refresh(self.follow_value)

    def action_takes(self) -> None:
        self.toggle_class("-takes")
        narrow = self.has_class("-narrow") and self.has_class("-takes")
        self.query_one(FindingsList if narrow else FieldList).focus()
        self.call_after_refresh(self._show_draft_again)

    def action_back(self) -> None:
        if self.has_class("-takes"):
            self.action_takes()
        else:
            self.query_one(FieldList).focus()

"""The Recipe pane's editing: one editor for all fields, fixes, undo, and finding a field."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from textual import on

from ftui.core.errors import FtuiError
from ftui.core.recipe import Recipe, fields
from ftui.core.text import one_line
from ftui.ui import recipe_desk as desk
from ftui.ui.bindings import ordered, typed
from ftui.ui.screens.recipe_part import RecipePart
from ftui.ui.widgets.field_list import FieldList
from ftui.ui.widgets.findings_list import FindingsList
from ftui.ui.widgets.prompt_line import PromptLine
from ftui.ui.widgets.value_editor import ValueEditor

if TYPE_CHECKING:
    from ftui.core.findings import Finding


class RecipeEditing(RecipePart):
    """What a person does to the fields. The pane itself is `screens.recipe.RecipeScreen`."""

    BINDINGS: ClassVar[list[Any]] = [
        ordered("u", "undo", "undo", id="recipe.undo", show=True),
        ordered("f", "fix", "fix", id="recipe.fix", show=True),
        ordered("slash", "find", "find field", key_display="/", id="recipe.find", show=True),
        ordered("a", "all", "all fields", id="recipe.all", show=True),
    ]

    def __init__(self) -> None:
        super().__init__()
        self.key: desk.Key | None = None
        self.findings: list[Finding] = []
        self.datasets: list[str] = []
        self.everything = False

    def show_recipe(self, recipe: Recipe) -> None:
        """Shows what follows from a recipe: the draft, or what it would be with what is being typed."""
        raise NotImplementedError

    def show_file(self) -> None:
        """Shows the TOML as it will be saved, at the section of the focused field."""
        raise NotImplementedError

    # -- editing

    def change(self, changes: dict[str, Any]) -> bool:
        try:
            self.draft.set(changes)
        except FtuiError as error:
            self.say_error(error)
            return False
        self.show_draft()
        return True

    def first_error(self) -> str:
        return next((f"{one.field}: {one.message}" for one in self.findings if one.severity == "error"), "")

    def action_edit_value(self) -> None:
        """Opens the editor on the field under the cursor; of one with choices the next is taken."""
        form = self.query_one(FieldList)
        if not form.cursor:
            return
        field = fields()[form.cursor]
        if field.choices:
            self.step_choice(FieldList.Step(field.name, 1))
        elif (region := form.value_region()) is not None:
            text = field.show(self.draft.recipe.get(field.name))
            offered = {"data.train": self.datasets, "model.base": ["demo"]}.get(field.name, [])
            self.query_one(ValueEditor).open(field.name, text, region, offered)

    @on(FieldList.Step)
    def step_choice(self, message: FieldList.Step) -> None:
        field = fields()[message.field]
        if field.choices:
            at = field.choices.index(self.draft.recipe.get(field.name))
            self.change({field.name: field.choices[(at + message.by) % len(field.choices)]})

    @on(FieldList.Moved)
    def show_section(self) -> None:
        self.show_file()

    @on(FieldList.Scrolled)
    def follow_value(self) -> None:
        """Keeps the editor on its value; one whose value is out of sight is left."""
        editor = self.query_one(ValueEditor)
        if editor.is_open:
            region = self.query_one(FieldList).value_region()
            if region is None:
                self._close_editor()
            else:
                editor.put(region)

    @on(ValueEditor.Changed)
    def check_typed(self, event: ValueEditor.Changed) -> None:
        """While a value is typed: what follows from it, or what is wrong with it."""
        event.stop()
        editor = self.query_one(ValueEditor)
        if not editor.is_open:
            return
        try:
            recipe = self.draft.recipe.with_values({editor.field: fields()[editor.field].parse(editor.value)})
        except FtuiError as error:
            editor.add_class("-wrong")
            self.query_one(FieldList).show_error(_without_field(error, editor.field))
            return
        editor.remove_class("-wrong")
        self.query_one(FieldList).show_error("")
        if desk.key_of(recipe, self.draft.path) == self.key:
            self.show_recipe(recipe)

    async def action_keep_value(self, step: int) -> None:
        """Takes what is typed; then the cursor moves by `step` fields."""
        form, field = self.query_one(FieldList), self.query_one(ValueEditor).field
        if field and await self.keep_value() and step:
            form.action_move(step)
            if not fields()[form.cursor].choices and form.cursor != field:
                self.action_edit_value()

    async def keep_value(self) -> bool:
        editor = self.query_one(ValueEditor)
        if editor.is_open:
            await typed(editor)
        if not editor.is_open:
            return True
        field = fields()[editor.field]
        if editor.value != field.show(self.draft.recipe.get(field.name)):
            try:
                self.draft.set({field.name: field.parse(editor.value)})
            except FtuiError as error:
                self.query_one(FieldList).show_error(_without_field(error, field.name))
                return False
        self._close_editor()
        return True

    async def action_leave_as_it_was(self) -> None:
        await typed(self.query_one(ValueEditor))
        self._close_editor()

    def leave_value(self) -> None:
        editor = self.query_one(ValueEditor)
        if editor.is_open:
            editor.close()
            self.set_focus(self.query_one(FieldList))

    def _close_editor(self) -> None:
        self.leave_value()
        self.show_draft()

    # -- findings, undo, finding a field

    @on(FindingsList.Apply)
    def apply_fix(self, message: FindingsList.Apply) -> None:
        finding = message.finding
        if finding.fix:
            self._apply(finding)
        elif finding.field in self.query_one(FieldList).fields:
            self.to_form(finding.field)

    def action_fix(self) -> None:
        finding = self.query_one(FindingsList).first_fix
        if finding is None:
            self.say("no finding has a fix to apply")
        else:
            self._apply(finding)

    def _apply(self, finding: Finding) -> None:
        if self.change(finding.fix):
            self.query_one(FieldList).go(next(iter(finding.fix)))
            what = ", ".join(f"{name} = {fields()[name].show(value)}" for name, value in finding.fix.items())
            self.say(f"{what}; u takes it back")

    def action_undo(self) -> None:
        if not self.draft.can_undo:
            self.say("nothing to undo")
            return
        names = self.draft.undo()
        self.show_draft()
        if len(names) == 1:
            self.to_form(names[0])

    def action_all(self) -> None:
        self.everything = not self.everything
        self.show_recipe(self.draft.recipe)

    async def action_find(self) -> None:
        names = list(fields())
        await self.ask(
            PromptLine(
                "field",
                self._go_to,
                placeholder="a part of its name",
                suggestions=names,
                changed=self._glance_at,
            )
        )

    def _glance_at(self, typed: str) -> None:
        """While a name is typed: the first field in sight that fits."""
        if found := _named(typed, self.query_one(FieldList).fields):
            self.to_form(found, focus=False)

    def _go_to(self, typed: str) -> None:
        if found := _named(typed, self.query_one(FieldList).fields) or _named(typed, list(fields())):
            self.to_form(found)
        elif typed.strip():
            self.say(f"no field is called {one_line(typed, 40)}")

    def to_form(self, field: str, *, focus: bool = True) -> None:
        """Puts the cursor on a field, shown or not so far."""
        form = self.query_one(FieldList)
        if field not in form.fields:
            self.everything = True
            self.show_recipe(self.draft.recipe)
        form.go(field)
        if focus and form.display:
            form.focus()


def _named(typed: str, names: list[str]) -> str:
    """The first of `names` that begins with what was typed, or has it somewhere."""
    typed = typed.strip().lower()
    fits = (name for name in names if name.rpartition(".")[2].startswith(typed))
    return (next(fits, "") or next((name for name in names if typed in name), "")) if typed else ""


def _without_field(error: FtuiError, field: str) -> str:
    """The error without the field's name, which is beside it on the screen."""
    return error.message.removeprefix(f"{field}: ")

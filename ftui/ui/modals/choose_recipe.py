"""Chooses among the workspace's recipes and the presets."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from rich.style import Style
from rich.text import Text
from textual.binding import Binding
from textual.containers import Vertical
from textual.widgets import OptionList
from textual.widgets.option_list import Option

from ftui.core.text import one_line
from ftui.ui.modals.dialog import Dialog
from ftui.ui.themes import palette
from ftui.ui.widgets.captions import set_subtitle, set_title

if TYPE_CHECKING:
    from textual.app import ComposeResult

    from ftui.runs.recipes import ListedRecipe


class ChooseRecipe(Dialog["ListedRecipe | None"]):
    """Returns the chosen recipe, or None."""

    DEFAULT_CSS = """
    ChooseRecipe > Vertical {
        width: 84; max-width: 94%; height: auto; max-height: 80%; background: $surface;
    }
    ChooseRecipe OptionList, ChooseRecipe OptionList:focus {
        height: auto; max-height: 18; border: none; padding: 0;
        background: $surface; background-tint: $surface 0%; scrollbar-size-vertical: 1;
    }
    ChooseRecipe OptionList > .option-list--option-highlighted {
        background: $selection; color: $foreground; text-style: none;
    }
    """
    BINDINGS: ClassVar[list[Any]] = [
        Binding("escape,q", "dismiss(None)", "back", id="recipe.choose_back"),
    ]

    def __init__(self, title: str, hint: str, recipes: list[ListedRecipe]) -> None:
        super().__init__()
        self._title, self._hint, self._recipes = title, hint, recipes

    def compose(self) -> ComposeResult:
        with Vertical(classes="panel"):
            yield OptionList()

    def on_mount(self) -> None:
        panel, options, colors = self.query_one(Vertical), self.query_one(OptionList), palette(self.app)  # type: ignore[arg-type]
        set_title(panel, self._title)
        set_subtitle(panel, self._hint)
        plainly, dim = Style(color=colors.foreground), Style(color=colors.dim)
        special = Style(color=colors.special, bold=True)
        preset: bool | None = None
        for number, recipe in enumerate(self._recipes):
            if recipe.preset is not preset:
                preset = recipe.preset
                options.add_option(
                    Option(Text("presets" if preset else "this workspace", special), disabled=True)
                )
            text = Text.assemble(
                (f"  {one_line(recipe.name, 22):<24}", dim if recipe.problem else plainly),
                (
                    one_line(recipe.problem or recipe.description, 52),
                    Style(color=colors.bad) if recipe.problem else dim,
                ),
                no_wrap=True,
            )
            options.add_option(Option(text, id=str(number), disabled=bool(recipe.problem)))
        if not self._recipes:
            options.add_option(Option(Text("there is no other recipe yet", dim), disabled=True))
        options.action_first()
        options.focus()

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        event.stop()
        if event.option.id:
            self.dismiss(self._recipes[int(event.option.id)])

"""A list in which every line has a key of its own: press it, or go there and press enter, or click."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from rich.style import Style
from rich.text import Text
from textual.binding import Binding
from textual.containers import Vertical
from textual.widgets import OptionList, Static
from textual.widgets.option_list import Option

from ftui.ui.modals.dialog import Dialog
from ftui.ui.themes import palette
from ftui.ui.widgets.captions import set_subtitle, set_title

if TYPE_CHECKING:
    from collections.abc import Sequence

    from textual import events
    from textual.app import ComposeResult

_WORDS_WIDTH = 24


@dataclass(frozen=True, slots=True)
class Choice:
    """key: one character. words: sanitized. count: rows, None while they are being counted, -1 for no count."""

    key: str
    words: str
    count: int | None = -1


class ChooseKey(Dialog["str | None"]):
    """Returns the key of what was chosen, or None."""

    DEFAULT_CSS = """
    ChooseKey > Vertical { width: 48; max-width: 94%; height: auto; max-height: 90%; background: $surface; }
    ChooseKey OptionList, ChooseKey OptionList:focus {
        height: auto; max-height: 16; border: none; padding: 0;
        background: $surface; background-tint: $surface 0%; scrollbar-size-vertical: 1;
    }
    ChooseKey OptionList > .option-list--option-highlighted {
        background: $selection; color: $foreground; text-style: none;
    }
    ChooseKey Static { height: auto; margin-top: 1; color: $dim; }
    """
    BINDINGS: ClassVar[list[Any]] = [
        Binding("escape", "dismiss(None)", "back", id="data.choose_back"),
    ]

    def __init__(self, title: str, choices: Sequence[Choice], note: str = "") -> None:
        super().__init__()
        self._title, self._choices, self._note = title, list(choices), note

    def compose(self) -> ComposeResult:
        with Vertical(classes="panel"):
            yield OptionList()
            yield Static(self._note, markup=False)

    def on_mount(self) -> None:
        panel = self.query_one(Vertical)
        set_title(panel, self._title)
        set_subtitle(panel, "a key, or enter · esc back")
        self.query_one(OptionList).focus()
        self.show(self._choices, self._note)

    def show(self, choices: Sequence[Choice], note: str) -> None:
        """Brings counts and the note below the list up to date; the highlight stays where it is."""
        self._choices = list(choices)
        options, below = self.query_one(OptionList), self.query_one(Static)
        at = options.highlighted or 0
        options.clear_options()
        options.add_options([Option(self._line(choice)) for choice in choices])
        options.highlighted = min(at, len(self._choices) - 1)
        below.update(note)
        below.display = bool(note)

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        event.stop()
        self.dismiss(self._choices[event.option_index].key)

    def on_key(self, event: events.Key) -> None:
        if event.character and event.character in {choice.key for choice in self._choices}:
            event.stop()
            event.prevent_default()
            self.dismiss(event.character)

    def _line(self, choice: Choice) -> Text:
        colors = palette(self.app)
        empty = choice.count == 0
        count = "" if choice.count == -1 else "…" if choice.count is None else f"{choice.count:,}"
        return Text.assemble(
            (f" {choice.key}  ", Style(color=colors.accent, bold=True)),
            (f"{choice.words:<{_WORDS_WIDTH}}", Style(color=colors.dim if empty else colors.foreground)),
            (f"{count:>12}", Style(color=colors.dim)),
            no_wrap=True,
            end="",
        )

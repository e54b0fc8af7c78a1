"""Opening a file: type a path, or choose from what lies nearby. Files are opened where they are."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from rich.style import Style
from rich.text import Text
from textual import on
from textual.binding import Binding
from textual.containers import Vertical
from textual.message import Message
from textual.widgets import OptionList
from textual.widgets.option_list import Option

from ftui.core.text import one_line, sanitize
from ftui.ui import files
from ftui.ui.bindings import typed
from ftui.ui.modals.dialog import Dialog
from ftui.ui.themes import palette
from ftui.ui.widgets.captions import set_subtitle, set_title
from ftui.ui.widgets.figures import size_of
from ftui.ui.widgets.safe_input import SafeInput

if TYPE_CHECKING:
    from collections.abc import Callable

    from textual.app import ComposeResult

    from ftui.runs.workspace import Workspace
    from ftui.ui.files import FoundFile

_PLACES = {"workspace": "in this workspace", "recent": "recent", "here": "here"}


class OpenFile(Dialog["Path | None"]):
    """Returns the chosen path, or None."""

    TITLE_WORDS: ClassVar[str] = "open"
    PLACEHOLDER: ClassVar[str] = "a path, or a part of a name below"
    SUFFIXES: ClassVar[tuple[str, ...]] = ()

    DEFAULT_CSS = """
    OpenFile > Vertical { width: 84; max-width: 96%; height: 22; max-height: 90%; background: $surface; }
    OpenFile SafeInput { background: $panel; padding: 0 1; margin-bottom: 1; }
    OpenFile OptionList { height: 1fr; border: none; padding: 0; background: $surface; scrollbar-size-vertical: 1; }
    OpenFile OptionList > .option-list--option { padding: 0 1; }
    OpenFile OptionList > .option-list--option-highlighted {
        background: $selection; color: $foreground; text-style: none;
    }
    OpenFile .nothing { padding: 0 1; color: $dim; height: 1; }
    """

    BINDINGS: ClassVar[list[Any]] = [
        Binding("escape", "dismiss(None)", "back", id="app.open_back"),
        Binding("up", "step(-1)", "up", show=False, priority=True),
        Binding("down", "step(1)", "down", show=False, priority=True),
        Binding("pageup", "step(-10)", "up", show=False, priority=True),
        Binding("pagedown", "step(10)", "down", show=False, priority=True),
        Binding("tab", "complete", "complete", show=False, priority=True),
    ]

    class Listed(Message):
        """Files were found for `typed`."""

        def __init__(self, typed: str, found: list[FoundFile]) -> None:
            super().__init__()
            self.typed, self.found = typed, found

    def __init__(self, workspace: Workspace) -> None:
        super().__init__()
        self._workspace = workspace
        self._offered: list[FoundFile] = []
        self._nearby: list[FoundFile] | None = None
        self._listed: str | None = None  # what was typed when the files on offer were looked for
        self._waiting: Callable[[], None] | None = None  # what a key does once they are

    def compose(self) -> ComposeResult:
        with Vertical(classes="panel"):
            yield SafeInput(placeholder=self.PLACEHOLDER, select_on_focus=False)
            yield OptionList()

    def on_mount(self) -> None:
        panel = self.query_one(Vertical)
        set_title(panel, self.TITLE_WORDS)
        set_subtitle(panel, "enter opens · tab completes · esc back")
        self.query_one(OptionList).can_focus = False
        self.query_one(SafeInput).focus()
        self._look("")

    def find(self) -> list[FoundFile]:
        """The files on offer before anything is typed; called in a thread."""
        raise NotImplementedError

    # -- what is on offer --------------------------------------------------------------------------

    def _look(self, typed: str) -> None:
        self.run_worker(
            lambda: self._list(typed), thread=True, exclusive=True, group="files", exit_on_error=False
        )

    def _list(self, typed: str) -> None:
        if "/" in typed or typed.startswith("~"):
            found = files.folder_files(typed, self.SUFFIXES)
            start = "" if typed.endswith("/") else typed.rpartition("/")[2].lower()
            found = [file for file in found if file.path.name.lower().startswith(start)]
        else:
            if self._nearby is None:
                self._nearby = self.find()
            wanted = typed.lower()
            found = [file for file in self._nearby if wanted in str(file.path).lower()]
        self.post_message(self.Listed(typed, found))

    @on(Listed)
    def show_listed(self, message: Listed) -> None:
        if message.typed != self.query_one(SafeInput).value:
            return
        self._listed = message.typed
        self._offered = message.found[:500]
        options = self.query_one(OptionList)
        options.clear_options()
        options.add_options(self._options(options.size.width - 2))
        if self._offered:
            options.highlighted = next(
                number for number, option in enumerate(options.options) if not option.disabled
            )
        if (act := self._waiting) is not None:
            self._waiting = None
            act()

    def _once_listed(self, act: Callable[[], None]) -> None:
        """Does `act` when the files on offer are those for what is typed by now: at once, or in a moment."""
        if self._listed == self.query_one(SafeInput).value:
            act()
        else:
            self._waiting = act

    def _options(self, width: int) -> list[Option]:
        colors = palette(self.app)
        dim, plain = Style(color=colors.dim), Style(color=colors.foreground)
        if not self._offered:
            return [Option(Text("nothing here by that name; type a path", dim), disabled=True)]
        options, place = [], ""
        for number, file in enumerate(self._offered):
            if file.place and file.place != place:
                place = file.place
                options.append(Option(Text(_PLACES[place], Style(color=colors.special)), disabled=True))
            name = one_line(file.path.name, 40) + ("/" if file.folder else "")
            folder = "" if file.folder or not file.place else self._short(file.path.parent)
            size = "" if file.folder else size_of(file.bytes)
            room = max(10, width - 46 - 12)
            line = Text.assemble(
                (f"  {name:<43}", plain), (f"{size:>9}  ", dim), (one_line(folder, room), dim), no_wrap=True
            )
            options.append(Option(line, id=str(number)))
        return options

    def _short(self, folder: Path) -> str:
        for base, name in ((self._workspace.root, self._workspace.name), (Path.home(), "~")):
            if folder.is_relative_to(base):
                return str(Path(name) / folder.relative_to(base))
        return str(folder)

    def on_input_changed(self, event: Any) -> None:
        event.stop()
        self._waiting = None
        self._look(event.value)

    # -- choosing ----------------------------------------------------------------------------------

    def action_step(self, by: int) -> None:
        options = self.query_one(OptionList)
        for _ in range(abs(by)):
            if by > 0:
                options.action_cursor_down()
            else:
                options.action_cursor_up()

    def _highlighted(self) -> FoundFile | None:
        option = self.query_one(OptionList).highlighted_option
        return self._offered[int(option.id)] if option is not None and option.id else None

    async def action_complete(self) -> None:
        """Puts the highlighted file's path in the line; of a folder, goes into it."""
        await typed(self.query_one(SafeInput))
        self._once_listed(self._complete)

    def _complete(self) -> None:
        if (file := self._highlighted()) is not None:
            field = self.query_one(SafeInput)
            field.value = sanitize(str(file.path), lines=False) + ("/" if file.folder else "")
            field.cursor_position = len(field.value)

    def on_input_submitted(self, event: Any) -> None:
        event.stop()
        words = event.value.strip()
        path = files.typed_path(words) if words else None
        if path is not None and os.path.isfile(path):  # noqa: PTH113 - Path.is_file raises for a name too long
            self.dismiss(path.absolute())
        else:
            self._once_listed(lambda: self._submit(path))

    def _submit(self, path: Path | None) -> None:
        if (file := self._highlighted()) is not None:
            self._choose(file)
        elif path is not None:
            self.dismiss(path.absolute())

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        event.stop()
        if event.option.id:
            self._choose(self._offered[int(event.option.id)])

    def _choose(self, file: FoundFile) -> None:
        if file.folder:
            self._complete()
        else:
            self.dismiss(file.path)


class OpenDataset(OpenFile):
    TITLE_WORDS = "open a dataset"
    SUFFIXES = files.DATASET_SUFFIXES

    def find(self) -> list[FoundFile]:
        return files.dataset_files(self._workspace)


class OpenUnseen(OpenDataset):
    TITLE_WORDS = "a file that training must not have seen"


class OpenRecipe(OpenFile):
    TITLE_WORDS = "open a recipe"
    SUFFIXES = files.RECIPE_SUFFIXES

    def find(self) -> list[FoundFile]:
        return files.recipe_files(self._workspace)

"""The first screen of a new workspace: three ways to begin, and the files that are lying around."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from rich.style import Style
from rich.text import Text
from textual.containers import Center, Vertical
from textual.message import Message
from textual.widgets import OptionList, Static
from textual.widgets.option_list import Option

from ftui.core.text import one_line
from ftui.ui.bindings import ordered
from ftui.ui.themes import palette
from ftui.ui.widgets.figures import size_of

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from textual.app import ComposeResult

    from ftui.ui.files import FoundFile

_MOST_FILES = 8
_CHOICES = (
    ("o", "open", "Open a dataset", "any file; it stays where it is, unwritten"),
    ("d", "demo", "Run the demo", "a real model learns in about 3 minutes"),
    ("e", "example", "Look at an example", "200 support tickets to try the keys on"),
)
_ABOUT = (
    "Read and mend your examples, write a recipe, watch it train, then ask base and adapter the same question. "
    "Everything stays on this machine as plain files."
)


class Welcome(Vertical):
    """Posts what was chosen."""

    DEFAULT_CSS = """
    Welcome { height: 1fr; align: center middle; }
    Welcome Center { height: auto; }
    Welcome .hello { width: 72; max-width: 100%; padding: 0 2 1 2; }
    Welcome OptionList {
        width: 72; max-width: 100%; height: auto; max-height: 16; border: round $border; padding: 0 1;
        background: $background; scrollbar-size-vertical: 1;
    }
    Welcome OptionList:focus { border: round $border; background-tint: transparent 0%; }
    Welcome OptionList > .option-list--option { padding: 0 1; }
    Welcome OptionList > .option-list--option-highlighted,
    Welcome OptionList:focus > .option-list--option-highlighted {
        background: $selection; color: $foreground; text-style: none;
    }
    """

    BINDINGS: ClassVar[list[Any]] = [
        ordered("o", "pick('open')", "open a dataset", id="data.welcome_open", show=True),
        ordered("d", "pick('demo')", "run the demo", id="data.welcome_demo", show=True),
        ordered("e", "pick('example')", "example", id="data.welcome_example", show=True),
    ]

    class Picked(Message):
        """what: "open", "demo" or "example"."""

        def __init__(self, what: str) -> None:
            super().__init__()
            self.what = what

    class FilePicked(Message):
        def __init__(self, path: Path) -> None:
            super().__init__()
            self.path = path

    def __init__(self, workspace_name: str) -> None:
        super().__init__()
        self._workspace_name = workspace_name
        self._files: list[FoundFile] = []

    def compose(self) -> ComposeResult:
        with Center():
            yield Static(self._hello(), classes="hello", markup=False)
        with Center():
            yield OptionList(*self._options())

    def on_mount(self) -> None:
        for options in self.query(OptionList):  # none when the app is closing already
            options.focus()

    def offer(self, files: Sequence[FoundFile]) -> None:
        """Lists files found nearby under the choices."""
        self._files = list(files[:_MOST_FILES])
        for options in self.query(OptionList):
            chosen = options.highlighted
            options.clear_options()
            options.add_options(self._options())
            options.highlighted = chosen or 0

    def _hello(self) -> Text:
        colors = palette(self.app)
        dim = Style(color=colors.dim)
        return Text.assemble(
            ("Nothing is open in ", dim),
            (one_line(self._workspace_name, 40), Style(color=colors.foreground, bold=True)),
            (" yet.\n\n", dim),
            (_ABOUT, dim),
        )

    def _options(self) -> list[Option | None]:
        colors = palette(self.app)
        dim, key = Style(color=colors.dim), Style(color=colors.accent, bold=True)
        strong = Style(color=colors.foreground, bold=True)
        options: list[Option | None] = [
            Option(
                Text.assemble((f"{letter}  ", key), (f"{title:<20}", strong), (about, dim), no_wrap=True),
                id=what,
            )
            for letter, what, title, about in _CHOICES
        ]
        if self._files:
            options.append(None)
            options.append(Option(Text("found nearby", dim), disabled=True))
        for number, file in enumerate(self._files):
            line = Text.assemble(
                (f"   {one_line(file.path.name, 28):<29}", Style(color=colors.foreground)),
                (f"{size_of(file.bytes):>9}   ", dim),
                (one_line(f"{file.path.parent.name}/", 20), dim),
            )
            options.append(Option(line, id=f"file-{number}"))
        return options

    def action_pick(self, what: str) -> None:
        self.post_message(self.Picked(what))

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        event.stop()
        chosen = event.option.id or ""
        if chosen.startswith("file-"):
            self.post_message(self.FilePicked(self._files[int(chosen.removeprefix("file-"))].path))
        else:
            self.action_pick(chosen)

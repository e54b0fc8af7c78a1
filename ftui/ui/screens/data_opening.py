"""Opening datasets: the one worked on last, one that was asked for, or the welcome where there is none."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from textual import on
from textual.message import Message

from ftui.core.errors import FtuiError
from ftui.core.text import one_line
from ftui.ui import files
from ftui.ui.dataset_desk import DatasetDesk
from ftui.ui.dataset_messages import Failed, Opened
from ftui.ui.screens.data_mapping import Mapping
from ftui.ui.widgets.captions import set_subtitle, set_title

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from ftui.ui.dataset_messages import Facts
    from ftui.ui.files import FoundFile
    from ftui.ui.widgets.welcome import Welcome

_FIRST_ROWS = 100


class NothingOpen(Message):
    """There is no dataset to begin with; files found nearby are."""

    def __init__(self, found: list[FoundFile]) -> None:
        super().__init__()
        self.found = found


class FirstFound(Message):
    """The dataset to begin with."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path = path


class Opening(Mapping):
    """The part of the Data pane that opens files. Looking for them happens off the screen's thread."""

    def __init__(self) -> None:
        super().__init__()
        self._share: float | None = None  # of the index, while it grows
        self._place: tuple[int, int] | None = None  # the row to go back to, and where the cursor waits
        self._path: Path | None = None
        self._before: Path | None = None  # to go back to when the next file cannot be opened

    def begin(self) -> None:
        """Opens what was asked for before the pane was there, or looks for what to begin with."""
        if self._path is not None:
            self._open(self._path)
        else:
            self._in_a_thread(self._find_first)

    def _in_a_thread(self, work: Callable[[], None]) -> None:
        self.run_worker(work, thread=True, group="files", exit_on_error=False)

    def _find_first(self) -> None:
        path = self.app.dataset_to_open or files.last_dataset(self.app.workspace)
        if path is not None:
            self.post_message(FirstFound(path))
        else:
            self._find_nearby()

    def _find_nearby(self) -> None:
        self.post_message(NothingOpen(files.dataset_files(self.app.workspace)))

    @on(FirstFound)
    def open_first(self, message: FirstFound) -> None:
        if self._path is None:
            self.open_dataset(message.path)

    def open_dataset(self, path: Path) -> None:
        """Opens `path` where it lies; its annotations go beside it."""
        if self.unsaved():
            self.say_error(FtuiError(self.unsaved(), "ctrl+s saves it, esc leaves it"))
            return
        self._path = path
        if self.is_mounted:
            self._open(path)

    def _open(self, path: Path) -> None:
        self._close_editor()
        self._before = self.desk.path if self.desk is not None and self.facts is not None else None
        self._close_desk()
        self._forget_search()
        self.facts, self._share = None, None
        self.show_all()
        self.rows.total = 0
        self.rows.forget()
        self._shown.clear()
        self.example.clear()
        set_title(self.rows, one_line(path.name, 60))
        set_subtitle(self.rows, "opening …")
        self.desk = DatasetDesk(path, self.post_message)
        self.desk.open(_FIRST_ROWS)

    def _close_desk(self) -> None:
        """Lets go of the dataset; what was decided is written first, off the screen's thread."""
        if self.desk is not None:
            self._in_a_thread(self.desk.close)
            self.desk = None

    async def on_unmount(self) -> None:
        if self.desk is not None:
            self.desk.close()

    def _show_facts(self, facts: Facts) -> None:
        """Brings everything that counts rows up to date."""
        self.facts, before = facts, self.rows.cursor
        self.rows.total = facts.rows
        if self.rows.cursor != before:  # a changed file is being read again: its rows are not all found yet
            self._place = (before, self.rows.cursor)
        self._go_back()
        self._caption()

    def _go_back(self) -> None:
        """To the row under the cursor when the file changed, once it is found, unless the user moved on."""
        if self._place is None or self.facts is None:
            return
        wanted, waiting = self._place
        if self.rows.cursor == waiting and wanted <= self.facts.rows:
            self.rows.cursor = wanted
        if self.rows.cursor != waiting or self.facts.complete:
            self._place = None

    def _mine(self, message: Any) -> bool:
        return message.desk is self.desk

    @on(Opened)
    def show_opened(self, message: Opened) -> None:
        if not self._mine(message):
            return
        self._drop_welcome()
        self._show_facts(message.facts)
        self._place = None
        self.rows.supply(message.page)
        self.rows.cursor = 1
        self.rows.focus()
        self.refresh_bindings()
        if message.facts.rows:
            self._want_row(1)
        self._in_a_thread(lambda: files.remember(self.app.workspace, message.desk.path.absolute()))

    @on(Failed)
    def show_failed(self, message: Failed) -> None:
        if not self._mine(message):
            return
        self.say_error(message.error)
        if self.facts is None:  # it could not even be opened
            self._close_desk()
            self._path = None
            set_title(self.rows, "")
            set_subtitle(self.rows, "")
            if self._before is not None:
                self.open_dataset(self._before)
            else:
                self._in_a_thread(self._find_nearby)

    # -- a new workspace ---------------------------------------------------------------------------

    @on(NothingOpen)
    async def show_welcome(self, message: NothingOpen) -> None:
        from ftui.ui.widgets.welcome import Welcome

        if self.desk is not None:
            return
        self.query_one("#data").display = False
        if not self.query(Welcome):
            await self.mount(Welcome(self.app.workspace.name), before=self.query_one("#data"))
        self.query_one(Welcome).offer(message.found)
        self.refresh_bindings()

    def _drop_welcome(self) -> None:
        body = self.query_one("#data")
        if not body.display:
            self.query("Welcome").remove()
            body.display = True

    async def on_welcome_picked(self, message: Welcome.Picked) -> None:
        if message.what == "open":
            await self.app.action_open_dataset()
        elif message.what == "demo":
            self.app.action_demo()
        else:
            self._in_a_thread(self._copy_example)

    def on_welcome_file_picked(self, message: Welcome.FilePicked) -> None:
        self.open_dataset(message.path)

    def _copy_example(self) -> None:
        from ftui.ui.example_data import copy_example

        try:
            path = copy_example(self.app.workspace)
        except FtuiError as error:
            self.app.call_from_thread(self.say_error, error)
        else:
            self.app.call_from_thread(self.open_dataset, path)

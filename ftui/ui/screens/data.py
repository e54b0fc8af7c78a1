"""Pane 1, Data: every row of a file on the left, the one under the cursor as a person reads it on the right.

Digits change panes, here as everywhere, so they never annotate: a rating is `r` and then a digit, or alt and
a digit at once.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from textual import on
from textual.binding import Binding
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.message import Message

from ftui.core.errors import FtuiError
from ftui.core.text import one_line
from ftui.ui import files
from ftui.ui.bindings import ordered
from ftui.ui.dataset_desk import (
    Building,
    Changed,
    DatasetDesk,
    Facts,
    Failed,
    Opened,
    PageRead,
    Refused,
    RowRead,
    Written,
)
from ftui.ui.reading import short_shape
from ftui.ui.screens.data_editing import Editing
from ftui.ui.widgets.captions import set_subtitle, set_title
from ftui.ui.widgets.example_view import ExampleView
from ftui.ui.widgets.row_list import RowList

if TYPE_CHECKING:
    from textual.app import ComposeResult

    from ftui.ui.files import FoundFile
    from ftui.ui.widgets.welcome import Welcome

_FIRST_ROWS = 100
_LOOK_SECONDS = 3.0  # between two looks for other annotators' work


_STARS = Binding.Group("rate at once")


class DataScreen(Editing):
    """The rows, the example, and what a person does to them."""

    PANE = "data"
    CSS = """
    DataScreen #data { height: 1fr; }
    DataScreen #rows { width: 9fr; height: 1fr; padding: 0; }
    DataScreen #reading { width: 11fr; height: 1fr; layers: base above; }
    DataScreen #example { height: 1fr; padding: 0; }
    DataScreen.-narrow #data { layout: vertical; }
    DataScreen.-narrow #rows { width: 100%; height: 2fr; }
    DataScreen.-narrow #reading { width: 100%; height: 3fr; }
    """
    HORIZONTAL_BREAKPOINTS: ClassVar[list[tuple[int, str]]] = [(0, "-narrow"), (100, "-wide")]
    BINDINGS: ClassVar[list[Any]] = [
        ordered("a", "decide('accepted')", "accept", id="data.accept", show=True),
        ordered("x", "decide('rejected')", "reject", id="data.reject", show=True),
        ordered("space", "skip", "skip", id="data.skip", show=True),
        ordered("e", "edit", "edit", id="data.edit", show=True),
        ordered("u", "undo", "undo", id="data.undo", show=True),
        ordered("slash", "search", "search", id="data.search", show=True),
        ordered("f", "flag", "flag", id="data.flag", show=True),
        ordered("r", "rate", "rate", id="data.rate", show=True),
        ordered("t", "tag", "tag", id="data.tag", show=True),
        ordered("n", "note", "note", id="data.note", show=True),
        ordered("g", "go_to", "go to", id="data.go_to", show=True),
        ordered("o", "open", "open", id="data.open", show=True),
        ordered("E", "edit_outside", "edit in $EDITOR", id="data.edit_outside"),
        ordered("delete", "delete", "delete or restore the row", id="data.delete"),
        ordered("enter", "found(1)", "next match", id="data.next_match"),
        ordered("N", "found(-1)", "previous match", id="data.previous_match"),
        ordered("escape", "end_search", "end the search", id="data.end_search"),
        ordered("tab", "other_side", "rows or example", id="data.other_side"),
        *(
            ordered(f"alt+{stars}", f"rate_now({stars})", f"rate {stars}", id=f"data.rate{stars}", group=_STARS)
            for stars in range(1, 6)
        ),
    ]

    class NothingOpen(Message):
        """There is no dataset to begin with; files found nearby are."""

        def __init__(self, found: list[FoundFile]) -> None:
            super().__init__()
            self.found = found

    class FirstFound(Message):
        def __init__(self, path: Path) -> None:
            super().__init__()
            self.path = path

    def __init__(self) -> None:
        super().__init__()
        self._share: float | None = None
        self._path: Path | None = None

    # -- opening -----------------------------------------------------------------------------------

    def compose_body(self) -> ComposeResult:
        with Horizontal(id="data"):
            yield RowList(id="rows", classes="panel")
            with Vertical(id="reading"):
                yield ExampleView(id="example", classes="panel")

    def on_mount(self) -> None:
        self.app.theme_changed_signal.subscribe(self, lambda _theme: self._repaint())
        self.set_interval(_LOOK_SECONDS, self._look_again)
        if self._path is not None:
            self._open(self._path)
        else:
            self.run_worker(self._find_first, thread=True, group="first", exit_on_error=False)

    def _find_first(self) -> None:
        path = self.app.dataset_to_open or files.last_dataset(self.app.workspace)
        if path is not None:
            self.post_message(self.FirstFound(path))
        else:
            self.post_message(self.NothingOpen(files.dataset_files(self.app.workspace, Path.cwd())))

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
        self._close_desk()
        self._forget_search()
        self.facts, self._share = None, None
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
            self.run_worker(self.desk.close, thread=True, group="closing", exit_on_error=False)
            self.desk = None

    async def on_unmount(self) -> None:
        if self.desk is not None:
            self.desk.close()

    def _mine(self, message: Any) -> bool:
        return message.desk is self.desk

    @on(Opened)
    def show_opened(self, message: Opened) -> None:
        if not self._mine(message):
            return
        self._drop_welcome()
        self._show_facts(message.facts)
        self.rows.supply(message.page)
        self.rows.cursor = 1
        self.rows.focus()
        self.refresh_bindings()
        if message.facts.rows:
            self._want_row(1)
        self.run_worker(
            lambda: files.remember(self.app.workspace, message.desk.path.absolute()),
            thread=True,
            group="recent",
            exit_on_error=False,
        )

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
            self.run_worker(
                lambda: self.post_message(
                    self.NothingOpen(files.dataset_files(self.app.workspace, Path.cwd()))
                ),
                thread=True,
                group="first",
                exit_on_error=False,
            )

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
            self.run_worker(
                self._copy_example, thread=True, group="first", exclusive=True, exit_on_error=False
            )

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

    # -- showing -----------------------------------------------------------------------------------

    def on_row_list_needed(self, message: RowList.Needed) -> None:
        if self.desk is not None:
            self.desk.want_page(message.start, message.count)

    def on_row_list_moved(self, message: RowList.Moved) -> None:
        self._want_row(message.number)
        self._caption()

    def _want_row(self, number: int) -> None:
        if self.desk is not None and not self.editing:
            self._shown.clear()
            self.desk.want_row(number)

    @on(PageRead)
    def show_page(self, message: PageRead) -> None:
        if self._mine(message):
            self.rows.supply(message.page)

    @on(RowRead)
    def show_row(self, message: RowRead) -> None:
        if self._mine(message) and message.row.number == self.rows.cursor and not self.editing:
            self.example.show_row(message.row, message.ops)
            self._note_tags(message.row.tags)
            self._caption_example()
            self._shown.set()

    @on(Building)
    def show_building(self, message: Building) -> None:
        if self._mine(message):
            self._share = None if message.facts.checked else message.share
            self._show_facts(message.facts)

    @on(Changed)
    def show_changed(self, message: Changed) -> None:
        if not self._mine(message):
            return
        if self.facts is not None and len(message.facts.notices) > len(self.facts.notices):
            self.app.notify(one_line(message.facts.notices[-1], 200), markup=False)
        self._show_facts(message.facts)
        self.rows.forget()
        self._want_row(self.rows.cursor)

    @on(Written)
    def show_written(self, message: Written) -> None:
        if not self._mine(message):
            return
        for number in message.numbers:
            self.rows.settle(number)
        self.rows.supply(message.page)
        self._show_facts(message.facts)
        if message.what:
            self.say(message.what)
        self.after_write(message)
        if self.rows.cursor in message.numbers:
            self._want_row(self.rows.cursor)

    @on(Refused)
    def show_refused(self, message: Refused) -> None:
        if not self._mine(message):
            return
        self.say_error(message.error)
        if message.number:
            self.rows.settle(message.number)
        self.after_refusal(message)

    def _show_facts(self, facts: Facts) -> None:
        self.facts = facts
        self.rows.total = facts.rows
        self._caption()

    def _caption(self) -> None:
        """The list's lower border: where we are, how fast, how long still."""
        facts = self.facts
        if facts is None:
            return
        if not facts.rows:
            set_subtitle(self.rows, "no rows")
            return
        counts = facts.counts
        more = "" if facts.complete else "+"
        parts = [f"{self.rows.cursor:,} of {facts.rows:,}{more}"]
        if self._share is not None:
            parts.append(f"indexing {self._share:.0%}")
        if decided := counts.accepted + counts.rejected:
            parts.append(f"{decided:,} decided")
        pace = self.desk.pace.per_minute() if self.desk is not None else None
        if pace and facts.complete:
            parts.append(f"{pace:.0f}/min")
            if counts.undecided:
                parts.append(f"{time_left(counts.undecided / pace)} left")
        if self.matches_caption:
            parts.insert(1, self.matches_caption)
        text = " · ".join(parts)
        while len(text) > self.rows.size.width - 4 and len(parts) > 1:
            parts.pop()
            text = " · ".join(parts)
        set_subtitle(self.rows, text)

    def _caption_example(self) -> None:
        """The example's border: which row, what shape, how long."""
        row = self.example.row
        if row is None:
            set_title(self.example, "")
            return
        parts = [f"row {row.number:,}"]
        if row.broken:
            parts.append(f"line {row.line:,}")
        summary = self.rows.row(row.number)
        if summary is not None and not row.broken:
            shape = short_shape(row.shape)
            turns = f", {summary.turns} turn{'s' if summary.turns != 1 else ''}" if summary.turns else ""
            parts.append(f"{shape}{turns}")
            parts.append(f"{summary.chars:,} characters")
        state = {"accepted": ("accepted", "$good"), "rejected": ("rejected", "$bad")}.get(row.status)
        title = Content(" · ".join(parts))
        if row.deleted:
            title += Content(" · ") + Content.styled("deleted", "$bad")
        elif state:
            title += Content(" · ") + Content.styled(*state)
        if row.flagged:
            title += Content(" · ") + Content.styled("flagged", "$warning")
        set_title(self.example, title)

    def _repaint(self) -> None:
        """After a change of theme: cells that we draw ourselves know nothing of CSS."""
        self.example.restyle()
        self.rows.refresh()

    def _look_again(self) -> None:
        if self.desk is not None and self.is_current and not self.editing:
            self.desk.look_again()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Without a dataset only opening one makes sense; inside an editor its own keys do."""
        if action in _ON_ROWS:
            if self.facts is None or not self.facts.rows or self.editing or self.asking:
                return False
            return not (action in ("found", "end_search") and not self.searching)
        return True

    async def action_open(self) -> None:
        await self.app.action_open_dataset()

    def action_other_side(self) -> None:
        self.set_focus(self.example if self.rows.has_focus else self.rows)


_ON_ROWS = {
    "decide", "skip", "edit", "undo", "search", "flag", "rate", "rate_now", "tag", "note", "go_to",
    "edit_outside", "delete", "found", "end_search", "other_side",
}  # fmt: skip


def time_left(minutes: float) -> str:
    """How long it will take, as one says it: "35 min", "20 h", "12 days"."""
    if minutes < 90:
        return f"{max(1, round(minutes))} min"
    if minutes < 48 * 60:
        return f"{round(minutes / 60)} h"
    return f"{round(minutes / 1440)} days"

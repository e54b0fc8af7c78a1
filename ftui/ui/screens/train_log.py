"""Reading a run's log in the Train pane: finding text in all of it, and going back beyond its end."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar

from textual import on
from textual.message import Message
from textual.worker import get_current_worker

from ftui.core.errors import FtuiError
from ftui.ui.bindings import ordered
from ftui.ui.run_reader import LOG_LINES
from ftui.ui.screens.base import PaneScreen
from ftui.ui.widgets.log_text import LogWindow
from ftui.ui.widgets.prompt_line import PromptLine
from ftui.ui.widgets.run_list import RunList
from ftui.ui.widgets.run_notes import RunNotes

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from ftui.runs.log_reading import LogPiece, Looked


class ReadingLog(PaneScreen):
    """The part of the Train pane that looks for things in logs. Files are read in threads."""

    BINDINGS: ClassVar[list[Any]] = [
        ordered("slash", "search", "search the log", key_display="/", id="train.search"),
    ]

    class Found(Message):
        """Hits so far of a search for `text` in the log at `path`."""

        def __init__(self, path: Path, text: str, looked: Looked) -> None:
            super().__init__()
            self.path, self.text, self.looked = path, text, looked

    class Piece(Message):
        """A piece of a log to show. row: where in sight its `hit` goes; None is the middle."""

        def __init__(self, path: Path, window: LogWindow, row: int | None) -> None:
            super().__init__()
            self.path, self.window, self.row = path, window, row

    def __init__(self) -> None:
        super().__init__()
        self._wanted = ""  # the text looked for
        self._searched: Path | None = None  # and where
        self._looked: Looked | None = None
        self._hit = -1  # the one shown, counted from the end of the log; -1 before the first

    @property
    def _log_path(self) -> Path | None:
        run = self.query_one(RunList).chosen
        return run.path / "out.log" if run else None

    async def action_search(self) -> None:
        notes = self.query_one(RunNotes)
        if notes.tab != "log":
            notes.tab = "log"
        await self.ask(
            PromptLine(
                "find in the log", self._keep, value=self._wanted, replace=True, placeholder="any part of a line",
                hint="↑ ↓ hits · enter stays · esc", changed=self._look_for,
                stepped=lambda by: self._show_hit(self._hit - by), cancelled=self._leave,
            )
        )  # fmt: skip

    def _look_for(self, text: str) -> None:
        """Begins anew with every character."""
        path = self._log_path
        if path is None or (path == self._searched and text == self._wanted and self._looked):
            return
        self._wanted, self._searched, self._looked, self._hit = text, path, None, -1
        if not text:
            self._leave()
            return
        self.query_one(RunNotes).caption("searching")
        self._in_thread(lambda: self._search_log(path, text))

    def _keep(self, text: str) -> None:
        if text and (self._looked is None or self._looked.hits):  # None: the first hit is on its way
            self.set_focus(self.query_one(RunNotes))
        elif not text:
            self._leave()

    def _leave(self) -> None:
        self.workers.cancel_group(self, "log")
        self.workers.cancel_group(self, "log piece")
        self._wanted, self._looked, self._hit = "", None, -1
        self.query_one(RunNotes).leave_window()

    def _show_hit(self, number: int) -> None:
        path, looked = self._log_path, self._looked
        if path is None or looked is None or not 0 <= number < len(looked.hits):
            return
        self._hit = number
        self._count()
        self._read_piece(path, looked.hits[number], self._wanted, None)

    def _count(self) -> None:
        looked = self._looked
        if looked is None:
            return
        share = f" · {looked.share:.0%} searched" if looked.share < 1 else ""
        more = "+" if looked.capped else ""
        words = (
            f"{self._hit + 1:,} of {len(looked.hits):,}{more} from the end"
            if looked.hits
            else "not in the log"
        )
        if not looked.hits and share:
            words, share = f"searching, {looked.share:.0%}", ""
        self.query_one(RunNotes).caption(words + share)

    @on(Found)
    def take_found(self, message: Found) -> None:
        if message.path != self._log_path or message.text != self._wanted:
            return
        first = self._hit < 0 and bool(message.looked.hits)
        self._looked = message.looked
        if first:
            self._show_hit(0)
        else:
            self._count()

    @on(Piece)
    def take_piece(self, message: Piece) -> None:
        if message.path == self._log_path and message.window.text == self._wanted:
            self.query_one(RunNotes).show_window(message.window, message.row)

    @on(RunNotes.WantsLog)
    def read_on(self, message: RunNotes.WantsLog) -> None:
        """The lines before or after those that are shown; one line of them stays in sight."""
        if (path := self._log_path) is not None:
            height = self.query_one(RunNotes).scrollable_content_region.height
            self._read_piece(path, message.place, self._wanted, height - 1 if message.by < 0 else 0)

    def _read_piece(self, path: Path, place: int | None, text: str, row: int | None) -> None:
        def work() -> None:
            from ftui.runs.log_reading import last_lines_start, read_around

            at = last_lines_start(path, LOG_LINES) if place is None else place
            piece: LogPiece = read_around(path, at)
            if not get_current_worker().is_cancelled:  # by a later key
                self.post_message(self.Piece(path, LogWindow(piece, text, at), row))

        self._in_thread(work, group="log piece")

    def _search_log(self, path: Path, text: str) -> None:
        """In a thread. A message for the first hit, for every tenth of the log, and at the end."""
        from ftui.runs.log_reading import Looked, search

        worker, last, told = get_current_worker(), Looked((), 1.0), -1.0
        for last in search(path, text, lambda: worker.is_cancelled):
            if told < 0 < len(last.hits) or last.share - max(told, 0.0) >= 0.1:
                told = last.share
                self.post_message(self.Found(path, text, last))
        if not worker.is_cancelled:
            self.post_message(self.Found(path, text, replace(last, share=1.0)))

    def _in_thread(self, work: Callable[[], None], group: str = "log") -> None:
        def guarded() -> None:
            try:
                work()
            except OSError as error:
                raise FtuiError(f"cannot read the log: {error.strerror}", "", str(error.filename)) from None

        self.run_worker(guarded, thread=True, exclusive=True, group=group, exit_on_error=False)

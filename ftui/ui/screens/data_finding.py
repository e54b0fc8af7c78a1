"""Finding rows: by text, by number. Matches stay marked until esc; enter goes to the next one."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from typing import TYPE_CHECKING

from textual import on
from textual.message import Message

from ftui.core.errors import FtuiError
from ftui.ui.screens.data_viewing import Viewing

if TYPE_CHECKING:
    from textual.timer import Timer

    from ftui.ui.dataset_desk import DatasetDesk

_PAUSE_SECONDS = 0.15  # typing is over for the moment
MOST_MATCHES = 10_000


class Found(Message):
    """Rows that hold `text`, in order. share: how much of the file was looked through, 0 to 1."""

    def __init__(self, desk: DatasetDesk, text: str, numbers: list[int] | None, share: float) -> None:
        super().__init__()
        self.desk, self.text, self.numbers, self.share = desk, text, numbers, share


class Finding(Viewing):
    """The part of the Data pane that searches."""

    def __init__(self) -> None:
        super().__init__()
        self._query = ""
        self._found: list[int] = []  # rows that hold the text
        self._numbers: list[int] = []  # those of them that are listed
        self._searched = 1.0
        self._from_row = 1
        self._steps = 0  # asked for while the matches are still being looked for
        self._typing: Timer | None = None

    @property
    def searching(self) -> bool:
        return bool(self._query)

    @property
    def searched_text(self) -> str:
        """What is looked for, "" for nothing."""
        return self._query

    @property
    def matches_cut(self) -> bool:
        """True when there may be more matches than are known."""
        return len(self._found) >= MOST_MATCHES and not self.viewing

    @property
    def matches_caption(self) -> str:
        """ "match 3 of 41" for the list's border, "" when nothing is looked for."""
        if not self._query:
            return ""
        if self._searched < 1:
            return f"searching {self._searched:.0%}"
        count = len(self._numbers)
        many = f"{count:,}{'+' if count >= MOST_MATCHES else ''}"
        at = bisect_left(self._numbers, self.rows.cursor)
        if at < count and self._numbers[at] == self.rows.cursor:
            return f"match {at + 1:,} of {many}"
        return f"{many} match{'es' if count != 1 else ''}" if count else "no match"

    async def action_search(self) -> None:
        from ftui.ui.widgets.prompt_line import PromptLine

        self._from_row = self.rows.cursor
        await self.ask(
            PromptLine(
                "search",
                self._search,
                value=self._query,
                placeholder="text anywhere in a row; capitals count when you type some",
                hint="↑↓ matches · enter · esc",
                changed=self._search_soon,
                stepped=self.action_found,
                cancelled=self._cancel_search,
            )
        )

    def _search_soon(self, text: str) -> None:
        self._stop_typing()
        self._typing = self.set_timer(_PAUSE_SECONDS, lambda: self._search(text))

    def _stop_typing(self) -> None:
        if self._typing is not None:
            self._typing.stop()
            self._typing = None

    def _search(self, text: str) -> None:
        self._stop_typing()
        if text == self._query:
            return
        self._query, self._found, self._numbers, self._searched = text, [], [], 0.0
        self._steps = 0
        self.rows.mark_matches((), text)
        self.example.mark(text)
        self._caption()
        self.refresh_bindings()
        desk = self.desk
        if text and desk is not None:
            self.run_worker(
                lambda: self._look_for(desk, text),
                thread=True,
                exclusive=True,
                group="search",
                exit_on_error=False,
            )

    def _look_for(self, desk: DatasetDesk, text: str) -> None:
        """In a thread; stops when something else is looked for."""
        if desk.dataset is None:
            return
        told, most = 0.0, 0 if self.viewing else MOST_MATCHES

        def progress(done: int, total: int) -> None:
            nonlocal told
            share = done / max(1, total)
            if share - told >= 0.05 and share < 1:
                told = share
                self.post_message(Found(desk, text, None, share))

        try:
            found = desk.dataset.search(
                text,
                ignore_case=text == text.lower(),
                limit=most,
                progress=progress,
                cancelled=lambda: self._query != text or self.desk is not desk,
            )
        except FtuiError as error:
            self.app.call_from_thread(self.say_error, error)
        else:
            self.post_message(Found(desk, text, found, 1.0))

    @on(Found)
    def show_found(self, message: Found) -> None:
        """Marks the matches and goes to the first one from where the search began."""
        if message.desk is not self.desk or message.text != self._query:
            return
        self._searched = message.share
        if message.numbers is not None:
            self._found = message.numbers
            self._keep_listed()
            self.rows.mark_matches(message.numbers, message.text)
            # A row that still matches while more is typed is stayed on: the user may be walking already.
            if self._numbers and self.rows.cursor not in self._numbers:
                at = bisect_left(self._numbers, self._from_row)
                self.rows.cursor = self._numbers[at % len(self._numbers)]
            steps, self._steps = self._steps, 0
            for _ in range(abs(steps)):
                self.action_found(1 if steps > 0 else -1)
        self._caption()

    def _keep_listed(self) -> None:
        """Inside a view only its own rows are walked through."""
        self._numbers = list(filter(self.rows.holds, self._found)) if self.viewing else self._found

    def _view_changed(self) -> None:
        self._keep_listed()
        super()._view_changed()

    def action_found(self, step: int) -> None:
        """The next match (or the one before), around the end; once they are known."""
        if self._searched < 1:
            self._steps += step
            return
        if not self._numbers:
            return
        if step > 0:
            at = bisect_right(self._numbers, self.rows.cursor)
        else:
            at = bisect_left(self._numbers, self.rows.cursor) - 1
        self.rows.cursor = self._numbers[at % len(self._numbers)]

    def _cancel_search(self) -> None:
        """Back to where the search began."""
        self._forget_search()
        self.rows.cursor = self._from_row

    def action_end_search(self) -> None:
        """What esc takes back: the search, then the view."""
        if self.searching:
            self._forget_search()
        else:
            self.show_all()

    def _forget_search(self) -> None:
        self._stop_typing()
        self._query, self._found, self._numbers, self._searched = "", [], [], 1.0
        self._steps = 0
        self.rows.mark_matches((), "")
        self.example.mark("")
        self._caption()
        self.refresh_bindings()

    # -- by number ---------------------------------------------------------------------------------

    async def action_go_to(self) -> None:
        from ftui.ui.widgets.prompt_line import PromptLine

        await self.ask(PromptLine("go to row", self._go_to, placeholder=f"1 to {self.rows.total:,}, or 50%"))

    def _go_to(self, text: str) -> None:
        wish = text.strip().replace(",", "").replace("_", "")
        try:
            if wish.endswith("%"):
                number = max(1, round(self.rows.total * float(wish[:-1]) / 100))
            elif wish:
                number = int(wish)
            else:
                return
        except (ValueError, OverflowError):
            self.say_error(FtuiError(f"{text.strip()!r} is not a row number", "rows are numbered from 1"))
            return
        if number > self.rows.total and self.facts is not None and not self.facts.complete:
            hint = f"{self.rows.total:,} of its rows are found so far: go there in a moment"
            self.say_error(FtuiError(f"row {number:,} is not found yet", hint))
        elif not 1 <= number <= self.rows.total:
            self.say_error(FtuiError(f"there is no row {number:,}", f"there are {self.rows.total:,}"))
        else:
            self.rows.cursor = number

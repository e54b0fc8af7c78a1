"""Filters: the rows a query asks for become a view. Looked for in a thread, esc stops it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual import on
from textual.message import Message

from ftui.core.errors import FtuiError
from ftui.ui.screens.data_finding import Finding

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ftui.data.checks.finding import Finding as CheckFinding
    from ftui.data.dataset import Dataset
    from ftui.data.query import Query
    from ftui.ui.dataset_desk import DatasetDesk
    from ftui.ui.modals.filter_rows import FilterAsked

_TOLD = 0.02  # of the work, between two words about it


class Wanted:
    """One filter on its way: its query, the view's name, and whether the view begins at its first row."""

    def __init__(self, desk: DatasetDesk, query: Query, label: str, from_top: bool) -> None:
        self.desk, self.query, self.label, self.from_top = desk, query, label, from_top
        self.share = 0.0


class Filtered(Message):
    """The rows of a filter, or, while numbers is None, how far it is: 0 to 1."""

    def __init__(self, wanted: Wanted, numbers: Sequence[int] | None, share: float) -> None:
        super().__init__()
        self.wanted, self.numbers, self.share = wanted, numbers, share


class Filtering(Finding):
    """The part of the Data pane that filters.

    findings: of the checks, once they ran.
    """

    findings: tuple[CheckFinding, ...] = ()

    def __init__(self) -> None:
        super().__init__()
        self._filter = ""  # the query of the view
        self._wanted: Wanted | None = None

    @property
    def filtering(self) -> bool:
        """True while rows are being looked for."""
        return self._wanted is not None and self._wanted.desk is self.desk

    @property
    def token_lengths(self) -> Sequence[tuple[int, int]] | None:
        """(row number, tokens) of every row that gives tokens, once they are counted."""
        return None

    @property
    def busy_caption(self) -> str:
        """What is under way for the whole list, "" for nothing."""
        return f"filtering {self._wanted.share:.0%} · esc stops" if self._wanted and self.filtering else ""

    def rows_by_check(self) -> Mapping[str, Sequence[int]] | None:
        """The rows of each check, None before the checks ran."""
        return {finding.check: finding.rows for finding in self.findings if finding.rows} or None

    async def action_filter(self) -> None:
        """Asks for a query: the one of this view, and what is being searched for as well."""
        from ftui.data.query import parse, text_query
        from ftui.ui.modals.filter_rows import FilterRows

        desk = self.desk
        if desk is None or desk.dataset is None:
            return
        text, searched = self._filter if self.viewing else "", text_query(self.searched_text)
        if searched and not set(parse(searched).terms) <= set(parse(text).terms):
            text = f"{text} {searched}".strip()
        modal = FilterRows(desk.dataset, text, self.rows_by_check(), self.token_lengths)
        await self.app.push_screen(modal, self._take_filter)

    def _take_filter(self, asked: FilterAsked | None) -> None:
        if asked is None or self.desk is None:
            return
        if not asked.query.terms:
            self.show_all()
        elif asked.numbers is not None:
            self._show_filtered(Wanted(self.desk, asked.query, str(asked.query), False), asked.numbers)
        else:
            self.look_for(asked.query, str(asked.query))

    def look_for(self, query: Query, label: str, *, from_top: bool = False) -> None:
        """Shows the rows that `query` asks for, once they are found, as a view named `label`.

        from_top: the cursor goes to the first of them, instead of the next one from where it is.
        """
        desk = self.desk
        if desk is None or desk.dataset is None:
            return
        wanted, dataset = Wanted(desk, query, label, from_top), desk.dataset
        self._wanted = wanted
        self._caption()
        self.refresh_bindings()
        self.run_worker(
            lambda: self._find_rows(wanted, dataset),
            thread=True, exclusive=True, group="filter", exit_on_error=False,
        )  # fmt: skip

    def _find_rows(self, wanted: Wanted, dataset: Dataset) -> None:
        """In a thread; stops when something else is wanted."""
        from ftui.data.filtering import matching

        told = 0.0

        def progress(done: int, total: int) -> None:
            nonlocal told
            share = done / max(1, total)
            if abs(share - told) >= _TOLD:
                told = share
                self.post_message(Filtered(wanted, None, share))

        try:
            numbers = matching(
                dataset,
                wanted.query,
                findings=self.rows_by_check(),
                lengths=self.token_lengths,
                progress=progress,
                cancelled=lambda: self._wanted is not wanted or self.desk is not wanted.desk,
            )
        except (FtuiError, OSError) as error:
            self.app.call_from_thread(self._filter_failed, wanted, error)
        else:
            if numbers is not None:
                self.post_message(Filtered(wanted, numbers, 1.0))

    def _filter_failed(self, wanted: Wanted, error: FtuiError | OSError) -> None:
        if self._wanted is wanted:
            self._stop_filter()
            self.say_error(error if isinstance(error, FtuiError) else FtuiError(f"cannot be read: {error}"))

    @on(Filtered)
    def show_filtered(self, message: Filtered) -> None:
        if message.wanted is not self._wanted or message.wanted.desk is not self.desk:
            return
        if message.numbers is None:
            message.wanted.share = message.share
            self._caption()
        else:
            self._stop_filter()
            self._show_filtered(message.wanted, message.numbers)

    def _show_filtered(self, wanted: Wanted, numbers: Sequence[int]) -> None:
        self.show_only(numbers, wanted.label)
        if numbers:
            self._filter = str(wanted.query)
            if wanted.from_top:
                self.rows.action_go(1)

    def _stop_filter(self) -> None:
        self._wanted = None
        self._caption()
        self.refresh_bindings()

    def show_only(self, numbers: Sequence[int], label: str) -> None:
        self._filter = ""
        super().show_only(numbers, label)

    def show_all(self) -> None:
        self._filter = ""
        super().show_all()

    def action_end_search(self) -> None:
        """What esc takes back: a filter on its way, then the search, then the view."""
        if self.filtering:
            self._stop_filter()
        else:
            super().action_end_search()

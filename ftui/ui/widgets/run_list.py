"""The runs of the workspace, those that wait and then newest first: two lines each, what it is, how it goes."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar

from rich.segment import Segment
from rich.style import Style
from textual.geometry import Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip

from ftui.core.text import one_line
from ftui.ui.bindings import ordered
from ftui.ui.themes import palette
from ftui.ui.widgets import figures
from ftui.ui.widgets.captions import fitting, set_subtitle, set_title
from ftui.ui.widgets.run_words import describe, numbers, shortly
from ftui.ui.widgets.troubles_text import mark

if TYPE_CHECKING:
    from collections.abc import Mapping

    from textual import events

    from ftui.runs.state import RunSummary

LINES_EACH = 2
_ROOM_FOR_BOTH = 26  # columns for "1 at work" and the time it ends
_Row = tuple[tuple[str, str, bool], ...]  # (text, palette colour, bold) pieces of one line


class RunList(ScrollView, can_focus=True):
    """Chooses a run; posts Chosen when the choice changes."""

    DEFAULT_CSS = "RunList { overflow-x: hidden; scrollbar-size-vertical: 1; }"
    BINDINGS: ClassVar[list[Any]] = [
        ordered("up,k", "move(-1)", "previous run", id="train.previous"),
        ordered("down,j", "move(1)", "next run", id="train.next"),
        ordered("home", "move(-1000000)", "newest run", id="train.newest"),
        ordered("end", "move(1000000)", "oldest run", id="train.oldest"),
    ]

    class Chosen(Message):
        """The user (or the arrival of the first run) chose a run."""

        def __init__(self, run: RunSummary) -> None:
            super().__init__()
            self.run = run

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id, classes="panel")
        self._runs: tuple[RunSummary, ...] = ()
        self._rows: list[_Row] = []
        self._chosen = ""
        self._announced = ""
        self._expected = ""
        self._moved = False  # by the person: no other run is chosen for them then
        self._newest = ""
        self._worries: dict[str, str] = {}
        self._layers: dict[str, tuple[str, tuple[str, str]]] = {}

    def on_mount(self) -> None:
        set_title(self, "runs")

    @property
    def chosen(self) -> RunSummary | None:
        return next((run for run in self._runs if run.id == self._chosen), None)

    def show(
        self, runs: tuple[RunSummary, ...], worries: Mapping[str, str] | None = None, *, hold: bool = False
    ) -> None:
        """The runs as they are now; a run that begins is followed until the person has chosen one.

        worries: "error" or "warning" by the id of a run that has such an alarm. hold: something is being asked
        about the chosen one, it stays so long.
        """
        index = self._index()
        self._runs, self._worries = _in_order(runs), dict(worries or {})
        self._layout_rows()
        self._caption()
        if any(run.id == self._expected for run in runs):
            self.choose(self._expected)
            self._expected = ""
        elif self.chosen is None:  # it was deleted: its neighbour is nearest
            self._chosen = ""
            if runs:
                self._choose(min(index, len(runs) - 1))
        if hold:
            return
        newest, before = _newest(runs), self._newest
        self._newest = newest
        if not self._moved and self._chosen == before != newest:
            self.choose(newest)

    def forget(self, run_id: str) -> None:
        """A run is gone: not shown until the next `show` says otherwise."""
        if any(run.id == run_id for run in self._runs):
            self.show(tuple(run for run in self._runs if run.id != run_id), self._worries)

    def expect(self, run_id: str) -> None:
        """Chooses a run as soon as it is listed."""
        self._expected = run_id

    def mark_layers(self, layers: Mapping[str, tuple[str, tuple[str, str]]]) -> None:
        """Marks the runs that are laid over the chosen one: by id their colour, their mark and its ASCII form."""
        self._layers = dict(layers)
        self._layout_rows()

    def announce(self, text: str) -> None:
        """Says `text` in the border, such as a countdown, until it is called with ""."""
        self._announced = text
        self._caption()

    def choose(self, run_id: str) -> None:
        """Moves the choice to a run, if it is listed."""
        for index, run in enumerate(self._runs):
            if run.id == run_id:
                self._choose(index)

    def action_move(self, by: int) -> None:
        if self._runs:
            self._take_over()
            self._choose(max(0, min(len(self._runs) - 1, self._index() + by)))

    def on_click(self, event: events.Click) -> None:
        offset = event.get_content_offset(self)
        if offset is not None:
            index = (offset.y + self.scroll_offset.y) // LINES_EACH
            if index < len(self._runs):
                self._take_over()
                self._choose(index)

    def on_resize(self) -> None:
        self._layout_rows()
        self._caption()
        self._reveal(self._index())

    def on_focus(self) -> None:
        self.refresh()

    def on_blur(self) -> None:
        self.refresh()

    def render_line(self, y: int) -> Strip:
        width, row = self.size.width, y + self.scroll_offset.y
        if row >= len(self._rows):
            return Strip.blank(width, self.rich_style)
        colors = palette(self.app)
        here = row // LINES_EACH == self._index()
        ground = (
            Style(bgcolor=colors.selection if self.has_focus else colors.panel) if here else self.rich_style
        )
        segments = [
            Segment(text, ground + Style(color=getattr(colors, color), bold=bold))
            for text, color, bold in self._rows[row]
        ]
        return Strip(segments).adjust_cell_length(width, ground)

    def _caption(self) -> None:
        at_work = [run for run in self._runs if run.state in figures.ACTIVE]
        waiting = sum(run.state == "queued" for run in self._runs)
        words = [f"{len(at_work)} at work"] if at_work else []
        words += [f"{waiting} waiting"] if waiting else []
        if len(at_work) == 1 and not waiting and (done := figures.finishing(at_work[0].eta_seconds)):
            ends = f"ends {done}"
            words = [*words, ends] if self.size.width >= _ROOM_FOR_BOTH else [ends]
        set_subtitle(self, self._announced or fitting(self, [" · ".join(words), *words[:1]]))

    def _index(self) -> int:
        return next((index for index, run in enumerate(self._runs) if run.id == self._chosen), 0)

    def _take_over(self) -> None:
        self._moved, self._expected = True, ""

    def _choose(self, index: int) -> None:
        run = self._runs[index]
        self._reveal(index)
        if run.id != self._chosen:
            before, self._chosen = self._index(), run.id
            self.refresh_lines(before * LINES_EACH, LINES_EACH)
            self.refresh_lines(index * LINES_EACH, LINES_EACH)
            self.post_message(self.Chosen(run))

    def _reveal(self, index: int) -> None:
        top = index * LINES_EACH
        if not self.size.height:
            return  # no layout yet: done with the first one
        if top < self.scroll_offset.y:
            self.scroll_to(y=top, animate=False, immediate=True, force=True)
        elif top + LINES_EACH > self.scroll_offset.y + self.size.height:
            self.scroll_to(y=top + LINES_EACH - self.size.height, animate=False, immediate=True, force=True)

    def _layout_rows(self) -> None:
        before, now = self._rows, time.time()
        # The scroll bar takes a column.
        scrolls = len(self._runs) * LINES_EACH > self.size.height
        width, marks = self.size.width - scrolls, numbers(self._runs)
        self._rows = [
            row
            for run in self._runs
            for row in _rows_of(
                replace(run, reason=shortly(run, self._runs, marks, width - 2)),
                width,
                now,
                self._worries.get(run.id, ""),
                self._layers.get(run.id),
                marks.get(run.id, ""),
            )
        ]
        if len(before) != len(self._rows):
            self.virtual_size = Size(width, len(self._rows))
            self.refresh()
            return
        for y, (old, new) in enumerate(zip(before, self._rows, strict=True)):
            if old != new:
                self.refresh_line(y)


def _in_order(runs: tuple[RunSummary, ...]) -> tuple[RunSummary, ...]:
    """Those that wait first, the next one at the top; then the others as they come: newest first."""
    waiting = [run for run in runs if run.state == "queued"]
    waiting.sort(key=lambda run: run.position or len(runs))
    return (*waiting, *(run for run in runs if run.state != "queued"))


def _newest(runs: tuple[RunSummary, ...]) -> str:
    """The run that began last, "" where none has begun."""
    return next((run.id for run in runs if run.state != "queued"), "")


def _rows_of(
    run: RunSummary,
    width: int,
    now: float,
    worry: str = "",
    layer: tuple[str, tuple[str, str]] | None = None,
    number: str = "",
) -> tuple[_Row, _Row]:
    plain = figures.ascii_only()
    glyph, color = figures.mark(run.state, plain=plain)
    active = run.state in figures.ACTIVE
    signs = (2 if worry else 0) + (2 if layer else 0)
    number = f" {number}" if number else ""
    name = one_line(run.name, max(1, width - 2 - signs - len(number)))
    first: _Row = ((f"{glyph} ", color, True), (name, "foreground", active))
    if number:
        first += ((number, "dim", False),)
    if layer:
        first += ((f" {layer[1][plain]}", layer[0], True),)
    if worry:
        sign, meaning = mark(worry, plain=plain)
        first += ((f" {sign}", meaning, True),)
    room = width - 2 - signs - len(name) - len(number) - 2
    tags = one_line(" ".join(f"#{tag}" for tag in run.tags), room) if room >= 4 else ""
    if tags:
        first += ((f"  {tags}", "special", False),)
    detail = one_line(describe(run, now, width - 2), max(1, width - 2))
    tone = color if run.state in ("failed", "crashed", "stalled") else "dim"
    return first, ((f"  {detail}", tone, False),)

"""A filter, typed or picked: what can be asked for is listed with how many rows have it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from rich.style import Style
from rich.text import Text
from textual import on
from textual.binding import Binding
from textual.containers import Vertical
from textual.message import Message
from textual.suggester import Suggester
from textual.widgets import OptionList, Static
from textual.widgets.option_list import Option

from ftui.core.errors import FtuiError
from ftui.core.text import one_line, sanitize
from ftui.data.filtering import Facets, facets, matching
from ftui.data.query import Query, complete, parse
from ftui.ui.bindings import ordered, typed
from ftui.ui.filter_lines import filter_lines
from ftui.ui.modals.dialog import Dialog
from ftui.ui.themes import palette
from ftui.ui.widgets.captions import set_subtitle, set_title
from ftui.ui.widgets.safe_input import SafeInput

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from textual.app import ComposeResult
    from textual.timer import Timer

    from ftui.data.dataset import Dataset
    from ftui.ui.filter_lines import FilterLine

_PAUSE_SECONDS = 0.2  # typing is over for the moment


@dataclass(frozen=True, slots=True)
class FilterAsked:
    """The query, and its rows where they were found already."""

    query: Query
    numbers: Sequence[int] | None


class _Facets(Message):
    def __init__(self, found: Facets) -> None:
        super().__init__()
        self.found = found


class _Matched(Message):
    """The rows of `text`, or what is wrong with it."""

    def __init__(self, text: str, numbers: Sequence[int] | None, problem: FtuiError | None) -> None:
        super().__init__()
        self.text, self.numbers, self.problem = text, numbers, problem


class _Completer(Suggester):
    def __init__(self, modal: FilterRows) -> None:
        super().__init__(use_cache=False, case_sensitive=True)
        self._modal = modal

    async def get_suggestion(self, value: str) -> str | None:
        return sanitize(complete(value, self._modal.known), lines=False) or None


class FilterRows(Dialog["FilterAsked | None"]):
    """Returns what was asked for, or None. Counting goes on in a thread while one types."""

    DEFAULT_CSS = """
    FilterRows > Vertical { width: 76; max-width: 96%; height: 34; max-height: 96%; background: $surface; }
    FilterRows SafeInput { background: $panel; padding: 0 1; }
    FilterRows Static { height: 1; padding: 0 1; color: $dim; margin-bottom: 1; }
    FilterRows OptionList, FilterRows OptionList:focus {
        height: 1fr; border: none; padding: 0; background: $surface; background-tint: $surface 0%;
        scrollbar-size-vertical: 1;
    }
    FilterRows OptionList > .option-list--option { padding: 0 1; }
    FilterRows OptionList > .option-list--option-highlighted {
        background: $surface; color: $foreground; text-style: none;
    }
    FilterRows OptionList:focus > .option-list--option-highlighted { background: $selection; }
    """
    BINDINGS: ClassVar[list[Any]] = [
        ordered("enter", "show", "show these rows", id="data.filter_show"),
        Binding("escape", "dismiss(None)", "back", id="data.filter_back"),
        ordered("tab,shift+tab", "other", "type or pick", id="data.filter_other"),
        Binding("down", "step(1)", "pick", show=False, priority=True),
        Binding("up", "step(-1)", "pick", show=False, priority=True),
        Binding("space", "pick('only')", "rows with it", show=False, priority=True),
        Binding("minus", "pick('not')", "rows without it", show=False, priority=True),
    ]

    def __init__(
        self,
        dataset: Dataset,
        text: str,
        findings: Mapping[str, Sequence[int]] | None,
        lengths: Sequence[tuple[int, int]] | None,
    ) -> None:
        super().__init__()
        self._dataset, self._findings, self._lengths = dataset, findings, lengths
        self._start = text
        self._facets = Facets()
        self._counting = text
        self._counted: _Matched | None = None
        self._typing: Timer | None = None
        self._lines: list[FilterLine] = []
        self.known: dict[str, tuple[str, ...]] = {}

    def compose(self) -> ComposeResult:
        with Vertical(classes="panel"):
            yield SafeInput(
                sanitize(self._start, lines=False),
                placeholder="status:undecided tag:refund chars:>2000 -role:tool words",
                select_on_focus=False,
                suggester=_Completer(self),
            )
            yield Static(markup=False)
            yield OptionList()

    def on_mount(self) -> None:
        panel = self.query_one(Vertical)
        set_title(panel, "filter")
        set_subtitle(panel, "enter shows · tab picks: space with, - without · esc")
        self.query_one(SafeInput).focus()
        self._list()
        self._count_soon(0.0)
        self.run_worker(
            lambda: self.post_message(_Facets(facets(self._dataset))),
            thread=True, group="facets", exit_on_error=False,
        )  # fmt: skip

    # -- the text ------------------------------------------------------------------------------------

    @property
    def text(self) -> str:
        return self.query_one(SafeInput).value

    def on_input_changed(self) -> None:
        self._list()
        self._count_soon(_PAUSE_SECONDS)

    def _query(self) -> Query | None:
        """What is typed, None while it is not understood."""
        try:
            return parse(self.text)
        except FtuiError:
            return None

    async def action_show(self) -> None:
        await typed(self.query_one(SafeInput))
        try:
            query = parse(self.text)
        except FtuiError as error:
            self._say(error)
            return
        counted = self._counted
        known = counted is not None and counted.text == self.text
        if known and counted is not None and counted.problem is not None:
            self._say(counted.problem)
            return
        self.dismiss(FilterAsked(query, counted.numbers if known and counted is not None else None))

    # -- how many rows -------------------------------------------------------------------------------

    def _count_soon(self, seconds: float) -> None:
        if self._typing is not None:
            self._typing.stop()
        self._typing = self.set_timer(seconds, self._count) if seconds else None
        if not seconds:
            self._count()

    def _count(self) -> None:
        text = self._counting = self.text
        self._about("…")
        self.run_worker(
            lambda: self._count_rows(text), thread=True, exclusive=True, group="count", exit_on_error=False
        )

    def _count_rows(self, text: str) -> None:
        """In a thread; stops when something else is typed."""
        numbers, problem = None, None
        try:
            numbers = matching(
                self._dataset,
                parse(text),
                findings=self._findings,
                lengths=self._lengths,
                cancelled=lambda: not self.is_attached or self._counting != text,
            )
        except FtuiError as error:
            problem = error
        except OSError as error:
            problem = FtuiError(f"cannot be read: {error.strerror or error}")
        if numbers is not None or problem is not None:
            self.post_message(_Matched(text, numbers, problem))

    @on(_Matched)
    def show_matched(self, message: _Matched) -> None:
        if message.text != self.text:
            return
        self._counted = message
        if message.problem is not None:
            self._say(message.problem)
        elif message.numbers is not None:
            count = len(message.numbers)
            self._about(f"{count:,} row{'' if count == 1 else 's'}")

    def _say(self, error: FtuiError) -> None:
        line = Text(one_line(f"{error.message}: {error.hint}", 200), Style(color=palette(self.app).warning))
        self.query_one(Static).update(line)

    def _about(self, words: str) -> None:
        self.query_one(Static).update(words)

    # -- the list ------------------------------------------------------------------------------------

    @on(_Facets)
    def show_facets(self, message: _Facets) -> None:
        self._facets = found = message.found
        self.known = {
            "tag": tuple(found.tag),
            "by": tuple(found.by),
            "shape": tuple(found.shape),
            "finding": tuple(self._findings or ()),
        }
        self._list()

    def _list(self) -> None:
        """Lists every value with its count and whether it is asked for."""
        options, query = self.query_one(OptionList), self._query() or Query()
        at = options.highlighted
        chosen = None if at is None else self._lines[at][1:]
        self._lines = filter_lines(self._facets, self._findings or {}, query, palette(self.app))
        options.clear_options()
        options.add_options([Option(line.text, disabled=line.heading) for line in self._lines])
        if at is not None:  # counts may have put others above it
            same = (number for number, line in enumerate(self._lines) if line[1:] == chosen)
            options.highlighted = next(same, min(at, len(self._lines) - 1))

    def action_other(self) -> None:
        if isinstance(self.focused, OptionList):
            self.set_focus(self.query_one(SafeInput))
        else:
            self._to_list()

    def _to_list(self) -> None:
        options = self.query_one(OptionList)
        self.set_focus(options)
        if options.highlighted is None:
            options.action_first()

    def action_step(self, by: int) -> None:
        """The next line of the list; from what is typed, down leads to it."""
        options = self.query_one(OptionList)
        if self.focused is not options:  # `has_focus` comes a moment later
            if by > 0:
                self._to_list()
        elif by > 0:
            options.action_cursor_down()
        else:
            options.action_cursor_up()

    def action_pick(self, state: str) -> None:
        options = self.query_one(OptionList)
        if self.focused is options and options.highlighted is not None:
            self._pick(options.highlighted, state)

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        """A click; enter never comes here."""
        event.stop()
        self._pick(event.option_index, "only")

    def _pick(self, line: int, state: str) -> None:
        """Asks for a value, or lets go of it; what has no value to pick is begun to be typed."""
        key, value = self._lines[line].key, self._lines[line].value
        box, query = self.query_one(SafeInput), self._query()
        if not value:
            if key:
                box.value = f"{box.value} {key}:".strip()
                self.set_focus(box)
                box.cursor_position = len(box.value)
        elif query is None:
            self.notify("finish the word that is typed first", severity="warning")
        else:
            box.value = str(query.toggled(key, value, "" if query.state_of(key, value) == state else state))
            box.cursor_position = len(box.value)

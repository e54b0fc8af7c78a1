"""Pane 1, Data: every row of a file on the left, the one under the cursor as a person reads it on the right.

Digits change panes, here as everywhere, so they never annotate: a rating is `r` and then a digit, or alt and
a digit at once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from textual import on
from textual.binding import Binding
from textual.containers import Horizontal, Vertical

from ftui.core.text import one_line
from ftui.ui.bindings import ordered
from ftui.ui.dataset_captions import example_caption, list_caption
from ftui.ui.dataset_messages import Building, Changed, PageRead, Refused, RowRead, Written
from ftui.ui.screens.data_exporting import Exporting
from ftui.ui.widgets.captions import set_subtitle, set_title
from ftui.ui.widgets.example_view import ExampleView
from ftui.ui.widgets.row_list import RowList

if TYPE_CHECKING:
    from textual.app import ComposeResult

_LOOK_SECONDS = 3.0  # between two looks for other annotators' work
_STARS = Binding.Group("rate at once")


class DataScreen(Exporting):
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
    DataScreen.-narrow #data.-panel #rows { display: none; }
    """
    HORIZONTAL_BREAKPOINTS: ClassVar[list[tuple[int, str]]] = [(0, "-narrow"), (100, "-wide")]
    BINDINGS: ClassVar[list[Any]] = [
        ordered("a", "decide('accepted')", "accept", id="data.accept", show=True),
        ordered("x", "decide('rejected')", "reject", id="data.reject", show=True),
        ordered("space", "skip", "skip", id="data.skip", show=True),
        ordered("e", "edit", "edit", id="data.edit", show=True),
        ordered("u", "undo", "undo", id="data.undo", show=True),
        ordered("slash", "search", "search", id="data.search", show=True),
        ordered("F", "filter", "filter", id="data.filter", show=True),
        ordered("c", "checks", "checks", id="data.checks", show=True),
        ordered("i", "xray", "tokens", id="data.xray", show=True),
        ordered("f", "flag", "flag", id="data.flag", show=True),
        ordered("r", "rate", "rate", id="data.rate", show=True),
        ordered("t", "tag", "tag", id="data.tag", show=True),
        ordered("n", "note", "note", id="data.note", show=True),
        ordered("g", "go_to", "go to", id="data.go_to", show=True),
        ordered("o", "open", "open", id="data.open", show=True),
        ordered("E", "edit_outside", "edit in $EDITOR", id="data.edit_outside"),
        ordered("delete", "delete", "delete or restore the row", id="data.delete"),
        ordered("m", "merge_turns", "merge the turn with the next", id="data.merge_turns"),
        ordered("s", "split_turn", "split the turn", id="data.split_turn"),
        ordered("ctrl+n", "new_turn", "add a turn after this one", id="data.new_turn"),
        ordered("ctrl+d", "remove_turn", "take the turn out", id="data.remove_turn"),
        ordered("R", "turn_role", "who says the turn", id="data.turn_role"),
        ordered("M", "map_fields", "map fields, force a shape", id="data.map_fields"),
        ordered("enter", "found(1)", "next match", id="data.next_match"),
        ordered("N", "found(-1)", "previous match", id="data.previous_match"),
        ordered("escape", "end_search", "end search, or show all", id="data.end_search"),
        ordered("tab", "other_side", "rows or example", id="data.other_side"),
        ordered("U", "redo", "redo what was undone", id="data.redo"),
        ordered("Q", "queues", "queues, agreement", id="data.queues"),
        ordered("B", "bulk", "act on every row in sight", id="data.bulk"),
        ordered("L", "lengths", "lengths in tokens", id="data.lengths"),
        ordered("w", "export", "export the rows", id="data.export"),
        ordered("right_square_bracket", "group(1)", "next group", id="data.group", key_display="]"),
        ordered("left_square_bracket", "group(-1)", "group before", id="data.group_before", key_display="["),
        *(
            ordered(
                f"alt+{stars}", f"rate_now({stars})", f"rate {stars}", id=f"data.rate{stars}", group=_STARS
            )
            for stars in range(1, 6)
        ),
    ]

    def compose_body(self) -> ComposeResult:
        with Horizontal(id="data"):
            yield RowList(id="rows", classes="panel")
            with Vertical(id="reading"):
                yield ExampleView(id="example", classes="panel")

    def on_mount(self) -> None:
        self.app.theme_changed_signal.subscribe(self, lambda _theme: self._repaint())
        self.set_interval(_LOOK_SECONDS, self._look_again)
        self.begin()

    def on_row_list_needed(self, message: RowList.Needed) -> None:
        if self.desk is not None:
            self.desk.want_page(message.numbers)

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
            row = self.example.row
            if row is not None and any(summary.number == row.number for summary in message.page):
                set_title(self.example, example_caption(row, self.rows.row(row.number)))

    @on(RowRead)
    async def show_row(self, message: RowRead) -> None:
        if self._mine(message) and message.row.number == self.rows.cursor and not self.editing:
            await self.show_conflict(message.ops)
            self.example.show_row(message.row, message.ops)
            self._note_tags(message.row.tags)
            set_title(self.example, example_caption(message.row, self.rows.row(message.row.number)))
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
            self.show_all()  # the rows of a view may be other rows now
        self._show_facts(message.facts)
        self.rows.forget()
        self._want_row(self.rows.cursor)

    @on(Written)
    def show_written(self, message: Written) -> None:
        if not self._mine(message):
            return
        self.before_supply(message)
        if message.page:
            for number in message.numbers:
                self.rows.settle(number)
            self.rows.supply(message.page)
        else:
            self.rows.forget()
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

    def _caption(self) -> None:
        if self.facts is not None:
            pace = self.desk.pace.per_minute() if self.desk is not None else None
            room = self.rows.size.width - 4
            set_subtitle(
                self.rows,
                list_caption(
                    self.facts,
                    self.rows.cursor,
                    room,
                    matches=self.matches_caption,
                    share=self._share,
                    pace=pace,
                    view=self.view_caption,
                    busy=self.busy_caption,
                ),
            )

    def key_owners(self) -> tuple[type, ...]:
        from ftui.ui.modals.export_done import ExportDone
        from ftui.ui.modals.export_rows import ExportRows
        from ftui.ui.modals.replace_files import Replace
        from ftui.ui.widgets.checks_panel import ChecksPanel
        from ftui.ui.widgets.choice_line import ChoiceLine
        from ftui.ui.widgets.field_editor import FieldEditor
        from ftui.ui.widgets.length_histogram import LengthHistogram
        from ftui.ui.widgets.token_text import TokenText
        from ftui.ui.widgets.welcome import Welcome

        panels = (FieldEditor, Welcome, ChecksPanel, TokenText, LengthHistogram)
        return (*panels, ExportRows, ExportDone, Replace, ChoiceLine)

    def _repaint(self) -> None:
        """After a change of theme: cells that we draw ourselves know nothing of CSS."""
        self.example.restyle()
        self.rows.refresh()
        if self.panel is not None:
            self.panel.restyle()

    def _look_again(self) -> None:
        if self.desk is not None and self.is_current and not self.editing:
            self.desk.look_again()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Without a dataset only opening one makes sense; inside an editor its own keys do."""
        if action in _ON_ROWS:
            if self.facts is None or not self.facts.rows or self.editing or self.asking:
                return False
            if self.taken(action):
                return False
            if action == "group":
                return self.stepping
            if action == "end_search":
                return self.searching or self.viewing or self.filtering
            return action != "found" or self.searching
        return True

    async def action_open(self) -> None:
        await self.app.action_open_dataset()

    def action_other_side(self) -> None:
        self.set_focus(self.other_side() if self.focused is self.rows else self.rows)


_ON_ROWS = {
    "decide", "skip", "edit", "undo", "search", "flag", "rate", "rate_now", "tag", "note", "go_to",
    "merge_turns", "split_turn", "new_turn", "remove_turn", "turn_role", "map_fields",
    "edit_outside", "delete", "found", "end_search", "other_side", "checks", "xray", "lengths", "group",
    "filter", "queues", "bulk", "redo", "export",
}  # fmt: skip

"""The example under the cursor, as a person reads it. Blocks in, messages out; a block can be chosen and edited."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, ClassVar

from rich.segment import Segment
from rich.style import Style
from textual.geometry import Region
from textual.message import Message
from textual.strip import Strip

from ftui.core.duration import ago
from ftui.core.text import sanitize
from ftui.ui.bindings import ordered
from ftui.ui.json_tree import INDENT, Folds
from ftui.ui.reading import read_row
from ftui.ui.themes import palette
from ftui.ui.widgets.page import Line, Page, Typesetter
from ftui.ui.widgets.quiet_scroll import QuietScrollView
from ftui.ui.widgets.wrapping import wrap

if TYPE_CHECKING:
    from textual import events

    from ftui.data.operation import Op
    from ftui.data.rows import Row
    from ftui.ui.json_tree import Node
    from ftui.ui.reading import Block

_EMPTY = Page((), ())
_GUTTER = 1  # the bar beside the chosen block
_MARGIN = 1


class ExampleView(QuietScrollView, can_focus=True):
    """Shows one row. up and down choose a block; what is taller than the view is scrolled through first."""

    BINDINGS: ClassVar[list[Any]] = [
        ordered("up,k", "choose(-1)", "field up", id="data.field_up"),
        ordered("down,j", "choose(1)", "field down", id="data.field_down"),
        ordered("pageup,ctrl+b", "page_up", "scroll up", id="data.scroll_up"),
        ordered("pagedown,ctrl+f", "page_down", "scroll down", id="data.scroll_down"),
        ordered("home", "scroll_home", "top", id="data.top"),
        ordered("end,G", "scroll_end", "bottom", id="data.bottom"),
        ordered("right", "fold(True)", "unfold", id="data.unfold"),
        ordered("left", "fold(False)", "fold", id="data.fold"),
        ordered("enter", "enter", "unfold or edit", id="data.enter_field"),
    ]

    class EditAsked(Message):
        """A block was double-clicked."""

    def __init__(self, **arguments: Any) -> None:
        super().__init__(**arguments)
        self.row: Row | None = None
        self.blocks: list[Block] = []
        self.chosen = 0
        self._ops: list[Op] = []
        self._folds = Folds()
        self._page = _EMPTY
        self._gap = (-1, 0)
        self._find = ""
        self._drawn: dict[int, Strip] = {}

    # -- what is shown -----------------------------------------------------------------------------

    def show_row(self, row: Row, ops: list[Op]) -> None:
        """Shows `row`. The same row again keeps the place on the page."""
        before = self.row
        same = before is not None and (before.number, before.shape) == (row.number, row.shape)
        self.row, self._ops = row, ops
        self.blocks = read_row(row, ops, self._folds)
        if not same or self.chosen >= len(self.blocks):
            self.chosen = _first_choice(self.blocks)
        self._set_page()
        if not same:
            self.scroll_to(y=0, animate=False, force=True, immediate=True)

    def clear(self) -> None:
        self.row, self.blocks, self._page = None, [], _EMPTY
        self.set_length(0)
        self._redraw_changed()

    def mark(self, text: str) -> None:
        """Makes `text` stand out wherever it is."""
        if text != self._find:
            self._find = text
            self._set_page()

    def restyle(self) -> None:
        """Draws everything again in the colours of now."""
        self._set_page()
        self.refresh()

    def block(self) -> Block | None:
        """The chosen block."""
        return self.blocks[self.chosen] if self.chosen < len(self.blocks) else None

    def _set_page(self) -> None:
        width = max(10, self.scrollable_content_region.width - _GUTTER - _MARGIN)
        colors = palette(self.app)
        typesetter = Typesetter(width, colors, now=time.time(), gap=self._gap, find=self._find)
        self._page = typesetter.page(self.blocks, self._footer(width))
        self.set_length(len(self._page.lines))
        self._redraw_changed()

    def _redraw_changed(self) -> None:
        """From one row to the next most lines are blank as before: those are not sent again."""
        self.redraw_lines(y for y in range(self.size.height) if self._drawn.get(y) != self._line(y))

    def _footer(self, width: int) -> list[Strip]:
        """Stars, tags and the note."""
        row, colors = self.row, palette(self.app)
        if row is None:
            return []
        dim = Style(color=colors.dim)
        parts: list[Segment] = []
        if row.rating:
            stars = Segment("★" * row.rating, Style(color=colors.warning))
            parts += [stars, Segment("☆" * (5 - row.rating), dim), Segment("  ")]
        if row.tags:
            parts += [
                Segment("tags ", dim),
                Segment(" ".join(map(_word, row.tags)), Style(color=colors.accent)),
            ]
        strips = [Strip(parts).crop(0, width)] if parts else []
        if row.note:
            lines = wrap(sanitize(row.note), max(10, width - 5))
            for number, line in enumerate(lines):
                label = Segment("note " if number == 0 else "     ", dim)
                strips.append(Strip([label, Segment(line, Style(color=colors.foreground))]))
        if row.edited and not any(block.by for block in self.blocks):
            who = f"edited by {_word(row.edited_by)}, {ago(time.time() - row.edited_at)}"
            strips.append(Strip([Segment(who, dim)]))
        return strips

    def on_resize(self) -> None:
        self._set_page()

    # -- choosing a block --------------------------------------------------------------------------

    def action_choose(self, step: int) -> None:
        """The next block; inside one taller than the view, the next part of it."""
        if not self.blocks:
            return
        place, height = self._page.places[self.chosen], self.page_height
        top, bottom = self.top, self.top + height
        if step > 0 and place.top + place.height > bottom:
            self.scroll_to(
                y=min(top + height // 2, place.top + place.height - height), animate=False, force=True
            )
        elif step < 0 and place.top - 1 < top:
            self.scroll_to(y=max(top - height // 2, place.top - 1), animate=False, force=True)
        else:
            self.choose(self.chosen + step)

    def choose(self, number: int) -> None:
        """Makes block `number` the chosen one and brings its beginning into sight."""
        number = max(0, min(number, len(self.blocks) - 1))
        if number == self.chosen or not self.blocks:
            return
        self.chosen = number
        self._bring_into_sight()
        self._redraw_changed()

    def _bring_into_sight(self) -> None:
        place, height = self._page.places[self.chosen], self.page_height
        first, last = max(0, place.top - 1), place.top + place.height
        top = self.top
        if first < top or (last > top + height and last - first > height):
            self.scroll_to(y=first, animate=False, force=True)
        elif last > top + height:
            self.scroll_to(y=last - height, animate=False, force=True)

    def on_click(self, event: events.Click) -> None:
        offset = event.get_content_offset(self)
        if offset is None:
            return
        x, y = offset.x - _GUTTER, offset.y + self.top
        for number, place in enumerate(self._page.places):
            inside = place.left <= x < place.left + place.width
            if inside and place.top - 1 <= y < place.top + place.height:
                self.choose(number)
                node = self.blocks[number].node
                if node is not None and (node.kind == "more" or node.holds):
                    if event.chain == 2 or x <= place.left + INDENT * node.depth + INDENT:
                        self._fold(node, not node.open)
                elif event.chain == 2:
                    self.post_message(self.EditAsked())
                return

    # -- a row of unknown shape is a tree ----------------------------------------------------------

    def action_fold(self, unfold: bool) -> None:
        """Unfolds the chosen node, or folds it; what is folded already leads to what holds it."""
        block = self.block()
        if block is None or block.node is None:
            return
        node = block.node
        if node.kind == "more" or (node.open is not None and node.open != unfold):
            self._fold(node, unfold)
        elif unfold and node.holds and node.open:
            self.choose(self.chosen + 1)
        elif not unfold and node.depth:
            holder = node.pointer.rpartition("/")[0]
            self.choose(next(at for at, other in enumerate(self.blocks) if other.pointer == holder))

    async def action_enter(self) -> None:
        """Unfolds or folds what has something in it; anything else is to be edited."""
        block = self.block()
        node = block.node if block is not None else None
        if node is not None and (node.kind == "more" or node.holds):
            self._fold(node, not node.open)
        else:
            await self.run_action("screen.edit")  # at once: what is typed next belongs into the editor

    def _fold(self, node: Node, unfold: bool) -> None:
        assert self.row is not None
        self._folds.turn(node, unfold)
        self.blocks = read_row(self.row, self._ops, self._folds)
        self.chosen = min(self.chosen, len(self.blocks) - 1)
        self._set_page()
        self._bring_into_sight()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Folding is for trees; enter edits, where the pane has no other use for it."""
        if action in ("fold", "enter"):
            block = self.block()
            return (
                self.screen.focused is self
                and block is not None
                and (action == "enter" or block.node is not None)
            )
        return True

    # -- room for the editor -----------------------------------------------------------------------

    def open_gap(self, wanted: int) -> Region:
        """Makes room for an editor of `wanted` lines in the place of the chosen block's text.

        The region, in cells from this widget's content corner; lower than wanted where the view is.
        """
        height = max(2, min(wanted, self.page_height - 2))
        if self._gap != (self.chosen, height):
            self._gap = (self.chosen, height)
            self._set_page()
        place = self._page.places[self.chosen]
        top = max(0, place.top - 1)
        if top < self.scroll_y or place.top + height > self.scroll_y + self.page_height:
            self.scroll_to(y=top, animate=False, force=True, immediate=True)
        return Region(place.left + _GUTTER, place.top - self.top, place.width, height)

    def add_block(self, block: Block, at: int) -> None:
        """Puts `block` at `at` and chooses it, until the row is shown again."""
        self.blocks.insert(at, block)
        self.chosen = at
        self._set_page()

    def close_gap(self) -> None:
        self._gap = (-1, 0)
        self._set_page()

    # -- drawing -----------------------------------------------------------------------------------

    def render_line(self, y: int) -> Strip:
        strip = self._drawn[y] = self._line(y)
        return strip

    def _line(self, y: int) -> Strip:
        colors = palette(self.app)
        width = self.scrollable_content_region.width
        background = Style(bgcolor=colors.background)
        number = y + self.scroll_offset.y
        if number >= len(self._page.lines):
            return Strip.blank(width, background)
        line: Line = self._page.lines[number]
        strip = Strip([Segment(" ", background), *line.strip]).apply_style(Style())
        place = self._page.places[self.chosen] if self.chosen < len(self._page.places) else None
        if place is not None and place.top - 1 <= number < place.top + place.height:
            named = number >= place.top or line.heading
            if named:
                bar = Segment(
                    "▎", Style(color=colors.accent if self.has_focus or self._gap[1] else colors.border)
                )
                strip = strip.adjust_cell_length(max(strip.cell_length, place.left + 1))
                strip = Strip.join([strip.crop(0, place.left), Strip([bar]), strip.crop(place.left + 1)])
        return Strip(_over(strip, background)).crop_extend(0, width, background)


def _over(strip: Strip, background: Style) -> list[Segment]:
    """The strip's segments on `background`, unless they have a background of their own."""
    return [Segment(text, background + style if style else background) for text, style, _ in strip]


def _first_choice(blocks: list[Block]) -> int:
    """What `e` edits unless told otherwise: the last answer, else the first block."""
    answers = [
        number for number, block in enumerate(blocks) if block.role == "assistant" and block.kind == "text"
    ]
    if answers and not blocks[answers[-1]].column:
        return answers[-1]
    return answers[0] if answers else 0


def _word(text: str) -> str:
    return sanitize(text, lines=False)[:40]

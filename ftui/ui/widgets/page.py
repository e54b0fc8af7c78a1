"""Sets blocks of text into lines of a given width: headings, columns, what was cut off.

Pure: blocks and a palette in, lines out. Everything from the dataset is sanitized here.
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rich.segment import Segment
from rich.style import Style
from textual.strip import Strip

from ftui.core.duration import ago
from ftui.core.text import sanitize
from ftui.ui.widgets.tree_lines import node_lines
from ftui.ui.widgets.wrapping import LONGEST_TEXT, highlight, wrap

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ftui.ui.reading import Block
    from ftui.ui.themes import Palette

MOST_LINES = 5_000  # lines shown of one row
_NARROWEST_COLUMN = 26
_GAP = 3
_ROLE_COLORS = {
    "system": "special",
    "developer": "special",
    "user": "warning",
    "assistant": "good",
    "tool": "accent",
    "thinking": "dim",
    "field": "special",
    "broken": "bad",
}


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the page. block: which block it belongs to, -1 for none; heading: whether it names it."""

    strip: Strip
    block: int
    heading: bool = False


@dataclass(frozen=True, slots=True)
class Place:
    """Where a block's text is on the page: first line, number of lines, first column, width."""

    top: int
    height: int
    left: int
    width: int


@dataclass(frozen=True, slots=True)
class Page:
    lines: tuple[Line, ...]
    places: tuple[Place, ...]


class Typesetter:
    """Lays out one row's blocks for one width and palette.

    gap: the block being edited and how many lines its editor wants; they take the place of its text.
    find: text to make stand out.
    """

    def __init__(
        self, width: int, colors: Palette, *, now: float, gap: tuple[int, int] = (-1, 0), find: str = ""
    ) -> None:
        self._width = width
        self._colors = colors
        self._now = now
        self._gap = gap
        self._find = find
        self._found = Style(color=colors.background, bgcolor=colors.warning)

    def page(self, blocks: Sequence[Block], footer: Sequence[Strip] = ()) -> Page:
        lines: list[Line] = []
        places: list[Place] = [Place(0, 0, 0, self._width)] * len(blocks)
        number = 0
        while number < len(blocks) and len(lines) < MOST_LINES:
            if lines and not (blocks[number].heading == "" and not blocks[number].column):
                lines.append(Line(Strip.blank(self._width), -1))
            if blocks[number].column:
                number = self._columns(blocks, number, lines, places)
            else:
                self._block(blocks[number], number, lines, places, 0, self._width)
                number += 1
        if number < len(blocks):
            lines.append(self._dim_line(f"… {len(blocks) - number:,} more; E opens the row whole"))
        if footer:
            lines.append(Line(Strip.blank(self._width), -1))
            lines.extend(Line(strip, -1) for strip in footer)
        return Page(tuple(lines), tuple(places))

    def _columns(self, blocks: Sequence[Block], first: int, lines: list[Line], places: list[Place]) -> int:
        """Chosen and rejected beside each other, or below where there is no room; the number of the next block."""
        end = first
        while end < len(blocks) and blocks[end].column:
            end += 1
        half = (self._width - _GAP) // 2
        if half < _NARROWEST_COLUMN:
            for number in range(first, end):
                if number > first:
                    lines.append(Line(Strip.blank(self._width), -1))
                self._block(blocks[number], number, lines, places, 0, self._width)
            return end
        top = len(lines)
        sides: list[list[Line]] = []
        for side, left in (("chosen", 0), ("rejected", half + _GAP)):
            column: list[Line] = []
            for number in range(first, end):
                if blocks[number].column == side:
                    if column:
                        column.append(Line(Strip.blank(half), -1))
                    self._block(blocks[number], number, column, places, left, half, top)
            sides.append(column)
        rule = Segment(" │ ", Style(color=self._colors.border))
        for row in range(max(map(len, sides))):
            left_line, right_line = (
                side[row] if row < len(side) else Line(Strip.blank(half), -1) for side in sides
            )
            strip = Strip([*left_line.strip.adjust_cell_length(half), rule, *right_line.strip])
            block = left_line.block if left_line.block >= 0 else right_line.block
            lines.append(Line(strip, block, left_line.heading or right_line.heading))
        return end

    def _block(
        self,
        block: Block,
        number: int,
        lines: list[Line],
        places: list[Place],
        left: int,
        width: int,
        offset: int = 0,
    ) -> None:
        if block.heading or block.note:
            lines.append(Line(self._heading(block, width), number, heading=True))
        top = offset + len(lines)
        if self._gap[0] == number:
            body = [Strip.blank(width)] * self._gap[1]
        else:
            body = self._body(block, width)
        lines.extend(Line(strip, number) for strip in body)
        places[number] = Place(top, len(body), left, width)

    def _heading(self, block: Block, width: int) -> Strip:
        colors = self._colors
        color = getattr(colors, _ROLE_COLORS.get(block.role, "foreground"))
        words = sanitize(block.heading, lines=False)[:200]
        parts = [Segment(words, Style(color=color, bold=block.role != "thinking"))] if words else []
        if block.column:
            good = block.column == "chosen"
            mark = Segment(
                "✓ chosen  " if good else "✗ rejected  ", Style(color=colors.good if good else colors.bad)
            )
            parts.insert(0, mark)
        notes = [sanitize(block.note, lines=False)[:200]] if block.note else []
        if block.by and block.node is None:
            notes.append(f"edited by {sanitize(block.by, lines=False)[:40]}, {ago(self._now - block.at)}")
        if notes:
            parts.append(Segment(("  " if parts else "") + " · ".join(notes), Style(color=colors.dim)))
        return Strip(parts).crop(0, width)

    def _body(self, block: Block, width: int) -> list[Strip]:
        colors = self._colors
        if block.node is not None:
            by = f"edited by {sanitize(block.by, lines=False)[:40]}" if block.by else ""
            return node_lines(block.node, width, colors, self._find, by)
        if not block.text:
            return [Strip([Segment("(empty)", Style(color=colors.bad, italic=True))])]
        if block.kind == "label":
            good = block.text == "desirable"
            return [Strip([Segment(block.text, Style(color=colors.good if good else colors.bad))])]
        style = Style(
            color=colors.dim if block.role == "thinking" or block.kind == "tools" else colors.foreground
        )
        changed = Style(color=colors.good, bgcolor=colors.panel)
        shown = sanitize(block.text[:LONGEST_TEXT])
        new = _changed_lines(block, shown)
        strips = []
        for index, line in enumerate(shown.split("\n")):
            kind = changed if index in new else style
            for piece in wrap(line, width):
                strips.append(self._text_strip(block, piece, kind))
            if len(strips) >= MOST_LINES:
                break
        if len(block.text) > LONGEST_TEXT:
            more = f"… {len(block.text) - LONGEST_TEXT:,} more characters; E opens it whole"
            strips.append(Strip([Segment(more, Style(color=colors.dim))]))
        return strips

    def _text_strip(self, block: Block, piece: str, style: Style) -> Strip:
        """A line of text; of a tool, its name stands out from its description."""
        if block.kind == "tools" and "(" in piece:
            name, bracket, rest = piece.partition("(")
            return Strip(
                [Segment(name, Style(color=self._colors.foreground)), Segment(bracket + rest, style)]
            )
        if block.kind == "calls" and not piece.startswith((" ", "}", "{", "[", "]")) and " " in piece:
            name, space, rest = piece.partition(" ")
            return Strip([Segment(name, Style(color=self._colors.accent)), Segment(space + rest, style)])
        return Strip(highlight(piece, self._find, style, self._found))

    def _dim_line(self, text: str) -> Line:
        return Line(Strip([Segment(text, Style(color=self._colors.dim))]), -1)


def _changed_lines(block: Block, shown: str) -> set[int]:
    """The numbers of the lines of `shown` that an edit brought."""
    if block.before is None or len(block.before) > LONGEST_TEXT or len(block.text) > LONGEST_TEXT:
        return set()
    old, new = sanitize(block.before).split("\n"), shown.split("\n")
    if len(old) * len(new) > 250_000:
        return set()
    matcher = difflib.SequenceMatcher(None, old, new, autojunk=False)
    return {
        line
        for tag, _, _, start, end in matcher.get_opcodes()
        if tag in ("replace", "insert")
        for line in range(start, end)
    }

"""A node of a JSON tree as lines: its fold mark, its name, what it is, and what it says."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.cells import cell_len
from rich.segment import Segment
from rich.style import Style
from textual.strip import Strip

from ftui.core.text import one_line, sanitize
from ftui.ui.json_tree import INDENT
from ftui.ui.widgets.wrapping import LONGEST_TEXT, highlight, wrap

if TYPE_CHECKING:
    from ftui.ui.json_tree import Node
    from ftui.ui.themes import Palette

_DEEPEST = 24  # columns of indent at most
_LONGEST_KEY = 32


def node_lines(node: Node, width: int, colors: Palette, find: str = "", edited: str = "") -> list[Strip]:
    """The lines of `node`; edited: who changed it and when, as words."""
    dim, plain = Style(color=colors.dim), Style(color=colors.foreground)
    found = Style(color=colors.background, bgcolor=colors.warning)
    indent = min(node.depth * INDENT, _DEEPEST, width // 2)
    if node.kind == "more":
        return [
            Strip([Segment(f"{'':{indent + 2}}… {node.size:,} more; enter shows them", dim)]).crop(0, width)
        ]
    mark = "  " if node.open is None else "▾ " if node.open else "▸ "
    key = one_line(node.key, _LONGEST_KEY) or ('""' if node.depth else "")
    parts = [Segment(" " * indent + mark, Style(color=colors.accent))]
    if key:
        parts += [Segment(key, Style(color=colors.special)), Segment("  ")]
    parts += [Segment(_kind(node), dim), Segment("  ")]
    after = [Segment(f"  {edited}", dim)] if edited else []
    if node.holds:
        names = "" if node.open else one_line(node.text, width)
        return [Strip([*parts, Segment(names, dim), *after]).crop(0, width)]
    if node.kind != "text":
        return [
            Strip([*parts, Segment(sanitize(node.text, lines=False)[:width], plain), *after]).crop(0, width)
        ]
    room = width - sum(cell_len(part.text) for part in parts)
    if node.open is False:
        pieces = highlight(one_line(node.text, max(1, room)), find, plain, found)
        return [Strip([*parts, *pieces]).crop(0, width)]
    text = sanitize(node.text[:LONGEST_TEXT])
    if "\n" not in text and cell_len(text) <= room:
        return [Strip([*parts, *highlight(text, find, plain, found), *after]).crop(0, width)]
    # What does not fit beside its name stands below it.
    below = " " * (indent + 4)
    lines = wrap(text, max(10, width - len(below)))
    strips = [Strip([*parts, *after]).crop(0, width)]
    strips += [Strip([Segment(below), *highlight(line, find, plain, found)]).crop(0, width) for line in lines]
    if len(node.text) > LONGEST_TEXT:
        more = f"{below}… {len(node.text) - LONGEST_TEXT:,} more characters; E opens it whole"
        strips.append(Strip([Segment(more, dim)]))
    return strips


def _kind(node: Node) -> str:
    if node.holds:
        return f"{node.kind} {node.size:,}"
    return f"text {node.size:,}" if node.open is not None else node.kind

"""Text in lines of a given width, wrapped by cells, and what was looked for in it made to stand out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.cells import get_character_cell_size
from rich.segment import Segment

if TYPE_CHECKING:
    from rich.style import Style

LONGEST_TEXT = 20_000  # characters shown of one block


def wrap(text: str, width: int) -> list[str]:
    """`text` in lines of at most `width` cells, broken at spaces where there are any; own newlines are kept."""
    lines: list[str] = []
    for line in text.split("\n"):
        if len(line) <= width and line.isascii():
            lines.append(line)
        else:
            lines.extend(_wrap_line(line, max(1, width)))
    return lines


def _wrap_line(line: str, width: int) -> list[str]:
    plain = line.isascii()
    lines = []
    start = 0
    while start < len(line):
        end = start + width if plain else _fitting(line, start, width)
        if end < len(line):
            space = line.rfind(" ", start, end + 1)
            if space > start and line[start:space].strip():
                lines.append(line[start:space])
                start = space + 1
                continue
        lines.append(line[start:end])
        start = end
    return lines or [""]


def _fitting(line: str, start: int, width: int) -> int:
    """The end of what fits into `width` cells from `start` on; at least one character."""
    used, end = 0, start
    while end < len(line):
        used += get_character_cell_size(line[end])
        if used > width:
            break
        end += 1
    return max(end, start + 1)


def highlight(text: str, find: str, style: Style, found: Style) -> list[Segment]:
    """`text` in `style`, every `find` in it in `found`; capitals count only where `find` has some."""
    if not find:
        return [Segment(text, style)]
    haystack = text.lower() if find == find.lower() else text
    if len(haystack) != len(text):  # a letter whose lower case is longer: positions would be off
        return [Segment(text, style)]
    segments, at = [], 0
    while (hit := haystack.find(find, at)) >= 0:
        segments += [Segment(text[at:hit], style), Segment(text[hit : hit + len(find)], found)]
        at = hit + len(find)
    return [segment for segment in [*segments, Segment(text[at:], style)] if segment.text]

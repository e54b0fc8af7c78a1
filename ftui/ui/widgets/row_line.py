"""A row's line in the list: what was decided, its number, its shape and length, and how it begins."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from rich.segment import Segment
from rich.style import Style

from ftui.ui.reading import short_shape
from ftui.ui.widgets.wrapping import highlight

if TYPE_CHECKING:
    from ftui.data.rows import RowSummary
    from ftui.ui.themes import Palette

_SHAPE_WIDTH = 7
_ROOM_FOR_SHAPES = 44  # columns from which on the shape is shown

# What was decided, with its palette colour.
_STATUS = {"accepted": ("✓", "good"), "rejected": ("✗", "bad"), "undecided": ("·", "border")}


class Marks(NamedTuple):
    """What the list knows of a row that the row does not.

    here: the cursor is on it. pending: its decision is on its way to the disk. found: the text that was looked
    for and found in it, None where it is no hit.
    """

    here: bool
    pending: bool
    found: str | None


def waiting_line(number: int, digits: int, colors: Palette) -> list[Segment]:
    """A row that is being read."""
    return [Segment(f"    {number:>{digits}}  …", Style(color=colors.dim))]


def row_line(row: RowSummary, marks: Marks, width: int, digits: int, colors: Palette) -> list[Segment]:
    """A row as its line. digits: of the longest row number."""
    dim, hit = Style(color=colors.dim), marks.found is not None
    number = Style(color=colors.accent if hit else colors.foreground if marks.here else colors.dim)
    quiet = row.deleted or row.status == "rejected"
    parts = [
        Segment(" "),
        _status(row, marks.pending, colors),
        _extra(row, colors),
        Segment(f" {row.number:>{digits}} ", number),
    ]
    if row.broken:
        parts.append(Segment(" broken  ", Style(color=colors.bad)))
        parts.append(Segment(row.broken, Style(color=colors.foreground)))
        return parts
    turns = f"{row.turns}" if row.turns else ""
    if width >= _ROOM_FOR_SHAPES:
        shape = f" {short_shape(row.shape):<{_SHAPE_WIDTH - 2}}{turns:>2}"
        parts.append(Segment(shape, Style(color=colors.special, dim=False)))
    parts.append(Segment(f" {length(row.chars):>5}  ", dim))
    text = Style(color=colors.dim if quiet else colors.foreground, strike=row.deleted)
    found_style = Style(color=colors.background, bgcolor=colors.warning)
    parts.extend(highlight(row.preview, marks.found or "", text, found_style))
    return parts


def _status(row: RowSummary, pending: bool, colors: Palette) -> Segment:
    if pending:
        return Segment("◌", Style(color=colors.dim))
    if row.deleted:
        return Segment("-", Style(color=colors.dim))
    if row.broken:
        return Segment("!", Style(color=colors.bad, bold=True))
    glyph, color = _STATUS.get(row.status, ("·", "border"))
    return Segment(glyph, Style(color=getattr(colors, color)))


def _extra(row: RowSummary, colors: Palette) -> Segment:
    """What else there is to know: the gravest of it."""
    if row.conflict:
        return Segment("≠", Style(color=colors.bad, bold=True))
    if row.flagged:
        return Segment("▪", Style(color=colors.warning))
    if row.edited:
        return Segment("◐", Style(color=colors.accent))
    return Segment(" ")


def length(characters: int) -> str:
    """A number of characters in at most five: 118, 9,999, 12k, 3.4M."""
    if characters < 10_000:
        return f"{characters}"
    if characters < 1_000_000:
        return f"{characters // 1000}k"
    return f"{characters / 1e6:.1f}M"

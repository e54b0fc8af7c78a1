"""Titles in a panel's border that change without sending the panel's content again."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from textual.content import Content
from textual.geometry import Region

if TYPE_CHECKING:
    from textual.widget import Widget


# One text, or several from the longest to the shortest, of which the first that fits is shown.
Caption = Content | str | Sequence[Content | str]
_EDGES = 6  # cells of a border that are no caption


def shortened(parts: Sequence[tuple[Content | str, int]], gap: str) -> list[Content]:
    """(text, rank) joined, then with less and less of it: the highest rank goes first, 0 never goes."""
    ranks = sorted({rank for _, rank in parts if rank}, reverse=True)
    return [
        Content(gap).join(
            [Content(text) if isinstance(text, str) else text for text, rank in parts if rank < below]
        )
        for below in (ranks[0] + 1 if ranks else 1, *ranks)
    ]


def fitting(widget: Widget, caption: Caption) -> Content | str:
    """What of `caption` there is room for in the widget's border."""
    if isinstance(caption, str | Content):
        return caption
    room = widget.outer_size.width - _EDGES
    for text in caption:
        if (Content(text) if isinstance(text, str) else text).cell_length <= room:
            return text
    return caption[-1] if caption else ""


def set_title(widget: Widget, title: Content | str) -> None:
    """The text in the top border. A str is taken literally, never as markup; sanitize it first."""
    _set(widget, "_border_title", title, top=True)


def set_subtitle(widget: Widget, subtitle: Content | str) -> None:
    """The text in the bottom border; the same rules."""
    _set(widget, "_border_subtitle", subtitle, top=False)


def _set(widget: Widget, name: str, text: Content | str, *, top: bool) -> None:
    # The public attributes refresh the whole widget on assignment: 16 KB a tick for a pane of charts.
    content = (text if isinstance(text, Content) else Content(text)) if text else None
    before: Content | None = getattr(widget, name)
    if before is content or (before is not None and content is not None and before.is_same(content)):
        return
    setattr(widget, name, content)
    if not widget.is_mounted:
        return
    gutter, size = widget.gutter, widget.outer_size
    y = -gutter.top if top else size.height - gutter.top - 1
    widget.refresh(Region(-gutter.left, y, size.width, 1))

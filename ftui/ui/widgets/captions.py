"""Titles in a panel's border that change without sending the panel's content again."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual.content import Content
from textual.geometry import Region

if TYPE_CHECKING:
    from textual.widget import Widget


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

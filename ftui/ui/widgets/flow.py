"""Text that grows at its end: a log, a conversation. Follows the end unless the reader scrolled up.

It keeps wrapped lines for itself, so that one more token costs one line, on the terminal's link too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.cells import cell_len
from textual.geometry import Region, Size
from textual.scroll_view import ScrollView
from textual.strip import Strip

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.text import Text
    from textual.events import Resize


class Flow(ScrollView, can_focus=True):
    """Shows paragraphs (sanitized, styled, one or more lines each), wrapped to its width.

    follow: begin at the end and stay there while text arrives; False begins at the top.
    """

    DEFAULT_CSS = """
    Flow {
        height: 1fr;
        width: 1fr;
        overflow-x: hidden;
        scrollbar-size-vertical: 1;
        scrollbar-gutter: stable;
    }
    """

    def __init__(
        self, *, id: str | None = None, classes: str = "panel", follow: bool = True, wrap: bool = True
    ) -> None:
        super().__init__(id=id, classes=classes)
        self._follow = follow
        self._wrap = wrap
        self._paragraphs: list[Text] = []
        self._pieces: list[list[Strip]] = []
        self._lines: list[Strip] = []
        self._width = 0
        self._at_end = True

    def show(self, paragraphs: Sequence[Text]) -> None:
        """Replaces the text; only the paragraphs and lines that changed cost anything."""
        width = self._room()
        same = 0
        if width == self._width:
            for old, new in zip(self._paragraphs, paragraphs, strict=False):
                if old != new or old.style != new.style:
                    break
                same += 1
            if same == len(paragraphs) == len(self._paragraphs):
                return
        kept = self._pieces[:same]
        self._paragraphs, self._width = list(paragraphs), width
        self._pieces = kept + [self._wrapped(text) for text in self._paragraphs[same:]]
        before, self._lines = self._lines, [line for piece in self._pieces for line in piece]
        self._send(before)

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        super().watch_scroll_y(old_value, new_value)
        self._at_end = round(new_value) >= self.max_scroll_y

    def to_end(self) -> None:
        """Shows the last line, and goes on doing so."""
        self._at_end = True
        self.scroll_to(y=self.max_scroll_y, animate=False, immediate=True, force=True)

    def show_paragraph(self, number: int, row: int = 0) -> None:
        """Scrolls so that a paragraph begins on the `row`th line in sight, as far as that goes."""
        line = sum(len(piece) for piece in self._pieces[:number])
        self.scroll_to(y=max(0, line - row), animate=False, immediate=True, force=True)

    def bring_into_view(self, first: int, stop: int) -> None:
        """Scrolls no more than needed to show the paragraphs `first` to `stop`, the latter left out."""
        top = sum(len(piece) for piece in self._pieces[:first])
        bottom = top + sum(len(piece) for piece in self._pieces[first:stop])
        now, height = self.scroll_offset.y, self.scrollable_content_region.height
        wanted = min(top, max(now, bottom - height))
        if wanted != now:
            self.scroll_to(y=wanted, animate=False, immediate=True, force=True)

    def paragraph_at(self, line: int) -> int:
        """The number of the paragraph that is shown on a line of the widget; beyond the last one their count."""
        left = line + self.scroll_offset.y
        for number, piece in enumerate(self._pieces):
            if left < len(piece):
                return number
            left -= len(piece)
        return len(self._pieces)

    @property
    def plain(self) -> str:
        """All of the text as shown, for copying."""
        return "\n".join(text.plain for text in self._paragraphs)

    def render_line(self, y: int) -> Strip:
        row = y + self.scroll_offset.y
        width = self.size.width
        if 0 <= row < len(self._lines):
            return self._lines[row].apply_style(self.rich_style).adjust_cell_length(width, self.rich_style)
        return Strip.blank(width, self.rich_style)

    def on_resize(self, _event: Resize) -> None:
        if self._room() != self._width:
            paragraphs, self._paragraphs = self._paragraphs, []
            self.show(paragraphs)
        if self._follow and self._at_end:
            self.call_after_refresh(self.to_end)

    def on_mount(self) -> None:
        self.app.theme_changed_signal.subscribe(self, lambda _theme: self.redraw())

    def redraw(self) -> None:
        """Shows the text again in the colours of now; for those who know where it comes from."""

    def _room(self) -> int:
        return self.scrollable_content_region.width

    def _send(self, before: list[Strip]) -> None:
        size = Size(self._width, len(self._lines))
        if size != self.virtual_size:
            self.virtual_size = size
            self.call_after_refresh(self._settle)
        top = self.scroll_offset.y
        if (self._follow and self._at_end) or top > self.max_scroll_y:
            self.scroll_to(y=self.max_scroll_y, animate=False, immediate=True, force=True)
        if self.scroll_offset.y != top:
            return  # scrolling sent the whole view already
        height = self.size.height
        old, new = before[top : top + height], self._lines[top : top + height]
        for y in range(max(len(old), len(new))):
            if y >= len(old) or y >= len(new) or old[y] != new[y]:
                self.refresh(Region(0, y, self.size.width, 1))

    def _settle(self) -> None:
        """Once laid out: a scrollbar that has just appeared knows nothing of scrolling done before."""
        if self._follow and self._at_end:
            self.to_end()
        if self.show_vertical_scrollbar:
            self.vertical_scrollbar.position = self.scroll_y

    def _wrapped(self, text: Text) -> list[Strip]:
        if self._width <= 0:
            return []
        console = self.app.console
        if self._wrap:
            lines = list(text.wrap(console, self._width, overflow="fold")) if text.plain else [text]
        else:
            lines = list(text.split("\n", allow_blank=True))
            for line in lines:
                line.truncate(self._width, overflow="ellipsis")
        strips, whole = [], console.get_style(text.style)
        for line in lines:
            line.rstrip()
            # Text.render leaves out the style of a text as a whole.
            strips.append(Strip(line.render(console), cell_len(line.plain)).apply_style(whole))
        return strips

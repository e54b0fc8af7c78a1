"""A scrollable view whose length changes without being sent to the terminal again.

Assigning `virtual_size` lays the screen out anew and repaints the whole view: 20 KB for a list whose visible
rows are the same as before. Here only the scrollbar is drawn again; the view says itself which lines changed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual.geometry import Region, Size
from textual.scroll_view import ScrollView

if TYPE_CHECKING:
    from collections.abc import Iterable


class QuietScrollView(ScrollView):
    """Scrolls down only; the scrollbar's column is always its own, so that nothing moves when it appears."""

    DEFAULT_CSS = "QuietScrollView { overflow-x: hidden; overflow-y: scroll; scrollbar-size-vertical: 1; }"

    @property
    def top(self) -> int:
        """The first line in sight, from 0."""
        return round(self.scroll_y)

    @property
    def page_height(self) -> int:
        """How many lines are in sight; 0 before the first layout."""
        return self.scrollable_content_region.height

    def set_length(self, lines: int) -> None:
        """How many lines there are to scroll through."""
        size = Size(self.size.width, lines)
        if size != self.virtual_size:
            self.set_reactive(QuietScrollView.virtual_size, size)
            if self.is_mounted:
                self._scroll_update(size)

    def redraw_lines(self, numbers: Iterable[int]) -> None:
        """Draws lines again, counted from the first line in sight; neighbours in one go."""
        start = end = -2
        regions = []
        for number in sorted(numbers):
            if number == end:
                end += 1
                continue
            if start >= 0:
                regions.append(Region(0, start, self.size.width, end - start))
            start, end = number, number + 1
        if start >= 0:
            regions.append(Region(0, start, self.size.width, end - start))
        if regions:
            self.refresh(*regions)

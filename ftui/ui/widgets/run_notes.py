"""Under the charts: sample replies, the log, or notices; one at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Literal, get_args

from rich.style import Style
from rich.text import Text
from textual.actions import SkipAction
from textual.binding import Binding
from textual.content import Content
from textual.message import Message

from ftui.core.text import one_line
from ftui.ui.run_troubles import Trouble, loudest, troubles
from ftui.ui.sample_timeline import Choice, next_prompt, stepped, timelines
from ftui.ui.themes import palette
from ftui.ui.widgets import samples_text, troubles_text
from ftui.ui.widgets.captions import set_subtitle, set_title
from ftui.ui.widgets.flow import Flow
from ftui.ui.widgets.log_text import log_text

if TYPE_CHECKING:
    from textual.events import Click, Resize

    from ftui.ui.run_reader import RunView
    from ftui.ui.themes import Palette
    from ftui.ui.widgets.log_text import LogWindow

Tab = Literal["samples", "log", "notices"]
_LOW = 6  # lines that are too few to read much
_TITLE = 3  # the column at which the title begins in the border


class RunNotes(Flow):
    """What a run says in words. Its title names all three tabs, with how many there are.

    The log follows its end until `show_window` shows another piece of it; `leave_window` goes back.
    """

    BINDINGS: ClassVar[list[Any]] = [
        Binding("escape", "leave_window", "the end of the log", show=False, id="train.log_end"),
    ]

    class WantsLog(Message):
        """Scrolled past what is known of the log. place: a byte near there; by: -1 for earlier lines, 1 later."""

        def __init__(self, place: int | None, by: int) -> None:
            super().__init__()
            self.place, self.by = place, by

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._view: RunView | None = None
        self._tab: Tab = "samples"
        self._by_hand = False
        self._samples = Choice()
        self._troubles: list[Trouble] = []
        self._trouble = 0
        self._window: LogWindow | None = None
        self._caption = ""

    # -- what is shown ----------------------------------------------------------

    @property
    def tab(self) -> Tab:
        return self._tab

    @tab.setter
    def tab(self, tab: Tab) -> None:
        """Chosen by the user: it stays. Chosen again, it goes to the next of what it shows."""
        again = self._by_hand and tab == self._tab
        self._by_hand = True
        if again:
            self._next()
        else:
            self._switch(tab)

    @property
    def trouble(self) -> Trouble | None:
        """What `x` would do something about."""
        return self._troubles[self._trouble] if self._trouble < len(self._troubles) else None

    @property
    def window(self) -> LogWindow | None:
        return self._window

    def show_view(self, view: RunView, *, other_run: bool = False) -> None:
        self._view = view
        self._keep_trouble(troubles(view), other_run)
        if other_run:
            self._by_hand, self._samples = False, Choice()
            self._window, self._caption = None, ""
        if not self._by_hand:
            wanted = _of_interest(view, self._troubles)
            if wanted != self._tab:
                self._switch(wanted)
                return
        self.redraw()

    def show_window(self, window: LogWindow, row: int | None = None) -> None:
        """Shows a piece of the log. row: where in sight the hit goes; None is the middle."""
        self._window = window
        self.redraw()
        row = self.size.height // 2 if row is None else row
        self.show_paragraph(window.piece.index(window.hit), row)

    def leave_window(self) -> None:
        """Back to the end of the log, which grows."""
        self._window, self._caption = None, ""
        self.redraw()
        self.to_end()

    def caption(self, text: str) -> None:
        """Says `text` in the border below the log."""
        self._caption = text
        self._subtitle()

    def redraw(self) -> None:
        colors = palette(self.app)
        self._follow = self._tab == "log" and self._window is None
        set_title(self, self._heading())
        self._subtitle()
        if self._view is None:
            self.show([])
        elif self._tab == "samples":
            self.show(self._samples_text(self._view, colors))
        elif self._tab == "log":
            self.show(log_text(self._view.log, self._window, colors, stepped=bool(self._view.series)))
        else:
            self.show(self._notices_text(self._view, colors))

    def on_resize(self, event: Resize) -> None:
        if self._tab != "log":
            self.redraw()  # columns and indents are for the room there is
        super().on_resize(event)

    def _switch(self, tab: Tab) -> None:
        self._tab = tab
        self.redraw()
        if tab == "log" and self._window is None:
            self.to_end()
        else:
            self.scroll_to(y=0, animate=False, immediate=True, force=True)

    def _next(self) -> None:
        if self._tab == "samples" and self._view:
            self._samples = next_prompt(timelines(self._view.samples), self._samples)
            self.redraw()
        elif self._tab == "notices" and self._troubles:
            self._choose_trouble((self._trouble + 1) % len(self._troubles))
        elif self._tab == "log":
            self.leave_window()

    # -- keys, while it has the focus -------------------------------------------

    def step_sample(self, by: int) -> None:
        """Shows the replies of an earlier or a later step."""
        if self._view:
            self._samples = stepped(timelines(self._view.samples), self._samples, by)
            self.redraw()

    def action_leave_window(self) -> None:
        if self._window is None:
            raise SkipAction
        self.leave_window()

    def action_scroll_left(self) -> None:
        self._sideways(-1)

    def action_scroll_right(self) -> None:
        self._sideways(1)

    def action_scroll_up(self) -> None:
        if not self._move_trouble(-1) and not self._wants_log(-1):
            super().action_scroll_up()

    def action_scroll_down(self) -> None:
        if not self._move_trouble(1) and not self._wants_log(1):
            super().action_scroll_down()

    def action_page_up(self) -> None:
        if not self._wants_log(-1):
            super().action_page_up()

    def action_page_down(self) -> None:
        if not self._wants_log(1):
            super().action_page_down()

    def action_scroll_end(self) -> None:
        if self._window is not None:
            self.leave_window()
        super().action_scroll_end()

    def on_click(self, event: Click) -> None:
        """On a tab's name it is chosen; on a trouble, that one."""
        offset = event.get_content_offset(self)
        if offset is None:
            heading, column = self._heading().plain, event.x - _TITLE
            if event.y == 0 and 0 <= column < len(heading):
                self.tab = max(
                    get_args(Tab), key=lambda tab: (heading.index(tab) <= column, heading.index(tab))
                )
        elif self._tab == "notices" and self._troubles:
            _, begins = self._troubles_text(palette(self.app))
            paragraph = self.paragraph_at(offset.y)
            self._choose_trouble(max(n for n, first in enumerate(begins) if first <= paragraph))

    def _sideways(self, by: int) -> None:
        if self._tab != "samples":
            raise SkipAction
        self.step_sample(by)

    def _move_trouble(self, by: int) -> bool:
        if self._tab != "notices" or not 0 <= self._trouble + by < len(self._troubles):
            return False
        self._choose_trouble(self._trouble + by)
        return True

    def _wants_log(self, by: int) -> bool:
        """True when there is nothing more to scroll that way in what is known of the log."""
        window, top = self._window, self.scroll_offset.y
        if self._tab != "log" or (top > 0 if by < 0 else top < self.max_scroll_y or window is None):
            return False
        if window is not None and window.piece.starts:
            if by > 0 and window.piece.at_end:
                self.leave_window()
                return True
            place = window.piece.starts[0 if by < 0 else -1]
            if by < 0 and place == 0:
                return False
            self.post_message(self.WantsLog(place, by))
        else:
            self.post_message(self.WantsLog(None, by))
        return True

    # -- notices ----------------------------------------------------------------

    def _keep_trouble(self, found: list[Trouble], other_run: bool) -> None:
        """What the user chose stays chosen, whatever else comes and goes; else it is the gravest."""
        before = self.trouble if self._by_hand and not other_run else None
        self._troubles = found
        same = [
            n for n, one in enumerate(found) if before and (one.deed, one.hint) == (before.deed, before.hint)
        ]
        if same:
            self._trouble = min(same, key=lambda n: abs(n - self._trouble))
        else:
            self._trouble = next((n for n, one in enumerate(found) if one.deed), 0)

    def _choose_trouble(self, number: int) -> None:
        self._trouble = number
        self.redraw()
        _, begins = self._troubles_text(palette(self.app))
        self.bring_into_view(begins[number], begins[number + 1] if number + 1 < len(begins) else 1_000_000)

    def _troubles_text(self, colors: Palette) -> tuple[list[Text], list[int]]:
        room, console = self._room(), self.app.console
        return troubles_text.troubles_text(self._troubles, self._trouble, room, colors, console)

    def _notices_text(self, view: RunView, colors: Palette) -> list[Text]:
        paragraphs, _ = self._troubles_text(colors)
        if not paragraphs:
            paragraphs.append(troubles_text.nothing_text(colors))
        if view.run.note:
            paragraphs.append(Text(f"note: {one_line(view.run.note, 2000)}", Style(color=colors.special)))
        if view.run.active:
            paragraphs += troubles_text.unchecked_text(view.unchecked, colors)
        return paragraphs

    # -- samples and captions ---------------------------------------------------

    def _samples_text(self, view: RunView, colors: Palette) -> list[Text]:
        lines, height = timelines(view.samples), self.scrollable_content_region.height
        return samples_text.samples_text(lines, self._samples, self._room(), height, colors, self.app.console)

    def _subtitle(self) -> None:
        view = self._view
        words: Content | str = ""
        if self._tab == "log" and (self._caption or self._window):
            words = self._caption or "esc goes to the end"
        elif self._tab == "samples" and view and view.samples:
            words = samples_text.axis(timelines(view.samples), self._samples, self._room())
        if view and view.bad:
            gap = " · " if words else ""
            words = Content.assemble(words, f"{gap}{view.bad} unreadable event lines")
        set_subtitle(self, words)

    def _heading(self) -> Content:
        view = self._view
        counts = {"samples": len(view.samples) if view else 0, "notices": len(self._troubles)}
        worry = loudest([trouble.level for trouble in self._troubles])
        parts: list[Content | str] = []
        for tab in get_args(Tab):
            style = "bold $foreground" if tab == self._tab else "$dim"
            count = f" {counts[tab]}" if counts.get(tab) else ""
            if tab == "notices" and worry and tab != self._tab:
                style = "$bad" if worry == "error" else "$warning"
            parts += [Content.styled(f"{tab}{count}", style), "  "]
        if 0 < self.size.height < _LOW:
            parts += [Content.styled("z", "bold $accent"), Content.styled(" more of it", "$dim"), ""]
        return Content.assemble(*parts[:-1])


def _of_interest(view: RunView, found: list[Trouble]) -> Tab:
    """What to show until the user chooses: what is wrong, else what it learned, else what it says."""
    if not view.series and view.log:
        return "log"  # why it has not begun, or never did, is shown above
    if loudest([trouble.level for trouble in found]):
        return "notices"
    return "samples" if view.samples else "log"

"""What the checks found in the dataset, as a list: rows to jump to, fixes of one key."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from rich.segment import Segment
from rich.style import Style
from textual.message import Message
from textual.strip import Strip

from ftui.ui.bindings import ordered
from ftui.ui.themes import palette
from ftui.ui.widgets.captions import set_subtitle, set_title
from ftui.ui.widgets.checks_text import checks_lines, summary
from ftui.ui.widgets.quiet_scroll import QuietScrollView

if TYPE_CHECKING:
    from textual import events

    from ftui.data.checks.finding import Finding
    from ftui.ui.widgets.checks_text import Checked


class ChecksPanel(QuietScrollView, can_focus=True):
    """A Checked as a list; what a key asks for is posted as a message."""

    BINDINGS: ClassVar[list[Any]] = [
        ordered("up,k", "move(-1)", "finding up", id="data.check_up"),
        ordered("down,j", "move(1)", "finding down", id="data.check_down"),
        ordered("home", "move(-100000)", "first finding", id="data.check_first"),
        ordered("end,G", "move(100000)", "last finding", id="data.check_last"),
        ordered("enter", "jump", "its rows", id="data.check_jump", show=True),
        ordered("x", "fix", "fix them", id="data.check_fix", show=True),
        ordered("right_square_bracket", "group(1)", "next group", id="data.check_group", key_display="]"),
        ordered(
            "left_square_bracket", "group(-1)", "group before", id="data.check_group_before", key_display="["
        ),
        ordered("r", "ask('again')", "check again", id="data.check_again", show=True),
        ordered("v", "ask('against')", "compare with a file", id="data.check_against", show=True),
        ordered("m", "ask('model')", "model for lengths", id="data.check_model", show=True),
        ordered("escape", "ask('leave')", "stop, or close", id="data.check_leave", show=True),
    ]

    class Jump(Message):
        """The rows of a finding are wanted."""

        def __init__(self, finding: Finding) -> None:
            super().__init__()
            self.finding = finding

    class Fix(Jump):
        """A finding's fix is wanted."""

    class Group(Message):
        """The next group of a finding's duplicates is wanted, or the one before."""

        def __init__(self, finding: Finding, step: int) -> None:
            super().__init__()
            self.finding, self.step = finding, step

    class Asked(Message):
        """what: "again", "against", "model" or "leave"."""

        def __init__(self, what: str) -> None:
            super().__init__()
            self.what = what

    def __init__(self, state: Checked, cursor: int = 0) -> None:
        super().__init__(id="checks", classes="panel")
        self.state = state
        self.cursor = cursor
        self._lines: list[tuple[Strip, int]] = []

    def on_mount(self) -> None:
        set_title(self, "checks")
        self.show(self.state)

    def show(self, state: Checked) -> None:
        self.state = state
        self.cursor = max(0, min(self.cursor, self._count - 1))
        set_subtitle(self, summary(state.findings) or ("" if state.share is not None else "nothing found"))
        self._lay_out()
        self.refresh_bindings()

    @property
    def _count(self) -> int:
        return len(self.state.findings) + len(self.state.missing)

    @property
    def finding(self) -> Finding | None:
        """The finding under the cursor."""
        findings = self.state.findings
        return findings[self.cursor] if self.cursor < len(findings) else None

    # -- keys --------------------------------------------------------------------------------------

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        finding = self.finding
        if action == "fix":
            return finding is not None and bool(finding.fix) and self.state.share is None
        if action == "group":
            return finding is not None and bool(finding.groups)
        if action == "ask" and parameters == ("again",):
            return self.state.share is None
        return True

    def action_move(self, step: int) -> None:
        before = self.cursor
        self.cursor = max(0, min(self._count - 1, self.cursor + step))
        if self.cursor != before:
            self._lay_out()
            self.refresh_bindings()
        self._bring_into_sight(step)

    def _bring_into_sight(self, step: int) -> None:
        mine = [number for number, (_, item) in enumerate(self._lines) if item == self.cursor]
        if not mine:
            return
        first = 0 if self.cursor == 0 else mine[0]
        last = len(self._lines) - 1 if self.cursor == self._count - 1 else mine[-1]
        if first < self.top:
            self.scroll_to(y=first, animate=False, force=True)
        elif last >= self.top + self.page_height:
            self.scroll_to(y=last - self.page_height + 1, animate=False, force=True)

    def action_jump(self) -> None:
        if self.finding is not None:
            self.post_message(self.Jump(self.finding))
        elif self.cursor < self._count:
            name = self.state.missing[self.cursor - len(self.state.findings)][0]
            if asked := {"leakage": "against", "too-long": "model"}.get(name):
                self.post_message(self.Asked(asked))

    def action_fix(self) -> None:
        if self.finding is not None:
            self.post_message(self.Fix(self.finding))

    def action_group(self, step: int) -> None:
        if self.finding is not None:
            self.post_message(self.Group(self.finding, step))

    def action_ask(self, what: str) -> None:
        self.post_message(self.Asked(what))

    def on_click(self, event: events.Click) -> None:
        offset = event.get_content_offset(self)
        number = -1 if offset is None else offset.y + self.top
        if 0 <= number < len(self._lines) and (item := self._lines[number][1]) >= 0:
            again = item == self.cursor
            self.cursor = item
            self._lay_out()
            self.refresh_bindings()
            if again:
                self.action_jump()

    # -- drawing -----------------------------------------------------------------------------------

    def on_resize(self) -> None:
        self._lay_out()

    def watch_has_focus(self, has_focus: bool) -> None:
        super().watch_has_focus(has_focus)
        self._lay_out()

    def restyle(self) -> None:
        """Draws everything again in the colours of now."""
        self._lay_out()

    def _lay_out(self) -> None:
        width = self.scrollable_content_region.width
        if width <= 0:
            return
        self._lines = checks_lines(self.state, self.cursor, self.has_focus, width, palette(self.app))
        self.set_length(len(self._lines))
        self.refresh()

    def render_line(self, y: int) -> Strip:
        background = Style(bgcolor=palette(self.app).background)
        width, number = self.scrollable_content_region.width, y + self.scroll_offset.y
        if number >= len(self._lines):
            return Strip.blank(width, background)
        strip = self._lines[number][0]
        grounded = [Segment(text, background + (style or Style())) for text, style, _ in strip]
        return Strip(grounded).crop_extend(0, width, background)

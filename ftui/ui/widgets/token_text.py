"""Tokens as text that a cursor walks through: trained ones underlined, cut off ones struck out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from rich.segment import Segment
from rich.style import Style
from textual.message import Message
from textual.strip import Strip

from ftui.ui.bindings import ordered
from ftui.ui.themes import palette
from ftui.ui.widgets.quiet_scroll import QuietScrollView
from ftui.ui.widgets.token_lines import NEWLINE, SPACE, TokenLines, lay_out

if TYPE_CHECKING:
    from textual import events

    from ftui.runs.encoder import Token
    from ftui.ui.themes import Palette


def token_style(token: Token, colors: Palette) -> Style:
    """Colour and, for whoever sees none, underline and strike: what training makes of a token."""
    if token.truncated:
        return Style(color=colors.bad, strike=True)
    if token.trained:
        return Style(color=colors.special if token.special else colors.good, bold=True, underline=True)
    if token.special:
        return Style(color=colors.special)
    if token.role == "template":
        return Style(color=colors.dim)
    return Style(color=colors.foreground)


class TokenText(QuietScrollView, can_focus=True):
    """The tokens. left and right go from one to the next."""

    DEFAULT_CSS = "TokenText { height: 1fr; }"

    BINDINGS: ClassVar[list[Any]] = [
        ordered("right,l", "step(1)", "next token", id="data.token_next"),
        ordered("left,h", "step(-1)", "token before", id="data.token_before"),
        ordered("down,j", "line(1)", "line down", id="data.token_down"),
        ordered("up,k", "line(-1)", "line up", id="data.token_up"),
        ordered("pagedown,ctrl+f", "line(10)", "further down", id="data.token_pagedown"),
        ordered("pageup,ctrl+b", "line(-10)", "further up", id="data.token_pageup"),
        ordered("home", "go(0)", "first token", id="data.token_first"),
        ordered("end,G", "go(-1)", "last token", id="data.token_last"),
        ordered("t", "ask('train_on')", "what is trained", id="data.token_train_on", show=True),
        ordered("m", "ask('model')", "model, max_length", id="data.token_model", show=True),
        ordered("escape", "ask('leave')", "back to the row", id="data.token_leave", show=True),
    ]

    class Moved(Message):
        """The token cursor is elsewhere."""

    class Asked(Message):
        """what: "train_on", "model" or "leave"."""

        def __init__(self, what: str) -> None:
            super().__init__()
            self.what = what

    def __init__(self) -> None:
        super().__init__(id="token-text")
        self.tokens: list[Token] = []
        self.cursor = 0
        self._sections: list[tuple[str, tuple[Token, ...]]] = []
        self._lines = TokenLines()

    def show(self, sections: list[tuple[str, tuple[Token, ...]]]) -> None:
        self._sections = sections
        self.tokens = [token for _, tokens in sections for token in tokens]
        self.cursor = 0
        self._lay_out()
        self.scroll_to(y=0, animate=False, force=True, immediate=True)

    def _lay_out(self) -> None:
        width = self.scrollable_content_region.width
        if width > 0:
            self._lines = lay_out(self._sections, width)
            self.set_length(len(self._lines.lines))
            self.refresh()

    def on_resize(self) -> None:
        self._lay_out()

    def action_step(self, step: int) -> None:
        self._go(self.cursor + step)

    def action_go(self, end: int) -> None:
        self._go(end if end >= 0 else len(self.tokens) - 1)

    def action_line(self, step: int) -> None:
        if not self._lines.places:
            return
        line, column = self._lines.places[self.cursor]
        sign = 1 if step > 0 else -1
        last = len(self._lines.lines) - 1
        wanted = max(0, min(last, line + step))
        while (found := self._lines.nearest(wanted, column)) < 0 and 0 <= wanted + sign <= last:
            wanted += sign
        if found >= 0:
            self._go(found)

    def action_ask(self, what: str) -> None:
        self.post_message(self.Asked(what))

    def _go(self, number: int) -> None:
        if not self._lines.places:
            return
        number = max(0, min(number, len(self.tokens) - 1))
        if number != self.cursor:
            self.cursor = number
            line = self._lines.places[number][0]
            if not self.top <= line < self.top + self.page_height:
                self.scroll_to(y=max(0, line - self.page_height // 2), animate=False, force=True)
            self.refresh()
            self.post_message(self.Moved())

    def on_click(self, event: events.Click) -> None:
        offset = event.get_content_offset(self)
        if offset is not None and (number := self._lines.nearest(offset.y + self.top, offset.x)) >= 0:
            self._go(number)

    def watch_has_focus(self, has_focus: bool) -> None:
        super().watch_has_focus(has_focus)
        self.refresh()

    def render_line(self, y: int) -> Strip:
        colors = palette(self.app)
        background = Style(bgcolor=colors.background)
        width, number = self.scrollable_content_region.width, y + self.scroll_offset.y
        if number >= len(self._lines.lines):
            return Strip.blank(width, background)
        segments: list[Segment] = []
        for piece in self._lines.lines[number]:
            if piece.token < 0:
                segments.append(Segment(piece.text, background + Style(color=colors.special, bold=True)))
                continue
            style = background + token_style(self.tokens[piece.token], colors)
            if piece.token == self.cursor and self.has_focus:
                style += Style(color=colors.background, bgcolor=colors.accent)
                segments.append(Segment(piece.text, style))
            else:
                segments += _quiet_signs(piece.text, style, colors)
        return Strip(segments).crop_extend(0, width, background)


def _quiet_signs(text: str, style: Style, colors: Palette) -> list[Segment]:
    """`text` with the signs for spaces and ends of lines so faint that words are read past them."""
    faint = style + Style(color=colors.border)
    segments: list[Segment] = []
    for character in text:
        kind = faint if character in (SPACE, NEWLINE) else style
        if segments and segments[-1].style is kind:
            segments[-1] = Segment(segments[-1].text + character, kind)
        else:
            segments.append(Segment(character, kind))
    return segments

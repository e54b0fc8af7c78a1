"""The first line: the program, the workspace, and the panes with the key of each."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.style import Style
from rich.text import Text
from textual.widget import Widget

from ftui.core.text import one_line
from ftui.ui.themes import palette

if TYPE_CHECKING:
    from textual import events

PANES = (("1", "Data", "data"), ("2", "Recipe", "recipe"), ("3", "Train", "train"), ("4", "Chat", "chat"))


class TitleBar(Widget):
    """Click a pane's name to go there."""

    DEFAULT_CSS = "TitleBar { height: 1; background: $background; }"

    def __init__(self, pane: str) -> None:
        super().__init__()
        self._pane = pane

    def render(self) -> Text:
        colors = palette(self.app)
        tabs = self._tabs()
        room = self.size.width - len(tabs.plain) - 8
        name = one_line(self.app.workspace.name, max(0, room)) if room > 2 else ""  # type: ignore[attr-defined]
        line = Text(no_wrap=True, end="")
        line.append(" ftui  ", Style(color=colors.accent, bold=True))
        line.append(name.ljust(max(0, room)), Style(color=colors.dim))
        line.append_text(tabs)
        return line

    def _tabs(self) -> Text:
        colors = palette(self.app)
        tabs = Text()
        for key, label, mode in PANES:
            here = mode == self._pane
            style = (
                Style(color=colors.background, bgcolor=colors.accent, bold=True)
                if here
                else Style(color=colors.dim)
            )
            tabs.append(f" {key} {label} ", style)
            tabs.append(" ")
        return tabs

    def on_click(self, event: events.Click) -> None:
        x = event.x - (self.size.width - len(self._tabs().plain))
        for key, label, mode in PANES:
            width = len(key) + len(label) + 4
            if 0 <= x < width:
                self.app.pane(mode)  # type: ignore[attr-defined]
                return
            x -= width

"""The last line: what you can press here, from the bindings themselves, so it is never wrong."""

from __future__ import annotations

from rich.style import Style
from rich.text import Text
from textual.widget import Widget

from ftui.ui.themes import palette


class KeyBar(Widget):
    """Shown bindings of the focused widget and the pane, in their order; what does not fit is under `?`."""

    DEFAULT_CSS = "KeyBar { height: 1; background: $background; }"

    def on_mount(self) -> None:
        self.screen.bindings_updated_signal.subscribe(self, lambda _screen: self.refresh())

    def render(self) -> Text:
        colors = palette(self.app)
        key_style, word_style = Style(color=colors.accent, bold=True), Style(color=colors.dim)
        tail = Text.assemble(("?", key_style), (" keys ", word_style))
        line = Text(" ", no_wrap=True, end="")
        for active in self.screen.active_bindings.values():
            binding = active.binding
            if not binding.show or not active.enabled:
                continue
            part = Text.assemble(
                (self.app.get_key_display(binding), key_style), (f" {binding.description}  ", word_style)
            )
            if len(line.plain) + len(part.plain) + len(tail.plain) > self.size.width:
                break
            line.append_text(part)
        line.append_text(tail)
        return line

"""The last line: what you can press here, from the bindings themselves, so it is never wrong."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.style import Style
from rich.text import Text
from textual.widget import Widget

from ftui.ui.keymap import declared_ids
from ftui.ui.themes import palette

if TYPE_CHECKING:
    from textual.screen import ActiveBinding


class KeyBar(Widget):
    """Shown bindings of the focused widget and the pane, in their order; what does not fit is under `?`."""

    DEFAULT_CSS = "KeyBar { height: 1; background: $background; }"

    def on_mount(self) -> None:
        self.screen.bindings_updated_signal.subscribe(self, lambda _screen: self.refresh())

    def _place(self, active: ActiveBinding) -> tuple[int, int]:
        """Where a binding was declared: the focused widget's first, and a rebound key stays where it was."""
        chain = [node for node, _ in self.screen._binding_chain]
        declared = declared_ids(type(active.node))
        known = active.binding.id in declared
        where = chain.index(active.node) if active.node in chain else len(chain)
        return where, declared.index(active.binding.id) if known else len(declared)

    def render(self) -> Text:
        colors = palette(self.app)
        key_style, word_style = Style(color=colors.accent, bold=True), Style(color=colors.dim)
        tail = Text.assemble(("?", key_style), (" keys ", word_style))
        line = Text(" ", no_wrap=True, end="")
        for active in sorted(self.screen.active_bindings.values(), key=self._place):
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

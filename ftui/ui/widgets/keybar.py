"""The last line: what you can press here, from the bindings themselves, so it is never wrong."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.style import Style
from rich.text import Text
from textual.widget import Widget

from ftui.ui.keymap import declared_ids
from ftui.ui.themes import palette

if TYPE_CHECKING:
    from textual.dom import DOMNode
    from textual.screen import ActiveBinding


class KeyBar(Widget):
    """Shown bindings of the focused widget and the pane, in their order; what does not fit is under `?`."""

    DEFAULT_CSS = "KeyBar { height: 1; background: $background; }"

    def on_mount(self) -> None:
        self.screen.bindings_updated_signal.subscribe(self, lambda _screen: self.refresh())

    def _in_order(self) -> list[ActiveBinding]:
        """The active bindings; a rebound key, which Textual puts last, stays where it was declared."""
        found = list(self.screen.active_bindings.values())
        slots: dict[DOMNode, list[int]] = {}
        for number, active in enumerate(found):
            slots.setdefault(active.node, []).append(number)
        ordered = list(found)
        for node, numbers in slots.items():
            declared = declared_ids(type(node))
            own = sorted(
                (found[number] for number in numbers),
                key=lambda active: (
                    declared.index(active.binding.id) if active.binding.id in declared else len(declared)
                ),
            )
            for number, active in zip(numbers, own, strict=True):
                ordered[number] = active
        return ordered

    def render(self) -> Text:
        colors = palette(self.app)
        key_style, word_style = Style(color=colors.accent, bold=True), Style(color=colors.dim)
        tail = Text.assemble(("?", key_style), (" keys ", word_style))
        line = Text(" ", no_wrap=True, end="")
        for active in self._in_order():
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

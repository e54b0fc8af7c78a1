"""One of a few values on one line, stepped through with the arrows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from rich.style import Style
from rich.text import Text
from textual.message import Message
from textual.widgets import Static

from ftui.ui.bindings import ordered
from ftui.ui.themes import palette

if TYPE_CHECKING:
    from collections.abc import Sequence


class ChoiceLine(Static, can_focus=True):
    """values: what is chosen among; labels: how each is shown, the same where not given."""

    DEFAULT_CSS = """
    ChoiceLine { height: 1; padding: 0; background: $panel; }
    ChoiceLine:focus { background: $selection; }
    ChoiceLine:disabled { background: $surface; }
    """
    BINDINGS: ClassVar[list[Any]] = [
        ordered("left,h", "step(-1)", "value before", id="data.choice_before"),
        ordered("right,l,space", "step(1)", "next value", id="data.choice_next"),
    ]

    class Changed(Message):
        """Another value was chosen."""

    def __init__(self, values: Sequence[str], labels: Sequence[str] = (), *, id: str) -> None:
        super().__init__(id=id, markup=False)
        self._values, self._labels = tuple(values), tuple(labels or values)
        self._at = 0

    @property
    def value(self) -> str:
        return self._values[self._at]

    def render(self) -> Text:
        colors = palette(self.app)
        arrow = Style(color=colors.accent if self.has_focus else colors.dim, bold=self.has_focus)
        word = Style(color=colors.dim if self.disabled else colors.foreground)
        if self.disabled:
            return Text.assemble(("  ", word), (self._labels[self._at], word), no_wrap=True)
        return Text.assemble(
            ("‹ ", arrow), (self._labels[self._at], word), (" ›", arrow), no_wrap=True, overflow="ellipsis"
        )

    def on_click(self) -> None:
        self.action_step(1)

    def action_step(self, by: int) -> None:
        self._at = (self._at + by) % len(self._values)
        self.refresh()
        self.post_message(self.Changed())

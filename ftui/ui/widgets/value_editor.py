"""The one editor of the form: it opens in the place of the focused value."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from textual.binding import Binding
from textual.suggester import SuggestFromList

from ftui.ui.widgets.safe_input import SafeInput

if TYPE_CHECKING:
    from collections.abc import Sequence

    from textual.geometry import Region


class ValueEditor(SafeInput):
    """A line of text over a field's value. What it holds is checked as it is typed, and taken by enter."""

    DEFAULT_CSS = """
    ValueEditor { position: absolute; layer: above; display: none; }
    ValueEditor, ValueEditor:focus { background: $selection; color: $foreground; }
    ValueEditor.-open { display: block; }
    ValueEditor.-wrong { color: $bad; }
    """

    BINDINGS: ClassVar[list[Any]] = [
        Binding("enter", "screen.keep_value(0)", "keep", id="recipe.keep", priority=True),
        Binding("tab", "screen.keep_value(1)", "keep, next field", id="recipe.keep_next", priority=True),
        Binding(
            "down",
            "screen.keep_value(1)",
            "keep, next field",
            show=False,
            id="recipe.keep_below",
            priority=True,
        ),
        Binding(
            "shift+tab,up",
            "screen.keep_value(-1)",
            "keep, field above",
            show=False,
            id="recipe.keep_above",
            priority=True,
        ),
        Binding("escape", "screen.leave_as_it_was", "leave as it was", id="recipe.leave", priority=True),
    ]

    def __init__(self) -> None:
        super().__init__(select_on_focus=False, compact=True)
        self.field = ""

    @property
    def is_open(self) -> bool:
        return bool(self.field)

    def open(self, field: str, text: str, region: Region, suggestions: Sequence[str] = ()) -> None:
        """Edits `field` from `text`, which is safe to show, at `region` of the container.

        suggestions: completed with the right arrow key.
        """
        self.field = field
        self.suggester = SuggestFromList(suggestions) if suggestions else None
        self.value = text
        self.cursor_position = len(text)
        self.set_class(False, "-wrong")
        self.add_class("-open")
        self.put(region)
        self.screen.set_focus(self)  # at once: what is typed next is for it

    def put(self, region: Region) -> None:
        self.styles.offset = (region.x, region.y)
        self.styles.width = region.width

    def close(self) -> None:
        self.field = ""
        self.remove_class("-open")

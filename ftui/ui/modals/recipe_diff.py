"""The fields in which two recipes differ."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from rich.style import Style
from rich.text import Text
from textual.binding import Binding

from ftui.core.recipe import fields
from ftui.core.text import one_line
from ftui.ui.modals.dialog import Dialog
from ftui.ui.recipe_rows import display
from ftui.ui.themes import palette
from ftui.ui.widgets.captions import set_subtitle, set_title
from ftui.ui.widgets.flow import Flow

if TYPE_CHECKING:
    from textual.app import ComposeResult

    from ftui.core.recipe import Recipe

_FIELD, _VALUE = 28, 26


class RecipeDiff(Dialog[bool]):
    """Shows this recipe against another; `t` takes the other's values (True)."""

    DEFAULT_CSS = """
    RecipeDiff > Flow { width: 92; max-width: 96%; height: auto; max-height: 84%; background: $surface; }
    """
    BINDINGS: ClassVar[list[Any]] = [
        Binding("t", "dismiss(True)", "take the other's values", id="recipe.diff_take"),
        Binding("escape,d,q", "dismiss(False)", "close", id="recipe.diff_close"),
    ]

    def __init__(self, mine: Recipe, other: Recipe, name: str) -> None:
        super().__init__()
        self._mine, self._other, self._name = mine, other, name

    def compose(self) -> ComposeResult:
        yield Flow(follow=False, wrap=False)

    def on_mount(self) -> None:
        flow, colors = self.query_one(Flow), palette(self.app)  # type: ignore[arg-type]
        other = one_line(self._name, _VALUE - 1)
        set_title(flow, f"this recipe against {other}")
        differing = [
            field for field in fields().values() if self._mine.get(field.name) != self._other.get(field.name)
        ]
        set_subtitle(flow, "t takes the other's values · esc closes" if differing else "esc closes")
        dim, plainly = Style(color=colors.dim), Style(color=colors.foreground)
        lines = [Text(f"{'':<{_FIELD}}{'this':<{_VALUE}}{other}", dim)]
        for field in differing:
            mine, others = (display(field, one.get(field.name)) for one in (self._mine, self._other))
            lines.append(
                Text.assemble(
                    (f"{field.name:<{_FIELD}}", Style(color=colors.accent)),
                    (f"{one_line(mine, _VALUE - 2):<{_VALUE}}", plainly),
                    (one_line(others, 60), Style(color=colors.eval)),
                )
            )
        if not differing:
            lines = [Text("no difference", dim)]
        flow.show(lines)
        flow.styles.height = min(len(lines) + 2, 40)
        flow.focus()

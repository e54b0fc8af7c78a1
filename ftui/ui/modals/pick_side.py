"""Who should answer on a side: an adapter, a checkpoint, a base model, or something typed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from textual.binding import Binding
from textual.containers import Vertical
from textual.content import Content
from textual.widgets import Input, OptionList
from textual.widgets.option_list import Option

from ftui.core.text import one_line
from ftui.ui.chat_sides import Side, named_side
from ftui.ui.modals.dialog import Dialog
from ftui.ui.widgets.safe_input import SafeInput

if TYPE_CHECKING:
    from textual.app import ComposeResult


class PickSide(Dialog[Side | None]):
    """Returns the chosen Side, or None."""

    DEFAULT_CSS = """
    PickSide > Vertical { width: 76; max-width: 94%; height: auto; max-height: 80%; background: $surface; }
    PickSide OptionList, PickSide OptionList:focus {
        height: auto;
        max-height: 16;
        border: none;
        padding: 0;
        background: $surface;
        background-tint: $surface 0%;
        scrollbar-size-vertical: 1;
    }
    PickSide SafeInput { margin-top: 1; background: $panel; }
    """
    BINDINGS: ClassVar[list[Any]] = [Binding("escape", "dismiss", "close", id="chat.pick.close")]

    def __init__(self, sides: tuple[Side, ...], letter: str, now: Side) -> None:
        super().__init__()
        self._sides, self._letter, self._now = sides, letter, now

    def compose(self) -> ComposeResult:
        with Vertical(classes="panel") as panel:
            yield OptionList(*(Option(self._line(side)) for side in self._sides))
            yield SafeInput(placeholder="or type a directory, a GGUF file, a hub id", id="typed")
        panel.border_title = Content(f"who answers on {self._letter}")
        panel.border_subtitle = Content("enter takes it · tab types · esc closes")

    def on_mount(self) -> None:
        options = self.query_one(OptionList)
        same = (index for index, side in enumerate(self._sides) if side.adapter == self._now.adapter)
        if self._sides:
            options.highlighted = next(same, 0)
        options.focus()

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        side = self._sides[event.option_index]
        self.dismiss(side if side.adapter else Side(side.base, detail=side.base))

    def on_input_submitted(self, event: Input.Submitted) -> None:
        if text := event.value.strip():
            self.dismiss(named_side(text))

    def _line(self, side: Side) -> Content:
        detail = side.detail if side.adapter else "without an adapter"
        base = f"  on {one_line(side.base, 30)}" if side.adapter else ""
        return Content.assemble(side.name, "  ", Content.styled(f"{detail}{base}", "$dim"))

"""The keys of where you are, from the bindings themselves, with the id that rebinds each."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from rich.style import Style
from rich.text import Text
from textual.binding import Binding
from textual.containers import VerticalScroll
from textual.widgets import Static

from ftui.core.text import sanitize
from ftui.ui.bindings import allowed
from ftui.ui.modals.dialog import Dialog
from ftui.ui.themes import palette
from ftui.ui.widgets.captions import set_subtitle, set_title

if TYPE_CHECKING:
    from textual.app import ComposeResult
    from textual.dom import DOMNode
    from textual.screen import Screen

_GROUPS = {
    "data": "Data", "recipe": "Recipe", "train": "Train", "chat": "Chat", "pane": "Panes", "app": "Everywhere",
}  # fmt: skip
_KEY_WIDTH, _WORDS_WIDTH = 16, 28


class KeysModal(Dialog[None]):
    """What can be pressed on `screen` right now."""

    DEFAULT_CSS = """
    KeysModal > VerticalScroll {
        width: 76; max-width: 96%; height: auto; max-height: 90%; padding: 0 2; background: $surface;
        scrollbar-size-vertical: 1;
    }
    KeysModal Static { height: auto; }
    """

    BINDINGS: ClassVar[list[Any]] = [
        Binding("escape,question_mark,q,enter", "dismiss", "back", show=False),
    ]

    def __init__(self, screen: Screen[Any]) -> None:
        super().__init__()
        self._lines = _lines_by_group(screen)

    def compose(self) -> ComposeResult:
        with VerticalScroll(classes="panel"):
            yield Static(self._text(), markup=False)

    def on_mount(self) -> None:
        panel = self.query_one(VerticalScroll)
        set_title(panel, "keys")
        panel.focus()

    def on_resize(self) -> None:
        self.call_after_refresh(self._say_how)

    def _say_how(self) -> None:
        panel = self.query_one(VerticalScroll)
        set_subtitle(panel, "↑↓ scroll · esc back" if panel.max_scroll_y else "esc back")

    def _text(self) -> Text:
        colors = palette(self.app)
        section, key = Style(color=colors.special, bold=True), Style(color=colors.accent, bold=True)
        words, dim = Style(color=colors.foreground), Style(color=colors.dim)
        text = Text(no_wrap=True)
        for group, lines in self._lines.items():
            text.append(f"{_GROUPS.get(group, group)}\n", section)
            for name, (keys, about) in lines.items():
                shown = "  ".join(keys)
                text.append(f"  {shown:<{_KEY_WIDTH}}", key)
                text.append(f"{about:<{_WORDS_WIDTH}}", words)
                text.append(f"{name}\n", dim)
            text.append("\n")
        path = self.app.settings.path  # type: ignore[attr-defined]
        if path is not None:
            text.append('Another key: [keys] "data.accept" = "y" in\n', dim)
            text.append(sanitize(str(path), lines=False), dim)
        return text


def _lines_by_group(screen: Screen[Any]) -> dict[str, dict[str, tuple[list[str], str]]]:
    """Group -> binding id -> (its keys as shown, what it does); the pane's own group first.

    Bindings that share a `group` are one line: alt+1 to alt+5. So are those that do the same: + and =.
    """
    groups: dict[str, dict[str, tuple[list[str], str]]] = {}
    # What the pane does comes before how to move about in the widget that has the focus.
    actives = sorted(allowed(screen), key=lambda active: active.node is not screen)
    ids: dict[tuple[DOMNode, str], str] = {}
    for active in actives:
        binding = active.binding
        binding_id = ids.setdefault((active.node, binding.action), binding.id or "")
        lines = groups.setdefault(binding_id.split(".")[0], {})
        name = f"{binding_id[:-1]}…" if binding.group else binding_id
        keys, _ = lines.setdefault(
            name, ([], binding.group.description if binding.group else binding.description)
        )
        shown = screen.app.get_key_display(binding)
        if binding.group and keys:
            keys[:] = [keys[0], f"…  {shown}"]
        elif shown not in keys:
            keys.append(shown)
    order = list(_GROUPS)
    return dict(
        sorted(groups.items(), key=lambda item: order.index(item[0]) if item[0] in order else len(order))
    )

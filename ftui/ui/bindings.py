"""Bindings that run in the order of the keys, however fast they come.

Textual hands an ordinary key to the widget that has the focus when it arrives, and looks for bindings later: of
`g 2 1 7` typed in one burst, the `2` would go past the prompt that `g` opens and change the pane. A priority
binding runs before the next key is looked at. Text fields keep what they type: Textual leaves printable keys to
them; `PaneScreen.asking` covers the others.
"""

from __future__ import annotations

from typing import Any

from textual.binding import Binding


def ordered(key: str, action: str, words: str, *, id: str, show: bool = False, **more: Any) -> Binding:
    """A binding that is done before the next key is read. Every binding has an id: users rebind by it."""
    return Binding(key, action, words, id=id, show=show, priority=True, **more)

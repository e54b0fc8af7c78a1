"""Bindings that run in the order of the keys, however fast they come.

Textual hands an ordinary key to the widget that has the focus when it arrives, and looks for bindings later: of
`g 2 1 7` typed in one burst, the `2` would go past the prompt that `g` opens and change the pane. A priority
binding runs before the next key is looked at. Text fields keep what they type: Textual leaves printable keys to
them; `PaneScreen.asking` covers the others. What they type is theirs a moment later: what a key does with a
field's text waits for it, with `typed`.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from textual.binding import ActiveBinding, Binding

if TYPE_CHECKING:
    from textual.screen import Screen
    from textual.widget import Widget

_PATIENCE_SECONDS = 5.0


def ordered(key: str, action: str, words: str, *, id: str, show: bool = False, **more: Any) -> Binding:
    """A binding that is done before the next key is read. Every binding has an id: users rebind by it."""
    return Binding(key, action, words, id=id, show=show, priority=True, **more)


async def typed(field: Widget | None) -> None:
    """Returns once `field` has taken the keys typed before. For actions: later keys wait meanwhile."""
    if field is not None:
        taken = asyncio.Event()
        with suppress(TimeoutError):  # it was closed in that moment
            async with asyncio.timeout(_PATIENCE_SECONDS):
                if field.call_later(taken.set):
                    await taken.wait()


def allowed(screen: Screen[Any]) -> list[ActiveBinding]:
    """The bindings with an id that do something on `screen` now.

    A key for scrolling goes on to the pane where the widget that has the focus cannot scroll: those are here too.
    """
    active = screen.active_bindings
    found = [one for one in active.values() if one.enabled and one.binding.id and one.binding.description]
    for node, bindings in screen._modal_binding_chain:
        for key, binding in bindings:
            under = active.get(key)
            scrolls = under and not under.binding.id and under.binding.action.startswith("scroll_")
            named = binding.id and binding.description
            if scrolls and named and screen.app._check_action_state(binding.action, node):
                found.append(ActiveBinding(node, binding, enabled=True))
    return found

"""What ctrl+p offers: the app's own commands, then whatever the pane can do now, with the key that does it."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from textual.command import DiscoveryHit, Hit
from textual.content import Content
from textual.markup import escape
from textual.system_commands import SystemCommandsProvider

from ftui.ui.bindings import allowed

if TYPE_CHECKING:
    from collections.abc import Iterator

    from textual.command import Hits
    from textual.types import IgnoreReturnCallbackType


class Commands(SystemCommandsProvider):
    """The commands of the screen the palette was opened on."""

    async def discover(self) -> Hits:
        async for hit in super().discover():
            yield hit
        for words, _, about, run in self._here():
            yield DiscoveryHit(Content(words), run, help=about)

    async def search(self, query: str) -> Hits:
        async for hit in super().search(query):
            yield hit
        matcher = self.matcher(query)
        for words, name, about, run in self._here():
            # By the name of its setting too: what a key line calls "out" is `zoom_out` there.
            if (match := max(matcher.match(words), matcher.match(name) / 2)) > 0:
                yield Hit(match, matcher.highlight(words), run, help=about)

    def _here(self) -> Iterator[tuple[str, str, str, IgnoreReturnCallbackType]]:
        """Words, name, key and id, and how to do it, of every binding that is allowed now."""
        offered = {command.title.casefold() for command in self.app.get_system_commands(self.screen)}
        seen = set()
        for active in allowed(self.screen):
            node, binding = active.node, active.binding
            what = (node, binding.action)
            if node is self.app or what in seen:  # what the app does is offered in its own words
                continue
            seen.add(what)
            words = binding.description[:1].upper() + binding.description[1:]
            if words.casefold() in offered:
                continue
            name = (binding.id or "").partition(".")[2].replace("_", " ")
            about = escape(f"{self.app.get_key_display(binding)} · {binding.id}")
            yield words, name, about, partial(self.app.run_action, binding.action, node)

"""The chat servers behind the Chat pane: one process a base model, started when first asked."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from ftui.core.errors import FtuiError
from ftui.runs.clients import EngineClient

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    Progress = Callable[[str, int, int], None]


class ChatServers:
    """Call from threads only: loading a model takes seconds to minutes.

    start: makes a client with a base and adapters loaded; tests put their own.
    """

    def __init__(self, start: Callable[..., EngineClient] = EngineClient.serve) -> None:
        self._start = start
        self._clients: dict[str, EngineClient] = {}
        self._loaded: dict[str, tuple[str, ...]] = {}
        self._loading: dict[str, threading.Lock] = {}
        self._lock = threading.Lock()
        self._closed = False

    def get(
        self, base: str, adapters: Iterable[str], progress: Progress
    ) -> tuple[EngineClient, dict[str, str]]:
        """A server with `base` and at least `adapters` loaded, and the name it gives each adapter folder.

        A server that died is started again. Raises FtuiError or ModelError.
        """
        with self._lock:
            loading = self._loading.setdefault(base, threading.Lock())
        with loading:
            client = self._clients.get(base)
            if client is not None and not client.alive:
                self._forget(base)
                client = None
            wanted = tuple(dict.fromkeys((*(self._loaded.get(base, ()) if client else ()), *adapters)))
            if client is None:
                client = self._start(base, wanted, progress)
                with self._lock:
                    self._clients[base] = client
                    closed = self._closed
                if closed:
                    client.close()
                    raise FtuiError("the chat was closed")
            elif wanted != self._loaded[base]:
                client.load(base, wanted, progress)
            self._loaded[base] = wanted
            return client, dict(zip(wanted, client.sides[1:], strict=False))

    def is_ready(self, base: str, adapters: Iterable[str]) -> bool:
        """Whether `get` would return at once."""
        client = self._clients.get(base)
        return client is not None and client.alive and set(adapters) <= set(self._loaded.get(base, ()))

    def cancel(self) -> None:
        """Ends every reply under way; what has been said stays."""
        with self._lock:
            clients = list(self._clients.values())
        for client in clients:
            client.cancel()

    def keep_only(self, bases: Iterable[str]) -> None:
        """Ends the servers of all other bases: their memory is wanted."""
        kept = set(bases)
        for base in [base for base in list(self._clients) if base not in kept]:
            self._forget(base)

    def close(self) -> None:
        """Ends all servers. May take a few seconds; a server ends by itself when this process does."""
        with self._lock:
            self._closed = True
            bases = list(self._clients)
        for base in bases:
            self._forget(base)

    def _forget(self, base: str) -> None:
        with self._lock:
            client = self._clients.pop(base, None)
            self._loaded.pop(base, None)
        if client is not None:
            client.close()

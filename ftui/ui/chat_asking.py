"""The Chat pane's work in threads: loading, asking, and telling each side what it hears."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from textual.message import Message

from ftui.core.errors import FtuiError
from ftui.core.text import one_line
from ftui.runs.devices import devices_here
from ftui.runs.room import training_here
from ftui.ui.chat_servers import ChatServers
from ftui.ui.widgets import figures
from ftui.ui.widgets.reply_side import ReplySide, Speed

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ftui.runs.clients import EngineClient

_PROGRESS_SECONDS = 0.2  # between two notes of one loading stage


class Heard(Message):
    """Something for one side; `act` draws it.

    turn: which question it answers, so that late words are told from current ones; None is always current.
    """

    def __init__(self, turn: int | None, row: ReplySide, act: Callable[[ReplySide], None]) -> None:
        super().__init__()
        self.turn, self.row, self.act = turn, row, act


class Over(Message):
    """One server has answered all it was asked."""

    def __init__(self, turn: int) -> None:
        super().__init__()
        self.turn = turn


class Crowded(Message):
    """The model that is being loaded shares its device with a training run; `words` says which."""

    def __init__(self, words: str) -> None:
        super().__init__()
        self.words = words


@dataclass(frozen=True, slots=True)
class Question:
    """One side's part of a request, frozen when it was asked."""

    row: ReplySide
    adapter: str
    messages: tuple[dict[str, str], ...]
    sampling: dict[str, Any]

    @classmethod
    def of(cls, row: ReplySide) -> Question:
        """The side's conversation: its system prompt, then every turn."""
        settings = row.settings
        system = ({"role": "system", "content": settings.system},) if settings.system else ()
        turns = tuple({"role": turn.role, "content": turn.content} for turn in row.turns)
        return cls(row, row.side.adapter, (*system, *turns), settings.sampling())


class Asking:
    """post: hands a message to the screen from any thread. is_current: whether a turn is still wanted."""

    def __init__(self, post: Callable[[Message], object], is_current: Callable[[int], bool]) -> None:
        self.servers = ChatServers()
        self._post = post
        self._is_current = is_current

    def warm(self, base: str, rows: Sequence[ReplySide]) -> None:
        """Loads what `rows` need. What goes wrong is said when they are asked."""
        adapters = [row.side.adapter for row in rows if row.side.adapter]
        try:
            self._load(base, adapters, rows)
        except FtuiError:
            return
        self._tell_all(None, rows, ReplySide.ready)

    def ask(self, base: str, questions: Sequence[Question], turn: int) -> None:
        """Asks all `questions` of one base at once; returns when every reply is whole."""
        rows = [question.row for question in questions]
        try:
            self._answer(base, questions, rows, turn)
        except FtuiError as error:
            text = str(error)
            self._tell_all(turn, rows, lambda row: row.fail(text))
        finally:
            self._post(Over(turn))

    def _answer(self, base: str, questions: Sequence[Question], rows: Sequence[ReplySide], turn: int) -> None:
        adapters = [question.adapter for question in questions if question.adapter]
        client, names = self._load(base, adapters, rows)
        self._tell_all(None, rows, ReplySide.ready)
        if not self._is_current(turn):
            return  # taken back while the model was loading
        request = [
            {"adapter": names.get(one.adapter), "messages": list(one.messages), "sampling": one.sampling}
            for one in questions
        ]
        for event in client.stream(request):
            side = int(event.get("side") or 0)
            if event.get("event") == "token":
                self._post(Heard(turn, rows[side], _hear(str(event.get("text") or ""))))
            elif event.get("event") == "done":
                self._post(Heard(turn, rows[side], _finish(event)))

    def _load(
        self, base: str, adapters: Sequence[str], rows: Sequence[ReplySide]
    ) -> tuple[EngineClient, dict[str, str]]:
        if not self.servers.is_ready(base, adapters) and (run := training_here(devices_here())):
            self._post(Crowded(f"{run}: both are slower while this model answers"))
        return self.servers.get(base, adapters, self._progress(rows))

    def _tell_all(
        self, turn: int | None, rows: Sequence[ReplySide], act: Callable[[ReplySide], None]
    ) -> None:
        for row in rows:
            self._post(Heard(turn, row, act))

    def _progress(self, rows: Sequence[ReplySide]) -> Callable[[str, int, int], None]:
        shown, before = 0.0, ""

        def tell(stage: str, done: int, total: int) -> None:
            nonlocal shown, before
            now = time.monotonic()
            if stage == before and now - shown < _PROGRESS_SECONDS and done != total:
                return
            shown, before = now, stage
            note = _loading(stage, done, total)
            self._tell_all(None, rows, lambda row: row.load_step(note))

        return tell


def _hear(text: str) -> Callable[[ReplySide], None]:
    return lambda row: row.hear(text)


def _finish(event: dict[str, Any]) -> Callable[[ReplySide], None]:
    ttft, speed = float(event["ttft_seconds"]), float(event["tokens_per_second"])
    measured = Speed(ttft, speed, int(event["tokens"]), str(event["finish"]))
    return lambda row: row.finish(str(event["text"]), measured)


def _loading(stage: str, done: int, total: int) -> str:
    words = one_line(stage, 40).replace("_", " ")
    if total <= 0:
        return f"loading: {words}"
    filled, empty = figures.bar(done / total, 12, plain=figures.ascii_only())
    return f"loading: {words}  {filled}{empty} {min(1.0, done / total):.0%}"

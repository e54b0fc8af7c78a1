"""Pane 4, Chat: one prompt, up to four sides, all answering at once."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

from textual.containers import Horizontal, Vertical
from textual.message import Message
from textual.worker import Worker, WorkerState

from ftui.core.errors import FtuiError
from ftui.ui.bindings import ordered
from ftui.ui.chat_asking import Crowded, Heard, Over, Question
from ftui.ui.chat_sides import Choices, read_choices, side_of
from ftui.ui.screens.chat_seating import LETTERS, Seating
from ftui.ui.widgets.captions import set_subtitle, set_title
from ftui.ui.widgets.prompt_box import PromptBox
from ftui.ui.widgets.reply_side import ReplySide

if TYPE_CHECKING:
    from collections.abc import Sequence

    from textual.app import ComposeResult

# What may be pressed only while the prompt is not being written: letters belong to it.
_PANE_KEYS = frozenset(
    {"write", "held_out", "again", "pick", "settings", "turn_to", "add_side", "remove_side"}
)


@dataclass(frozen=True, slots=True)
class ChatRequest:
    """Opens the Chat pane on a base and adapter folders, and asks them `prompt` unless it is empty."""

    base: str
    adapters: tuple[str, ...] = ()
    prompt: str = ""


class ChatScreen(Seating):
    """Seats the sides, sends the prompt; asking itself happens in `chat_asking`, in threads."""

    PANE = "chat"
    KEY_OWNERS = (PromptBox, ReplySide)
    AUTO_FOCUS = "#prompt"
    CSS = """
    ChatScreen #sides { height: 1fr; }
    ChatScreen #ask { height: auto; }
    """
    BINDINGS: ClassVar[list[Any]] = [
        ordered("escape", "leave", "leave", id="chat.leave", show=True),
        ordered("i", "write", "write", id="chat.write", show=True),
        ordered("enter", "write", "write", id="chat.write_too"),
        ordered("h", "held_out", "held-out prompt", id="chat.held_out", show=True),
        ordered("r", "again", "again", id="chat.again", show=True),
        ordered("A", "pick", "who answers", id="chat.pick", show=True),
        ordered("plus", "add_side", "add side", key_display="+", id="chat.add", show=True),
        ordered("equals_sign", "add_side", "add side", id="chat.add_too"),
        ordered("minus", "remove_side", "drop side", key_display="-", id="chat.remove", show=True),
        ordered("S", "settings", "settings", id="chat.settings", show=True),
        ordered("ctrl+n", "new", "new talk", id="chat.new", show=True),
    ]

    class Known(Message):
        """What there is to talk to and to ask."""

        def __init__(self, choices: Choices) -> None:
            super().__init__()
            self.choices = choices

    def __init__(self) -> None:
        super().__init__()
        self._request: ChatRequest | None = None
        self._unanswered = 0
        self._next_prompt = 0

    # -- what is shown ----------------------------------------------------------

    def compose_body(self) -> ComposeResult:
        with Horizontal(id="sides"):
            for side, letter in zip(self._choices.default(), LETTERS, strict=False):
                yield ReplySide(side, self._settings, letter)
        with Vertical(id="ask", classes="panel"):
            yield PromptBox(id="prompt")

    def on_mount(self) -> None:
        set_title(self.query_one("#ask"), "prompt to all sides")
        self._say_keys()
        if self._request:
            self.call_after_refresh(self._take_request)

    def on_screen_resume(self) -> None:
        super().on_screen_resume()
        self._in_thread(self._look_around, "look")

    def on_unmount(self) -> None:
        # A server ends by itself when its stdin closes: leaving must not wait for it.
        threading.Thread(target=self._asking.servers.close, daemon=True).start()

    def on_descendant_focus(self) -> None:
        if isinstance(self.focused, ReplySide):
            self._here = self.focused
        self._say_keys()

    def on_chat_screen_known(self, message: Known) -> None:
        self._choices = message.choices
        if not self._seated:
            self.run_worker(self._seat_default, group="seat", exclusive=True)
        self._say_keys()
        self.refresh_bindings()

    def _say_keys(self) -> None:
        """What to press, in the border of the prompt."""
        prompts, writing = self._choices.prompts, isinstance(self.focused, PromptBox)
        words = ["esc stops" if self._unanswered else "enter sends · esc for keys" if writing else "i writes"]
        if prompts and self._next_prompt:
            prompt = prompts[(self._next_prompt - 1) % len(prompts)]
            words.append(f"{prompt.source} {prompt.number}/{prompt.of}")
        elif prompts and not writing:
            words.append(f"h takes one of {len(prompts)} held-out")
        set_subtitle(self.query_one("#ask"), " · ".join(words))

    # -- opened by another part of the app ----------------------------------------------------------

    def open_with(self, base: str, adapters: Sequence[str], prompt: str = "") -> None:
        """Seats a base and adapter folders in a new conversation and asks `prompt` unless it is empty."""
        self.open_chat(ChatRequest(base, tuple(adapters), prompt))

    def open_chat(self, request: ChatRequest) -> None:
        """The same; works before the pane was ever shown."""
        self._request, self._seated = request, True
        if self.is_mounted:
            self.call_after_refresh(self._take_request)

    async def _take_request(self) -> None:
        request, self._request = self._request, None
        if request is None:
            return
        self._start_over()
        sides = [side_of(request.base, adapter) for adapter in ("", *request.adapters)]
        await self._seat(sides[: len(LETTERS)])
        if request.prompt:
            self._send(request.prompt)

    # -- asking ----------------------------------------------------------

    def on_prompt_box_sent(self, message: PromptBox.Sent) -> None:
        self._send(message.text)

    def on_prompt_box_typed(self, message: PromptBox.Typed) -> None:
        """The first letter says that an answer will be wanted: the model is loaded meanwhile."""
        if message.empty or self._unanswered:
            return
        for base, rows in self._by_base().items():
            if not self._asking.servers.is_ready(
                base, [row.side.adapter for row in rows if row.side.adapter]
            ):
                self._in_thread(partial(self._asking.warm, base, rows), "warm")

    def _send(self, prompt: str) -> None:
        if self._unanswered:
            self.say("still answering: esc stops it")
            self.query_one(PromptBox).put(prompt)
            return
        self._seated = True
        self._turn += 1
        for row in self._rows:
            row.ask(prompt)
        for base, rows in self._by_base().items():
            self._unanswered += 1
            questions = [Question.of(row) for row in rows]
            self._in_thread(partial(self._asking.ask, base, questions, self._turn), "ask")
        self._say_keys()
        self.refresh_bindings()

    def _by_base(self) -> dict[str, list[ReplySide]]:
        groups: dict[str, list[ReplySide]] = {}
        for row in self._rows:
            groups.setdefault(row.side.base, []).append(row)
        return groups

    def on_crowded(self, message: Crowded) -> None:
        self.say(message.words)

    def on_heard(self, message: Heard) -> None:
        if message.turn in (None, self._turn) and message.row.is_attached:
            message.act(message.row)

    def on_over(self, message: Over) -> None:
        if message.turn == self._turn:
            self._unanswered = max(0, self._unanswered - 1)
            self._say_keys()
            self.refresh_bindings()

    def _start_over(self) -> None:
        """Every side in a new conversation; replies under way are no longer wanted."""
        if self._unanswered:
            self._asking.servers.cancel()
        self._turn += 1
        self._unanswered = 0
        for row in self._rows:
            row.clear()
        self._say_keys()
        self.refresh_bindings()

    # -- in threads ----------------------------------------------------------

    def _look_around(self) -> None:
        self.post_message(self.Known(read_choices(self.app.workspace)))

    def on_worker_state_changed(self, event: Worker.StateChanged) -> None:
        if event.state is WorkerState.ERROR:
            error = event.worker.error
            known = error if isinstance(error, FtuiError) else FtuiError(f"{type(error).__name__}: {error}")
            self.say_error(known)

    # -- keys ----------------------------------------------------------

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """What can be done now; the key line shows nothing else."""
        if not self.is_mounted:
            return False
        writing, quiet = isinstance(self.focused, PromptBox), not self._unanswered
        if action in _PANE_KEYS and writing:
            return False
        allowed = {
            "leave": writing or not quiet,
            "held_out": bool(self._choices.prompts),
            "again": quiet and any(row.turns for row in self._rows),
            "pick": quiet,
            "add_side": quiet and len(self._rows) < len(LETTERS),
            "remove_side": quiet and len(self._rows) > 1,
        }
        return allowed.get(action, True)

    def action_leave(self) -> None:
        """esc: stops the replies, else leaves the prompt so that keys are the pane's."""
        if not self._unanswered:
            self._turn_to(self._focused_row)
            return
        self._asking.servers.cancel()
        if all(row.state in ("waiting", "loading") for row in self._rows):
            # Nothing was said yet: the prompt comes back to be changed. A model being loaded goes on loading.
            self._turn += 1
            self._unanswered = 0
            prompts = [row.take_back() for row in self._rows]
            self.query_one(PromptBox).put(prompts[0])
            self._say_keys()
            self.refresh_bindings()

    def action_write(self) -> None:
        self.set_focus(self.query_one(PromptBox))  # at once: what is typed next is for it

    def action_held_out(self) -> None:
        prompts, box = self._choices.prompts, self.query_one(PromptBox)
        box.put(prompts[self._next_prompt % len(prompts)].text)
        self._next_prompt += 1
        self.set_focus(box)
        self._say_keys()

    def action_again(self) -> None:
        """Asks the last prompt once more; also what to do when a server died."""
        prompts = [row.take_back() for row in self._rows]
        if prompt := next(filter(None, prompts), ""):
            self._send(prompt)

    def action_new(self) -> None:
        self._start_over()

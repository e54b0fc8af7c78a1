"""One side of the chat: who answers, the conversation so far, and how fast it comes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from rich.style import Style
from rich.text import Text

from ftui.core.text import sanitize
from ftui.ui.bindings import ordered
from ftui.ui.themes import palette
from ftui.ui.widgets import figures
from ftui.ui.widgets.captions import set_subtitle, set_title
from ftui.ui.widgets.flow import Flow

if TYPE_CHECKING:
    from textual.timer import Timer

    from ftui.ui.chat_sides import Settings, Side

State = Literal["idle", "loading", "waiting", "streaming", "failed"]
REDRAW_SECONDS = 0.1
_MOST_SHOWN = 100_000  # characters of one turn
_FINISH = {"length": "cut off", "cancelled": "stopped"}


@dataclass(frozen=True, slots=True)
class Turn:
    """role: "user" or "assistant"; content as the model got or gave it, not sanitized."""

    role: str
    content: str


@dataclass(frozen=True, slots=True)
class Speed:
    """What the server measured for one reply."""

    ttft_seconds: float
    tokens_per_second: float
    tokens: int
    finish: str


class ReplySide(Flow):
    """Shows a conversation; the screen tells it what happens, and reads `turns` for the next request."""

    DEFAULT_CSS = "ReplySide { width: 1fr; height: 1fr; }"
    BINDINGS: ClassVar[list[Any]] = [
        ordered("left", "screen.turn_to(-1)", "left side", id="chat.left"),
        ordered("right", "screen.turn_to(1)", "right side", id="chat.right"),
    ]

    def __init__(self, side: Side, settings: Settings, letter: str = "A") -> None:
        super().__init__()
        self.side = side
        self.settings = settings
        self.letter = letter
        self.turns: list[Turn] = []
        self._state: State = "idle"
        self._live = ""
        self._note = ""
        self._speed: Speed | None = None
        self._pause: Timer | None = None
        self._behind = False

    @property
    def state(self) -> State:
        return self._state

    def on_mount(self) -> None:
        self.redraw()

    def seat(self, side: Side, letter: str) -> None:
        """Who sits here; another one starts a new conversation."""
        if side != self.side:
            self.clear()
        self.side, self.letter = side, letter
        self.redraw()

    def clear(self) -> None:
        """A new conversation."""
        self.turns, self._state, self._live, self._note, self._speed = [], "idle", "", "", None
        self.redraw()

    def ask(self, prompt: str) -> None:
        """The user said something; an answer is waited for."""
        if self.turns and self.turns[-1].role == "user":
            self.turns.pop()  # it was never answered, and no template takes two in a row
        self.turns.append(Turn("user", prompt))
        self._state, self._live, self._note, self._speed = "waiting", "", "", None
        self.to_end()
        self.redraw()

    def take_back(self) -> str:
        """Forgets the last prompt and its answer; returns the prompt, "" when there is none."""
        self._state, self._live, self._note, self._speed = "idle", "", "", None
        while self.turns:
            turn = self.turns.pop()
            if turn.role == "user":
                self.redraw()
                return turn.content
        return ""

    def load_step(self, note: str) -> None:
        if self._state in ("waiting", "loading", "idle", "failed"):
            self._state, self._note = "loading", note
            self.redraw()

    def ready(self) -> None:
        """The model is loaded."""
        if self._state == "loading":
            self._state, self._note = ("waiting" if self.turns else "idle"), ""
            self.redraw()

    def hear(self, text: str) -> None:
        """More of the reply. Drawn at most ten times a second, however fast it comes."""
        self._state, self._note = "streaming", ""
        self._live += text
        if self._pause is None:
            self._draw_and_pause()
        else:
            self._behind = True

    def _draw_and_pause(self) -> None:
        self._behind = False
        self.redraw()
        self._pause = self.set_timer(REDRAW_SECONDS, self._go_on)

    def _go_on(self) -> None:
        self._pause = None
        if self._behind:
            self._draw_and_pause()

    def finish(self, text: str, speed: Speed) -> None:
        """The whole reply."""
        self.turns.append(Turn("assistant", text))
        self._state, self._live, self._note, self._speed = "idle", "", "", speed
        self.redraw()

    def fail(self, error: str) -> None:
        """No reply, and why; what was said so far stays on screen, not in the conversation."""
        self._state, self._note = "failed", error
        self.redraw()

    def redraw(self) -> None:
        if not self.is_attached:
            return
        set_title(self, f"{self.letter}  {self.side.name}")
        set_subtitle(self, self._figures())
        self.show(self._conversation())

    def _figures(self) -> str:
        temperature = f"t {self.settings.temperature:g}"
        if self._speed is None:
            return temperature
        words = [f"{self._speed.ttft_seconds:.2f} s", f"{figures.rate(self._speed.tokens_per_second)} tok/s"]
        words += [_FINISH[self._speed.finish]] if self._speed.finish in _FINISH else []
        return " · ".join([*words, temperature])

    def _conversation(self) -> list[Text]:
        colors = palette(self.app)
        plainly, dim = Style(color=colors.foreground), Style(color=colors.dim)
        names = {
            "user": Style(color=colors.warning, bold=True),
            "assistant": Style(color=colors.good, bold=True),
        }
        lines: list[Text] = []
        if self.settings.system:
            lines += [Text("system", Style(color=colors.special, bold=True))]
            lines += [_shown(self.settings.system, dim), Text("")]
        for turn in self.turns:
            said = _shown(turn.content, plainly) if turn.content.strip() else Text("(nothing but space)", dim)
            lines += [Text(turn.role, names[turn.role]), said, Text("")]
        if self._state == "streaming" or self._live:
            lines.append(Text("assistant", names["assistant"]))
            cursor = "" if self._state == "failed" else "_" if figures.ascii_only() else "▌"
            lines += [_shown(self._live + cursor, plainly), Text("")]
        if self._state == "waiting":
            lines += [Text("assistant", names["assistant"]), Text("…", dim)]
        elif self._state == "loading":
            lines.append(Text(self._note, dim))
        elif self._state == "failed":
            cross = "x " if figures.ascii_only() else "✗ "
            mark = (cross, Style(color=colors.bad, bold=True))
            lines.append(Text.assemble(mark, (sanitize(self._note), plainly)))
            lines.append(Text.assemble(("r", Style(color=colors.accent, bold=True)), (" tries again", dim)))
        if not lines:
            who = (
                f"adapter, {self.side.detail}".removesuffix(", ")
                if self.side.adapter
                else f"base model {self.side.base}"
            )
            lines.append(Text(sanitize(who, lines=False), dim))
            lines.append(Text("write below; the model is loaded when you begin", dim))
        return lines


def _shown(text: str, style: Style) -> Text:
    clean = sanitize(text[:_MOST_SHOWN]).rstrip()
    if len(text) > _MOST_SHOWN:
        clean += f"\n… {len(text) - _MOST_SHOWN:,} more characters"
    return Text(clean or " ", style)

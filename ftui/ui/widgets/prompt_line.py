"""Questions asked in the key line: one line of text, or one key. The pane above stays in sight."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich.style import Style
from rich.text import Text
from textual import events
from textual.suggester import SuggestFromList
from textual.widget import Widget
from textual.widgets import Static

from ftui.ui.themes import palette
from ftui.ui.widgets.keybar import KeyBar
from ftui.ui.widgets.safe_input import UNNAMED_KEYS, SafeInput

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from textual.app import ComposeResult


class Question(Widget):
    """What `PaneScreen.ask` puts in the place of the key line; `close` gives it back, and the focus too."""

    came_from: Widget | None = None
    closed = False

    def listen(self) -> None:
        """Takes the keyboard, at once: `Widget.focus` would only ask for it."""
        self.screen.set_focus(self)

    def close(self) -> None:
        self.closed = True
        self.screen.query_one(KeyBar).display = True
        if self.came_from is not None and self.came_from.is_attached:
            self.screen.set_focus(self.came_from)
        self.screen.refresh_bindings()
        self.remove()

    def pass_on(self, event: events.Key) -> None:
        """A key typed behind the answer, in the same burst: it is for whoever has the keyboard now."""
        event.stop()
        event.prevent_default()
        self.app.post_message(events.Key(event.key, event.character))


class _Answer(SafeInput):
    """Enter answers at once. By way of a binding it would answer after the keys behind it were typed here."""

    async def _on_key(self, event: events.Key) -> None:
        question = self.parent
        assert isinstance(question, PromptLine)
        if question.closed:
            question.pass_on(event)
        elif event.key == "enter":
            event.stop()
            event.prevent_default()
            question.answer(self.value)


class PromptLine(Question):
    """Asks for a line of text. enter: `done` gets it and the prompt closes; esc: `cancelled`.

    changed: told of every character. stepped: told of up (-1) and down (+1), for what is being looked for.
    suggestions: completed with the right arrow key. replace: `value` is selected, what is typed takes its place.
    """

    DEFAULT_CSS = """
    PromptLine { layout: horizontal; height: 1; background: $panel; }
    PromptLine > Static { width: auto; padding: 0 1; color: $accent; text-style: bold; }
    PromptLine > .hint { color: $dim; text-style: none; }
    PromptLine > SafeInput { width: 1fr; background: $panel; }
    """

    def __init__(
        self,
        label: str,
        done: Callable[[str], None],
        *,
        value: str = "",
        placeholder: str = "",
        hint: str = "enter · esc",
        suggestions: Sequence[str] = (),
        replace: bool = False,
        changed: Callable[[str], None] | None = None,
        stepped: Callable[[int], None] | None = None,
        cancelled: Callable[[], None] | None = None,
    ) -> None:
        super().__init__()
        self._label, self._hint = label, hint
        self._done, self._changed, self._stepped, self._cancelled = done, changed, stepped, cancelled
        self._input = _Answer(
            value,
            placeholder=placeholder,
            select_on_focus=replace,
            suggester=SuggestFromList(suggestions, case_sensitive=False) if suggestions else None,
        )

    def compose(self) -> ComposeResult:
        yield Static(self._label, markup=False)
        yield self._input
        yield Static(self._hint, classes="hint", markup=False)

    def listen(self) -> None:
        self.screen.set_focus(self._input)

    def on_input_changed(self, event: Any) -> None:
        event.stop()
        if self._changed:
            self._changed(event.value)

    def answer(self, value: str) -> None:
        self.close()
        self._done(value)

    def on_key(self, event: events.Key) -> None:
        if event.key == "escape":
            event.stop()
            self.close()
            if self._cancelled:
                self._cancelled()
        elif self._stepped and event.key in ("up", "down"):
            event.stop()
            self._stepped(-1 if event.key == "up" else 1)
        elif event.key in ("tab", "shift+tab"):
            event.stop()  # the question is answered or taken back first


class KeyLine(Question, can_focus=True):
    """Asks for one key. `done` gets it; esc takes the question back; any other key is ignored."""

    DEFAULT_CSS = "KeyLine { height: 1; background: $panel; }"

    def __init__(self, label: str, choices: Sequence[tuple[str, str]], done: Callable[[str], None]) -> None:
        super().__init__()
        self._label, self._choices, self._done = label, choices, done

    def check_consume_key(self, key: str, character: str | None) -> bool:
        """Every character is an answer or nothing; no binding elsewhere may have it."""
        return key in UNNAMED_KEYS or (character is not None and character.isprintable())

    def render(self) -> Text:
        colors = palette(self.app)
        line = Text(no_wrap=True, end="")
        line.append(f" {self._label}   ", Style(color=colors.accent, bold=True))
        for key, word in (*self._choices, ("esc", "back")):
            line.append(key, Style(color=colors.accent, bold=True))
            line.append(f" {word}  " if word else "  ", Style(color=colors.dim))
        return line

    def on_key(self, event: events.Key) -> None:
        if self.closed:
            self.pass_on(event)
            return
        event.stop()
        event.prevent_default()
        if event.key == "escape" or event.character in {key for key, _ in self._choices}:
            self.close()
            if event.key != "escape":
                self._done(event.character or "")

"""What every pane shares: the title line above, the strip and the key line below.

A pane subclasses PaneScreen and writes:

    class TrainScreen(PaneScreen):
        PANE = "train"
        BINDINGS = [Binding("s", "stop", "stop+save", id="train.stop"), ...]   # an id each: keys can be rebound
        def compose_body(self) -> ComposeResult: ...
        def receive_pulse(self, pulse: Pulse) -> None: super().receive_pulse(pulse); ...   # once a second while showing

Rules: widgets do no I/O (snapshot in, Message out); slow work is `self.run_worker(fn, thread=True,
exclusive=True, group=..., exit_on_error=False)` with the result posted as a Message; every str from data goes
through core.text.sanitize and is shown as Content/Text, never as markup; colours by meaning from $dim,
$accent, $good, $warning, $bad, $special, $eval or `themes.palette(app)`; FtuiError is shown with
`self.say_error(error)`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from textual.screen import Screen

from ftui.core.text import sanitize
from ftui.ui.widgets.keybar import KeyBar
from ftui.ui.widgets.strip import Strip
from ftui.ui.widgets.titlebar import TitleBar

if TYPE_CHECKING:
    from textual.app import ComposeResult
    from textual.notifications import SeverityLevel

    from ftui.core.errors import FtuiError
    from ftui.ui.app import FtuiApp
    from ftui.ui.pulse import Pulse
    from ftui.ui.widgets.prompt_line import Question


class PaneScreen(Screen[None]):
    """A pane: title line, body, strip, key line.

    KEY_OWNERS: widget classes with bindings that are not there from the start (an editor opened later), so
    that the keys a user has set for them are known.
    """

    PANE: ClassVar[str] = ""
    KEY_OWNERS: ClassVar[tuple[type, ...]] = ()
    app: FtuiApp

    def compose(self) -> ComposeResult:
        self._fit()
        yield TitleBar(self.PANE)
        yield from self.compose_body()
        yield Strip()
        yield KeyBar()

    def _fit(self) -> None:
        """The classes of the breakpoints, before the first layout: else everything is laid out and sent twice."""
        width, height = self.app.size
        for points, size in ((self.HORIZONTAL_BREAKPOINTS, width), (self.VERTICAL_BREAKPOINTS, height)):
            fitting = [point for point in points or () if size >= point[0]]
            if fitting:
                self.add_class(max(fitting)[1])

    def key_owners(self) -> tuple[type, ...]:
        """KEY_OWNERS; a pane that does not want to import them for the first paint overrides this."""
        return self.KEY_OWNERS

    def compose_body(self) -> ComposeResult:
        raise NotImplementedError(f"{type(self).__name__} has no body")

    def _on_mount(self, event: Any) -> None:
        super()._on_mount(event)
        if self.app.settings.keys:
            self.call_after_refresh(self.app.check_pane_keys, self)

    def on_screen_resume(self) -> None:
        self.receive_pulse(self.app.pulse)

    def receive_pulse(self, pulse: Pulse) -> None:
        """Called once a second while this pane is showing, and when it comes to the front."""
        for strip in self.query(Strip):  # none any more while the app is closing
            strip.pulse = pulse

    async def ask(self, question: Question) -> None:
        """Asks in the place of the key line (`widgets.prompt_line`); an open question is taken back first.

        Await it in an action: the keys typed after the one that asks then go to the question and nowhere else.
        """
        self.take_back_questions()
        keybar = self.query_one(KeyBar)
        keybar.display = False
        question.came_from = self.focused
        await self.mount(question, after=keybar)
        question.listen()

    def take_back_questions(self) -> None:
        """Closes what is being asked, without an answer."""
        for earlier in self.query("Question"):
            if not earlier.closed:  # type: ignore[attr-defined]
                earlier.close()  # type: ignore[attr-defined]

    @property
    def asking(self) -> bool:
        """True while a question is open: keys belong to it."""
        return any(not question.closed for question in self.query("Question"))  # type: ignore[attr-defined]

    def unsaved(self) -> str:
        """What would be lost by quitting now, as a person says it; "" when nothing would."""
        return ""

    def say(self, text: str) -> None:
        """One line of good news, gone after a moment."""
        self._toast(sanitize(text), "information", 4)

    def say_error(self, error: FtuiError) -> None:
        """What is wrong, what to do, and where: a line each, the words before the long path."""
        lines = [error.message, error.hint, error.where]
        self._toast(sanitize("\n".join(filter(None, lines))), "error", 10)

    def _toast(self, text: str, severity: SeverityLevel, seconds: float) -> None:
        """Shows `text` in place of the last of its kind: what is said twenty times does not cover the work."""
        for earlier in list(self.app._notifications):
            if earlier.severity == severity:
                self.app._unnotify(earlier, refresh=False)
        self.notify(text, severity=severity, markup=False, timeout=seconds)

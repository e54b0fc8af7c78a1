"""The guide of `ftui demo`: welcome, training, then base and adapter side by side.

It only looks at the pulse and opens panes; the run it starts is an ordinary run.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ftui.core.errors import FtuiError
from ftui.runs.state import ENDED

if TYPE_CHECKING:
    from ftui.ui.app import FtuiApp
    from ftui.ui.pulse import Pulse


class DemoGuide:
    """Follows one demo run from its start to the chat.

    steps: optimizer steps instead of the recipe's; 0 keeps the recipe's.
    """

    def __init__(self, app: FtuiApp, steps: int = 0) -> None:
        self._app = app
        self._steps = steps
        self._run = ""
        self._adapter = ""
        self._starting = False

    def welcome(self) -> None:
        """Shows the welcome; training starts when the user says so."""
        from ftui.ui.modals.demo_welcome import DemoWelcome

        self._app.push_screen(DemoWelcome(), lambda start: self.start() if start else None)

    def make(self) -> None:
        """Puts the demo's files into the workspace, then starts the run."""
        self._app.run_worker(self._make, thread=True, group="demo", exclusive=True, exit_on_error=False)

    def _make(self) -> None:
        from ftui.demo.workspace import make_demo_workspace

        try:
            make_demo_workspace(self._app.workspace)
        except FtuiError as error:
            self._app.call_from_thread(self._app.say_error, error)
            return
        self._app.call_from_thread(self.start)

    def start(self) -> None:
        """Starts the run off the screen's thread and shows it."""
        if not self._starting:
            self._starting = True
            self._app.run_worker(self._launch, thread=True, group="demo", exit_on_error=False)

    def _launch(self) -> None:
        from ftui.demo.headless import living_demo_run, start_demo_run

        try:
            rundir = living_demo_run(self._app.workspace) or start_demo_run(self._app.workspace, self._steps)
        except FtuiError as error:
            self._starting = False
            self._app.call_from_thread(self._app.say_error, error)
            return
        self._run, self._adapter = rundir.id, str(rundir.adapter)
        self._app.call_from_thread(self._app.pane, "train")

    def receive_pulse(self, pulse: Pulse) -> None:
        """Opens the chat when the run has finished; says so instead when the user is busy elsewhere."""
        run = next((run for run in pulse.runs if run.id == self._run), None)
        if run is None or run.state not in ENDED:
            return
        self._run = ""
        self._starting = False
        if run.state != "finished":
            return  # the Train pane says what happened
        if self._app.current_mode == "train" and len(self._app.screen_stack) == 1:
            self.compare()
        else:
            self._app.notify("Training is done: press 4 to ask base and adapter.", timeout=20)

    def compare(self) -> None:
        """Opens Chat on base and adapter with a held-out ticket, sent to both."""
        from ftui.demo.workspace import held_out
        from ftui.ui.screens.chat import ChatRequest

        try:
            question = held_out(self._app.workspace)[0].question
        except FtuiError as error:
            self._app.say_error(error)
            question = ""
        self._app.open_chat(ChatRequest("demo", (self._adapter,), question))

"""What keys do to a run: stop it, go on with it, show what it was made of. Each in a thread."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual.worker import Worker, WorkerState

from ftui.core.errors import FtuiError
from ftui.core.text import one_line
from ftui.runs.rundir import RunDir
from ftui.ui.screens.base import PaneScreen
from ftui.ui.widgets.run_list import RunList

if TYPE_CHECKING:
    from collections.abc import Callable

    from ftui.runs.state import RunSummary
    from ftui.ui.run_reader import RunView


class Acting(PaneScreen):
    """The part of the Train pane that changes runs. A FtuiError in a thread becomes a line on the screen."""

    def __init__(self) -> None:
        super().__init__()
        self._view: RunView | None = None
        self._last_trouble = ""

    def _chosen(self) -> RunSummary | None:
        return self.query_one(RunList).chosen if self.is_mounted else None

    def action_stop(self, now: bool) -> None:
        from ftui.ui.modals.confirm_stop import ConfirmStop

        run = self._chosen()
        if run is None:
            return
        saved = self._view.checkpoints if self._view else ()

        def answered(stop: bool | None) -> None:
            if stop:
                self._act(lambda: self._stop(run, now))

        self.app.push_screen(ConfirmStop(run, now=now, checkpoints=saved), answered)

    def action_resume(self) -> None:
        if run := self._chosen():
            self._act(lambda: self._resume(run))

    def action_details(self) -> None:
        if run := self._chosen():
            self._act(lambda: self._details(run))

    def on_worker_state_changed(self, event: Worker.StateChanged) -> None:
        if event.state is WorkerState.ERROR:
            error = event.worker.error
            known = error if isinstance(error, FtuiError) else FtuiError(f"{type(error).__name__}: {error}")
            # What cannot be read is tried again every second, and said once.
            if event.worker.group == "act" or str(known) != self._last_trouble:
                self._last_trouble = str(known)
                self.say_error(known)

    def _act(self, work: Callable[[], None]) -> None:
        self.run_worker(work, thread=True, group="act", exit_on_error=False)

    def _stop(self, run: RunSummary, now: bool) -> None:
        from ftui.runs.control import stop

        tell, announce = self.app.call_from_thread, self.query_one(RunList).announce
        try:
            stop(RunDir(run.path), now, waiting=lambda what, left: tell(announce, f"{left:.0f}s {what}"))
        finally:
            tell(announce, "")
        words = "was stopped" if now else "stops at its next step"
        tell(self.say, f"{one_line(run.name, 40)} {words}")

    def _resume(self, run: RunSummary) -> None:
        from ftui.runs.control import resume

        resumed = resume(RunDir(run.path))
        words = resumed.notice or f"goes on from step {resumed.step}"
        self.app.call_from_thread(self.say, f"{one_line(run.name, 40)}: {words}")

    def _details(self, run: RunSummary) -> None:
        from ftui.ui.modals.run_details import RunDetails, read_facts

        facts, command = read_facts(RunDir(run.path))
        self.app.call_from_thread(self.app.push_screen, RunDetails(run.id, facts, command))

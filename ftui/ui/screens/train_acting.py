"""What keys do to a run: stop it, go on with it, mend what is wrong, show what it was made of. Each in a thread."""

from __future__ import annotations

from functools import partial
from threading import Event
from typing import TYPE_CHECKING, Any, ClassVar

from textual.worker import Worker, WorkerState

from ftui.core.errors import FtuiError
from ftui.core.text import one_line
from ftui.runs.rundir import RunDir
from ftui.ui.bindings import ordered
from ftui.ui.screens.base import PaneScreen
from ftui.ui.widgets.run_list import RunList
from ftui.ui.widgets.run_notes import RunNotes

if TYPE_CHECKING:
    from collections.abc import Callable

    from ftui.runs.state import RunSummary
    from ftui.ui.run_facts import RunFacts
    from ftui.ui.run_reader import RunView
    from ftui.ui.run_troubles import Trouble

# What `control.stop` waits for, in the room that a border has.
_SHORTLY = {"for a checkpoint": "to save", "for the trainer to end": "to end"}
_CAN_RESUME = ("stopped", "failed", "crashed")
_ABOUT_A_RUN = ("stop", "resume", "start_now", "details", "remedy", "note", "tags", "throw_away", "queue")


class _LetGoError(Exception):
    """The user would rather wait than end the run by force."""


class Acting(PaneScreen):
    """The part of the Train pane that changes runs. A FtuiError in a thread becomes a line on the screen."""

    BINDINGS: ClassVar[list[Any]] = [
        ordered("x", "remedy", "do what a notice says", id="train.remedy"),
        ordered("g", "machine", "machine", id="train.machine"),
    ]

    def __init__(self) -> None:
        super().__init__()
        self._view: RunView | None = None
        self._last_trouble = ""
        self._patience: Event | None = None  # set to give up ending a run by force

    def _chosen(self) -> RunSummary | None:
        return self.query_one(RunList).chosen if self.is_mounted else None

    def _seen(self, run: RunSummary) -> RunView | None:
        """What is shown of `run`: nothing, while it was chosen but not read yet."""
        return self._view if self._view is not None and self._view.run.id == run.id else None

    def can_act(self, action: str) -> bool:
        """Whether an action of this part makes sense for the chosen run."""
        run = self._chosen()
        if action == "let_go":
            return self._patience is not None
        if action not in _ABOUT_A_RUN:
            return True
        if run is None:
            return False
        if action == "stop":
            return run.active
        if action == "resume":
            return run.state in _CAN_RESUME
        if action == "start_now":
            return run.state == "queued"
        if action == "remedy":
            trouble = self.query_one(RunNotes).trouble
            return trouble is not None and bool(trouble.deed) and self._seen(run) is not None
        return True

    # -- stop and go on ---------------------------------------------------------

    def action_stop(self, now: bool) -> None:
        from ftui.ui.modals.confirm_stop import ConfirmStop

        run = self._chosen()
        if run is None:
            return
        seen = self._seen(run)
        saved = seen.checkpoints if seen else None

        def answered(stop: bool | None) -> None:
            if stop:
                self._act(lambda: self._stop(run, now))

        self.app.push_screen(ConfirmStop(run, now=now, checkpoints=saved), answered)

    def action_let_go(self) -> None:
        if self._patience is not None:
            self._patience.set()

    def action_resume(self) -> None:
        if run := self._chosen():
            self._act(lambda: self._resume(run))

    def action_start_now(self) -> None:
        """Starts a queued run before its turn."""
        self.action_resume()

    def _stop(self, run: RunSummary, now: bool) -> None:
        from ftui.runs.control import stop

        tell, announce = self.app.call_from_thread, self.query_one(RunList).announce
        patience = Event()

        def waiting(what: str, left: float) -> None:
            # Once it is being ended there is no way back.
            if patience.is_set() and "checkpoint" in what:
                raise _LetGoError
            tell(announce, f"{left:.0f}s {_SHORTLY.get(what, what)}")

        if now:
            self._patience = patience
        words = "was stopped" if now else "stops at its next step"
        if now:
            tell(
                self.say,
                "when the time is over it is ended by force\nesc takes back the force only: the run still stops",
            )
        try:
            stop(RunDir(run.path), now, waiting=waiting)
        except _LetGoError:
            words = "is not ended by force: it still stops, at its next step"
        finally:
            if self._patience is patience:  # another run may be stopped beside this one
                self._patience = None
            tell(announce, "")
        tell(self.say, f"{one_line(run.name, 40)} {words}")

    def _resume(self, run: RunSummary) -> None:
        from ftui.runs.control import resume

        resumed = resume(RunDir(run.path))
        started = "goes on from step" if resumed.step else "is started"
        words = resumed.notice or f"{started} {resumed.step or ''}".strip()
        self.app.call_from_thread(self.say, f"{one_line(run.name, 40)}: {words}")

    # -- what an alarm says -----------------------------------------------------

    def action_remedy(self) -> None:
        """Does what the chosen alarm says; whatever stops a run asks first."""
        run, trouble = self._chosen(), self.query_one(RunNotes).trouble
        if run is None or trouble is None or not trouble.deed or self._seen(run) is None:
            return  # what is shown may be another run's
        if trouble.deed in ("stop", "stop_now"):
            self.action_stop(trouble.deed == "stop_now")
        elif trouble.deed == "resume":
            self.action_resume()
        elif trouble.deed == "machine":
            self.action_machine()
        elif trouble.deed == "checkpoint":
            self._act(lambda: self._checkpoint(run))
        else:
            self._open_recipe(run, trouble)

    def _checkpoint(self, run: RunSummary) -> None:
        try:
            RunDir(run.path).request("checkpoint")
        except OSError as error:
            raise FtuiError(f"cannot leave the request: {error.strerror}", "", str(run.path)) from None
        words = f"{one_line(run.name, 40)} saves a checkpoint at its next step"
        self.app.call_from_thread(self.say, words)

    def _open_recipe(self, run: RunSummary, trouble: Trouble) -> None:
        from ftui.ui.run_remedy import propose

        if trouble.change is not None:
            self.app.pane("recipe").open_remedy(partial(propose, RunDir(run.path), trouble.change))

    # -- more about it ----------------------------------------------------------

    def action_details(self) -> None:
        if run := self._chosen():
            self._act(lambda: self._details(run))

    def action_machine(self) -> None:
        from ftui.ui.modals.machine import MachineModal

        self.app.push_screen(MachineModal(self._chosen()))

    def _details(self, run: RunSummary) -> None:
        from ftui.ui.run_facts import read_facts

        facts = read_facts(RunDir(run.path), self.app.workspace)
        self.app.call_from_thread(self._show_details, run, facts)

    def _show_details(self, run: RunSummary, facts: RunFacts) -> None:
        """Unless it was asked for twice, or the user went on to something else meanwhile."""
        from ftui.ui.modals.run_details import RunDetails

        chosen = self._chosen()
        if self.is_active and chosen is not None and chosen.id == run.id:
            self.app.push_screen(RunDetails(run.id, facts, self.app.workspace.root))

    # -- threads ----------------------------------------------------------------

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

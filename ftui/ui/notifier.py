"""Tells a person what happens to their runs, wherever they are looking: once each.

An alarm that begins, a run that ends: the bell, the terminal's own notifications, and the user's command.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ftui.core.errors import FtuiError
from ftui.core.text import one_line, sanitize
from ftui.ui.terminal_notes import sequences

if TYPE_CHECKING:
    from ftui.core.vitals import Alarm
    from ftui.runs.state import RunSummary
    from ftui.ui.app import FtuiApp
    from ftui.ui.pulse import Pulse

_LOUD = ("error", "warning")


@dataclass(frozen=True, slots=True)
class News:
    """what: its name among the things told of one attempt. bad: worth a warning rather than a word.

    alarm: what to remember of it, beside that it was told.
    """

    run: RunSummary
    what: str
    title: str
    message: str
    bad: bool
    alarm: Alarm | None = None


class Herald:
    """Finds the news in one pulse after another: pure."""

    def __init__(self) -> None:
        self._at_work: set[str] = set()
        self._told: set[tuple[str, int, str]] = set()

    def news(self, pulse: Pulse) -> list[News]:
        """What is new since the last pulse; a run counts as ended only if it was seen at work."""
        found = []
        for run in pulse.runs:
            if run.active:
                self._at_work.add(run.id)
                found += [
                    News(
                        run,
                        alarm.check,
                        "ftui: look at a run",
                        f"{_name(run)}: {alarm.message}",
                        bad=True,
                        alarm=replace(alarm, step=alarm.step or run.step or 0),
                    )
                    for alarm in pulse.alarms.get(run.id, ())
                    if alarm.severity in _LOUD
                ]
            elif run.id in self._at_work and run.state != "queued":
                self._at_work.discard(run.id)
                found.append(_ended(run))
        fresh = [one for one in found if (one.run.id, one.run.attempts, one.what) not in self._told]
        self._told |= {(one.run.id, one.run.attempts, one.what) for one in fresh}
        return fresh


class Notifier:
    """Rings for the news. Files and commands in a thread; what is drawn or sent, on the screen's."""

    def __init__(self, app: FtuiApp) -> None:
        self._app = app
        self._herald = Herald()

    def receive_pulse(self, pulse: Pulse) -> None:
        if news := self._herald.news(pulse):
            seen = self._app.current_mode == "train"  # there it is to be seen anyway
            self._app.run_worker(
                lambda: self._tell(news, seen), thread=True, group="notify", exit_on_error=False
            )

    def _tell(self, news: list[News], seen: bool) -> None:
        from ftui.runs.rundir import RunDir
        from ftui.runs.told import claim

        settings = self._app.settings.notify
        mine = [one for one in news if claim(RunDir(one.run.path), one.run.attempts, one.what, one.alarm)]
        if not mine:
            return
        self._app.call_from_thread(self._ring, mine, seen)
        if settings.command:
            self._run(settings.command, mine)

    def _ring(self, news: list[News], seen: bool) -> None:
        """One bell for all that happened at once."""
        app, settings = self._app, self._app.settings.notify
        if settings.bell:
            app.bell()
        for one in news:
            _send(app, sequences(one.title, one.message, settings.terminal, os.environ))
        if not seen:
            words = "\n".join([*(one.message for one in news), "press 3 to look"])
            loud = any(one.bad for one in news)
            app.notify(
                sanitize(words), severity="warning" if loud else "information", markup=False, timeout=15
            )

    def _run(self, command: str, news: list[News]) -> None:
        from textual.worker import get_current_worker

        from ftui.ui.notify_command import run_command

        worker = get_current_worker()
        for one in news:
            try:
                run_command(command, one.title, one.message, lambda: worker.is_cancelled)
            except FtuiError as error:
                self._app.call_from_thread(self._app.warn, str(error))  # once, however often it fails


def _send(app: FtuiApp, text: str) -> None:
    """To the terminal as it is: `text` is ours, and nothing on the screen moves by it."""
    if text and app._driver is not None and not app.is_headless:
        app._driver.write(text)


def _ended(run: RunSummary) -> News:
    words = {"finished": "has finished", "stopped": "was stopped"}.get(run.state, run.state)
    if run.state == "finished" and run.eval_loss is not None:
        words += f", eval loss {run.eval_loss:.3g}"
    elif run.state in ("failed", "crashed") and run.reason:
        words += f": {one_line(run.reason, 120)}"
    return News(
        run, "ended", f"ftui: run {run.state}", f"{_name(run)} {words}", run.state in ("failed", "crashed")
    )


def _name(run: RunSummary) -> str:
    return one_line(run.name, 40)

"""What there is to look at in a run, as one list: alarms, how it ended, what its trainer noted. No Textual."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from ftui.core.text import one_line
from ftui.core.vitals import Change

if TYPE_CHECKING:
    from ftui.core.vitals import Alarm
    from ftui.runs.state import RunSummary
    from ftui.ui.run_reader import RunView

Deed = Literal["", "stop", "stop_now", "checkpoint", "recipe", "machine", "resume"]

_WORDS: dict[Deed, str] = {
    "stop": "save a checkpoint and stop",
    "stop_now": "stop it now",
    "checkpoint": "save a checkpoint now",
    "machine": "look at the machine",
    "resume": "go on from the last checkpoint",
}
_NEEDS_WORK = ("stop", "stop_now", "checkpoint")  # deeds that only a run at work can be asked for
_ENDED_BADLY = ("failed", "crashed", "stalled")


@dataclass(frozen=True, slots=True)
class Trouble:
    """level: "error", "warning", or less. deed: what one key does about it, `words` says so. All is safe to show.

    change: what deed "recipe" proposes. past: it was so once, and is no more.
    """

    level: str
    message: str
    hint: str = ""
    deed: Deed = ""
    words: str = ""
    change: Change | None = None
    past: bool = False


def troubles(view: RunView) -> list[Trouble]:
    """How it ended first, then alarms, the gravest first, the trainer's own notices, and what was once.

    That a run is stalled is said once: its state says so before the alarm does.
    """
    found = [of_state(view.run, bool(view.checkpoints))] if view.run.state in _ENDED_BADLY else []
    found += [of_alarm(alarm, view.run) for alarm in view.alarms if alarm.check != view.run.state]
    said = {alarm.message for alarm in (*view.alarms, *view.past)}
    notices = [notice for notice in view.notices if notice.message not in said]
    found += [Trouble(notice.level, notice.message, notice.hint) for notice in notices]
    found += [of_past(alarm, view.run) for alarm in view.past]
    return found


def of_state(run: RunSummary, saved: bool) -> Trouble:
    """How it ended. saved: whether it has a checkpoint; without one the same mistake would only be made again."""
    message = f"{run.state}: {one_line(run.reason, 400)}" if run.reason else run.state
    hint = one_line(run.hint, 400)
    if run.state == "stalled":
        return Trouble("error", message, hint, "stop_now", _WORDS["stop_now"])
    if saved:
        return Trouble("error", message, hint, "resume", _WORDS["resume"])
    from ftui.core.recipe import fields  # pydantic: not on the way to the first paint

    field = run.reason.partition(":")[0]
    if run.state == "failed" and field in fields():
        change = Change(field)
        return Trouble("error", message, hint, "recipe", in_words(change), change)
    return Trouble("error", message, hint, "resume", "start it over from step 0")


def of_alarm(alarm: Alarm, run: RunSummary) -> Trouble:
    """An alarm with what can be done about it in the state the run is in."""
    deed: Deed = alarm.action
    if deed == "stop" and run.state == "stopping":
        deed = ""
    elif deed in _NEEDS_WORK and not run.active:
        deed = "recipe" if alarm.change else ""
    words = in_words(alarm.change) if deed == "recipe" and alarm.change else _WORDS.get(deed, "")
    return Trouble(alarm.severity, alarm.message, alarm.hint, deed, words, alarm.change)


def of_past(alarm: Alarm, run: RunSummary) -> Trouble:
    """An alarm that is over: nothing is stopped for its sake any more, the next run may still be better."""
    deed: Deed = "recipe" if alarm.change else "machine" if alarm.action == "machine" and run.active else ""
    words = in_words(alarm.change) if alarm.change else _WORDS.get(deed, "")
    hint = f"{alarm.message}; {alarm.hint}"
    return Trouble(alarm.severity, was(alarm), hint, deed, words, alarm.change, past=True)


def in_words(change: Change) -> str:
    """What will be proposed: "a recipe with training.learning_rate x 0.33"."""
    if change.value is not None:
        value = {True: "true", False: "false"}.get(change.value) if isinstance(change.value, bool) else None
        return f"propose {change.field} = {value or change.value}"
    if change.factor:
        return f"propose {change.field} x {change.factor:.2g}"
    return f"open its recipe at {change.field}"


def was(alarm: Alarm) -> str:
    """An alarm that is over, in a few words."""
    return f"was: {alarm.check.replace('-', ' ')} at step {alarm.step}"


def loudest(levels: list[str]) -> str:
    """ "error", "warning" or "": the gravest of `levels` that deserves a mark."""
    return next((level for level in ("error", "warning") if level in levels), "")

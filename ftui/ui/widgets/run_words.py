"""How a run goes in the few words that a row of the list has room for, and what tells it from the others."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ftui.core.text import one_line
from ftui.runs.lifecycle import UNREADABLE
from ftui.ui.widgets import figures

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ftui.runs.state import RunSummary


def describe(run: RunSummary, now: float, width: int) -> str:
    """How a run goes, in a few words; the last ones are left out where `width` has no room for them."""
    steps = f"{run.step or 0}/{run.steps}" if run.steps else ""
    loss = figures.number(run.loss) if run.loss is not None else ""
    moment = figures.when(run.ended or run.started, now)
    if run.reason.startswith(UNREADABLE):
        return run.reason.removeprefix("its ")
    if run.state == "running":
        return _fitting(width, steps, loss, figures.duration(run.eta_seconds))
    if run.state == "starting":
        return run.stage or "starting"
    if run.state == "finished":
        return _fitting(width, steps, loss, moment)
    if run.state in ("failed", "crashed"):
        return run.reason or f"{run.state} {steps}".strip()
    if run.state == "queued":
        return f"{_place(run)} {run.reason or 'queued'}".strip()
    if run.state == "stalled":
        return run.reason or run.state
    return _fitting(width, f"{run.state} {steps}".strip(), moment)


def _place(run: RunSummary) -> str:
    return "" if run.position is None else "next" if run.position == 1 else f"{run.position}."


def numbers(runs: tuple[RunSummary, ...]) -> dict[str, str]:
    """What tells runs of one name apart, by id: "#2" is the one that was begun second."""
    alike: dict[str, list[RunSummary]] = {}
    for run in sorted(runs, key=lambda run: (run.started or 0, run.id)):
        alike.setdefault(run.name, []).append(run)
    several = (group for group in alike.values() if len(group) > 1)
    return {run.id: f"#{place}" for group in several for place, run in enumerate(group, 1)}


def shortly(run: RunSummary, runs: tuple[RunSummary, ...], marks: Mapping[str, str], width: int) -> str:
    """Why a run is as it is; one that waits for another calls that as the list does, and keeps its end in sight."""
    waits_for = next((one for one in runs if f"waits for {one.id} " in run.reason), None)
    if run.state != "queued" or waits_for is None:
        return run.reason
    called = f"{one_line(waits_for.name, 60)} {marks.get(waits_for.id, '')}".rstrip()
    whole = run.reason.replace(waits_for.id, called)
    room = width - len(_place(run)) - 1
    if len(whole) <= room:
        return whole
    room = max(4, room - len("after "))
    if len(called) > room:
        kept = room * 2 // 3
        called = f"{called[: room - kept - 1]}…{called[-kept:]}"
    return f"after {called}"


def _fitting(width: int, *words: str) -> str:
    line = ""
    for word in words:
        longer = f"{line} {word}" if line and word else line + word
        if line and len(longer) > width:
            break
        line = longer
    return line

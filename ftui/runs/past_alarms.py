"""What was wrong with a run and is no more: the run doctor's checks, shown every moment of its history.

It needs no record: a screen that was closed all night finds the same. Only what depends on the machine is
known from what a screen has told at the time, or the trainer about its disk.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import takewhile
from typing import TYPE_CHECKING

from ftui.core.alarms_machine import disk_refused
from ftui.core.alarms_past import LOOKBACK, STRIDE, Suspicion, trend_moments
from ftui.core.doctor import CHECKS
from ftui.core.vitals import Alarm, Unchecked, Vitals
from ftui.runs.examine import EVALS, STEPS, clip_of, disk_refusals, drawn
from ftui.runs.figures import whole
from ftui.runs.told import remembered

if TYPE_CHECKING:
    from ftui.runs.history import History
    from ftui.runs.rundir import RunDir

_KEPT = 3  # of each check, the newest
_LOOK_ROWS = 100_000
_STRETCHES = 100  # of suspicions in one look
_TRENDS = ("no-progress", "plateau")
_RECENT = ("not-a-number", "zero", "gradient-spike", "step-time-cliff", "loader-bound")  # judged by a window
_COME_AND_GO = ("zero", "gradient-spike", "step-time-cliff", "loader-bound", "divergence")
_GAP = {"gradient-spike": 5}  # rows between two suspicions of one and the same; else _USUAL_GAP
_USUAL_GAP = 20
_TRIES = 3  # of a long stretch of suspicions; a recent window is quickly looked at


@dataclass(slots=True)
class _Episode:
    """alarm: as it was raised. until: where it was last suspected."""

    alarm: Alarm
    until: int


class PastAlarms:
    """Follows one history. Use from one thread."""

    def __init__(self) -> None:
        self._table: object = None
        self._cuts = 0
        self._restart()

    def _restart(self) -> None:
        self._rows = self._evals = self._trends = 0
        self._suspicion = Suspicion()
        self._lowest = (float("inf"), 0)  # validation loss, and which evaluation
        self._episodes: dict[str, list[_Episode]] = {}
        self.behind = False

    def look(self, rundir: RunDir, history: History, present: Sequence[Alarm]) -> tuple[Alarm, ...]:
        """The newest few of each check that are not among the `present` ones, the newest first.

        A very long history is gone through in several looks; `behind` until that is done.
        """
        steps = history.steps
        if steps is not self._table or steps.cuts != self._cuts or len(history.evals) < self._evals:
            self._restart()
            self._table, self._cuts = steps, steps.cuts
        rows = len(steps)
        if rows > self._rows or len(history.evals) > self._evals:
            plan = (history.plan or {}).get("steps")
            self._advance(history, Vitals(total_steps=whole(plan) or 0, clip=clip_of(rundir)))
        self.behind = self._rows < rows
        return self._gone(rundir, history, present, rows)

    def _advance(self, history: History, known: Vitals) -> None:
        steps = history.steps
        start = max(0, self._rows - LOOKBACK) // STRIDE * STRIDE
        end = min(len(steps), self._rows + _LOOK_ROWS)
        piece = {name: steps.column(name)[start:end] for name in STEPS if name in steps.names}
        for check, counts in self._suspicion.of(piece).items():
            fresh = [start + count for count in counts if start + count > self._rows]
            self._weigh(check, fresh, history, known)
        moments = list(takewhile(lambda count: count <= end, trend_moments()))
        for number in range(self._trends, len(moments)):
            for check in _TRENDS:
                self._try(check, number, 1, self._at(check, moments[number], history, known))
        self._trends, self._rows = len(moments), end
        if end == len(steps):
            self._weigh_evals(history, known)

    def _weigh(self, check: str, counts: list[int], history: History, known: Vitals) -> None:
        """Has `check` look at stretches of suspicions until it has said something of each."""
        gap = _GAP.get(check, _USUAL_GAP)
        stretches: list[list[int]] = []
        for count in counts:
            if stretches and count - stretches[-1][-1] <= gap:
                stretches[-1].append(count)
            else:
                stretches.append([count])
        tries = _USUAL_GAP if check in _RECENT else _TRIES
        for stretch in stretches[-_STRETCHES:]:
            every = max(1, len(stretch) // tries)
            for count in [*stretch[::every], stretch[-1]]:
                if self._try(check, count, gap, self._at(check, count, history, known)):
                    self._episodes[check][-1].until = stretch[-1]
                    break

    def _weigh_evals(self, history: History, known: Vitals) -> None:
        steps, losses = history.evals.column("step"), history.evals.column("eval_loss")
        for number in range(self._evals, len(losses)):
            if losses[number] < self._lowest[0]:
                self._lowest = (losses[number], number)
            if losses[number] > 1.03 * self._lowest[0] and number - self._lowest[1] >= 2:
                count = bisect_right(history.steps.column("step"), steps[number])
                vitals = replace(
                    self._at("overfitting", count, history, known),
                    evals=drawn(history.evals, EVALS, number + 1),
                )
                self._try("overfitting", number, 1, vitals)
        self._evals = len(losses)

    def _at(self, check: str, count: int, history: History, known: Vitals) -> Vitals:
        """What `check` could know when there were `count` steps."""
        least = max(0, count - LOOKBACK) if check in _RECENT else 0
        return replace(known, steps=drawn(history.steps, STEPS, count, least))

    def _try(self, check: str, place: int, gap: int, vitals: Vitals) -> bool:
        """True when the check goes off there, or is still the one that had."""
        known = self._episodes.setdefault(check, [])
        if known and place - known[-1].until <= gap:
            known[-1].until = place
            return True
        try:
            alarm = CHECKS[check](vitals)
        except Unchecked:
            return False
        if alarm is None:
            return False
        steps = vitals.steps.get("step", ())
        known.append(_Episode(replace(alarm, step=alarm.step or int(steps[-1])), place))
        del known[:-_KEPT]
        return True

    def _gone(
        self, rundir: RunDir, history: History, present: Sequence[Alarm], rows: int
    ) -> tuple[Alarm, ...]:
        there = {alarm.check for alarm in present}
        found = []
        for check, episodes in self._episodes.items():
            for episode in episodes:
                still = check not in _COME_AND_GO or episode.until > rows - _USUAL_GAP
                if not (check in there and still):
                    found.append(episode.alarm)
        refused = [disk_refused(*refusal) for refusal in disk_refusals(history)[-_KEPT:]]
        found += [alarm for alarm in refused if alarm.check not in there]
        seen = there | {alarm.check for alarm in found}
        found += [alarm for alarm in remembered(rundir) if alarm.check not in seen]
        return tuple(sorted(found, key=lambda alarm: alarm.step, reverse=True))

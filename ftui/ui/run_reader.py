"""Follows one run's files for the Train pane: reads what is new, hands out a frozen RunView.

Runs in a thread; nothing here knows the screen. A view is cheap to make however long the run is: long curves
are reduced to the lowest and highest value of a few thousand stretches.
"""

from __future__ import annotations

import math
import os
import time
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from ftui.core.doctor import Examination
from ftui.core.text import sanitize
from ftui.runs.examine import examine_run
from ftui.runs.glance import Glance
from ftui.runs.live import LiveHistory
from ftui.runs.past_alarms import PastAlarms
from ftui.runs.rundir import RunDir
from ftui.runs.state import RunSummary, summarize
from ftui.ui.lens import Lens
from ftui.ui.run_curves import Curves, Reach, Reduced, Series, curves_of, reach_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from ftui.core.vitals import Alarm
    from ftui.gpu.nvml import Gpu
    from ftui.runs.history import History
    from ftui.runs.stages import Stage

LOG_LINES = 300
_LOG_BYTES = 65_536
_BATCH = 5000  # events between two looks at the clock
_LONG_BYTES = 24 << 20  # more to read than this is glanced at first
_SEARCH_SECONDS = 0.7
_BATCH_SECONDS = 0.5  # a long run fills in twice a second instead of all at once
_TEXT = 20_000  # characters of a sample or a notice
_FACTS = ("attempt", "data", "model", "plan", "end")


@dataclass(frozen=True, slots=True)
class Sample:
    step: int
    prompt: str
    reply: str


@dataclass(frozen=True, slots=True)
class Notice:
    level: str
    message: str
    hint: str


@dataclass(frozen=True, slots=True)
class RunView:
    """Everything the Train pane shows of a run, as of one moment.

    share: how much of the run was read; until it is all of it the curves are drawn from a few of their points.
    perplexity: of the newest evaluation. facts: the newest `attempt`, `data`, `model`, `plan` and `end` events
    by type. checkpoints: their steps. log: the last lines of out.log. bad: unreadable event lines. alarms: what
    the run doctor finds; past: what it found earlier; unchecked: (check, why it could not run). All text is
    sanitized.
    """

    run: RunSummary
    curves: Curves = field(default_factory=Curves)
    share: float = 1.0
    perplexity: float | None = None
    facts: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    stages: tuple[Stage, ...] = ()
    samples: tuple[Sample, ...] = ()
    checkpoints: tuple[int, ...] = ()
    notices: tuple[Notice, ...] = ()
    log: tuple[str, ...] = ()
    bad: int = 0
    alarms: tuple[Alarm, ...] = ()
    past: tuple[Alarm, ...] = ()
    unchecked: tuple[tuple[str, str], ...] = ()

    @property
    def series(self) -> Mapping[str, Series]:
        """The curves by field of a step; empty before the first."""
        return self.curves.series


class RunReader:
    """Reads one run incrementally. Use from one thread at a time."""

    def __init__(self, path: Path) -> None:
        self.rundir = RunDir(path)
        self._live = LiveHistory(self.rundir.events_path)
        self._glance: Glance | None = None
        self._began = False
        self._reduced = Reduced()
        self._past = PastAlarms()
        self._log: tuple[str, ...] = ()
        self._log_stamp: tuple[int, int] | None = None
        self._asked: object = None
        self._last: object = None

    @property
    def more(self) -> bool:
        """True while there are events not yet read: read again at once."""
        return self._live.more

    @property
    def _history(self) -> History:
        return self._glance.history if self._glance else self._live.history

    def read(
        self,
        *,
        lens: Lens | None = None,
        gpus: Sequence[Sequence[Gpu]] = (),
        beside: Reach | None = None,
    ) -> RunView | None:
        """The run as it is now; None when nothing changed since the last read.

        gpus: readings of the last minute, for the run doctor. beside: the reach of the runs that share the x
        axis. Of a long run that was never read the first view is a glance, and says so. Raises OSError.
        """
        lens = lens or Lens()
        changed = self.advance()
        changed |= self._read_log()
        summary = summarize(self.rundir)
        # What is drawn from all over a run is not what its doctor could judge.
        seen_whole = not self._live.more
        asked = (summary, replace(lens, log=False), beside, seen_whole)
        if not changed and not summary.active and asked == self._asked and not self._past.behind:
            return None  # an ended run does not become ill
        self._asked = asked
        found, past = None, ()
        if seen_whole:
            found = examine_run(self.rundir, self._history, summary.state, gpus, summary.pid)
            past = self._past.look(self.rundir, self._history, found.alarms)
        now = (asked, found.alarms if found else None, past)
        if not changed and now == self._last:
            return None
        self._last = now
        return self._view(summary, lens, beside, found or Examination((), ()), past)

    def advance(self) -> bool:
        """Takes in what is new, for at most about half a second; True when that changed anything."""
        if not self._began:
            self._began = True
            self._live.begin()
            if self._live.behind > _LONG_BYTES:
                self._glance = Glance(self.rundir.events_path)
                return True
        elif self._glance is not None and not self._glance.complete:
            self._glance.search(_SEARCH_SECONDS)
            return True
        elif not self._live.more and self._glance is None:
            self._live.keep()
        deadline = time.monotonic() + _BATCH_SECONDS
        changed = self._live.refresh(_BATCH)
        while self._live.more and time.monotonic() < deadline:
            changed |= self._live.refresh(_BATCH)
        if self._glance is not None:
            self._glance.follow()
            if self._glance.over or not self._live.more:
                self._glance = None
        return changed

    def reach(self, lens: Lens) -> Reach:
        """How far the run has come on the lens's x axis, as far as it was read."""
        return self._reach(lens, summarize(self.rundir))

    def curves(self, lens: Lens, beside: Reach | None = None) -> Curves:
        """The curves alone, as far as they were read."""
        own = self.reach(lens)
        return curves_of(self._history, lens, own.with_(beside) if beside else own, self._reduced)

    def _reach(self, lens: Lens, summary: RunSummary) -> Reach:
        return reach_of(self._history, lens, summary.steps or 0, ended=not summary.active)

    def _view(
        self,
        summary: RunSummary,
        lens: Lens,
        beside: Reach | None,
        found: Examination,
        past: tuple[Alarm, ...],
    ) -> RunView:
        history, reach = self._history, self._reach(lens, summary)
        return RunView(
            run=summary,
            curves=curves_of(history, lens, reach.with_(beside) if beside else reach, self._reduced),
            share=self._live.share if self._live.more else 1.0,
            perplexity=history.evals.last("eval_perplexity"),
            facts={kind: history.newest[kind] for kind in _FACTS if kind in history.newest},
            stages=tuple(history.stages),
            samples=tuple(_sample(event) for event in history.samples),
            checkpoints=tuple(_whole(event.get("step")) for event in history.checkpoints),
            notices=tuple(_notice(event) for event in history.notices),
            log=self._log,
            bad=self._live.bad,
            alarms=found.alarms,
            past=past,
            unchecked=found.unchecked,
        )

    def _read_log(self) -> bool:
        """Reads the end of out.log when it has changed; progress bars show their last state."""
        try:
            with self.rundir.log_path.open("rb") as file:
                stat = os.fstat(file.fileno())
                stamp = (stat.st_size, stat.st_mtime_ns)
                if stamp == self._log_stamp:
                    return False
                file.seek(max(0, stat.st_size - _LOG_BYTES))
                text = file.read(_LOG_BYTES).decode("utf-8", "replace")
        except OSError:
            return False
        self._log_stamp = stamp
        lines = text.split("\n")
        if stat.st_size > _LOG_BYTES:
            lines = lines[1:]
        shown = (line.rstrip("\r").rpartition("\r")[2] for line in lines)
        self._log = tuple(sanitize(line[:2000], lines=False) for line in shown)[-LOG_LINES:]
        while self._log and not self._log[-1].strip():
            self._log = self._log[:-1]
        return True


def _sample(event: Mapping[str, Any]) -> Sample:
    prompt, reply = (sanitize(str(event.get(name) or "")[:_TEXT]) for name in ("prompt", "reply"))
    return Sample(_whole(event.get("step")), prompt, reply)


def _notice(event: Mapping[str, Any]) -> Notice:
    message, hint = (sanitize(str(event.get(name) or "")[:_TEXT]) for name in ("message", "hint"))
    return Notice(str(event.get("level") or "info"), message, hint)


def _number(value: Any) -> float | None:
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None


def _whole(value: Any) -> int:
    number = _number(value)
    return int(number) if number is not None and math.isfinite(number) else 0

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

from ftui.core.series import smooth
from ftui.core.text import one_line, sanitize
from ftui.runs.examine import examine_run
from ftui.runs.history import STEP, History
from ftui.runs.rundir import RunDir
from ftui.runs.state import RunSummary, summarize
from ftui.runs.tail import EventTail

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from ftui.core.doctor import Examination
    from ftui.core.vitals import Alarm
    from ftui.gpu.nvml import Gpu

# What of a step is drawn.
STEP_FIELDS = (
    "loss", "tokens_per_second", "grad_norm", "learning_rate",
    "memory_allocated", "memory_reserved", "memory_peak", "memory_rss",
    "rewards/margins", "rewards/accuracies",
)  # fmt: skip
LOG_LINES = 300
_LOG_BYTES = 65_536
_BATCH = 5000  # events between two looks at the clock
_BATCH_SECONDS = 0.5  # a long run fills in twice a second instead of all at once
_STAGING = frozenset({"attempt", "progress", "plan", "end"})
_STRETCHES = 4096  # a long curve is reduced to
_TEXT = 20_000  # characters of a sample or a notice
_FACTS = ("attempt", "data", "model", "plan", "end")


@dataclass(frozen=True, slots=True)
class Series:
    """A curve: steps ascend; values may hold NaN."""

    xs: Sequence[float] = ()
    ys: Sequence[float] = ()

    @property
    def last(self) -> float | None:
        return self.ys[-1] if len(self.ys) else None


@dataclass(frozen=True, slots=True)
class Stage:
    """A phase before the first step: total 0 is unknown; seconds since it began, or that it took."""

    name: str
    done: float
    total: float
    unit: str
    note: str
    began: float
    ended: float | None = None


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

    smoothed: the loss's moving average, empty when smoothing is off. perplexity: of the newest evaluation.
    facts: the newest `attempt`, `data`, `model`, `plan` and `end` events by type. checkpoints: their steps.
    log: the last lines of out.log. bad: unreadable event lines. alarms: what the run doctor found; unchecked:
    (check, why it could not run). All text is sanitized.
    """

    run: RunSummary
    series: Mapping[str, Series] = field(default_factory=dict)
    smoothed: Series = field(default_factory=Series)
    evals: Series = field(default_factory=Series)
    perplexity: float | None = None
    facts: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    stages: tuple[Stage, ...] = ()
    samples: tuple[Sample, ...] = ()
    checkpoints: tuple[int, ...] = ()
    notices: tuple[Notice, ...] = ()
    log: tuple[str, ...] = ()
    bad: int = 0
    alarms: tuple[Alarm, ...] = ()
    unchecked: tuple[tuple[str, str], ...] = ()


class RunReader:
    """Reads one run incrementally. Use from one thread at a time."""

    def __init__(self, path: Path) -> None:
        self.rundir = RunDir(path)
        self._tail = EventTail(self.rundir.events_path)
        self._resets = 0
        self._history = History()
        self._stages: list[Stage] = []
        self._log: tuple[str, ...] = ()
        self._log_stamp: tuple[int, int] | None = None
        self._last: object = None

    @property
    def more(self) -> bool:
        """True while there are events not yet read: read again at once."""
        return self._tail.more

    def read(self, *, smoothing: float = 0.0, gpus: Sequence[Sequence[Gpu]] = ()) -> RunView | None:
        """The run as it is now; None when nothing changed since the last read.

        smoothing: weight of the past in the loss's moving average, 0 for none. gpus: readings of the last
        minute, for the run doctor. Raises OSError.
        """
        changed, deadline = self._read_events(), time.monotonic() + _BATCH_SECONDS
        while self._tail.more and time.monotonic() < deadline:
            self._read_events()
        changed |= self._read_log()
        summary = summarize(self.rundir)
        found = examine_run(self.rundir, self._history, summary.state, gpus)
        now = (summary, smoothing, found.alarms)
        if not changed and now == self._last:
            return None
        self._last = now
        return self._view(summary, smoothing, found)

    def _read_events(self) -> bool:
        events = self._tail.read(_BATCH)
        if self._tail.resets != self._resets:
            self._resets = self._tail.resets
            self._history.clear()
            self._stages = []
        self._history.feed(events)
        for event in events:
            if event["type"] in _STAGING:
                self._follow_stages(event)
        return bool(events)

    def _view(self, summary: RunSummary, smoothing: float, found: Examination) -> RunView:
        history = self._history
        steps, evals = history.steps.column(STEP), history.evals.column(STEP)
        loss = history.steps.column("loss")
        known = [name for name in STEP_FIELDS if name in history.steps.names]
        series = {name: _reduced(steps, history.steps.column(name)) for name in known}
        return RunView(
            run=summary,
            series=series,
            smoothed=_smoothed(steps, loss, smoothing) if smoothing else Series(),
            evals=_reduced(evals, history.evals.column("eval_loss")),
            perplexity=history.evals.last("eval_perplexity"),
            facts={kind: history.newest[kind] for kind in _FACTS if kind in history.newest},
            stages=tuple(self._stages),
            samples=tuple(_sample(event) for event in history.samples),
            checkpoints=tuple(_whole(event.get("step")) for event in history.checkpoints),
            notices=tuple(_notice(event) for event in history.notices),
            log=self._log,
            bad=self._tail.bad,
            alarms=found.alarms,
            unchecked=found.unchecked,
        )

    def _follow_stages(self, event: dict[str, Any]) -> None:
        kind, when = event["type"], _number(event.get("t")) or 0.0
        if kind == "attempt":
            self._stages = []
        elif kind == "progress":
            self._take_progress(event)
        else:
            self._close_stage(when)

    def _take_progress(self, event: dict[str, Any]) -> None:
        name, when = one_line(str(event.get("stage", "")), 40), float(_number(event.get("t")) or 0)
        done, total = _number(event.get("done")) or 0.0, _number(event.get("total")) or 0.0
        unit, note = (one_line(str(event.get(key) or ""), 60) for key in ("unit", "note"))
        if self._stages and self._stages[-1].name == name:
            self._stages[-1] = replace(self._stages[-1], done=done, total=total, unit=unit, note=note)
        else:
            self._close_stage(when)
            self._stages.append(Stage(name, done, total, unit, note, began=when))

    def _close_stage(self, when: float) -> None:
        if self._stages and self._stages[-1].ended is None:
            self._stages[-1] = replace(self._stages[-1], ended=when)

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


def _reduced(xs: Sequence[float], ys: Sequence[float]) -> Series:
    """A frozen copy; of a long curve the lowest and highest value of each stretch, in their order."""
    count = len(xs)
    if count <= 2 * _STRETCHES:
        return Series(tuple(xs), tuple(ys))
    kept: list[int] = []
    for begin, stop in _stretches(count):
        part = ys[begin:stop]
        if math.isfinite(sum(part)):
            kept += sorted({begin + part.index(min(part)), begin + part.index(max(part))})
        else:
            kept += _ends_of_sick(part, begin)
    return Series(tuple(xs[index] for index in kept), tuple(ys[index] for index in kept))


def _ends_of_sick(part: Sequence[float], begin: int) -> list[int]:
    """Where a stretch with holes has its lowest and highest value and its first hole."""
    finite = {value: index for index, value in enumerate(part) if math.isfinite(value)}
    hole = next(index for index, value in enumerate(part) if not math.isfinite(value))
    ends = {finite[min(finite)], finite[max(finite)]} if finite else set()
    return sorted(begin + index for index in {hole, *ends})


def _smoothed(xs: Sequence[float], ys: Sequence[float], weight: float) -> Series:
    """The moving average; over a long curve of the means of its stretches, with the same memory in steps."""
    count = len(xs)
    if count <= 2 * _STRETCHES:
        return Series(tuple(xs), tuple(smooth(ys, weight)))
    means = [sum(ys[begin:stop]) / (stop - begin) for begin, stop in _stretches(count)]
    middles = tuple(xs[(begin + stop) // 2] for begin, stop in _stretches(count))
    return Series(middles, tuple(smooth(means, weight ** (count / _STRETCHES))))


def _stretches(count: int) -> Iterator[tuple[int, int]]:
    return ((index * count // _STRETCHES, (index + 1) * count // _STRETCHES) for index in range(_STRETCHES))


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

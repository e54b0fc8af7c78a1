"""A long run at a glance: steps from all over its file at once, then everything else that it said.

The first picture of a run that would take seconds to read. The steps are drawn evenly, so a curve has its shape
but not yet every peak. What is no step is found without reading what lies between: events are numbered and steps
count up, so where both advance alike there were only steps.
"""

from __future__ import annotations

import itertools
import os
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from ftui.runs.history import STEP, History
from ftui.runs.tail import EventTail, decode_lines

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_PIECES = 512
_DRAWN_BYTES = 8192  # of each piece: some fifteen steps
_SMALL_BYTES = 2048
_GAP_BYTES = 16_384  # a shorter stretch is read whole
_TAIL_BYTES = 65_536
_LINE_BYTES = 1 << 20  # a longer line waits for the whole reading


@dataclass(frozen=True, slots=True)
class _Drawn:
    """Whole lines of the file and the events on them."""

    begin: int
    end: int
    events: list[dict[str, Any]]


class Glance:
    """The history of a file as seen in passing, followed at its end from then on. Raises OSError."""

    def __init__(self, path: Path) -> None:
        self.history = History()
        self._path = path
        descriptor = self._open()
        try:
            size = os.fstat(descriptor).st_size
            stop = max(0, size - _TAIL_BYTES)
            piece = max(stop // _PIECES, 2 * _DRAWN_BYTES)
            drawn = [
                _draw(descriptor, start, min(start + piece, stop), _DRAWN_BYTES)
                for start in range(0, stop, piece)
            ]
            rest = os.pread(descriptor, _TAIL_BYTES + 1, max(0, stop - 1)).find(b"\n") if stop else 0
        finally:
            os.close(descriptor)
        self._tail = EventTail(path, stop + max(0, rest))
        self._said = self._tail.read()  # after what was drawn
        last = _Drawn(stop + rest, size, self._said)
        self._drawn = [one for one in drawn if one.events]
        self._stride = _stride([*self._drawn, last])
        self._gaps = list(itertools.pairwise([_Drawn(0, 0, []), *self._drawn, last]))[::-1]
        self.follow()
        self._tell()

    @property
    def over(self) -> bool:
        """True when the file was replaced, so that nothing of this holds."""
        return self._tail.resets > 0

    @property
    def complete(self) -> bool:
        """True when all was found but the steps between those drawn."""
        return not self._gaps

    def search(self, seconds: float) -> None:
        """Looks for what is no step, for about so long."""
        deadline = time.monotonic() + seconds
        descriptor = self._open()
        try:
            while self._gaps and time.monotonic() < deadline:
                self._look_between(descriptor, *self._gaps.pop())
        finally:
            os.close(descriptor)
        self._drawn.sort(key=lambda one: one.begin)
        self._tell()

    def follow(self) -> None:
        """Takes in what was written since."""
        while events := self._tail.read():
            self._said += events
            self.history.feed(events)

    def _tell(self) -> None:
        """The history of everything found so far, in the order of the file."""
        self.history = History()
        for events in (*(one.events for one in self._drawn), self._said):
            self.history.feed(events)

    def _look_between(self, descriptor: int, left: _Drawn, right: _Drawn) -> None:
        """Takes in a gap that is short, or halves it, unless it holds nothing but steps."""
        start, stop = left.end, right.begin
        if start >= stop or _only_steps(left, right, self._stride):
            return
        short = stop - start <= _GAP_BYTES
        found = None if short else _draw(descriptor, (start + stop) // 2, stop, _SMALL_BYTES)
        if found is None or not found.events:
            found = _draw(descriptor, start, stop, stop - start if short else _SMALL_BYTES)
        if found.events:
            self._drawn.append(found)
            self._gaps += [(found, right), (left, found)]
        elif found.end > start:  # damaged
            self._gaps.append((replace(left, end=found.end), right))

    def _open(self) -> int:
        return os.open(self._path, os.O_RDONLY | os.O_CLOEXEC)


def _draw(descriptor: int, start: int, stop: int, size: int) -> _Drawn:
    """About `size` bytes of the whole lines that begin in [start, stop)."""
    before = min(start, 1)  # whether a line begins at the first byte
    while True:
        block = os.pread(descriptor, before + size, start - before)
        short = len(block) < before + size
        if (past := block.find(b"\n", max(0, stop - 1 - start + before))) >= 0:
            block, short = block[: past + 1], True
        first, last = (block.find(b"\n") + 1 if before else 0), block.rfind(b"\n") + 1
        if last > first and (first or not before):
            break
        if short or size >= _LINE_BYTES:
            return _Drawn(start, start, [])
        size *= 16
    lines = [line for line in block[first : last - 1].split(b"\n") if line]
    return _Drawn(start - before + first, start - before + last, decode_lines(lines))


def _stride(drawn: list[_Drawn]) -> float | None:
    """By how much the step advances from one step event to the next; None where no two follow each other."""
    for one in drawn:
        steps = list(_steps(one.events))
        for (seq, step), (next_seq, next_step) in itertools.pairwise(steps):
            if next_seq == seq + 1 and next_step > step:
                return next_step - step
    return None


def _only_steps(left: _Drawn, right: _Drawn, stride: float | None) -> bool:
    """Whether as many events as steps lie between two places."""
    before, after = list(_steps(left.events))[-1:], next(_steps(right.events), None)
    if stride is None or not before or after is None:
        return False
    last, first = left.events[-1].get("seq"), right.events[0].get("seq")
    if not isinstance(last, int) or not isinstance(first, int):
        return False
    return (first - last - 1) * stride == after[1] - before[0][1] - stride


def _steps(events: list[dict[str, Any]]) -> Iterator[tuple[int, float]]:
    """(seq, step) of step events."""
    for event in events:
        seq, step = event.get("seq"), event.get(STEP)
        if event["type"] == "step" and isinstance(seq, int) and isinstance(step, int | float):
            yield seq, step

"""How fast a person decides, and an operation in their words."""

from __future__ import annotations

import time
from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from ftui.data.actions import Action
    from ftui.data.operation import Op

_WINDOW_SECONDS = 600.0


class Pace:
    """Decisions a minute in this session, over the last ten minutes of it."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._times: deque[float] = deque()

    def decided(self, action: Action) -> None:
        if action.kind == "status":
            self._times.append(self._clock())

    def undone(self, ops: list[Op]) -> None:
        for op in ops:
            if op.op == "status" and self._times:
                self._times.pop()

    def per_minute(self) -> float | None:
        """None until there is enough to tell."""
        now = self._clock()
        while self._times and now - self._times[0] > _WINDOW_SECONDS:
            self._times.popleft()
        if len(self._times) < 3:
            return None
        return 60.0 * (len(self._times) - 1) / max(1.0, self._times[-1] - self._times[0])


def describe(op: Op) -> str:
    """An operation in two words, as a person would say it."""
    match op.op:
        case "status":
            return {"accepted": "accept", "rejected": "reject"}.get(op.after, "a decision")
        case "flag":
            return "flag" if op.after else "unflag"
        case "rate":
            return "a rating"
        case "tag" | "untag":
            return f"{op.op} {op.after}"
        case "note":
            return "a note"
        case "delete" | "restore":
            return op.op
        case "map":
            return "the field mapping"
    return "an edit"

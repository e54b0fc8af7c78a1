"""Follows a run: its events as they come, until it has ended and everything it said was read."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from ftui.runs.state import ENDED, run_state
from ftui.runs.tail import EventTail

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ftui.runs.rundir import RunDir


def follow(rundir: RunDir, period: float = 0.25) -> Iterator[dict[str, Any]]:
    """Every event of a run from its first, waiting for more until the run has ended."""
    for batch in follow_batches(rundir, EventTail(rundir.events_path), period):
        yield from batch


def follow_batches(rundir: RunDir, tail: EventTail, period: float = 0.25) -> Iterator[list[dict[str, Any]]]:
    """The events after `tail`'s place, as many at a time as there are.

    period: seconds between two looks. The state is looked at before the file, so that the last words of a
    run that ends in between are still read.
    """
    while True:
        ended = run_state(rundir) in ENDED
        while events := tail.read():
            yield events
        if ended:
            return
        time.sleep(period)

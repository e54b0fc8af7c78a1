"""Who can be killed, in which phase of a run, and what must be true afterwards."""

from __future__ import annotations

import contextlib
import itertools
import time
from typing import TYPE_CHECKING

from ftui.core.errors import FtuiError
from ftui.runs import control
from ftui.runs.evidence import supervisor_of, trainer_of
from ftui.runs.state import run_state, summarize
from tests.runs_support import events_of, kill, nothing_left, until, until_state

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ftui.runs.rundir import RunDir
    from tests.screen_process import ScreenProcess

PHASES = ("starting", "training", "evaluating", "saving")
# All three, any two, any one of them.
DEAD = [
    group
    for count in (1, 2, 3)
    for group in itertools.combinations(("screen", "supervisor", "trainer"), count)
]
TRUE_WITHIN_SECONDS = 10.0


def written(rundir: RunDir) -> bytes:
    return rundir.events_path.read_bytes()


def kill_at_once(rundir: RunDir, dead: Sequence[str], screen: ScreenProcess | None = None) -> None:
    """SIGKILL for each of `dead`, found before the first is hit."""
    supervisor, trainer = supervisor_of(rundir), until(lambda: trainer_of(rundir))
    if screen is not None and "screen" in dead:
        screen.kill()
    for name, who in (("supervisor", supervisor), ("trainer", trainer)):
        if name in dead:
            kill(who)


def true_state(phase: str, dead: Sequence[str]) -> str:
    """A trainer that lives is at work whoever else is gone; without it the run has crashed."""
    return "crashed" if "trainer" in dead else "starting" if phase == "starting" else "running"


def state_within(rundir: RunDir, wanted: str, since: float) -> str:
    """The state shown once it is `wanted`, or what it still is when the time is over."""
    while (state := run_state(rundir)) != wanted and time.monotonic() < since + TRUE_WITHIN_SECONDS:
        time.sleep(0.02)
    return state


def assert_nothing_stays_after_stop_now(rundir: RunDir) -> None:
    """Ends the run by force, also one that has ended and may have left workers behind."""
    with contextlib.suppress(FtuiError):  # it has ended, and nothing is left of it
        control.stop(rundir, now=True, grace_seconds=0.5)
    assert nothing_left(rundir)
    assert run_state(rundir) in ("stopped", "crashed")


def assert_goes_on_to_its_end(
    rundir: RunDir, before: bytes, steps: int, trainer_command: Sequence[str] = (), *, seconds: float = 180.0
) -> None:
    """Resumes the run, sees it finish, and that what it had written is still the beginning of what it tells."""
    saved = control.checkpoint_step(rundir)
    attempts = summarize(rundir).attempts
    assert control.resume(rundir, trainer_command=trainer_command).step == saved
    until_state(rundir, "finished", seconds=seconds)
    assert written(rundir).startswith(before), "what was written is not touched"
    events = events_of(rundir)
    assert [event["seq"] for event in events] == list(range(1, len(events) + 1))
    last = [event for event in events if event["attempt"] == attempts + 1]
    assert [event["step"] for event in last if event["type"] == "step"] == list(range(saved + 1, steps + 1))
    assert summarize(rundir).step == steps
    until(lambda: nothing_left(rundir))

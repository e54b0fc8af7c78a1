"""The state of a run, from evidence alone: what its files say and which of its processes live.

A pure function, so that every combination of deaths can be listed in a test. Nothing here is remembered
between calls: whoever looks, from any terminal, comes to the same answer.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, get_args

from ftui.runs.process import Liveness
from ftui.runs.rundir import resuming

if TYPE_CHECKING:
    from collections.abc import Mapping

State = Literal[
    "queued", "starting", "running", "stopping", "stopped", "finished", "failed", "crashed", "stalled"
]
STATES: tuple[State, ...] = get_args(State)
ACTIVE: frozenset[State] = frozenset({"starting", "running", "stopping", "stalled"})
ENDED: frozenset[State] = frozenset({"stopped", "finished", "failed", "crashed"})

# A supervisor that has not shown itself by then never will.
START_SECONDS = 30.0
# What is said of a run whose file of events is there and holds none.
UNREADABLE = "its events cannot be read"
# The trainer says something every few seconds even where there are no steps; a busy disk may delay it.
STALLED_SECONDS = 120.0
# A run last seen on another machine is given up after this much silence.
LOST_SECONDS = 600.0


@dataclass(frozen=True, slots=True)
class Evidence:
    """What is known about a run's newest attempt.

    attempt: 0 when no supervisor has recorded one. supervisor, trainer: None when never recorded.
    exit, end: the exit record and the trainer's `end` event of this attempt; {} when missing.
    queued: it waits for its turn. stepping: the attempt got as far as its first training step (or its plan of them).
    run: its id, for what is to be typed. saved: the step of its newest complete checkpoint; 0 without one,
    and where it is not known to be gone.
    silent_seconds: since the trainer last wrote anything. age_seconds: since the run was made.
    """

    attempt: int
    supervisor: Liveness | None = None
    trainer: Liveness | None = None
    exit: Mapping[str, Any] = field(default_factory=dict)
    end: Mapping[str, Any] = field(default_factory=dict)
    queued: bool = False
    stop_requested: bool = False
    stepping: bool = False
    silent_seconds: float = 0.0
    age_seconds: float = 0.0
    rebooted: bool = False
    host: str = ""
    run: str = "RUN"
    saved: int = 0


@dataclass(frozen=True, slots=True)
class Verdict:
    """The state, why in a person's words ("" when it speaks for itself), and what to do about it."""

    state: State
    reason: str = ""
    hint: str = ""


def derive(evidence: Evidence) -> Verdict:
    """The state that the evidence proves.

    Alive is pid + boot id + start ticks; a zombie is dead. Crashed is gone with no record of an end.
    Stalled is alive with a silent heartbeat.
    """
    if evidence.exit:
        return _ended(evidence.exit.get("outcome"), evidence.exit, evidence.exit.get("reason"))
    if evidence.queued:
        return Verdict("queued")
    if evidence.attempt == 0:
        if evidence.age_seconds < START_SECONDS:
            return Verdict("starting")
        return Verdict(
            "crashed", "its supervisor never started", f"`ftui runs resume {evidence.run}` starts it again"
        )
    alive = Liveness.ALIVE in (evidence.supervisor, evidence.trainer)
    if not alive:
        if evidence.end:
            return _ended(evidence.end.get("outcome"), evidence.end, evidence.end.get("message"))
        if Liveness.UNKNOWN not in (evidence.supervisor, evidence.trainer):
            reason = "the machine was restarted" if evidence.rebooted else "it was killed without a word"
            return Verdict("crashed", reason, resuming(evidence.run, evidence.saved))
        if evidence.silent_seconds >= LOST_SECONDS:
            return Verdict("crashed", f"not heard of since it ran on {evidence.host}")
    if evidence.end and evidence.trainer is Liveness.DEAD:  # what its supervisor is about to record
        return _ended(evidence.end.get("outcome"), evidence.end, evidence.end.get("message"))
    leaving = "finishing its last write" if evidence.end else ""
    asked = evidence.stop_requested or evidence.end.get("outcome") == "stopped"
    if asked or evidence.trainer is Liveness.DEAD:
        return Verdict("stopping", leaving)
    if evidence.silent_seconds >= STALLED_SECONDS:
        return Verdict(
            "stalled",
            f"alive but silent for {_span(evidence.silent_seconds)}",
            f"see the end of its out.log; `ftui runs stop {evidence.run} --now` ends it",
        )
    return Verdict("running" if evidence.stepping else "starting", leaving)


def _ended(outcome: Any, record: Mapping[str, Any], reason: Any) -> Verdict:
    state: State = outcome if isinstance(outcome, str) and outcome in ENDED else "crashed"
    return Verdict(state, str(reason or ""), str(record.get("hint") or ""))


def _span(seconds: float) -> str:
    minutes = int(seconds // 60)
    return f"{minutes} min" if minutes < 120 else f"{minutes // 60} h"

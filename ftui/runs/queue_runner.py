"""The queue's runner: `python -m ftui.runs.queue_runner WORKSPACE`, at most one a workspace.

Starts queued runs in order as devices come free for them, and ends when none is left. It remembers nothing: one
that is killed is replaced by whoever looks next, and what it started goes on without it.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from ftui.core.errors import FtuiError
from ftui.runs.launch import start_attempt
from ftui.runs.lease import arranging
from ftui.runs.queue_files import is_waiting, locked, startable
from ftui.runs.queue_kick import hold
from ftui.runs.rundir import replace_json
from ftui.runs.state import summaries
from ftui.runs.waiting import turns
from ftui.runs.workspace import Workspace

if TYPE_CHECKING:
    from ftui.runs.waiting import Turn

_LOOK_SECONDS = 1.0
_TROUBLE_SECONDS = 20.0


def main(arguments: list[str]) -> int:
    workspace = Workspace(Path(arguments[0]))
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    # Looked at once more after the lock is given back: a run queued in that moment kicked nobody, because
    # there still was a runner.
    while startable(workspace):
        try:
            lock = hold(workspace)
        except OSError as error:
            print(f"the queue cannot be run: {error}", file=sys.stderr)
            return 1
        if lock is None:
            return 0
        said = ""
        while startable(workspace):
            try:
                start_ready(workspace)
            except (FtuiError, OSError) as error:
                if str(error) != said:
                    said = str(error)
                    print(f"the queue waits: {said}", file=sys.stderr)
                time.sleep(_TROUBLE_SECONDS)
            else:
                time.sleep(_LOOK_SECONDS)
        os.close(lock)
    return 0


def start_ready(workspace: Workspace) -> None:
    """Starts each queued run whose turn it is. Raises FtuiError or OSError where that cannot be written down."""
    if not any(turn.ready for turn in turns(workspace, summaries(workspace))):
        return
    # Nobody moves a run or takes one out meanwhile, and no other workspace finds the same device free.
    with locked(workspace.runs), arranging():
        for turn in turns(workspace, summaries(workspace)):
            if turn.ready:
                start_queued(workspace, turn)


def start_queued(workspace: Workspace, turn: Turn) -> None:
    """Starts a queued run; the caller holds the queue's lock.

    One that cannot be started has failed, and the next is not kept waiting. Raises OSError where not even
    that can be written down: a full disk is waited for.
    """
    rundir, entry = turn.rundir, turn.entry
    needs = entry.needs or entry.estimate
    try:
        start_attempt(rundir, workspace.root, variables=entry.environment, needs=needs, devices=turn.devices)
    except FtuiError as error:
        if not is_waiting(rundir):  # it took over in the end, or somebody threw it away by hand
            return
        record = {"attempt": 0, "code": None, "signal": None, "ended": time.time()}
        told = {"outcome": "failed", "reason": error.message, "hint": error.hint}
        replace_json(rundir.exit_path, {**record, **told}, durable=True)


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        sys.exit(main(sys.argv[1:]))

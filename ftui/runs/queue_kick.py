"""Makes sure that somebody starts queued runs: one process a workspace, `ftui.runs.queue_runner`.

Whoever looks at a queue kicks it: a command, a screen's pulse, a supervisor whose run has ended. So it goes
on whatever was killed, and after a restart of the machine as soon as somebody looks.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

from ftui.runs import process
from ftui.runs.locks import hold_file
from ftui.runs.process import RUN_VARIABLE, ProcessId, child_environment, python_command, start_detached
from ftui.runs.queue_files import startable
from ftui.runs.rundir import read_json, replace_json
from ftui.runs.scope import in_scope, scoped

if TYPE_CHECKING:
    from ftui.runs.workspace import Workspace

RUNNER_LOCK = ".queue-runner.lock"
_RUNNER_RECORD = ".queue-runner.json"
_LOG = ".queue.log"
# A runner that cannot live here is not started anew with every look.
_AGAIN_SECONDS = 5.0
_HOLD_SECONDS = 1.0
_START_SECONDS = 5.0

_kicked: dict[Path, float] = {}
_kicking = threading.Lock()


def kick(workspace: Workspace) -> bool:
    """Starts the queue's runner where runs are queued and none lives. Costs little when there is nothing to do.

    True when one was started. Never raises: a workspace that cannot be written has no queue to run.
    """
    if not startable(workspace):
        return False
    with _kicking:
        last = _kicked.get(workspace.root)
        if last is not None and time.monotonic() - last < _AGAIN_SECONDS:
            return False
        try:
            if not _is_free(workspace):
                return False
            _kicked[workspace.root] = time.monotonic()
            _start(workspace)
        except OSError:
            return False
    return True


def hold(workspace: Workspace) -> int | None:
    """The runner's lock as a descriptor, None when another runner has it. Raises OSError.

    Asked for a while: somebody who kicks holds it for a moment, to see whether it is free.
    """
    descriptor = hold_file(workspace.runs / RUNNER_LOCK, _HOLD_SECONDS)
    if descriptor is None:
        return None
    me = process.identify(os.getpid())
    with contextlib.suppress(OSError):  # for people: the lock alone decides
        replace_json(workspace.runs / _RUNNER_RECORD, me.to_dict() if me else {})
    return descriptor


def runner_of(workspace: Workspace) -> ProcessId | None:
    """The living runner of a workspace's queue, None when there is none."""
    who = process.from_dict(read_json(workspace.runs / _RUNNER_RECORD))
    return who if who is not None and process.liveness(who) is process.Liveness.ALIVE else None


def _is_free(workspace: Workspace) -> bool:
    descriptor = hold_file(workspace.runs / RUNNER_LOCK, 0)
    if descriptor is None:
        return False
    os.close(descriptor)
    return True


def _start(workspace: Workspace) -> None:
    command = python_command("ftui.runs.queue_runner", str(workspace.root))
    # Kicked by a supervisor it would carry that run's mark, and end with it.
    environment = {name: value for name, value in child_environment().items() if name != RUN_VARIABLE}
    runner = start_detached(
        scoped(command) if in_scope() else command,
        log=workspace.runs / _LOG,
        cwd=workspace.root,
        environment=environment,
    )
    threading.Thread(target=runner.wait, name="reap the queue", daemon=True).start()
    # Until it has the lock the next kick would start another one.
    deadline = time.monotonic() + _START_SECONDS
    while runner.poll() is None and time.monotonic() < deadline:
        if (known := runner_of(workspace)) is not None and known.pid == runner.pid:
            return
        time.sleep(0.02)

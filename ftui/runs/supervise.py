"""The supervisor: `python -m ftui.runs.supervise [ORDERS] RUN_DIR [TRAINER COMMAND...]`, one process a run attempt.

It lives in its own session, starts the trainer, waits, and writes how it ended. It holds no tensors and
reads no events but the last: a few megabytes that outlive the screen. If it is killed the trainer goes on;
if the trainer is killed it says so in `exit.json`. Orders are `--attempt=N` (start that one or none),
`--devices=A,B` and `--memory=BYTES` (what others are told it uses) and `--started=HOW` (for the record).
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ftui.runs.launcher import trainer_command
from ftui.runs.lease import take
from ftui.runs.locks import hold_file
from ftui.runs.process import RUN_VARIABLE, identify
from ftui.runs.queue_kick import kick
from ftui.runs.rundir import (
    EXIT_FINISHED,
    EXIT_STOPPED,
    RunDir,
    end_event,
    last_attempt,
    replace_json,
)
from ftui.runs.scope import SESSION
from ftui.runs.workspace import Workspace

if TYPE_CHECKING:
    from collections.abc import Mapping

STOP = "stop"
NOW = "now"  # beside STOP: the trainer is being ended by force, which is no crash
_LOCK = ".lock"  # held while an attempt is at work, by the supervisor and its trainer
OUTCOMES = ("finished", "stopped", "failed", "crashed")

_EXIT_BUSY = 75
_LOCK_SECONDS = 2.0
_FULL_DISK_SECONDS = 60.0


def main(arguments: list[str]) -> int:
    orders: dict[str, str] = {}
    while arguments[0].startswith("--"):
        name, _, value = arguments.pop(0).partition("=")
        orders[name] = value
    rundir = RunDir(Path(arguments[0]))
    command = arguments[1:] or trainer_command(rundir)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # inherited by the trainer
    for number in (signal.SIGTERM, signal.SIGINT):  # back to the default in the trainer
        signal.signal(number, lambda *_: _ask_to_stop(rundir))
    lock = hold(rundir)
    # Two starts at once: the other's attempt may have come and gone while this one waited.
    wanted = int(orders.get("--attempt") or 1 + last_attempt(rundir))
    if lock is None or wanted != 1 + last_attempt(rundir):
        print(f"{rundir.id}: another supervisor or its trainer is still running", file=sys.stderr)
        return _EXIT_BUSY
    _attempt(rundir, command, lock, orders)
    os.close(lock)  # before a look at the queue, which may take seconds: the run can be resumed already
    # Other runs may have waited for this one.
    kick(Workspace(rundir.path.parent.parent))
    return 0


def _attempt(rundir: RunDir, command: list[str], lock: int, orders: Mapping[str, str]) -> None:
    attempt = 1 + last_attempt(rundir)
    me = identify(os.getpid())
    record: dict[str, Any] = {
        "attempt": attempt,
        "started": time.time(),
        "supervisor": me.to_dict() if me else None,
        "started_in": orders.get("--started") or SESSION,
    }
    devices = [device for device in orders.get("--devices", "").split(",") if device]
    if devices:
        record["devices"] = devices
    memory = int(orders.get("--memory") or 0) or None
    root = str(rundir.path.parent.parent)
    # Before the record, which tells who started this that it has taken over: no one finds the device free.
    lease = take("train", rundir.id, devices, workspace=root, memory=memory) if devices else None
    replace_json(rundir.proc_path, record, durable=True)
    if STOP in rundir.requests():
        _write_exit(rundir, attempt, outcome="stopped", reason="stopped before it started")
        return
    held = [descriptor for descriptor in (lock, lease) if descriptor is not None]
    try:
        trainer = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            process_group=0,  # its workers can be ended with it, the supervisor left out
            pass_fds=held,  # the lock and the lease last as long as either of the two
            env={**os.environ, RUN_VARIABLE: str(rundir.path)},
        )
    except (OSError, subprocess.SubprocessError) as error:
        _write_exit(rundir, attempt, outcome="failed", reason=f"the trainer could not be started: {error}")
        return
    identity = identify(trainer.pid)
    with contextlib.suppress(OSError):  # a full disk: the trainer is found by its environment instead
        replace_json(
            rundir.proc_path, {**record, "trainer": identity.to_dict() if identity else None}, durable=True
        )
    # WNOWAIT leaves the zombie in place, so that its process group cannot be anyone else's yet.
    os.waitid(os.P_PID, trainer.pid, os.WEXITED | os.WNOWAIT)
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(trainer.pid, signal.SIGKILL)
    fields = judge(rundir, attempt, trainer.wait())
    if lease is not None:  # whoever sees the run ended finds its device free
        os.close(lease)
    _write_exit(rundir, attempt, **fields)


def judge(rundir: RunDir, attempt: int, code: int) -> dict[str, Any]:
    """What an exit code (negative: a signal) means, as the fields of exit.json.

    The trainer's own `end` event is believed first: a library that crashes while the finished process is
    being taken down does not undo the training.
    """
    number = -code if code < 0 else None
    fields: dict[str, Any] = {"code": None if number else code, "signal": _signal_name(number)}
    end = end_event(rundir.events_path, attempt)
    if end.get("outcome") in OUTCOMES:
        return {**fields, "outcome": end["outcome"], **_words(end)}
    if number:
        if NOW in rundir.requests():
            return {**fields, "outcome": "stopped", "reason": "stopped by force"}
        hint = "often the kernel's out-of-memory killer: see `dmesg`" if number == signal.SIGKILL else ""
        return {
            **fields,
            "outcome": "crashed",
            "reason": f"the trainer was ended by {fields['signal']}",
            "hint": hint,
        }
    if code in (EXIT_FINISHED, EXIT_STOPPED):
        return {**fields, "outcome": "finished" if code == EXIT_FINISHED else "stopped", "reason": ""}
    return {
        **fields,
        "outcome": "failed",
        "reason": rundir.last_log_line() or f"the trainer exited with {code}",
    }


def _signal_name(number: int | None) -> str | None:
    if number is None:
        return None
    try:
        return signal.Signals(number).name
    except ValueError:  # a real-time signal
        return f"signal {number}"


def _words(end: Mapping[str, Any]) -> dict[str, str]:
    return {"reason": str(end.get("message") or ""), "hint": str(end.get("hint") or "")}


def _write_exit(rundir: RunDir, attempt: int, **fields: Any) -> None:
    """Writes exit.json; a full disk is waited for, because this is the one record that ends the run."""
    record = {"attempt": attempt, "code": None, "signal": None, "ended": time.time(), "hint": "", **fields}
    deadline = time.monotonic() + _FULL_DISK_SECONDS
    while True:
        try:
            replace_json(rundir.exit_path, record, durable=True)
        except OSError as error:
            if time.monotonic() > deadline or not rundir.path.is_dir():
                print(f"{rundir.id}: cannot write exit.json: {error}", file=sys.stderr)
                return
            time.sleep(1)
        else:
            return


def _ask_to_stop(rundir: RunDir) -> None:
    """SIGTERM means a graceful stop: the trainer saves a checkpoint at its next step and ends itself."""
    with contextlib.suppress(OSError):
        rundir.request(STOP)


def hold(rundir: RunDir) -> int | None:
    """A descriptor that holds the run's lock, or None when an attempt still has it.

    Two resumes at once both pass the check of states; only one passes here.
    """
    return hold_file(rundir.path / _LOCK, _LOCK_SECONDS)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

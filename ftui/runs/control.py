"""What a person does to a run: stop it, go on with it, throw it away and fetch it back."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ftui.core.errors import FtuiError
from ftui.runs import process
from ftui.runs.evidence import supervisor_of, trainer_of
from ftui.runs.launch import start_now
from ftui.runs.lifecycle import ACTIVE, ENDED
from ftui.runs.queue_files import is_waiting, locked, read_entry
from ftui.runs.rundir import RunDir, checkpoint_step, last_attempt, replace_json
from ftui.runs.state import LAST, judge, run_state, summarize
from ftui.runs.supervise import NOW, STOP, hold
from ftui.runs.workspace import Workspace

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from ftui.runs.lifecycle import State

TRASH = ".trash"
_AGAIN = re.compile(r"~(\d{1,9})$")  # the second run of a name in the trash is called NAME~2

_GRACE_SECONDS = 10.0
_TERM_SECONDS = 5.0
_RECORD_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Resumed:
    """Where a resumed run goes on. step: of its newest checkpoint, 0 when it starts over. notice: says so."""

    rundir: RunDir
    step: int
    notice: str


def stop(
    rundir: RunDir,
    now: bool = False,
    *,
    grace_seconds: float = _GRACE_SECONDS,
    waiting: Callable[[str, float], None] | None = None,
) -> State:
    """Asks a run to save a checkpoint and end; returns its state then.

    Returns at once: the trainer stops at its next step. With `now` it waits `grace_seconds` for that, then
    ends the trainer and everything it started by force; no process of the run is left when this returns, also
    of one that was killed and has left workers behind.
    waiting: told (what is waited for, seconds left) about twice a second. Raises FtuiError when the run is
    not active, or when it runs on another machine.
    """
    verdict = judge(rundir)
    if verdict.state == "queued":
        raise FtuiError("the run has not started yet", f"`ftui runs queue --remove {rundir.id}`", rundir.id)
    if verdict.state not in ACTIVE:
        if now and _end_strays(rundir):
            return run_state(rundir)
        raise FtuiError(f"the run is not active: it {_was(verdict.state)}", "", rundir.id)
    try:
        rundir.request(STOP)
    except OSError as error:
        if not now:
            raise FtuiError(
                f"cannot leave the request: {error.strerror}", "`--now` ends it without", str(rundir.control)
            ) from None
    if not now:
        return run_state(rundir)
    _refuse_elsewhere(rundir)
    tell = waiting or (lambda what, left: None)
    if not _ends_within(rundir, grace_seconds, "for a checkpoint", tell):
        _force(rundir, tell)
    _end_strays(rundir)
    return run_state(rundir)


def resume(rundir: RunDir, *, trainer_command: Sequence[str] = ()) -> Resumed:
    """Starts the next attempt of a run that has ended, from its newest checkpoint.

    The same directory, events and recipe go on. A queued run is started now, before its turn. Raises
    FtuiError when the run is active or finished, ModelError when the supervisor does not start.
    """
    with _unqueued(rundir):
        return _resume(rundir, trainer_command)


def _resume(rundir: RunDir, trainer_command: Sequence[str]) -> Resumed:
    state = _state_at_rest(rundir)
    if state == "finished":
        raise FtuiError(
            "the run has finished", "start a new one, with more epochs if it should go on", rundir.id
        )
    if not rundir.recipe_path.is_file():
        raise FtuiError("the run has no recipe", "start a new one", str(rundir.recipe_path))
    try:
        for name in rundir.requests():
            rundir.clear(name)
    except OSError as error:
        raise FtuiError(f"cannot resume the run: {error.strerror}", "", str(rundir.control)) from None
    step = checkpoint_step(rundir)
    notice = "" if step or state == "queued" else "no checkpoint was saved: it starts over from step 0"
    root = Path(str(rundir.read_manifest().get("workspace") or rundir.path.parent.parent))
    root = root if root.is_dir() else rundir.path
    here = Workspace(rundir.path.parent.parent)
    if state == "queued":
        entry = read_entry(rundir)
        variables, needs = entry.environment, entry.needs
        start_now(rundir, here, trainer_command, root=root, variables=variables, needs=needs)
    else:
        start_now(rundir, here, trainer_command, root=root)
    return Resumed(rundir, step, notice)


def delete(rundir: RunDir) -> Path:
    """Moves a run into the trash and returns where it lies now. Raises FtuiError when it is active."""
    _state_at_rest(rundir)
    with _unqueued(rundir), _unattended(rundir):
        trash = rundir.path.parent / TRASH
        target = trash / rundir.id
        while target.exists():  # one of that name was thrown away before
            target = _later(target)
        return _move(rundir.path, target)


def restore(workspace: Workspace, text: str) -> RunDir:
    """Takes a deleted run out of the trash; one that was queued is queued again.

    text: as for `find_run`; of several that had the same id the one thrown away last is meant. Raises
    FtuiError when it is not there, or its id is taken.
    """
    trash = workspace.runs / TRASH
    thrown = _find_thrown(trash, text)
    return RunDir(_move(thrown, workspace.runs / _AGAIN.sub("", thrown.name)))


def _find_thrown(trash: Path, text: str) -> Path:
    runs: dict[str, Path] = {}
    with contextlib.suppress(OSError):
        for path in filter(Path.is_dir, trash.iterdir()):
            name = _AGAIN.sub("", path.name)
            runs[name] = max(path, runs.get(name, path), key=_again)
    if text in runs:
        return runs[text]
    if text == LAST and runs:
        return max(runs.values(), key=lambda path: (summarize(RunDir(path)).started or 0, path.name))
    matches = sorted(name for name in runs if text and name.startswith(text))
    if len(matches) == 1:
        return runs[matches[0]]
    if matches:
        hint = f"did you mean {matches[-1]}?"
        raise FtuiError(f"{len(matches)} deleted runs begin with this", hint, text)
    raise FtuiError("no such deleted run", f"{trash} holds those there are", text)


def _again(thrown: Path) -> int:
    number = _AGAIN.search(thrown.name)
    return int(number[1]) if number else 1


def _later(thrown: Path) -> Path:
    """Where the next run of the same name lies in the trash."""
    return thrown.with_name(f"{_AGAIN.sub('', thrown.name)}~{_again(thrown) + 1}")


def _move(path: Path, target: Path) -> Path:
    try:
        target.parent.mkdir(exist_ok=True)
        if target.exists():
            raise FtuiError("a run of this name is there already", "rename one of them", str(target))
        path.rename(target)
    except OSError as error:
        raise FtuiError(f"cannot move the run: {error.strerror}", "", str(path)) from None
    return target


def _unqueued(rundir: RunDir) -> contextlib.AbstractContextManager[None]:
    """Holds the queue's lock around a change of a queued run, so that nobody starts it in this moment."""
    return locked(rundir.path.parent) if is_waiting(rundir) else contextlib.nullcontext()


@contextlib.contextmanager
def _unattended(rundir: RunDir) -> Iterator[None]:
    """Holds the run's own lock, as its supervisor would: nobody can resume it from another screen meanwhile."""
    try:
        descriptor = hold(rundir)
    except OSError:
        yield  # whoever may not write here cannot start it either
        return
    if descriptor is None:
        hint = f"`ftui runs stop {rundir.id} --now` ends it"
        raise FtuiError("something of the run is still at work", hint, rundir.id)
    try:
        _state_at_rest(rundir)
        yield
    finally:
        os.close(descriptor)


def _state_at_rest(rundir: RunDir) -> State:
    """The run's state. Raises FtuiError when it is active."""
    state = run_state(rundir)
    if state in ACTIVE:
        raise FtuiError(f"the run is {state}", f"`ftui runs stop {rundir.id}` first", rundir.id)
    return state


def _refuse_elsewhere(rundir: RunDir) -> None:
    here, known = process.boot_id(), supervisor_of(rundir)
    if known is not None and process.liveness(known) is process.Liveness.UNKNOWN and known.boot_id != here:
        raise FtuiError(f"it runs on {known.host}", "end it there", rundir.id)


def _force(rundir: RunDir, tell: Callable[[str, float], None]) -> None:
    """SIGTERM, then SIGKILL for the trainer's group, then for whatever else belongs to the run."""
    with contextlib.suppress(OSError):
        rundir.request(NOW)
    if (trainer := trainer_of(rundir)) is not None:
        process.send(trainer, signal.SIGTERM)
        if not _ends_within(rundir, _TERM_SECONDS, "for the trainer to end", tell):
            process.send(trainer, signal.SIGKILL, group=True)
    supervisor = supervisor_of(rundir)
    if supervisor is not None and not _ends_within(rundir, _RECORD_SECONDS, "for the record", tell):
        process.send(supervisor, signal.SIGKILL)
    _end_strays(rundir)
    if run_state(rundir) in (*ACTIVE, "crashed"):  # nobody was left to write the record
        record = {"attempt": last_attempt(rundir), "code": None, "signal": "SIGKILL", "ended": time.time()}
        with contextlib.suppress(OSError):
            replace_json(
                rundir.exit_path, {**record, "outcome": "stopped", "reason": "stopped by force"}, durable=True
            )


def _end_strays(rundir: RunDir) -> bool:
    """Ends what an attempt that is over has left behind, its workers above all; True when there was anything.

    A supervisor that has written its record is about to end by itself.
    """
    if (supervisor := supervisor_of(rundir)) is not None:
        process.wait_dead(supervisor, _RECORD_SECONDS)
    strays = list(process.processes_of(rundir.path))
    for stray in strays:
        process.send(stray, signal.SIGKILL)
        process.wait_dead(stray, _RECORD_SECONDS)
    return bool(strays)


def _ends_within(rundir: RunDir, seconds: float, what: str, tell: Callable[[str, float], None]) -> bool:
    deadline = time.monotonic() + seconds
    while (left := deadline - time.monotonic()) > 0:
        if run_state(rundir) in ENDED:
            return True
        tell(what, left)
        time.sleep(min(0.1, left))
    return run_state(rundir) in ENDED


def _was(state: State) -> str:
    return state if state in ("finished", "stopped", "failed", "crashed") else f"is {state}"

"""Starts runs: makes the directory, freezes the recipe, and hands over to a supervisor that outlives us."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import threading
import time
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

from ftui.core.durable import replace_bytes
from ftui.core.errors import FtuiError, ModelError
from ftui.gpu import nvml
from ftui.runs.choice import has_choice, least_disturbed
from ftui.runs.devices import VISIBLE, devices_used, processes_of, variables_for
from ftui.runs.launcher import check_launcher, launcher_of
from ftui.runs.lease import arranging
from ftui.runs.manifest import build_manifest, find_inputs
from ftui.runs.memory_need import memory_need
from ftui.runs.occupancy import look
from ftui.runs.process import RUN_VARIABLE, child_environment, python_command, start_detached
from ftui.runs.queue_files import Entry, write_entry
from ftui.runs.rundir import RunDir, last_attempt, replace_json
from ftui.runs.scope import SCOPE, in_scope, scoped
from ftui.runs.state import summaries

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from ftui.core.recipe import Recipe
    from ftui.runs.manifest import Inputs
    from ftui.runs.workspace import Workspace

_START_SECONDS = 30.0
_NAME_LENGTH = 48
_ALL = 1 << 10


def launch(
    workspace: Workspace,
    recipe: Recipe,
    *,
    recipe_path: Path | None = None,
    name: str | None = None,
    command: str = "",
    launcher: str = "",
    trainer_command: Sequence[str] = (),
) -> RunDir:
    """Starts `recipe` as a new run that outlives this process, and returns its directory at once.

    Of several GPUs it takes those that are free. recipe_path: where the recipe was read from; its data may
    lie beside it. name: the run's name, else the recipe's. command: what repeats the run, else made up.
    launcher: starts the trainer's processes, such as "torchrun --nproc-per-node=2"; it sees all GPUs.
    trainer_command: runs in the trainer's place. Raises FtuiError when a file is missing or the workspace
    cannot be written, ModelError when the supervisor does not start.
    """
    if name:
        recipe = recipe.with_values({"name": plain_name(name)})
    if launcher:
        check_launcher(launcher)
    inputs = find_inputs(workspace, recipe, recipe_path)
    workspace.ensure()
    manifest = hashed(workspace, inputs) | ({"launcher": launcher} if launcher else {})
    rundir = make_run(workspace, inputs, manifest, command)
    start_now(rundir, workspace, trainer_command)
    return rundir


def start_now(
    rundir: RunDir,
    workspace: Workspace,
    trainer_command: Sequence[str] = (),
    *,
    root: Path | None = None,
    variables: Mapping[str, str | None] | None = None,
    needs: int | None = None,
) -> None:
    """`start_attempt` on those of several GPUs that are free, else where it disturbs least.

    root: where the trainer works, by default the workspace's. Raises as `start_attempt`, and FtuiError where
    the runs cannot be read.
    """
    root, variables = root or workspace.root, variables or {}
    visible = variables[VISIBLE] if VISIBLE in variables else os.environ.get(VISIBLE)
    entry = Entry(needs=needs, processes=_processes(rundir), environment={VISIBLE: visible})
    if not has_choice(entry, nvml.snapshot()):
        start_attempt(rundir, root, trainer_command, variables=variables, needs=needs)
        return
    entry = replace(entry, estimate=_estimate(rundir, workspace))
    with arranging():
        machine = look(workspace, summaries(workspace), nvml.snapshot())
        devices = least_disturbed(entry, machine)
        start_attempt(rundir, root, trainer_command, variables=variables, needs=needs, devices=devices)


def start_attempt(
    rundir: RunDir,
    root: Path,
    trainer_command: Sequence[str] = (),
    *,
    variables: Mapping[str, str | None] | None = None,
    needs: int | None = None,
    devices: Sequence[str] = (),
) -> None:
    """Starts a supervisor on a run directory and waits until it has taken over (well under a second).

    variables: what is different in its environment, None for what is not set there. needs: bytes it is
    expected to use, which others are told. devices: all that it shall see, by default what its environment
    says. Raises ModelError with the supervisor's last words when it does not take over.
    """
    environment = child_environment(**{RUN_VARIABLE: str(rundir.path)})
    for name, value in (variables or {}).items():
        environment.pop(name, None)
        if value is not None:
            environment[name] = value
    gpus = nvml.snapshot()
    devices = devices or devices_used(gpus, environment.get(VISIBLE), _processes(rundir))
    environment |= variables_for(devices, gpus)
    orders = [f"--attempt={last_attempt(rundir) + 1}", f"--devices={','.join(devices)}"]
    orders += [f"--memory={needs}"] if needs else []
    rest = [str(rundir.path), *trainer_command]
    plain = python_command("ftui.runs.supervise", *orders, *rest)
    scope = scoped(python_command("ftui.runs.supervise", *orders, f"--started={SCOPE}", *rest))
    try:
        rundir.control.mkdir(exist_ok=True)
        started = (in_scope() and _start(rundir, scope, root, environment)) or (
            _start(rundir, plain, root, environment)
        )
    except OSError as error:
        raise FtuiError(f"cannot start the run: {error.strerror}", "", str(rundir.path)) from None
    if not started:
        reason = rundir.last_log_line() or "it said nothing"
        raise ModelError(f"the run's supervisor did not start: {reason}", "", str(rundir.log_path))


def plain_name(text: str) -> str:
    """`text` as a name for a run and its adapter: letters, digits, '.', '_' and '-' only."""
    words = re.sub(r"[^A-Za-z0-9._-]+", "-", text).strip("-._")
    return words[:_NAME_LENGTH].rstrip("-._") or "run"


def run_id(name: str, when: datetime) -> str:
    """A directory name from a run's name and its local start time: "tickets-0412-153012"."""
    return f"{plain_name(name)}-{when:%m%d-%H%M%S}"


def hashed(workspace: Workspace, inputs: Inputs) -> dict[str, Any]:
    """The manifest of a run on `inputs`, which are read whole to hash them. Before its directory is made:
    nobody sees a run that is not there yet. Raises FtuiError."""
    return build_manifest(workspace, inputs, run_id="", name=inputs.recipe.name, command="")


def make_run(
    workspace: Workspace,
    inputs: Inputs,
    manifest: Mapping[str, Any],
    command: str,
    entry: Entry | None = None,
) -> RunDir:
    """Makes a run's directory with its frozen recipe and manifest. Raises FtuiError, leaving none.

    entry: its place in the queue, for one that is not started now; the caller holds the queue's lock.
    """
    try:
        workspace.runs.mkdir(exist_ok=True)
        rundir = _new_directory(workspace, run_id(inputs.recipe.name, datetime.now()))
    except OSError as error:
        raise FtuiError(f"cannot make the run: {error.strerror}", "", str(workspace.runs)) from None
    command = command or shlex.join(["ftui", "train", str(rundir.recipe_path)])
    try:
        if entry is not None:  # first: it is never taken for one whose supervisor did not start
            write_entry(rundir, entry)
        replace_bytes(rundir.recipe_path, inputs.recipe.to_toml().encode(), durable=True)
        replace_json(rundir.manifest_path, {**manifest, "id": rundir.id, "command": command}, durable=True)
    except BaseException as error:
        shutil.rmtree(rundir.path, ignore_errors=True)
        if isinstance(error, OSError):
            raise FtuiError(f"cannot make the run: {error.strerror}", "", str(rundir.path)) from None
        raise
    return rundir


def _estimate(rundir: RunDir, workspace: Workspace) -> int | None:
    from ftui.core.recipe import load_recipe

    try:
        return memory_need(workspace, load_recipe(rundir.recipe_path), rundir.recipe_path)
    except FtuiError:  # the trainer says what is wrong with its recipe
        return None


def _processes(rundir: RunDir) -> int:
    """GPUs it takes: one a process, or all it sees where a launcher decides how many processes there are."""
    return _ALL if launcher_of(rundir) else processes_of(rundir.recipe_path)


def _new_directory(workspace: Workspace, wanted: str) -> RunDir:
    """Makes the run's directory. `mkdir` is the lock: two launches in one second get two names."""
    for number in range(1, 1000):
        path = workspace.runs.resolve() / (wanted if number == 1 else f"{wanted}-{number}")
        try:
            path.mkdir()
        except FileExistsError:
            continue
        return RunDir(path)
    raise FtuiError("too many runs began in this second", "wait a moment", str(workspace.runs))


def _start(rundir: RunDir, command: list[str], root: Path, environment: Mapping[str, str]) -> bool:
    """Starts a supervisor; False when it ended, or did not take over in time. Raises OSError."""
    supervisor = start_detached(command, log=rundir.log_path, cwd=root, environment=environment)
    # Reaps the supervisor if it ends before we do, so that it does not stay behind as a zombie.
    threading.Thread(target=supervisor.wait, name=f"reap {rundir.id}", daemon=True).start()
    deadline = time.monotonic() + _START_SECONDS
    while True:
        ended = supervisor.poll() is not None
        record = rundir.read_proc().get("supervisor")
        if isinstance(record, dict) and record.get("pid") == supervisor.pid:
            return True
        if ended or time.monotonic() > deadline:
            return False
        time.sleep(0.01)

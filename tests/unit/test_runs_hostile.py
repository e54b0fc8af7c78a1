"""A run directory may hold anything: whatever is in its files, listing, summing up and describing never break."""

from __future__ import annotations

import contextlib
import json
import math
import os
import shutil
import tempfile
from pathlib import Path

import pytest
from click.testing import CliRunner
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from ftui.cli.run_text import event_line, run_line, run_table
from ftui.cli.runs import command
from ftui.core.errors import FtuiError
from ftui.runs import control
from ftui.runs.glance import Glance
from ftui.runs.labels import read_labels
from ftui.runs.lifecycle import STATES
from ftui.runs.live import read_history
from ftui.runs.rundir import EventWriter, RunDir
from ftui.runs.state import list_runs, run_state, summarize
from ftui.runs.watch import Watch
from ftui.runs.workspace import Workspace
from ftui.ui.widgets import figures
from ftui.ui.widgets.run_words import describe as line_in_list
from tests.unit.test_state import DEAD_PID, me

FILES = (
    "proc.json", "exit.json", "status.json", "manifest.json", "labels.json", "queue.json", "events.jsonl",
    "recipe.toml", "out.log",
)  # fmt: skip
NASTY = [
    None, True, False, 0, -1, 1, 2**31, 2**63, -(2**63), 10**400, 0.5, -0.5, 1e300, -1e300, math.nan, math.inf,
    -math.inf, "", "x", "NaN", "Infinity", "\x1b[2J\x1b]0;owned\x07", "\ud800", "\0", "../..", "9" * 5000, [], {}, [[]],
    [1, "x", None], {"pid": 1}, {"": {}}, [{}] * 50,
]  # fmt: skip
KEYS = {
    "proc.json": ("attempt", "started", "supervisor", "trainer", "devices", "started_in"),
    "exit.json": ("attempt", "outcome", "code", "signal", "ended", "reason", "hint"),
    "status.json": (
        "stage",
        "step",
        "steps",
        "loss",
        "eval_loss",
        "tokens_per_second",
        "eta_seconds",
        "updated",
    ),
    "manifest.json": ("name", "created", "workspace", "data", "base", "command", "versions", "recipe_source"),
    "labels.json": ("note", "tags"),
    "queue.json": ("order", "needs", "estimate", "processes", "queued", "environment"),
}
EVENTS = {
    "attempt": ("pid", "step", "resumed_from", "versions"),
    "progress": ("stage", "done", "total", "unit", "note"),
    "plan": ("steps", "epochs", "processes"),
    "step": (
        "step",
        "steps",
        "loss",
        "grad_norm",
        "learning_rate",
        "step_time",
        "tokens_per_second",
        "num_tokens",
    ),
    "eval": ("step", "eval_loss"),
    "sample": ("step", "prompt", "reply"),
    "checkpoint": ("step", "path", "bytes", "seconds", "best"),
    "notice": ("level", "message", "hint"),
    "heartbeat": ("stage",),
    "stopping": ("reason",),
    "end": ("outcome", "step", "message", "hint", "adapter"),
}
REQUESTS = ("stop", "now", "checkpoint", "\x1b[2J", "a\nb", ".hidden", "9" * 200)
values = st.one_of(st.sampled_from(NASTY), st.sampled_from([me(), me(**DEAD_PID), me(boot_id="x", host="y")]))
junk = st.sampled_from(
    [b"", b"{", b"[]", b"\xff\xfe\0", b"null\n", b"[" * 50_000, b'{"a":', b"\n\n\n", b"NaN", b"3"]
)


@st.composite
def event_lines(draw):
    lines = []
    for _ in range(draw(st.integers(0, 12))):
        if draw(st.integers(0, 5)) == 0:
            lines.append(draw(junk))
            continue
        kind = draw(st.sampled_from(sorted(EVENTS)))
        names = ("v", "seq", "t", "attempt", *EVENTS[kind])
        event = {"seq": 1, "t": 1.0, "attempt": 1, "type": kind}
        event |= draw(st.dictionaries(st.sampled_from(names), values, max_size=5))
        lines.append(json.dumps(event).encode("utf-8", "surrogatepass"))
    return b"\n".join(lines) + draw(st.sampled_from([b"", b"\n"]))


@st.composite
def contents(draw, name):
    if name == "events.jsonl":
        return draw(event_lines())
    if name not in KEYS or draw(st.integers(0, 5)) == 0:
        return draw(junk)
    record = draw(st.dictionaries(st.sampled_from(KEYS[name]), values, max_size=6))
    if draw(st.booleans()):
        record["attempt"] = 1
    return json.dumps(record).encode("utf-8", "surrogatepass")


folders = st.fixed_dictionaries({}, optional={name: contents(name) for name in FILES})


def look_everywhere(workspace: Workspace, rundir: RunDir) -> None:
    """Everything that only looks, as list, pane and command line do it."""
    assert run_state(rundir) in STATES
    run = summarize(rundir)
    assert run.state in STATES
    for number in (run.step, run.steps):
        assert number is None or (isinstance(number, int) and abs(number) <= 2**63)
    for number in (run.loss, run.eval_loss, run.tokens_per_second, run.eta_seconds, run.started, run.ended):
        assert number is None or isinstance(float(number), float)
    listed = list_runs(workspace)
    assert {one.id for one in listed} == {"run-1", "run-2"}
    run_table(listed)
    run_line(run)
    json.dumps(run.to_dict())
    for one in listed:
        line_in_list(one, 1e9, 40)
        figures.duration(one.eta_seconds)
    with contextlib.suppress(FtuiError):  # not a file
        assert len(read_history(rundir.events_path).steps) >= 0
    with contextlib.suppress(OSError):  # not a file
        Glance(rundir.events_path).search(1.0)
    Watch().look(listed)
    read_labels(rundir)
    control.checkpoint_step(rundir)
    rundir.last_log_line()
    for extra in ([], ["--json"]):
        said = CliRunner().invoke(command, ["show", "run-1", "--workspace", str(workspace.root), *extra])
        assert said.exception is None or isinstance(said.exception, FtuiError), said.exc_info
        if said.exception is None and extra:
            json.loads(said.stdout)


@pytest.fixture(scope="module")
def place():
    folder = Path(tempfile.mkdtemp())
    yield folder
    shutil.rmtree(folder)


@settings(
    max_examples=int(os.environ.get("FTUI_TEST_EXAMPLES", "60")),
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
@given(files=folders, live=st.booleans(), asked=st.sets(st.sampled_from(REQUESTS)))
@example(
    files={"proc.json": b"[" * 100_000, "exit.json": b'{"attempt": 0, "outcome": []}'},
    live=False,
    asked=set(),
)
@example(files={"manifest.json": b'{"created": 1e300}'}, live=False, asked=set())
@example(files={"manifest.json": b'{"created": ' + b"9" * 400 + b"}"}, live=True, asked={"stop"})
@example(
    files={"events.jsonl": b'{"type":"step","attempt":1,"step":' + b"9" * 400 + b"}\n"},
    live=True,
    asked={"stop"},
)
@example(files={"events.jsonl": b'{"type":"heartbeat","attempt":1,"stage":[1]}\n'}, live=True, asked={"stop"})
def test_whatever_a_run_directory_holds_looking_at_it_never_breaks(place, files, live, asked):
    shutil.rmtree(place)
    workspace = Workspace(place)
    rundir, healthy = RunDir(workspace.runs / "run-1"), RunDir(workspace.runs / "run-2")
    rundir.path.mkdir(parents=True)
    healthy.path.mkdir()
    rundir.recipe_path.touch()
    healthy.recipe_path.touch()
    if live:
        record = {"attempt": 1, "started": 1.0, "supervisor": me(), "trainer": me()}
        rundir.proc_path.write_text(json.dumps(record))
    for name in asked:
        rundir.request(name)
    for name, content in files.items():
        (rundir.path / name).write_bytes(content)
    look_everywhere(workspace, rundir)
    with EventWriter(rundir) as events:
        assert events.emit("step", step=1), "a trainer can still write"


@pytest.mark.parametrize("name", [*FILES, "control", "checkpoints", "adapter", ".lock"])
@pytest.mark.parametrize("kind", ["directory", "loop", "dangling"])
def test_what_should_be_a_file_may_be_something_else(tmp_path, name, kind):
    workspace = Workspace(tmp_path)
    for run in ("run-1", "run-2"):
        (workspace.runs / run).mkdir(parents=True)
        for made in {"recipe.toml", "manifest.json"} - {name}:
            (workspace.runs / run / made).touch()
    odd = workspace.runs / "run-1" / name
    if kind == "directory":
        odd.mkdir()
    else:
        odd.symlink_to(odd if kind == "loop" else tmp_path / "gone")
    look_everywhere(workspace, RunDir(workspace.runs / "run-1"))


@given(
    event=st.dictionaries(
        st.sampled_from(["type", "step", "loss", "stage", "message", "reason", "done"]), values
    )
)
@settings(max_examples=200, deadline=None)
def test_any_event_can_be_said_in_a_line(event):
    text = event_line(event)
    assert "\x1b" not in text
    assert "\n" not in text

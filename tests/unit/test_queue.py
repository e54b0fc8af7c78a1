"""The queue: its order, what each run waits for, and that no file in it can stop the others."""

from __future__ import annotations

import math
import os
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ftui.core.errors import FtuiError
from ftui.gpu.nvml import Gpu
from ftui.runs import control, queue, queue_kick, queue_runner, waiting
from ftui.runs.process import child_environment, python_command
from ftui.runs.queue_files import Entry, in_order, locked, place, read_entry, write_entry
from ftui.runs.rundir import RunDir, replace_json
from ftui.runs.state import list_runs, run_state, summarize
from ftui.runs.waiting import Machine, decide
from tests.queue_support import put
from tests.runs_support import make_workspace, recipe

GIB = 2**30


@pytest.fixture
def workspace(tmp_path, monkeypatch):
    """A workspace whose queue stands still."""
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    workspace = make_workspace(tmp_path / "ws")
    queue.pause(workspace)
    return workspace


def names(workspace):
    return [rundir.read_manifest()["name"] for rundir in queue.queued(workspace)]


# -- being queued


def test_a_queued_run_is_frozen_and_says_so(workspace):
    rundir = put(workspace, "one", 5, needs=3 * GIB)
    assert run_state(rundir) == "queued"
    assert rundir.recipe_path.is_file()
    assert len(rundir.read_manifest()["data"]["train"]["sha256"]) == 64
    assert read_entry(rundir).needs == 3 * GIB
    (run,) = list_runs(workspace)
    assert (run.state, run.position, run.active, run.ended) == ("queued", 1, False, None)
    assert summarize(rundir).attempts == 0


def test_it_stays_queued_over_a_restart_however_old_it_is(workspace):
    rundir = put(workspace, "one")
    for path in (rundir.path, rundir.queue_path, rundir.manifest_path):
        os.utime(path, (1, 1))
    assert run_state(rundir) == "queued"


def test_one_that_was_started_is_not_queued_though_its_proc_file_was_lost(workspace):
    from ftui.runs.rundir import EventWriter

    rundir = put(workspace, "one")
    with EventWriter(rundir, 1) as events:
        events.emit("attempt", pid=1)
    assert run_state(rundir) != "queued"
    assert queue.queued(workspace) == []


@pytest.mark.parametrize(
    ("change", "says"), [({"data.train": "gone.jsonl"}, "data.train"), ({"data.train": ""}, "data.train")]
)
def test_what_cannot_run_is_not_queued(workspace, change, says):
    with pytest.raises(FtuiError, match=says):
        queue.enqueue(workspace, recipe(**change))
    assert list_runs(workspace) == []


def test_more_memory_than_there_is_is_refused_rather_than_waited_for(workspace):
    with pytest.raises(FtuiError, match=r"(this machine|GPU 0) has"):
        put(workspace, "one", needs=2**50)


def test_a_full_disk_leaves_no_run_behind(workspace, monkeypatch):
    from ftui.runs import launch

    def full(*arguments, **options):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(launch, "write_entry", full)
    with pytest.raises(FtuiError, match="No space left"):
        put(workspace, "one")
    assert list_runs(workspace) == []


def test_stopping_a_queued_run_says_what_to_do_instead(workspace):
    rundir = put(workspace, "one")
    with pytest.raises(FtuiError) as caught:
        control.stop(rundir)
    assert "--remove" in caught.value.hint


def test_taking_out_and_back_keeps_the_place(workspace):
    runs = [put(workspace, name) for name in ("one", "two", "three")]
    queue.dequeue(workspace, runs[1])
    assert names(workspace) == ["one", "three"]
    control.restore(workspace, runs[1].id)
    assert names(workspace) == ["one", "two", "three"]
    with pytest.raises(FtuiError, match="not queued"):
        queue.dequeue(workspace, RunDir(workspace.runs / "nothing"))


def test_two_deleted_runs_of_one_name_both_come_back(workspace):
    rundir = put(workspace, "one")
    control.delete(rundir)
    rundir.path.mkdir()
    rundir.queue_path.write_text("{}")
    second = control.delete(rundir)
    assert second.name == f"{rundir.id}~2"
    control.restore(workspace, rundir.id)
    assert read_entry(rundir).order == math.inf, "the last one deleted comes back first"
    with pytest.raises(FtuiError, match="already"):
        control.restore(workspace, rundir.id)
    rundir.path.rename(workspace.runs / "aside")
    control.restore(workspace, rundir.id)
    assert read_entry(rundir).order == 1


# -- order


def test_moving_changes_the_order_and_tells_the_place(workspace):
    runs = {name: put(workspace, name) for name in "abcd"}
    assert queue.move(workspace, runs["c"], -1) == 2
    assert names(workspace) == list("acbd")
    assert queue.move(workspace, runs["d"], -100) == 1
    assert names(workspace) == list("dacb")
    assert queue.move(workspace, runs["d"], 100) == 4
    assert names(workspace) == list("acbd")
    assert queue.move_to(workspace, runs["b"], 1) == 1
    assert names(workspace) == list("bacd")
    assert queue.move(workspace, runs["b"], 0) == 1


def test_a_move_replaces_one_file(workspace):
    runs = [put(workspace, name) for name in "abcd"]
    before = [rundir.queue_path.stat().st_mtime_ns for rundir in runs]
    queue.move(workspace, runs[3], -2)
    after = [rundir.queue_path.stat().st_mtime_ns for rundir in runs]
    assert [old == new for old, new in zip(before, after, strict=True)] == [True, True, True, False]


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(-7, 7)), max_size=60), st.booleans())
def test_any_number_of_moves_gives_the_order_asked_for(moves, damaged):
    runs = [RunDir(Path(f"/runs/{name}")) for name in "abcdef"]
    orders = [1.0, 1.0, math.inf, 4.0, 4.0, math.inf] if damaged else range(1, 7)
    entries = {rundir.id: Entry(float(order)) for rundir, order in zip(runs, orders, strict=True)}

    def ordered():
        return sorted(((run, entries[run.id]) for run in runs), key=lambda pair: (pair[1].order, pair[0].id))

    wanted = [run.id for run, _ in ordered()]
    for index, by in moves:
        to = max(0, min(5, index + by))
        if to != index:
            entries |= {run.id: entry for run, entry in place(ordered(), index, to)}
            wanted.insert(to, wanted.pop(index))
        assert [run.id for run, _ in ordered()] == wanted


def test_moving_between_two_neighbours_for_ever_works(workspace):
    first, second, third = (put(workspace, name) for name in "abc")
    for _ in range(60):
        queue.move_to(workspace, third, 2)
        queue.move_to(workspace, second, 2)
    assert names(workspace) == ["a", "b", "c"]
    assert queue.queued(workspace)[0].id == first.id


@pytest.mark.parametrize(
    "content",
    [
        b"", b"{", b"null", b"[1]", b'{"order": "x", "needs": -1, "environment": 7, "processes": 1e9}',
        b'{"order": NaN}', b'{"order": 1e400}', b'{"order": true}', b"\xff" * 99, b"[" * 100_000,
        b'{"environment": {"LD_PRELOAD": "/evil.so", "HF_HOME": "a\\u0000b", "CUDA_VISIBLE_DEVICES": 3}}',
    ],
)  # fmt: skip
def test_a_damaged_entry_goes_to_the_end_and_stops_nobody(workspace, content):
    broken, whole = put(workspace, "broken"), put(workspace, "whole")
    broken.queue_path.write_bytes(content)
    assert names(workspace) == ["whole", "broken"]
    assert not read_entry(broken).environment
    assert read_entry(broken).needs is None
    assert {run.position for run in list_runs(workspace)} == {1, 2}
    assert queue.move(workspace, broken, -1) == 1
    assert names(workspace) == ["broken", "whole"]
    assert queue.queued(workspace)[1].id == whole.id


def test_the_queue_says_when_it_is_busy(workspace):
    rundir = put(workspace, "one")
    with locked(workspace.runs), pytest.raises(FtuiError, match="busy"), locked(workspace.runs, seconds=0.05):
        pass
    assert queue.move(workspace, rundir, 1) == 1


# -- whose turn it is


GPUS = (Gpu(0, "A"), Gpu(1, "B"))


@pytest.fixture
def turns_of(workspace):
    """Decides on a machine over given entries, queued in that order."""

    def turns(machine, *entries):
        pairs = []
        for number, entry in enumerate(entries):
            rundir = RunDir(workspace.runs / f"run{number}")
            rundir.path.mkdir(exist_ok=True)
            replace_json(rundir.manifest_path, {"workspace": str(workspace.root)})
            pairs.append((rundir, entry))
        machine = replace(machine, root=workspace.root)
        return [turn.reason for turn in decide(pairs, machine)]

    return turns


def on(devices):
    return Entry(environment={"CUDA_VISIBLE_DEVICES": devices})


def test_the_first_starts_and_the_next_waits_for_its_turn(turns_of):
    assert turns_of(Machine(), Entry(), Entry(), Entry()) == [
        "", "waits for its turn: 1 before it", "waits for its turn: 2 before it",
    ]  # fmt: skip


def test_it_waits_for_whoever_trains_on_its_device(turns_of):
    assert turns_of(Machine(busy={"cpu": "tickets-1"}), Entry()) == ["waits for tickets-1 to end"]
    machine = Machine(busy={"gpu0": "tickets-1"}, gpus=GPUS)
    assert turns_of(machine, on("0"), on("1"), on("0,1")) == [
        "waits for tickets-1 to end", "", "waits for its turn: 2 before it",
    ]  # fmt: skip


def test_a_run_that_does_not_say_where_it_is_keeps_all_waiting(turns_of):
    machine = Machine(busy={"": "old-run"}, gpus=GPUS)
    assert turns_of(machine, on("0"), on("1")) == ["waits for old-run to end"] * 2


def test_several_gpus_are_waited_for_together(turns_of):
    machine = Machine(busy={"gpu1": "tickets-1"}, gpus=GPUS)
    assert turns_of(machine, replace(on("0,1"), processes=2)) == ["waits for tickets-1 to end"]


def test_it_waits_for_the_memory_it_needs_and_says_both_figures(turns_of):
    machine = Machine(memory={"gpu0": (9 * GIB, 24 * GIB)}, gpus=GPUS)
    words = "waits for 14.0 GiB free on GPU 0: 9.0 GiB now"
    assert turns_of(machine, replace(on("0"), needs=14 * GIB)) == [words]
    assert turns_of(machine, replace(on("0"), estimate=14 * GIB)) == [words]
    assert turns_of(machine, replace(on("0"), needs=8 * GIB, estimate=14 * GIB)) == [""]
    assert turns_of(replace(machine, chats=frozenset({"gpu0"})), replace(on("0"), needs=14 * GIB)) == [
        f"{words}; a chat has a model there"
    ]


def test_an_estimate_near_the_whole_gpu_does_not_wait_for_ever(turns_of):
    machine = Machine(memory={"gpu0": (22 * GIB, 24 * GIB)}, gpus=GPUS)
    assert turns_of(machine, replace(on("0"), estimate=60 * GIB)) == [""]


def test_on_a_cpu_only_what_was_asked_for_is_waited_for(turns_of):
    machine = Machine(memory={"cpu": (2 * GIB, 16 * GIB)})
    assert turns_of(machine, Entry(estimate=9 * GIB)) == [""]
    assert turns_of(machine, Entry(needs=9 * GIB)) == ["waits for 9.0 GiB free: 2.0 GiB now"]


def test_memory_that_cannot_be_read_is_not_waited_for(turns_of):
    machine = Machine(memory={"gpu0": (None, None)}, gpus=GPUS)
    assert turns_of(machine, replace(on("0"), needs=9 * GIB)) == [""]


def test_a_full_disk_is_waited_for(turns_of):
    assert turns_of(Machine(disk=12 * 2**20), Entry()) == ["waits for 200 MiB of free disk: 12.0 MiB now"]


def test_paused_is_said(turns_of):
    assert turns_of(Machine(paused=True), Entry()) == ["waits: the queue is paused"]


def test_a_run_whose_manifest_is_gone_waits_for_a_person_and_lets_others_by(workspace):
    broken, whole = put(workspace, "broken"), put(workspace, "whole")
    broken.manifest_path.unlink()
    queue_files_go(workspace)
    reasons = {run.id: run.reason for run in list_runs(workspace)}
    assert "does not start by itself" in reasons[broken.id]
    assert reasons[whole.id] == "starts in a moment"


def queue_files_go(workspace):
    """Goes on without kicking: nothing is started."""
    from ftui.runs.queue_files import set_paused

    set_paused(workspace, False)


# -- the runner


def test_one_that_cannot_be_started_has_failed_and_says_why(workspace, monkeypatch):
    rundir = put(workspace, "one")
    queue_files_go(workspace)

    def refused(*arguments, **options):
        raise FtuiError("cannot start the run: too many processes", "end some")

    monkeypatch.setattr(queue_runner, "start_attempt", refused)
    queue_runner.start_ready(workspace)
    (run,) = list_runs(workspace)
    assert (run.state, run.reason, run.hint) == (
        "failed", "cannot start the run: too many processes", "end some",
    )  # fmt: skip
    assert rundir.read_exit()["attempt"] == 0


def test_where_not_even_that_can_be_written_it_stays_queued(workspace, monkeypatch):
    rundir = put(workspace, "one")
    queue_files_go(workspace)

    def full(*arguments, **options):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(queue_runner, "replace_json", full)
    monkeypatch.setattr(queue_runner, "start_attempt", lambda *a, **o: (_ for _ in ()).throw(FtuiError("no")))
    with pytest.raises(OSError, match="No space"):
        queue_runner.start_ready(workspace)
    assert run_state(rundir) == "queued"


def test_a_kick_does_nothing_where_nothing_is_queued_or_nothing_can_be_written(workspace, monkeypatch):
    started = []
    monkeypatch.setattr(queue_kick, "_start", started.append)
    queue_files_go(workspace)
    assert not queue_kick.kick(workspace)
    put(workspace, "one")
    started.clear()
    (workspace.runs / queue_kick.RUNNER_LOCK).unlink(missing_ok=True)
    (workspace.runs / queue_kick.RUNNER_LOCK).mkdir()
    assert not queue_kick.kick(workspace)
    assert started == []


def test_a_runner_that_cannot_live_is_not_started_with_every_look(workspace, monkeypatch):
    started = []
    monkeypatch.setattr(queue_kick, "_start", started.append)
    monkeypatch.setattr(queue_kick, "_AGAIN_SECONDS", 60.0)
    put(workspace, "one")
    queue_files_go(workspace)
    assert [queue_kick.kick(workspace) for _ in range(5)] == [True, False, False, False, False]


def test_the_runner_is_small_and_imports_no_heavy_library(workspace):
    import subprocess

    code = (
        "import sys, ftui.runs.queue_runner, ftui.runs.supervise\n"
        "size = next(line for line in open('/proc/self/status') if line.startswith('VmRSS'))\n"
        "heavy = {'torch', 'transformers', 'pyarrow', 'pydantic', 'textual'} & set(sys.modules)\n"
        "print(sorted(heavy), int(size.split()[1]) // 1024)"
    )
    words = [python_command("x")[0], "-c", code]
    done = subprocess.run(words, capture_output=True, text=True, env=child_environment(), check=True)
    heavy, megabytes = done.stdout.rsplit(" ", 1)
    assert heavy == "[]"
    assert int(megabytes) < 50


# -- the command


def test_the_commands_queue_show_move_and_remove(workspace, ftui, monkeypatch):
    monkeypatch.chdir(workspace.root)
    code, first, _ = ftui("train", "tickets", "--queue", "--needs", "1GiB", "--json")
    assert (code, first["state"], first["position"]) == (0, "queued", 1)
    second = ftui("train", "tickets", "--queue", "--name", "other", "--json")[1]
    code, out, _ = ftui("train", "tickets", "--queue", "--name", "third")
    assert "is number 3 in the queue: waits: the queue is paused" in out
    code, listed, _ = ftui("runs", "queue", "--json")
    assert [run["id"] for run in listed["runs"]][:2] == [first["run"], second["run"]]
    assert listed["runs"][0]["needs"] == GIB
    assert (listed["paused"], listed["runner"]) == (True, None)
    assert [run["position"] for run in listed["runs"]] == [1, 2, 3]
    listed = ftui("runs", "queue", "--move", second["run"], "--first", "--json")[1]
    assert [run["id"] for run in listed["runs"]][:2] == [second["run"], first["run"]]
    listed = ftui("runs", "queue", "--move", second["run"], "--to", "3", "--json")[1]
    assert listed["runs"][2]["id"] == second["run"]
    listed = ftui("runs", "queue", "--remove", second["run"], "--json")[1]
    assert len(listed["runs"]) == 2
    assert ftui("runs", "delete", second["run"], "--undo")[0] == 0
    shown = ftui("runs", "show", second["run"], "--json")[1]
    assert (shown["state"], shown["position"]) == ("queued", 3)
    assert "3 in the queue" in ftui("runs", "show", second["run"])[1]
    text = ftui("runs", "queue")[1]
    assert "the queue is paused" in text
    assert text.splitlines()[1].split()[:2] == ["1", first["run"]]
    assert "waits: the queue is paused" in ftui("runs")[1]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("runs", "queue", "--move", "x"), "where to"),
        (("runs", "queue", "--up"), "which run"),
        (("runs", "queue", "--remove", "nothing"), "no such run"),
        (("train", "tickets", "--queue", "--follow"), "leave --follow"),
        (("train", "tickets", "--needs", "3GB"), "add --queue"),
        (("train", "tickets", "--queue", "--needs", "lots"), "amount of memory"),
        (("train", "tickets", "--queue", "--set", "data.train=gone.jsonl"), "looked in"),
    ],
)
def test_mistakes_are_one_line(workspace, ftui, monkeypatch, words, says):
    monkeypatch.chdir(workspace.root)
    code, out, err = ftui(*words)
    assert (code, out) == (2, "")
    assert says in err
    assert err.count("\n") == 1


def test_an_empty_queue_says_how_to_use_it(workspace, ftui, monkeypatch):
    monkeypatch.chdir(workspace.root)
    assert "train RECIPE --queue" in ftui("runs", "queue")[1]


def test_everything_in_the_queue_that_came_from_files_is_harmless(workspace, ftui, monkeypatch):
    monkeypatch.chdir(workspace.root)
    rundir = put(workspace, "one")
    rundir.path.rename(workspace.runs / "bad\x1b]0;x\x07name")
    for words in (("runs", "queue"), ("runs",)):
        assert "\x1b" not in ftui(*words)[1]


def test_waiting_looks_at_no_gpu_where_nothing_is_queued(workspace):
    def never():
        raise AssertionError

    assert waiting.turns(workspace, [], never) == []
    write_entry(put(workspace, "one"), Entry(3.0))
    assert in_order(queue.queued(workspace))[0][1].order == 3.0

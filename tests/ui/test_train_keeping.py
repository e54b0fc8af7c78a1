"""What a person does with runs beside training them, and what they can look up about one."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from ftui.cli.runs import command as runs_command
from ftui.core.recipe import load_recipe
from ftui.gpu import host, nvml
from ftui.gpu.processes import GpuProcess
from ftui.runs import control, queue, state
from ftui.runs.labels import read_labels, write_labels
from ftui.runs.rundir import EventWriter, RunDir
from ftui.runs.trash import deleted_runs
from ftui.ui.run_facts import parent_of, read_facts
from ftui.ui.widgets import figures
from ftui.ui.widgets.run_list import RunList
from ftui.ui.widgets.run_words import describe, numbers, shortly
from tests.ui.capture import HOSTILE, assert_harmless, capture, output_of
from tests.ui.panes import GIB, GPU, app_on, screen_text, shown, still_machine, until  # noqa: F401
from tests.ui.run_builder import finish, make_run, make_workspace, write_steps

if TYPE_CHECKING:
    from pathlib import Path

    from ftui.runs.workspace import Workspace

pytestmark = pytest.mark.usefixtures("still_machine")


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return make_workspace(tmp_path / "support-bot")


def ended(workspace: Workspace, name: str, age: float) -> RunDir:
    rundir = make_run(workspace, name, age=age, alive=False)
    with EventWriter(rundir, 1) as writer:
        writer.emit("attempt", pid=1, device="cpu", step=0)
        write_steps(writer, 1, 30, 30)
        writer.emit("end", outcome="finished", step=30)
    finish(rundir, "finished", ago=age - 60)
    return rundir


# -- notes, tags, the trash --------------------------------------------------------------------------


async def test_a_note_and_tags_are_written_and_seen(workspace):
    rundir = ended(workspace, "tickets", 900)
    async with app_on(workspace, "train").run_test(size=(120, 36), notifications=True) as pilot:
        await shown(pilot, "step 30 · train")
        await pilot.press("N", *"the good one", "enter")
        await until(pilot, lambda: read_labels(rundir).note == "the good one")
        await pilot.press("t", *"good keep", "enter")
        await shown(pilot, "#good #keep")
        await pilot.press("n")
        await shown(pilot, "note: the good one")
        await pilot.press("N")
        await shown(pilot, "the good one")
        await pilot.press("escape", "t", "ctrl+u", "enter")
        await until(pilot, lambda: read_labels(rundir).tags == ())
        assert read_labels(rundir).note == "the good one"


async def test_a_deleted_run_is_gone_and_u_brings_it_back_even_later(workspace):
    names = ["third", "second", "first"]
    runs = {name: ended(workspace, name, 900 + 100 * number) for number, name in enumerate(names)}
    async with app_on(workspace, "train").run_test(size=(120, 36), notifications=True) as pilot:
        await shown(pilot, "third", "second", "first")
        await pilot.press("down", "delete")
        await shown(pilot, "second is in the trash; u brings it back")
        await until(pilot, lambda: pilot.app.screen.query_one(RunList).chosen.name == "first")
        await pilot.press("delete")
        await until(pilot, lambda: len(deleted_runs(workspace)) == 2)
    async with app_on(workspace, "train").run_test(size=(120, 36), notifications=True) as pilot:
        await shown(pilot, "third")
        await pilot.press("u")
        await shown(pilot, f"{runs['first'].id} is back; 1 more in the trash")
        await until(pilot, lambda: pilot.app.screen.query_one(RunList).chosen.name == "first")
        await pilot.press("u")
        await until(pilot, lambda: not deleted_runs(workspace))
        await shown(pilot, "second")
        await pilot.press("u")
        await shown(pilot, "the trash is empty")


async def test_a_run_at_work_is_not_deleted(workspace):
    rundir = make_run(workspace, "tickets", age=60)
    with EventWriter(rundir, 1) as writer:
        write_steps(writer, 1, 30, 600)
    async with app_on(workspace, "train").run_test(size=(120, 36), notifications=True) as pilot:
        await shown(pilot, "step 30 · train")
        await pilot.press("delete")
        text = await shown(pilot, "the run is running", "stop it first (s)")
        assert "ftui runs" not in text
        assert rundir.path.is_dir()


async def test_deleting_the_last_run_leaves_the_empty_pane(workspace):
    ended(workspace, "tickets", 900)
    async with app_on(workspace, "train").run_test(size=(120, 36), notifications=True) as pilot:
        await shown(pilot, "step 30 · train")
        await pilot.press("delete")
        await shown(pilot, "No runs yet.")
        await pilot.press("u")
        await shown(pilot, "step 30 · train")


# -- stopping by force -------------------------------------------------------------------------------


async def test_esc_takes_back_the_force_while_it_is_counted_down(workspace, monkeypatch):
    rundir = make_run(workspace, "tickets", age=60)
    with EventWriter(rundir, 1) as writer:
        write_steps(writer, 1, 30, 600)
    forced = []
    monkeypatch.setattr(control, "_force", lambda *_: forced.append(1))
    async with app_on(workspace, "train").run_test(size=(120, 36), notifications=True) as pilot:
        await shown(pilot, "step 30 · train")
        await pilot.press("S", "enter")
        await shown(pilot, "s to save", "esc takes back the force only", "the run still stops")
        await pilot.press("escape")
        await shown(pilot, "is not ended by force: it still stops")
        assert not forced
        assert rundir.requests() == {"stop"}


# -- the queue ---------------------------------------------------------------------------------------


def test_a_waiting_run_says_its_place_and_what_for():
    run = state.RunSummary("a", "a", "queued", position=1, reason="waits for tickets to end")
    assert describe(run, 0, 60) == "next waits for tickets to end"
    assert describe(replace(run, position=3), 0, 60) == "3. waits for tickets to end"


def test_runs_of_one_name_are_told_apart_also_by_what_waits_for_them():
    def run(name, number, state_="finished", **more):
        return state.RunSummary(f"{name}-{number}", name, state_, started=float(number), **more)

    first, second, other = run("tiny", 1), run("tiny", 2, "running"), run("tickets", 3)
    waiting = run("tiny", 4, "queued", position=1, reason="waits for tiny-2 to end")
    runs = (waiting, other, second, first)
    marks = numbers(runs)
    assert marks == {"tiny-1": "#1", "tiny-2": "#2", "tiny-4": "#3"}

    def said(width):
        return describe(replace(waiting, reason=shortly(waiting, runs, marks, width)), 0, width)

    assert said(40) == "next waits for tiny #2 to end"
    assert said(20) == "next after tiny #2"
    assert said(16).endswith("#2")
    assert len(said(16)) <= 16


@pytest.mark.parametrize("name", ["tiny", "tickets-r16-without-the-long-rows"])
async def test_runs_of_one_name_are_told_apart_in_a_narrow_terminal(workspace, name):
    for age in (900, 800, 700):
        ended(workspace, name, age)
    async with app_on(workspace, "train").run_test(size=(80, 24)) as pilot:
        text = await shown(pilot, "#1", "#2", "#3")
        assert text.index("#3") < text.index("#2") < text.index("#1")


async def test_a_waiting_run_is_started_now_and_the_keys_say_so(workspace, monkeypatch):
    waiting = state.RunSummary("b", "bravo", "queued", position=1, reason="waits", path=workspace.runs / "b")
    monkeypatch.setattr(state, "list_runs", lambda *_: [waiting])
    monkeypatch.setattr(state, "summarize", lambda _: waiting)
    begun = []
    monkeypatch.setattr(
        control, "resume", lambda rundir: begun.append(rundir) or control.Resumed(rundir, 0, "")
    )
    async with app_on(workspace, "train").run_test(size=(80, 24), notifications=True) as pilot:
        text = await shown(pilot, "bravo", "R start it now")
        assert "R resume" not in text
        await pilot.press("question_mark")
        text = await shown(pilot, "train.start")
        assert "train.resume" not in text
        await pilot.press("escape", "R")
        await shown(pilot, "bravo: is started")
        assert len(begun) == 1


async def test_queued_runs_are_moved_and_held(workspace, monkeypatch):
    waiting = state.RunSummary(
        "b", "bravo", "queued", position=2, reason="waits for alpha", started=2.0, path=workspace.runs / "b"
    )
    (workspace.runs / "b").mkdir()
    monkeypatch.setattr(state, "list_runs", lambda *_: [waiting])
    moved, held = [], []
    monkeypatch.setattr(queue, "move", lambda _, rundir, by: moved.append((rundir.id, by)) or 1)
    monkeypatch.setattr(queue, "is_paused", lambda _: bool(held))
    monkeypatch.setattr(queue, "pause", lambda _: held.append(1))
    monkeypatch.setattr(queue, "go", lambda _: held.clear())
    async with app_on(workspace, "train").run_test(size=(120, 36), notifications=True) as pilot:
        await shown(pilot, "bravo", "2. waits for alpha", "1 waiting", "[ start it earlier")
        await pilot.press("left_square_bracket")
        await shown(pilot, "bravo is next")
        await pilot.press("right_square_bracket")
        await until(pilot, lambda: moved == [("b", -1), ("b", 1)])
        await pilot.press("q")
        await shown(pilot, "the queue is paused")
        await pilot.press("q")
        await shown(pilot, "the queue goes on")


# -- details -----------------------------------------------------------------------------------------


def change(rundir: RunDir, field: str, value: object) -> None:
    recipe = load_recipe(rundir.recipe_path)
    rundir.recipe_path.write_text(recipe.with_values({field: value}).to_toml())


def test_a_run_is_compared_with_the_one_before_it_field_by_field(workspace):
    first = ended(workspace, "tickets", 9000)
    ended(workspace, "other", 8000)
    last = ended(workspace, "tickets", 7000)
    change(last, "training.learning_rate", 5e-5)
    assert parent_of(last, last.read_manifest(), workspace) == first
    assert parent_of(first, first.read_manifest(), workspace) is None
    parts = dict(read_facts(last, workspace).parts)
    (title,) = [title for title in parts if title.startswith("against")]
    assert first.id in title
    (line,) = [line for line in parts[title] if "learning_rate" in line]
    assert line.split() == ["training.learning_rate", "2e-4", "5e-5"]
    assert parts["attempts"][0].endswith("finished at step 30")


async def test_the_command_is_written_to_a_file(workspace):
    rundir = ended(workspace, "tickets", 900)
    async with app_on(workspace, "train").run_test(size=(80, 24), notifications=True) as pilot:
        await shown(pilot, "step 30")
        await pilot.press("D")
        await shown(pilot, "to repeat it", "y copies the command")
        await pilot.press("w")
        file = workspace.root / f"repeat-{rundir.id}.sh"
        await until(pilot, file.exists)
        assert file.read_text().endswith(f"ftui train {rundir.recipe_path} --workspace {workspace.root}\n")


def test_a_run_is_repeated_from_its_own_copy_once_its_recipe_has_changed(workspace):
    rundir = ended(workspace, "tickets", 900)
    source = workspace.root / "mine.toml"
    slower = load_recipe(rundir.recipe_path).with_values({"training.learning_rate": 1e-4})
    source.write_text(slower.to_toml())
    command = f"ftui train {source} --set training.learning_rate=2e-4"
    rundir.update_manifest(command=command, recipe_source=str(source))
    here = f" --workspace {workspace.root}"
    assert read_facts(rundir, workspace).command == command + here
    source.write_text(source.read_text().replace("rank = 16", "rank = 4"))
    own = f"ftui train {rundir.recipe_path} --name tickets{here}"
    assert read_facts(rundir, workspace).command == own
    assert (
        own
        in CliRunner().invoke(runs_command, ["show", rundir.id, "--workspace", str(workspace.root)]).output
    )
    source.unlink()
    assert read_facts(rundir, workspace).command == own


def test_details_leave_out_what_is_empty(workspace):
    rundir = ended(workspace, "tickets", 900)
    rundir.update_manifest(
        data={"train": {"path": "a.jsonl", "journal_sha256": ""}}, versions={"torch": None}
    )
    parts = dict(read_facts(rundir, workspace).parts)
    assert parts["data: train"] == ("path  a.jsonl",)
    assert "versions" not in parts


async def test_nothing_hostile_in_names_notes_and_recipes_reaches_the_terminal(workspace):
    older, rundir = ended(workspace, HOSTILE, 9000), ended(workspace, HOSTILE, 900)
    write_labels(rundir, note=HOSTILE, tags=[HOSTILE])
    (older.recipe_path).write_text(HOSTILE.encode("utf-8", "replace").decode())
    with EventWriter(rundir, 1) as writer:
        writer.emit("attempt", pid=1, device=HOSTILE, step=30)
        writer.emit("end", outcome=HOSTILE, step=HOSTILE)
    app = capture(app_on(workspace, "train"))
    async with app.run_test(headless=False, size=(120, 36)) as pilot:
        await shown(pilot, "train 0.60")
        for key in ("D", "escape", "n", "N", "escape", "t", "escape", "g", "escape"):
            await pilot.press(key)
            await pilot.pause(0.05)
    assert_harmless(output_of(app))


# -- the machine -------------------------------------------------------------------------------------


@pytest.fixture
def busy_gpu(monkeypatch) -> None:
    """A GPU that is slowed down, with two processes on it."""
    processes = (
        GpuProcess(4242, "ftui.engine.train", 13 * GIB),
        GpuProcess(977, "gnome\x1b[2J-shell", None),
    )
    gpu = replace(GPU, throttle=("too hot (driver)",), processes=processes)
    monkeypatch.setattr(nvml, "snapshot", lambda: (gpu,))


@pytest.fixture
def machine_run(workspace, monkeypatch) -> RunDir:
    rundir = make_run(workspace, "tickets-r16", age=60)
    with EventWriter(rundir, 1) as writer:
        write_steps(writer, 1, 30, 600, gpu=True)
    folder = rundir.checkpoints / "step-30"
    folder.mkdir(parents=True)
    (folder / "adapter.safetensors").write_bytes(b"x" * 5_000_000)
    monkeypatch.setattr("ftui.ui.machine_facts._resident", lambda pid: 2_300_000_000 if pid else None)
    return rundir


async def test_the_machine_shows_gpu_run_host_and_disk(workspace, busy_gpu, machine_run):
    async with app_on(workspace, "train").run_test(size=(120, 36)) as pilot:
        await shown(pilot, "step 30 · train")
        await pilot.press("g")
        text = await shown(
            pilot, "GPU0  NVIDIA RTX 4090", "14.2 of 24 GB", "310 of 450 W", "too hot (driver)", "ftui.engine.train",
            "allocated 11.8, reserved 13.4, at most 12.9 GB", "2.3 GB of host memory", "8.0 of 16 GB", "40 GB",
            "1 of this run: 5.0 MB",
        )  # fmt: skip
        assert "n/a" in text
        await pilot.press("escape")
        await until(pilot, lambda: "at most" not in screen_text(pilot.app))


async def test_a_machine_without_a_gpu_shows_what_it_has(workspace, machine_run, monkeypatch):
    monkeypatch.setattr(host, "snapshot", lambda _: host.HostSnapshot(None, None, None, None))
    async with app_on(workspace, "train").run_test(size=(80, 24)) as pilot:
        await shown(pilot, "step 30")
        await pilot.press("g")
        await shown(pilot, "no NVIDIA GPU", "n/a of n/a GB", "free")


@pytest.mark.parametrize("size", [(80, 24), (120, 36)], ids=["80x24", "120x36"])
def test_picture_of_the_machine(workspace, busy_gpu, machine_run, snap_compare, monkeypatch, size):
    monkeypatch.setattr("ftui.ui.machine_facts._resident", lambda _: None)  # nor its pid

    async def ready(pilot) -> None:
        await shown(pilot, "step 30")
        await pilot.press("g")
        await shown(pilot, "ftui.engine.train", "at most")

    assert snap_compare(app_on(workspace, "train"), terminal_size=size, run_before=ready)


@pytest.mark.parametrize("size", [(80, 24), (120, 36)], ids=["80x24", "120x36"])
def test_picture_of_the_details(workspace, snap_compare, monkeypatch, size):
    monkeypatch.setattr(figures, "when", lambda then, now: "yesterday")
    monkeypatch.setattr("ftui.ui.run_facts._moment", lambda when: "2026-04-12 14:02")
    ended(workspace, "tickets", 9000)
    last = ended(workspace, "tickets", 7000)
    change(last, "training.learning_rate", 5e-5)
    write_labels(last, note="half the rate, half the trouble", tags=["good"])
    words = {"command": "ftui train recipes/tickets.toml", "workspace": "support-bot"}
    last.update_manifest(**words)
    monkeypatch.setattr(
        "ftui.ui.run_facts.sanitize", lambda text, **kinds: text.replace(str(workspace.root), "~")
    )

    async def ready(pilot) -> None:
        await shown(pilot, "step 30")
        await pilot.press("D")
        await shown(pilot, "half the rate", "to repeat it")

    assert snap_compare(app_on(workspace, "train"), terminal_size=size, run_before=ready)

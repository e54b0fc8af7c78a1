"""What is wrong with a run is said in plain words wherever a person looks, and one key does something about it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from ftui.core.alarms_machine import disk_refused
from ftui.core.recipe import load_recipe
from ftui.core.vitals import Alarm, Change
from ftui.runs.rundir import EventWriter
from ftui.runs.state import RunSummary
from ftui.ui.modals import machine
from ftui.ui.run_reader import Notice, RunView
from ftui.ui.run_remedy import changed
from ftui.ui.run_troubles import of_alarm, troubles
from ftui.ui.widgets.run_notes import RunNotes
from tests.ui.panes import GIB, app_on, screen_text, shown, still_machine, until  # noqa: F401
from tests.ui.run_builder import finish, make_run, make_workspace, write_steps

if TYPE_CHECKING:
    from pathlib import Path

    from ftui.runs.rundir import RunDir
    from ftui.runs.workspace import Workspace

pytestmark = pytest.mark.usefixtures("still_machine")
RUN = RunSummary("tickets-1", "tickets", "running", attempts=1)
CLIMBS = Alarm("divergence", "error", "it climbs", "stop", "stop", 7, Change("training.learning_rate", 1 / 3))


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return make_workspace(tmp_path / "support-bot")


def diverging(workspace: Workspace, name: str = "tickets-r16", **words) -> RunDir:
    """A run at work whose loss has climbed back to where it began."""
    rundir = make_run(workspace, name, age=300, **words)
    with EventWriter(rundir, 1) as writer:
        writer.emit("attempt", pid=1, device="cpu")
        writer.emit("plan", steps=600)
        write_steps(writer, 1, 200, 600, seed=1)
        for step in range(201, 213):
            told = {"learning_rate": 2e-4, "tokens_per_second": 1900, "step_time": 1.4, "memory_rss": 2 * GIB}
            writer.emit("step", step=step, steps=600, loss=3.1, grad_norm=1.0, **told)
        writer.emit("notice", level="info", message="18 rows were packed", hint="")
    return rundir


# -- what can be done, by the state the run is in ----------------------------------------------------


def test_a_run_at_work_is_stopped_and_an_ended_one_gets_a_better_recipe():
    assert of_alarm(CLIMBS, RUN).deed == "stop"
    ended = of_alarm(CLIMBS, replace(RUN, state="stopped"))
    assert ended.deed == "recipe"
    assert ended.words == "propose training.learning_rate x 0.33"


def test_how_it_ended_comes_first_and_is_said_once():
    stalled = Alarm("stalled", "error", "nothing was heard of it", "read the log", "stop_now")
    view = RunView(
        replace(RUN, state="stalled", reason="silent for 5 min"),
        alarms=(stalled, CLIMBS),
        notices=(Notice("info", "packed", ""),),
    )
    assert [trouble.message for trouble in troubles(view)] == [
        "stalled: silent for 5 min", "it climbs", "packed",
    ]  # fmt: skip


def test_what_the_trainer_told_is_not_said_again_beside_the_alarm_it_became():
    full = "the checkpoint of step 4 could not be saved: the disk is full"
    notice, alarm = Notice("warning", full, "free disk space"), disk_refused(full, 4)
    for view in (
        RunView(RUN, notices=(notice,), alarms=(alarm,)),
        RunView(RUN, notices=(notice,), past=(alarm,)),
    ):
        (trouble,) = troubles(view)
        assert full in f"{trouble.message} {trouble.hint}"


@pytest.mark.parametrize(
    ("before", "change", "after"),
    [
        (2e-4, Change("training.learning_rate", 1 / 3), 6.7e-05),
        (16, Change("adapter.rank", 2.0), 32),
        (1, Change("adapter.rank", 0.1), 1),
        (0, Change("evaluation.early_stopping", value=2), 2),
        ("auto", Change("training.micro_batch", 2.0), None),
        (True, Change("data.packing", 2.0), None),
        (5, Change("data.train_on"), None),
    ],
)
def test_a_proposal_is_a_round_number_of_the_field_s_kind(before, change, after):
    assert changed(before, change) == after


# -- on the screen -----------------------------------------------------------------------------------


async def test_an_alarm_is_in_the_list_the_strip_and_the_notices_and_x_asks_to_stop(workspace):
    rundir = diverging(workspace)
    async with app_on(workspace, "train").run_test(size=(120, 36)) as pilot:
        text = await shown(pilot, "the loss went up from", "x save a checkpoint and stop", "✗ divergence")
        assert "tickets-r16 ✗" in text
        assert "not checked" in text
        await pilot.press("x")
        await shown(pilot, "Stop tickets-r16?")
        await pilot.press("enter")
        await until(pilot, lambda: rundir.requests() == {"stop"})


async def test_the_strip_of_another_pane_shows_it_too(workspace):
    diverging(workspace)
    async with app_on(workspace, "chat").run_test(size=(80, 24)) as pilot:
        await shown(pilot, "✗ divergence")


async def test_alarms_are_chosen_with_n_and_with_up_and_down(workspace):
    rundir = diverging(workspace)
    with EventWriter(rundir, 1) as writer:
        writer.emit("step", step=213, steps=600, loss=3.1, grad_norm=40.0, learning_rate=2e-4)
    async with app_on(workspace, "train").run_test(size=(120, 36)) as pilot:
        await shown(pilot, "▌✗ the loss went up from")
        await pilot.press("n", "n")
        await shown(pilot, "▌· the gradient norm is 40", "propose training.max_grad_norm x 0.5")
        pilot.app.screen.query_one(RunNotes).focus()
        await pilot.press("up")
        await shown(pilot, "▌✗ the loss went up from")
        await pilot.press("down", "down")
        await shown(pilot, "▌· 18 rows were packed")
        assert "x propose" not in screen_text(pilot.app)
        await pilot.press("x")
        assert not rundir.requests()


async def test_tabs_and_alarms_are_chosen_with_the_mouse_too(workspace):
    diverging(workspace)
    async with app_on(workspace, "train").run_test(size=(120, 36)) as pilot:
        await shown(pilot, "▌✗ the loss went up from")
        notes = pilot.app.screen.query_one(RunNotes)
        await pilot.click(RunNotes, offset=(3, 4))
        await shown(pilot, "▌· 18 rows were packed")
        await pilot.click(RunNotes, offset=(4, 0))
        assert notes.tab == "samples"
        await pilot.click(RunNotes, offset=(13, 0))
        assert notes.tab == "log"
        await pilot.click(RunNotes, offset=(20, 0))
        assert notes.tab == "notices"
        await pilot.click(RunNotes, offset=(60, 0))
        assert notes.tab == "notices"


async def test_an_ended_run_s_alarm_opens_its_recipe_with_the_change_made(workspace):
    rundir = diverging(workspace, alive=False)
    finish(rundir, "stopped", ago=60)
    rate = load_recipe(rundir.recipe_path).training.learning_rate
    async with app_on(workspace, "train").run_test(size=(120, 36), notifications=True) as pilot:
        await shown(pilot, "propose training.learning_rate x 0.33")
        await pilot.press("x")
        await until(pilot, lambda: pilot.app.current_mode == "recipe")
        screen = pilot.app.screen
        await until(pilot, lambda: screen.draft.changed_fields() == ["training.learning_rate"])
        assert screen.draft.recipe.training.learning_rate == pytest.approx(rate / 3, rel=0.05)
        await shown(pilot, "u takes it back")
        await pilot.press("u")
        await until(pilot, lambda: not screen.draft.modified)
        # From an open pane as well, after a question: the draft of before is not lost.
        screen.change({"adapter.rank": 64})
        await pilot.press("3")
        await shown(pilot, "propose training.learning_rate x 0.33")
        await pilot.press("x")
        await shown(pilot, "is not saved")
        await pilot.press("x")
        await until(pilot, lambda: screen.draft.changed_fields() == ["training.learning_rate"])


async def test_a_recipe_file_that_is_still_there_is_the_one_that_is_changed(workspace):
    source = workspace.recipes / "tickets.toml"
    source.parent.mkdir(exist_ok=True)
    rundir = diverging(workspace, alive=False, recipe_source=str(source))
    source.write_text(rundir.recipe_path.read_text())
    finish(rundir, "stopped", ago=60)
    async with app_on(workspace, "train").run_test(size=(120, 36)) as pilot:
        await shown(pilot, "propose training.learning_rate")
        await pilot.press("x")
        await until(
            pilot, lambda: getattr(pilot.app.screen, "draft", None) and pilot.app.screen.draft.modified
        )
        assert pilot.app.screen.draft.path == source


@pytest.mark.parametrize("plain", [False, True])
async def test_the_key_is_in_sight_on_a_small_screen_and_no_mark_looks_like_it(workspace, monkeypatch, plain):
    if plain:
        monkeypatch.setenv("FTUI_ASCII", "1")
    diverging(workspace)
    async with app_on(workspace, "train").run_test(size=(80, 24)) as pilot:
        begins = ">E the loss went up" if plain else "▌✗ the loss went up"
        await shown(pilot, begins, "x save a checkpoint and stop")


async def test_a_crashed_run_offers_to_go_on(workspace, monkeypatch):
    from ftui.runs import control

    resumed = []
    monkeypatch.setattr(
        control, "resume", lambda rundir: resumed.append(rundir.id) or control.Resumed(rundir, 150, "")
    )
    rundir = make_run(workspace, "tickets", alive=False)
    with EventWriter(rundir, 1) as writer:
        write_steps(writer, 1, 160, 600)
    finish(rundir, "crashed", reason="killed by SIGKILL")
    async with app_on(workspace, "train").run_test(size=(120, 36), notifications=True) as pilot:
        await shown(pilot, "crashed: killed by SIGKILL", "x go on from the last checkpoint")
        await pilot.press("x")
        await shown(pilot, "goes on from step 150")
        assert resumed == [rundir.id]


async def test_a_run_that_failed_before_its_first_step_opens_its_recipe_at_the_field_it_names(workspace):
    rundir = make_run(workspace, "tickets", alive=False)
    finish(rundir, "failed", reason="model.chat_template: no chat template 'none'", hint="give a file")
    async with app_on(workspace, "train").run_test(size=(120, 36), notifications=True) as pilot:
        await shown(pilot, "no chat template", "x open its recipe at model.chat_template")
        assert "last checkpoint" not in screen_text(pilot.app)
        await pilot.press("x")
        await shown(pilot, "look at model.chat_template")


@pytest.mark.parametrize("reason", ["killed by SIGKILL", "out of memory: 3 GiB wanted"])
async def test_without_a_checkpoint_nothing_is_said_of_one(workspace, reason):
    rundir = make_run(workspace, "tickets", alive=False)
    with EventWriter(rundir, 1) as writer:
        write_steps(writer, 1, 30, 600)
    finish(rundir, "failed", reason=reason)
    async with app_on(workspace, "train").run_test(size=(120, 36), notifications=True) as pilot:
        await shown(pilot, reason, "x start it over from step 0")
        assert "last checkpoint" not in screen_text(pilot.app)


async def test_a_checkpoint_is_asked_for_and_the_machine_shown(workspace):
    rundir = diverging(workspace)
    async with app_on(workspace, "train").run_test(size=(120, 36), notifications=True) as pilot:
        await shown(pilot, "the loss went up")
        notes = pilot.app.screen.query_one(RunNotes)
        full = Alarm("memory-near-limit", "hint", "full", "", "checkpoint")
        notes._troubles = [of_alarm(full, RUN)]
        notes._trouble = 0
        pilot.app.screen.action_remedy()
        await until(pilot, lambda: rundir.requests() == {"checkpoint"})
        notes._troubles = [of_alarm(replace(full, action="machine"), RUN)]
        notes._trouble = 0
        pilot.app.screen.action_remedy()
        await until(pilot, lambda: isinstance(pilot.app.screen, machine.MachineModal))


@pytest.mark.parametrize("size", [(80, 24), (120, 36)], ids=["80x24", "120x36"])
def test_picture_of_alarms_with_what_one_key_does(workspace, snap_compare, size):
    diverging(workspace)

    async def ready(pilot) -> None:
        await shown(pilot, "the loss went up")
        if size[0] == 80:
            await pilot.press("z")
            await shown(pilot, "x save a checkpoint and stop", "not checked")

    assert snap_compare(app_on(workspace, "train"), terminal_size=size, run_before=ready)


def test_an_ended_run_that_does_not_change_is_not_examined_again(workspace, monkeypatch):
    from ftui.ui import run_reader

    looks = []
    examine = run_reader.examine_run
    monkeypatch.setattr(run_reader, "examine_run", lambda *words: looks.append(1) or examine(*words))
    rundir = diverging(workspace, alive=False)
    finish(rundir, "stopped", ago=60)
    reader = run_reader.RunReader(rundir.path)
    assert reader.read().alarms
    assert reader.read() is None
    assert len(looks) == 1
    with EventWriter(rundir, 1) as writer:
        writer.emit("notice", level="info", message="late", hint="")
    assert reader.read().notices[-1].message == "late"
    assert len(looks) == 2


def test_of_several_gpus_the_one_that_the_trainer_is_on_is_judged(workspace):
    from ftui.gpu.nvml import Gpu
    from ftui.gpu.processes import GpuProcess
    from ftui.runs.examine import examine_run
    from ftui.runs.live import read_history

    rundir = make_run(workspace, "tickets")
    with EventWriter(rundir, 1) as writer:
        write_steps(writer, 1, 60, 600)
    history = read_history(rundir.events_path)
    mine = Gpu(1, "b", 79 * GIB, 80 * GIB, 5, processes=(GpuProcess(42, "train"),))
    snapshots = [(Gpu(0, "a", 1, 80 * GIB, 99), mine)] * 40
    found = {alarm.check for alarm in examine_run(rundir, history, "running", snapshots, 42).alarms}
    assert {"gpu-idle", "memory-near-limit"} <= found
    assert not {"gpu-idle", "memory-near-limit"} & {
        alarm.check for alarm in examine_run(rundir, history, "running", snapshots, 43).alarms
    }
    # What the GPU does after the run has ended is not about the run.
    assert not {"gpu-idle", "memory-near-limit"} & {
        alarm.check for alarm in examine_run(rundir, history, "finished", snapshots, 42).alarms
    }

"""The Train pane: what a person sees of their runs, live, and what their keys do."""

from __future__ import annotations

import asyncio
import math
from typing import TYPE_CHECKING

import pytest

from ftui.gpu import nvml
from ftui.runs import control
from ftui.runs.rundir import EventWriter
from ftui.ui import recipe_desk
from ftui.ui.run_reader import RunReader
from ftui.ui.widgets import figures
from ftui.ui.widgets.chart import Chart
from ftui.ui.widgets.run_list import RunList
from ftui.ui.widgets.run_notes import RunNotes
from tests.ui.capture import HOSTILE, assert_harmless, capture, output_of
from tests.ui.panes import GPU, app_on, screen_text, shown, still_machine, until  # noqa: F401
from tests.ui.run_builder import finish, make_run, make_workspace, write_steps

if TYPE_CHECKING:
    from pathlib import Path

    from ftui.runs.workspace import Workspace

pytestmark = pytest.mark.usefixtures("still_machine")
TRIAGE = "Issue: Damaged item\nItem: kayak paddle\nPriority: High"


def running(workspace: Workspace, name: str = "tickets-r16", steps: int = 214, **words):
    """A run at work, `steps` of 600 done."""
    rundir = make_run(workspace, name, age=300, **words)
    with EventWriter(rundir, 1) as writer:
        writer.emit("attempt", pid=1, device="cpu")
        writer.emit("plan", steps=600)
        write_steps(writer, 1, steps, 600, seed=1)
        writer.emit("sample", step=150, prompt="The paddle arrived cracked.", reply=TRIAGE)
    rundir.log_path.write_text("loading\nstep 1 done\n", encoding="utf-8")
    return rundir


def many_runs(workspace: Workspace) -> None:
    """One stopped, one failed before its first step, one finished, one at work."""
    stopped = make_run(workspace, "orders-dpo", age=300_000, alive=False)
    with EventWriter(stopped, 1) as writer:
        write_steps(writer, 1, 310, 900, seed=4)
    finish(stopped, "stopped", ago=200_000)
    failed = make_run(workspace, "tickets-fullft", age=150_000, alive=False)
    with EventWriter(failed, 1) as writer:
        writer.emit("progress", stage="load", done=3, total=10)
        writer.emit("end", outcome="failed", message="out of memory", hint="set quantization.bits = 4")
    finish(failed, "failed", reason="out of memory", hint="set quantization.bits = 4", ago=150_000)
    done = make_run(workspace, "tickets-base-lr", age=100_000, alive=False)
    with EventWriter(done, 1) as writer:
        write_steps(writer, 1, 600, 600, seed=3)
    finish(done, "finished", ago=90_000)
    running(workspace)


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return make_workspace(tmp_path / "support-bot")


async def test_an_empty_workspace_says_what_to_press(workspace):
    async with app_on(workspace, "train").run_test(size=(80, 24)) as pilot:
        text = await shown(pilot, "No runs yet.", "no run yet")
        assert "Press 2 to write a recipe" in text
        assert "ftui demo" in text


async def test_the_newest_run_is_shown_with_its_curves_and_figures(workspace):
    running(workspace)
    async with app_on(workspace, "train").run_test(size=(120, 36), notifications=True) as pilot:
        text = await shown(pilot, "step 214 · train", "tickets-r16", "Damaged item")
        assert "eval 0.89 · ppl 2.44" in text
        for title in ("loss", "tokens/s", "grad norm", "memory GB  no GPU", "learning rate"):
            assert title in text
        assert any("\u2800" < character <= "\u28ff" for character in text)


async def test_steps_appear_while_the_run_goes_on(workspace):
    rundir = running(workspace)
    async with app_on(workspace, "train").run_test(size=(120, 36), notifications=True) as pilot:
        await shown(pilot, "step 214 · train")
        with EventWriter(rundir, 1) as writer:
            write_steps(writer, 215, 230, 600)
        await shown(pilot, "step 230 · train")


async def test_up_and_down_choose_another_run(workspace):
    many_runs(workspace)
    async with app_on(workspace, "train").run_test(size=(120, 36), notifications=True) as pilot:
        await shown(pilot, "step 214 · train")
        await pilot.press("down")
        await shown(pilot, "step 600 · train")
        await pilot.press("down")
        await shown(pilot, "ended before the first step", "set quantization.bits = 4")
        await pilot.press("end")
        await shown(pilot, "step 310 · train")
        await pilot.press("home")
        await shown(pilot, "step 214 · train")


async def test_a_click_chooses_a_run(workspace):
    many_runs(workspace)
    async with app_on(workspace, "train").run_test(size=(120, 36), notifications=True) as pilot:
        await shown(pilot, "step 214 · train")
        await pilot.click(RunList, offset=(6, 3))
        await shown(pilot, "step 600 · train")


async def test_phases_are_shown_before_the_first_step(workspace):
    rundir = make_run(workspace, "support-triage")
    with EventWriter(rundir, 1) as writer:
        writer.emit("attempt", pid=1)
        writer.emit("progress", stage="download", done=92_900_000, total=92_900_000, unit="bytes")
        writer.emit("progress", stage="encode", done=60, total=180, unit="rows")
    async with app_on(workspace, "train").run_test(size=(100, 30)) as pilot:
        text = await shown(pilot, "starting", "fetch the model", "encode the data", "33%", "60 of 180 rows")
        assert "no step yet" not in text
        with EventWriter(rundir, 1) as writer:
            write_steps(writer, 1, 3, 600)
        await shown(pilot, "step 3 · train")


async def test_a_new_run_is_followed_when_the_newest_was_being_watched(workspace):
    finish(running(workspace, "first"), "finished")
    async with app_on(workspace, "train").run_test(size=(120, 36), notifications=True) as pilot:
        await shown(pilot, "first", "step 214 · train")
        second = make_run(workspace, "second", age=1)
        with EventWriter(second, 1) as writer:
            write_steps(writer, 1, 7, 600)
        await shown(pilot, "second", "step 7 · train")


async def test_a_run_that_a_person_chose_stays_chosen_when_another_begins(workspace):
    finish(running(workspace, "first"), "finished")
    finish(running(workspace, "second"), "finished")
    async with app_on(workspace, "train").run_test(size=(120, 36), notifications=True) as pilot:
        runs = pilot.app.screen.query_one(RunList)
        await shown(pilot, "first", "second", "step 214 · train")
        newest = runs.chosen
        await pilot.press("down", "up")
        assert runs.chosen == newest
        make_run(workspace, "third", age=1)
        await shown(pilot, "third")
        assert runs.chosen.id == newest.id


async def test_no_other_run_is_chosen_under_a_question(workspace):
    running(workspace, "first")
    async with app_on(workspace, "train").run_test(size=(120, 36), notifications=True) as pilot:
        runs = pilot.app.screen.query_one(RunList)
        await shown(pilot, "first", "step 214 · train")
        for key in ("s", "N"):
            await pilot.press(key)
            before = runs.chosen.id
            name = f"after {key}"
            make_run(workspace, name, age=1)
            await shown(pilot, name)
            assert runs.chosen.id == before
            await pilot.press("escape")
            name = f"later than {key}"
            make_run(workspace, name, age=1)
            await until(pilot, lambda name=name: runs.chosen.name == name)


async def test_the_chosen_run_is_in_sight_from_the_start(workspace):
    for number in range(14):
        finish(running(workspace, f"run {number:02}", 20), "finished")
    newest = make_run(workspace, "tickets-without-the-long-rows", age=1)
    async with app_on(workspace, "train").run_test(size=(80, 24)) as pilot:
        runs = pilot.app.screen.query_one(RunList)
        await until(pilot, lambda: runs.chosen is not None and runs.chosen.id == newest.id)
        await shown(pilot, "◔ tickets-without-…")
        assert runs.scroll_offset.y == 0
        await pilot.press("end")
        await pilot.resize_terminal(80, 20)
        oldest = runs.chosen.name
        await shown(pilot, f"✓ {oldest}")


async def test_a_run_started_in_the_recipe_pane_is_the_one_that_is_shown(workspace):
    for number in range(3):
        finish(running(workspace, f"run {number}", 20), "finished")
    async with app_on(workspace, "train").run_test(size=(120, 36), notifications=True) as pilot:
        runs = pilot.app.screen.query_one(RunList)
        await shown(pilot, "step 20 · train")
        await pilot.press("down", "2")
        await until(pilot, lambda: pilot.app.screen.PANE == "recipe")
        started = make_run(workspace, "the new one", age=1)
        pilot.app.screen.post_message(recipe_desk.Launched(started, ""))
        await until(pilot, lambda: pilot.app.screen.PANE == "train" and runs.chosen.id == started.id)
        await pilot.press("down", "2")
        await until(pilot, lambda: pilot.app.screen.PANE == "recipe")
        queued = make_run(workspace, "from the queue", age=0)
        pilot.app.screen.post_message(recipe_desk.Queued(queued.id, None, ""))
        await pilot.press("3")
        await until(pilot, lambda: runs.chosen.id == queued.id)


async def test_stop_asks_once_and_leaves_the_request(workspace):
    rundir = running(workspace)
    async with app_on(workspace, "train").run_test(size=(120, 36), notifications=True) as pilot:
        await shown(pilot, "step 214 · train", "stop+save")
        await pilot.press("s")
        text = await shown(pilot, "Stop tickets-r16?", "A checkpoint is saved at the step it is at")
        assert "saved at step" not in text  # it trains on meanwhile
        await pilot.press("escape")
        await until(pilot, lambda: "Stop tickets-r16?" not in screen_text(pilot.app))
        assert not rundir.requests()
        await pilot.press("s")
        await shown(pilot, "Stop tickets-r16?")
        await pilot.press("enter")
        await until(pilot, lambda: rundir.requests() == {"stop"})
        await shown(pilot, "stopping")


async def test_stop_now_says_what_would_be_kept_and_counts_down(workspace, monkeypatch):
    running(workspace)
    asked, wait = [], asyncio.Event()
    loop = asyncio.get_running_loop()

    def stop(rundir, now, waiting):
        asked.append(now)
        waiting("for a checkpoint", 8.0)
        asyncio.run_coroutine_threadsafe(wait.wait(), loop).result(20)

    monkeypatch.setattr(control, "stop", stop)
    async with app_on(workspace, "train").run_test(size=(120, 36), notifications=True) as pilot:
        await shown(pilot, "step 214 · train")
        await pilot.press("S")
        await shown(pilot, "R goes on from step 150")
        await pilot.press("y")
        await shown(pilot, "8s to save")
        wait.set()
        await shown(pilot, "was stopped")
        assert asked == [True]


async def test_resume_is_offered_where_it_makes_sense_and_says_from_where(workspace, monkeypatch):
    many_runs(workspace)
    resumed = []

    def resume(rundir):
        resumed.append(rundir.id)
        return control.Resumed(rundir, 225, "")

    monkeypatch.setattr(control, "resume", resume)
    async with app_on(workspace, "train").run_test(size=(120, 36), notifications=True) as pilot:
        text = await shown(pilot, "step 214 · train", "stop+save")
        assert "R resume" not in text
        await pilot.press("R")
        assert not resumed
        await pilot.press("end")
        text = await shown(pilot, "R resume")
        assert "stop+save" not in text
        await pilot.press("R")
        await shown(pilot, "orders-dpo: goes on from step 225")
        assert len(resumed) == 1


async def test_what_cannot_be_done_is_said_in_a_line(workspace, monkeypatch):
    from ftui.core.errors import FtuiError

    def stop(rundir, now, waiting):
        raise FtuiError("cannot leave the request: No space left on device", "free some", "control")

    running(workspace)
    monkeypatch.setattr(control, "stop", stop)
    async with app_on(workspace, "train").run_test(size=(120, 36), notifications=True) as pilot:
        await shown(pilot, "step 214 · train")
        await pilot.press("s", "enter")
        await shown(pilot, "No space left on")


async def test_details_show_recipe_hashes_versions_and_the_command(workspace):
    running(workspace)
    async with app_on(workspace, "train").run_test(size=(120, 60)) as pilot:
        await shown(pilot, "step 214 · train")
        await pilot.press("D")
        await shown(pilot, "to repeat it", "ftui train", "9f2c9f2c", "2.13.0", "[data]")
        await pilot.press("escape")
        await until(pilot, lambda: "to repeat it" not in screen_text(pilot.app))


async def test_log_samples_and_notices_take_turns(workspace):
    rundir = running(workspace)
    with EventWriter(rundir, 1) as writer:
        writer.emit("notice", level="info", message="18 rows were packed", hint="")
    async with app_on(workspace, "train").run_test(size=(120, 36), notifications=True) as pilot:
        await shown(pilot, "Damaged item")
        await pilot.press("l")
        text = await shown(pilot, "step 1 done")
        assert "Damaged item" not in text
        await pilot.press("n")
        await shown(pilot, "18 rows were packed")
        await pilot.press("m")
        await shown(pilot, "Damaged item")


async def test_a_warning_brings_the_notices_forward_until_the_user_chooses(workspace):
    rundir = running(workspace)
    async with app_on(workspace, "train").run_test(size=(120, 36), notifications=True) as pilot:
        await shown(pilot, "Damaged item")
        with EventWriter(rundir, 1) as writer:
            writer.emit("notice", level="warning", message="2 rows were left out", hint="see the Data pane")
        await shown(pilot, "2 rows were left out", "see the Data pane")
        await pilot.press("l")
        await shown(pilot, "step 1 done")
        with EventWriter(rundir, 1) as writer:
            writer.emit("notice", level="warning", message="another", hint="")
        await shown(pilot, "notices 2")
        assert pilot.app.screen.query_one(RunNotes).tab == "log"


async def test_the_log_follows_its_end_and_shows_the_last_state_of_a_progress_bar(workspace):
    rundir = running(workspace)
    lines = "\n".join(f"line {number}" for number in range(400))
    rundir.log_path.write_text(f"{lines}\nloading  10%\rloading 100%\n", encoding="utf-8")
    async with app_on(workspace, "train").run_test(size=(120, 36), notifications=True) as pilot:
        await shown(pilot, "step 214 · train")
        await pilot.press("l")
        text = await shown(pilot, "loading 100%", "line 399")
        assert "loading  10%" not in text
        notes = pilot.app.screen.query_one(RunNotes)
        notes.focus()
        await pilot.press("pageup")
        await until(pilot, lambda: "loading 100%" not in screen_text(pilot.app))
        with rundir.log_path.open("a", encoding="utf-8") as log:
            log.write("newer\n")
        await until(pilot, lambda: "newer" in notes.plain)
        assert "newer" not in screen_text(pilot.app)
        await pilot.press("end")
        await shown(pilot, "newer")


async def test_zoom_log_axis_and_smoothing_change_the_loss_chart(workspace):
    running(workspace)
    async with app_on(workspace, "train").run_test(size=(120, 36), notifications=True) as pilot:
        await shown(pilot, "smooth 0.6")
        loss = pilot.app.screen.query_one("#loss", Chart)
        width = loss.data.end - loss.data.start
        await pilot.press("plus")
        await shown(pilot, "last 1/2")
        assert loss.data.end - loss.data.start == width / 2
        await pilot.press("minus", "y")
        await shown(pilot, "smooth 0.6  log")
        assert loss.log_axis
        await pilot.press("e", "e", "e")
        await until(pilot, lambda: "smooth" not in screen_text(pilot.app).splitlines()[1])
        assert len(loss.data.curves) == 2


async def test_nothing_is_read_while_another_pane_is_showing(workspace, monkeypatch):
    running(workspace)
    reads = []
    read = RunReader.read
    monkeypatch.setattr(RunReader, "read", lambda self, **words: (reads.append(1), read(self, **words))[1])
    async with app_on(workspace, "train").run_test(size=(120, 36), notifications=True) as pilot:
        await shown(pilot, "step 214 · train")
        train = pilot.app.screen
        await pilot.press("4")
        await until(pilot, lambda: pilot.app.current_mode == "chat")
        count = len(reads)
        train._tick()
        await pilot.pause()
        assert len(reads) == count
        await pilot.press("escape", "3")
        await until(pilot, lambda: len(reads) > count)


async def test_a_gpu_line_shows_power_and_what_slows_it(workspace, monkeypatch):
    from dataclasses import replace

    slowed = replace(GPU, throttle=("too hot (driver)",))
    monkeypatch.setattr(nvml, "snapshot", lambda: (slowed,))
    running(workspace)
    async with app_on(workspace, "train").run_test(size=(140, 40)) as pilot:
        await shown(pilot, "NVIDIA RTX 4090", "310/450 W", "slowed by too hot (driver)")


async def test_nothing_hostile_in_a_run_reaches_the_terminal(workspace):
    rundir = make_run(workspace, HOSTILE, command=HOSTILE, versions={HOSTILE: HOSTILE}, alive=True)
    with EventWriter(rundir, 1) as writer:
        writer.emit("progress", stage=HOSTILE, done=1, total=0, unit=HOSTILE, note=HOSTILE)
        write_steps(writer, 1, 30, 600)
        writer.emit("sample", step=30, prompt=HOSTILE, reply=HOSTILE)
        writer.emit("notice", level=HOSTILE, message=HOSTILE, hint=HOSTILE)
    rundir.log_path.write_bytes(HOSTILE.encode("utf-8", "surrogatepass") * 3 + b"\xff\n")
    failed = make_run(workspace, HOSTILE, age=900)
    finish(failed, "failed", reason=HOSTILE, hint=HOSTILE)
    app = capture(app_on(workspace, "train"))
    async with app.run_test(headless=False, size=(120, 36)) as pilot:
        await shown(pilot, "step 30 · train", "[/INST]")
        for key in ("l", "n", "D"):
            await pilot.press(key)
            await pilot.pause(0.1)
        await shown(pilot, "to repeat it")
        await pilot.press("escape", "s")
        await shown(pilot, "let it run")
        await pilot.press("escape", "end")
        await shown(pilot, "ended before the first step")
    assert_harmless(output_of(app))


async def test_a_diverged_run_shows_gaps_and_says_nan(workspace):
    rundir = make_run(workspace, "diverged")
    with EventWriter(rundir, 1) as writer:
        write_steps(writer, 1, 20, 600)
        for step in range(21, 40):
            writer.emit("step", step=step, steps=600, loss=math.nan, grad_norm=math.inf, learning_rate=1e-4)
    async with app_on(workspace, "train").run_test(size=(120, 36), notifications=True) as pilot:
        text = await shown(pilot, "train NaN", "loss NaN")
        assert "×" in text


async def test_a_damaged_events_file_is_shown_as_far_as_it_can_be_read(workspace):
    rundir = running(workspace)
    with rundir.events_path.open("ab") as file:
        file.write(b'{"type":"step","step":\xff\n\x00\x00\n[1,2]\n{"type":')
    async with app_on(workspace, "train").run_test(size=(120, 36), notifications=True) as pilot:
        await shown(pilot, "step 214 · train", "3 unreadable event lines")


async def test_events_that_are_no_events_are_said_to_be_so(workspace):
    rundir = running(workspace)
    rundir.events_path.write_bytes(bytes(range(256)) * 40)
    finish(rundir, "finished")
    async with app_on(workspace, "train").run_test(size=(120, 36)) as pilot:
        text = await shown(pilot, "✓ its events cannot be read", "  events cannot be read")
        assert "ended before the first step" not in text
        assert text.count("its events cannot be read") == 2  # title and panel
        assert "events cannot be read " in text.splitlines()[3]


async def test_quitting_is_prompt(workspace):
    running(workspace)
    app = app_on(workspace, "train")
    async with app.run_test(size=(80, 24)) as pilot:
        await shown(pilot, "step 214")
        before = asyncio.get_running_loop().time()
    assert asyncio.get_running_loop().time() - before < 5


@pytest.mark.parametrize("size", [(80, 24), (120, 40)], ids=["80x24", "120x40"])
def test_picture_of_a_run_at_work(workspace, snap_compare, monkeypatch, size):
    monkeypatch.setattr(figures, "when", lambda then, now: "yesterday")
    many_runs(workspace)

    async def ready(pilot) -> None:
        await shown(pilot, "step 214 · train", "no GPU" if size[0] > 80 else "RAM")

    assert snap_compare(app_on(workspace, "train"), terminal_size=size, run_before=ready)


@pytest.mark.parametrize("size", [(80, 24), (120, 40)], ids=["80x24", "120x40"])
def test_picture_of_an_empty_workspace(workspace, snap_compare, size):
    async def ready(pilot) -> None:
        await shown(pilot, "No runs yet.", "no run yet")

    assert snap_compare(app_on(workspace, "train"), terminal_size=size, run_before=ready)

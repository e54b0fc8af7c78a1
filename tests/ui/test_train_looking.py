"""The Train pane's curves: reading values off them, moving along them, several runs on one axis, compared."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from ftui.core.events import decode, encode
from ftui.core.recipe import load_recipe
from ftui.runs import column_cache, live
from ftui.runs.rundir import EventWriter
from ftui.ui import run_reader
from ftui.ui.modals.run_compare import RunCompare
from ftui.ui.widgets import figures
from ftui.ui.widgets.chart import Chart
from ftui.ui.widgets.run_list import RunList
from tests.ui.capture import HOSTILE, assert_harmless, capture, output_of
from tests.ui.panes import app_on, screen_text, shown, still_machine, until  # noqa: F401
from tests.ui.run_builder import finish, make_run, make_workspace, write_steps

if TYPE_CHECKING:
    from pathlib import Path

    from ftui.runs.workspace import Workspace

pytestmark = pytest.mark.usefixtures("still_machine")


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return make_workspace(tmp_path / "support-bot")


def ended(workspace: Workspace, name: str, steps: int = 200, *, age: float = 9000, seed: int = 1, **words):
    rundir = make_run(workspace, name, age=age, alive=False, **words)
    with EventWriter(rundir, 1) as writer:
        writer.emit("plan", steps=steps)
        write_steps(writer, 1, steps, steps, seed=seed)
    finish(rundir, "finished", ago=age - 100)
    events = [decode(line) for line in rundir.events_path.read_bytes().splitlines()]
    timed = [{**event, "t": 1e9 + 2.5 * event.get("step", 0)} for event in events]
    rundir.events_path.write_bytes(b"".join(map(encode, timed)))
    return rundir


def three_runs(workspace: Workspace) -> None:
    """The newest first in the list: newest (200 steps), middle (200), oldest (120)."""
    ended(workspace, "oldest", 120, age=90_000, seed=5)
    middle = ended(workspace, "middle", age=60_000, seed=3)
    recipe = load_recipe(middle.recipe_path).with_values({"adapter.rank": 32, "training.learning_rate": 1e-4})
    middle.recipe_path.write_text(recipe.to_toml(), encoding="utf-8")
    ended(workspace, "newest", age=30_000, seed=1)


def loss_of(pilot) -> Chart:
    return pilot.app.screen.query_one("#loss", Chart)


async def test_left_and_right_read_the_values_at_a_step_and_escape_hides_them(workspace):
    ended(workspace, "one")
    async with app_on(workspace, "train").run_test(size=(120, 36)) as pilot:
        await shown(pilot, "step 200 · train")
        await pilot.press("left")
        text = await shown(pilot, "│ step 200 · train", "1.2M tok", "eval")
        await pilot.press("left", "left", "left")
        await until(pilot, lambda: "│ step 200" not in screen_text(pilot.app))
        assert loss_of(pilot).data.cursor == pilot.app.screen.query_one("#speed", Chart).data.cursor
        assert text.count("│ step") == 1
        await pilot.press("escape")
        await shown(pilot, "· ppl")
        assert loss_of(pilot).data.cursor is None


async def test_the_mouse_reads_values_too_and_a_click_keeps_them(workspace):
    ended(workspace, "one")
    async with app_on(workspace, "train").run_test(size=(120, 36)) as pilot:
        await shown(pilot, "step 200 · train")
        await pilot.hover("#loss", offset=(40, 5))
        await shown(pilot, "│ step")
        at = loss_of(pilot).data.cursor
        await pilot.hover(RunList, offset=(4, 4))
        await until(pilot, lambda: loss_of(pilot).data.cursor is None)
        await pilot.click("#loss", offset=(40, 5))
        await until(pilot, lambda: loss_of(pilot).data.cursor == at)
        await pilot.hover(RunList, offset=(4, 4))
        await pilot.pause()
        assert loss_of(pilot).data.cursor == at


async def test_the_window_moves_along_a_run_that_was_zoomed_into(workspace):
    ended(workspace, "one")
    async with app_on(workspace, "train").run_test(size=(120, 36), notifications=True) as pilot:
        await shown(pilot, "step 200 · train")
        await pilot.press("comma")
        await shown(pilot, "+ zooms in")
        await pilot.press("plus", "plus")
        await shown(pilot, "last 1/4")
        newest = loss_of(pilot).data.start
        await pilot.press("comma")
        await until(pilot, lambda: loss_of(pilot).data.start < newest)
        assert "last 1/4" not in screen_text(pilot.app)
        await pilot.press("shift+right")
        await shown(pilot, "last 1/4")
        assert loss_of(pilot).data.start == newest
        await pilot.press("plus", "comma", "comma")  # faster than the run is read again
        await until(pilot, lambda: loss_of(pilot).data.end == 175)


async def test_the_x_axis_is_steps_tokens_or_time(workspace):
    ended(workspace, "one")
    async with app_on(workspace, "train").run_test(size=(120, 36)) as pilot:
        await shown(pilot, "step 200 · train")
        await pilot.press("X")
        await shown(pilot, "over tokens", "1.2M")
        await pilot.press("left")
        await shown(pilot, "│ step 200")
        await pilot.press("X")
        await shown(pilot, "over time", "│ step 200")
        await pilot.press("X")
        await until(pilot, lambda: "over" not in screen_text(pilot.app).splitlines()[1])


async def test_another_x_axis_leaves_the_same_part_of_the_run_in_sight(workspace):
    ended(workspace, "one")
    async with app_on(workspace, "train").run_test(size=(120, 36)) as pilot:
        await shown(pilot, "step 200 · train")
        await pilot.press("plus", "plus", "comma", "comma")
        await until(pilot, lambda: (loss_of(pilot).data.start, loss_of(pilot).data.end) == (100, 150))
        await pilot.press("left", "left", "left")
        at = await until(pilot, lambda: (at := loss_of(pilot).data.cursor) and at < 149 and at)
        await pilot.press("X")
        await shown(pilot, "over tokens")
        tokens = loss_of(pilot).data
        assert (tokens.start, tokens.end) == pytest.approx((100 * 5800, 150 * 5800))
        assert tokens.cursor == at * 5800
        await pilot.press("X", "X")  # faster than the run is read again
        await until(pilot, lambda: (data := loss_of(pilot).data).cursor == at and data.start < at < data.end)
        assert loss_of(pilot).data.start == pytest.approx(100, abs=5)


async def test_what_was_followed_is_followed_over_another_x_axis(workspace):
    ended(workspace, "one")
    async with app_on(workspace, "train").run_test(size=(120, 36)) as pilot:
        await shown(pilot, "step 200 · train")
        await pilot.press("plus", "plus", "left", "left", "X")
        await shown(pilot, "last 1/4  over tokens")


async def test_a_legend_keeps_its_end_in_a_narrow_terminal(workspace):
    ended(workspace, "one")
    async with app_on(workspace, "train").run_test(size=(80, 24)) as pilot:
        await shown(pilot, "step 200 · train")
        await pilot.press("plus", "plus", "y", "X")
        text = await shown(pilot, "log  last 1/4  over tokens ─")
        assert "smooth" not in text.splitlines()[1]


async def test_the_list_s_caption_ends_with_a_whole_word_in_a_narrow_terminal(workspace):
    make_run(workspace, "at work")
    async with app_on(workspace, "train").run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: pilot.app.pulse.runs)
        runs, (run,) = pilot.app.screen.query_one(RunList), pilot.app.pulse.runs
        runs.show((run, *(replace(run, id=f"w{n}", state="queued", position=n) for n in (1, 2))), {})
        assert runs._border_subtitle.plain == "1 at work"


async def test_runs_are_laid_over_each_other_and_marked_in_the_list(workspace):
    three_runs(workspace)
    async with app_on(workspace, "train").run_test(size=(120, 36), notifications=True) as pilot:
        await shown(pilot, "step 200 · train")
        await pilot.press("o")
        await shown(pilot, "stays in the chart", "newest ◆")
        await pilot.press("down", "o")
        await shown(pilot, "━◆ newest", "━▲ middle", "middle ▲")
        await pilot.press("down")
        await shown(pilot, "━● oldest", "━◆ newest", "━▲ middle")
        assert loss_of(pilot).data.end == 200
        await pilot.press("left")
        await shown(pilot, "│ step 120", "● 0", "◆ 0", "▲ 0")
        await pilot.press("up", "o")
        await until(pilot, lambda: "middle ▲" not in screen_text(pilot.app))
        await pilot.press("up", "o")
        await shown(pilot, "━ train")


async def test_four_runs_are_the_most(workspace):
    for number in range(5):
        ended(workspace, f"run {number}", 30, age=9000 + number)
    async with app_on(workspace, "train").run_test(size=(120, 36), notifications=True) as pilot:
        await shown(pilot, "step 30 · train")
        for _ in range(5):
            await pilot.press("o", "down")
        await shown(pilot, "4 runs are laid over each other already")


async def test_a_run_laid_over_another_is_followed_while_it_works(workspace):
    ended(workspace, "done")
    live_run = make_run(workspace, "at work", age=20_000)
    with EventWriter(live_run, 1) as writer:
        writer.emit("plan", steps=400)
        write_steps(writer, 1, 50, 400)
        async with app_on(workspace, "train").run_test(size=(120, 36)) as pilot:
            await shown(pilot, "step 200 · train")
            await pilot.press("down", "o")
            await shown(pilot, "step 50 · train", "━◆ at work")
            await pilot.press("up")
            await shown(pilot, "━● done", "━◆ at work")
            write_steps(writer, 51, 300, 400)
            await until(pilot, lambda: loss_of(pilot).data.end >= 300)


async def test_compare_shows_what_came_of_runs_and_what_was_different(workspace):
    three_runs(workspace)
    async with app_on(workspace, "train").run_test(size=(120, 44)) as pilot:
        await shown(pilot, "step 200 · train")
        await pilot.press("down", "o", "up", "C")
        text = await shown(pilot, "● newest", "◆ middle", "adapter.rank", "perplexity", "the same in all")
        assert "oldest" not in text
        for label in ("eval loss", "tokens/s", "peak memory", "time trained", "finished"):
            assert label in text
        chart = pilot.app.screen.query_one(Chart)
        await until(pilot, lambda: len(chart.data.curves) == 4)
        await pilot.press("y")
        await shown(pilot, "smooth 0.6  log")
        await pilot.press("escape")
        await until(pilot, lambda: not isinstance(pilot.app.screen, RunCompare))


async def test_compare_without_marks_takes_the_run_before_and_says_how_to_choose(workspace):
    three_runs(workspace)
    async with app_on(workspace, "train").run_test(size=(120, 36)) as pilot:
        await shown(pilot, "step 200 · train")
        await pilot.press("C")
        await shown(pilot, "● newest", "◆ middle", "o on runs in the list chooses which")


async def test_compare_follows_a_run_at_work(workspace):
    ended(workspace, "done")
    live_run = make_run(workspace, "at work", age=10)
    with EventWriter(live_run, 1) as writer:
        writer.emit("plan", steps=400)
        write_steps(writer, 1, 50, 400)
        async with app_on(workspace, "train").run_test(size=(120, 36)) as pilot:
            await shown(pilot, "step 50 · train")
            await pilot.press("C")
            await shown(pilot, "● at work", "time trained")
            write_steps(writer, 51, 237, 400)
            await shown(pilot, "237")
            chart = pilot.app.screen.query_one(Chart)
            await until(pilot, lambda: chart.data.end > 200)


async def test_compare_needs_two_runs(workspace):
    ended(workspace, "alone")
    async with app_on(workspace, "train").run_test(size=(120, 36), notifications=True) as pilot:
        await shown(pilot, "step 200 · train")
        await pilot.press("C")
        await shown(pilot, "no other run to compare it with")


async def test_nothing_hostile_reaches_the_terminal_from_names_of_compared_runs(workspace):
    ended(workspace, HOSTILE)
    ended(workspace, HOSTILE + "2", age=20_000)
    app = capture(app_on(workspace, "train"))
    async with app.run_test(headless=False, size=(120, 36)) as pilot:
        await shown(pilot, "step 200 · train")
        await pilot.press("o", "down", "o", "left")
        await shown(pilot, "│ step 200")
        await pilot.press("C")
        await shown(pilot, "time trained")
    assert_harmless(output_of(app))


async def test_a_long_run_is_shown_at_once_and_says_that_it_is_still_being_read(workspace, monkeypatch):
    rundir = ended(workspace, "long", 3000)
    monkeypatch.setattr(run_reader, "_LONG_BYTES", 100_000)
    monkeypatch.setattr(live, "WORTH_KEEPING", 100_000)
    reads, more = [], run_reader.RunReader.advance

    def slowly(reader):
        reads.append(1)
        return more(reader) if len(reads) < 3 else True

    monkeypatch.setattr(run_reader.RunReader, "advance", slowly)
    async with app_on(workspace, "train").run_test(size=(120, 36)) as pilot:
        text = await shown(pilot, "reading 0%", "step 3000 · train")
        assert "●" in text
        monkeypatch.setattr(run_reader.RunReader, "advance", more)
        await until(pilot, lambda: "reading" not in screen_text(pilot.app))
        assert len(pilot.app.screen._view.series["loss"].xs) == 3000
        await until(pilot, (rundir.path / column_cache.FOLDER / column_cache.NAME).exists)


def test_a_poor_terminal_is_known_by_its_name_or_its_locale(monkeypatch):
    for name in ("FTUI_ASCII", "LC_ALL", "LC_CTYPE", "LANG"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")
    assert not figures.ascii_only()
    monkeypatch.setenv("LANG", "de_DE.ISO-8859-1")
    assert figures.ascii_only()
    monkeypatch.setenv("LC_ALL", "en_GB.UTF-8")
    assert not figures.ascii_only()
    monkeypatch.setenv("TERM", "linux")
    assert figures.ascii_only()
    monkeypatch.setenv("FTUI_ASCII", "0")
    assert not figures.ascii_only()


async def test_a_poor_terminal_gets_the_cursor_and_the_overlay_in_ascii(workspace, monkeypatch):
    monkeypatch.setenv("FTUI_ASCII", "1")
    three_runs(workspace)
    async with app_on(workspace, "train").run_test(size=(120, 36)) as pilot:
        await shown(pilot, "step 200 · train")
        await pilot.press("o", "down", "left")
        await shown(pilot, "-o middle", "-* newest", "| step 200")


async def quiet(pilot) -> None:
    pilot.app.clear_notifications()
    await until(pilot, lambda: "stays in the chart" not in screen_text(pilot.app))


@pytest.mark.parametrize("size", [(80, 24), (120, 40)], ids=["80x24", "120x40"])
def test_picture_of_runs_laid_over_each_other(workspace, snap_compare, monkeypatch, size):
    monkeypatch.setattr(figures, "when", lambda then, now: "yesterday")
    three_runs(workspace)

    async def ready(pilot) -> None:
        await shown(pilot, "step 200 · train")
        await pilot.press("o", "down", "o", "down")
        await shown(pilot, "━● oldest")
        await pilot.press(*["left"] * 12)
        await until(pilot, lambda: (loss_of(pilot).data.cursor or 120) < 115)
        await until(pilot, lambda: len(loss_of(pilot).data.curves) == 6)
        await quiet(pilot)

    assert snap_compare(app_on(workspace, "train"), terminal_size=size, run_before=ready)


@pytest.mark.parametrize("size", [(80, 24), (120, 40)], ids=["80x24", "120x40"])
def test_picture_of_runs_compared(workspace, snap_compare, monkeypatch, size):
    monkeypatch.setattr(figures, "when", lambda then, now: "yesterday")
    three_runs(workspace)

    async def ready(pilot) -> None:
        await shown(pilot, "step 200 · train")
        await pilot.press("o", "down", "o", "down", "C")
        await shown(pilot, "time trained")
        chart = pilot.app.screen.query_one(Chart)
        await until(pilot, lambda: len(chart.data.curves) == 6)
        await quiet(pilot)

    assert snap_compare(app_on(workspace, "train"), terminal_size=size, run_before=ready)

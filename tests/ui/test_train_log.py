"""The log of a run is searched whole and read back to its beginning; the samples are compared along the steps."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ftui.runs.rundir import EventWriter
from ftui.ui.run_reader import Sample
from ftui.ui.sample_timeline import Choice, at, next_prompt, stepped, timelines
from ftui.ui.widgets.run_list import RunList
from ftui.ui.widgets.run_notes import RunNotes
from tests.ui.capture import HOSTILE, assert_harmless, capture, output_of
from tests.ui.panes import app_on, screen_text, shown, still_machine, until  # noqa: F401
from tests.ui.run_builder import make_run, make_workspace, write_steps

if TYPE_CHECKING:
    from pathlib import Path

    from ftui.runs.workspace import Workspace

pytestmark = pytest.mark.usefixtures("still_machine")
ZIP = "Hi, the zip on my Alder 40 backpack broke on the second day. What can I do?"
PADDLE = "The paddle arrived cracked."
REPLIES = {
    0: "I'm sorry to hear that! There are many things that you could try, first of all a pair of pliers.",
    50: "Issue: Trip\nItem: Ziplock",
    100: "Issue: Broken zip\nItem: Alder 40 backpack\nPriority: High",
}


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return make_workspace(tmp_path / "support-bot")


def trained(workspace: Workspace, lines: int = 5000):
    """A run at work with a long log and replies to two prompts at three steps."""
    rundir = make_run(workspace, "tickets-r16", age=300)
    with EventWriter(rundir, 1) as writer:
        for step, reply in REPLIES.items():
            if step:
                write_steps(writer, step - 49, step, 600, seed=1)
            writer.emit("sample", step=step, prompt=ZIP, reply=reply)
            writer.emit("sample", step=step, prompt=PADDLE, reply=f"paddle at {step}")
    text = "".join(f"line {n}{' out of memory, halved' if n % 1000 == 7 else ''}\n" for n in range(lines))
    rundir.log_path.write_text(f"{text}loading  10%\rloading 100%\n", encoding="utf-8")
    return rundir


# -- the log -----------------------------------------------------------------------------------------


async def test_text_is_found_anywhere_in_the_log(workspace):
    trained(workspace)
    async with app_on(workspace, "train").run_test(size=(120, 36)) as pilot:
        await shown(pilot, "step 100 · train")
        await pilot.press("slash", *"of memory")
        await shown(pilot, "line 4007 out of memory", "1 of 5 from the end")
        await pilot.press("up", "up")
        await shown(pilot, "line 2007 out of memory", "3 of 5")
        await pilot.press("down")
        await shown(pilot, "line 3007 out of memory", "2 of 5")
        await pilot.press(*" xyz")
        await shown(pilot, "not in the log")
        await pilot.press("escape")
        await shown(pilot, "line 4999", "loading 100%")


async def test_a_new_search_takes_the_place_of_the_last_one(workspace):
    trained(workspace)
    async with app_on(workspace, "train").run_test(size=(120, 36)) as pilot:
        await shown(pilot, "step 100 · train")
        await pilot.press("slash", *"of memory", "enter")
        await shown(pilot, "1 of 5 from the end")
        await pilot.press("slash", *"line 2500")
        await shown(pilot, "1 of 1 from the end")


async def test_a_count_that_was_not_finished_says_so(workspace, monkeypatch):
    monkeypatch.setattr("ftui.runs.log_reading.MOST_HITS", 1000)
    trained(workspace)
    async with app_on(workspace, "train").run_test(size=(120, 36)) as pilot:
        await shown(pilot, "step 100 · train")
        await pilot.press("slash", *"line")
        await shown(pilot, "1 of 1,000+ from the end")


async def test_a_run_that_wrote_no_log_says_where_to_look(workspace):
    rundir = make_run(workspace, "quiet")
    with EventWriter(rundir, 1) as writer:
        write_steps(writer, 1, 20, 600)
    async with app_on(workspace, "train").run_test(size=(120, 36)) as pilot:
        await shown(pilot, "step 20 · train", "nothing was written to the log; the steps are above")


async def test_another_run_s_log_is_searched_anew(workspace):
    trained(workspace)
    other = make_run(workspace, "other", age=900, alive=False)
    other.log_path.write_text("all of memory here\n")
    async with app_on(workspace, "train").run_test(size=(120, 36)) as pilot:
        await shown(pilot, "step 100 · train")
        await pilot.press("slash", *"memory", "enter")
        await shown(pilot, "1 of 5")
        pilot.app.screen.query_one(RunList).focus()
        await pilot.press("down", "slash")
        await shown(pilot, "all of memory here", "1 of 1")


async def test_enter_stays_at_what_was_found_and_the_log_can_be_read_from_there(workspace):
    trained(workspace)
    async with app_on(workspace, "train").run_test(size=(120, 36)) as pilot:
        await shown(pilot, "step 100 · train")
        await pilot.press("slash", *"line 2500", "enter")
        await shown(pilot, "line 2500", "line 2501")
        await pilot.press("pagedown")
        await until(pilot, lambda: "line 2500" not in screen_text(pilot.app))
        await pilot.press("escape")
        await shown(pilot, "loading 100%")


async def test_the_log_is_read_back_to_its_beginning_and_forward_again(workspace):
    trained(workspace, lines=900)
    async with app_on(workspace, "train").run_test(size=(120, 36)) as pilot:
        await shown(pilot, "step 100 · train")
        await pilot.press("l")
        await shown(pilot, "loading 100%")
        pilot.app.animation_level = "none"
        notes = pilot.app.screen.query_one(RunNotes)
        notes.focus()
        seen: set[str] = set()

        async def read(key: str, wanted: str) -> None:
            before = ""
            while wanted not in before:
                before = await until(
                    pilot, lambda before=before: (now := screen_text(pilot.app)) != before and now
                )
                seen.update(before.replace("│", " ").split())
                await pilot.press(key)

        await read("pageup", "line 0 ")
        assert {str(number) for number in range(900)} <= seen
        await read("pagedown", "loading 100%")


async def test_nothing_hostile_in_a_log_reaches_the_terminal_when_it_is_searched(workspace):
    rundir = trained(workspace)
    with rundir.log_path.open("ab") as log:
        log.write(HOSTILE.encode("utf-8", "surrogatepass") + b" needle\xff\n")
    app = capture(app_on(workspace, "train"))
    async with app.run_test(headless=False, size=(120, 36)) as pilot:
        await shown(pilot, "step 100 · train")
        await pilot.press("slash", *"needle")
        await shown(pilot, "1 of 1")
        await pilot.press("enter", "pageup")
        await pilot.pause()
    assert_harmless(output_of(app))


async def test_a_log_that_is_gone_is_said(workspace):
    rundir = trained(workspace)
    async with app_on(workspace, "train").run_test(size=(120, 36), notifications=True) as pilot:
        await shown(pilot, "step 100 · train")
        rundir.log_path.unlink()
        await pilot.press("slash", "x")
        await shown(pilot, "cannot read the log")


# -- samples -----------------------------------------------------------------------------------------


def test_replies_are_ordered_by_prompt_and_step():
    told = [
        Sample(0, "a", "1"),
        Sample(0, "b", "2"),
        Sample(9, "a", "3"),
        Sample(9, "b", "4"),
        Sample(9, "a", "5"),
    ]
    first, second = timelines(told)
    assert (first.prompt, first.replies) == ("a", ((0, "1"), (9, "5")))
    assert second.steps == (0, 9)


def test_the_newest_reply_is_followed_until_a_step_is_chosen():
    lines = timelines([Sample(step, "a", str(step)) for step in (0, 9, 18)])
    choice = Choice()
    assert at(lines[0], choice) == 2
    choice = stepped(lines, choice, -1)
    assert choice.step == 9
    more = timelines([Sample(step, "a", str(step)) for step in (0, 9, 18, 36)])
    assert at(more[0], choice) == 1
    assert stepped(more, stepped(more, choice, 1), 1).step is None
    assert stepped(more, choice, -5).step == 0
    assert next_prompt(more, choice) == choice
    assert stepped([], Choice(), 1) == Choice()


async def test_the_reply_of_now_stands_beside_the_untrained_one(workspace):
    trained(workspace)
    async with app_on(workspace, "train").run_test(size=(120, 36)) as pilot:
        await shown(
            pilot, "step < 0 · 50 · 100 >", "1/2 Hi, the zip", "step 0, untrained", "Issue: Broken zip"
        )
        text = screen_text(pilot.app)
        assert any("I'm sorry" in line and "Issue: Broken zip" in line for line in text.splitlines())
        await pilot.press("less_than_sign")
        await shown(pilot, "Issue: Trip")
        await pilot.press("less_than_sign")
        await until(pilot, lambda: "Issue:" not in screen_text(pilot.app))
        await shown(pilot, "step 0, untrained", "I'm sorry")
        await pilot.press("greater_than_sign", "greater_than_sign")
        await shown(pilot, "Issue: Broken zip")
        await pilot.press("m", "m")
        await shown(pilot, "2/2 The paddle", "paddle at 100")


async def test_in_a_narrow_terminal_replies_stand_one_below_the_other(workspace):
    trained(workspace)
    async with app_on(workspace, "train").run_test(size=(80, 24)) as pilot:
        await shown(pilot, "step 100")
        await pilot.press("m", "z")
        await shown(pilot, "Issue: Broken zip", "at step 0, untrained, it was", "I'm sorry")


@pytest.mark.parametrize("size", [(80, 24), (120, 36)], ids=["80x24", "120x36"])
def test_picture_of_replies_along_the_steps(workspace, snap_compare, size):
    trained(workspace)

    async def ready(pilot) -> None:
        await shown(pilot, "step 100")
        await pilot.press("z", "m")
        await shown(pilot, "untrained", "Issue: Broken zip")

    assert snap_compare(app_on(workspace, "train"), terminal_size=size, run_before=ready)


@pytest.mark.parametrize("size", [(80, 24), (120, 36)], ids=["80x24", "120x36"])
def test_picture_of_a_search_in_the_log(workspace, snap_compare, size):
    trained(workspace)

    async def ready(pilot) -> None:
        await shown(pilot, "step 100")
        await pilot.press("z", "slash", *"memory")
        await shown(pilot, "line 4007 out of memory", "1 of 5 from the end")

    assert snap_compare(app_on(workspace, "train"), terminal_size=size, run_before=ready)

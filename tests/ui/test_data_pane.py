"""The Data pane: what a person sees of a dataset, and what one key does."""

from __future__ import annotations

import json
import threading

import pytest
from textual import events

from ftui.data import actions
from ftui.data.dataset import Dataset
from ftui.ui.widgets.row_list import RowList
from tests.ui.data_rows import data_pane, row_on_disk, tickets
from tests.ui.panes import app_on, screen_text, shown, still_machine, until  # noqa: F401

pytestmark = pytest.mark.usefixtures("still_machine")
SIZE = (120, 36)


async def test_rows_are_listed_and_the_first_is_read(workspace, write_rows):
    write_rows(tickets())
    async with app_on(workspace, "data").run_test(size=SIZE, notifications=True) as pilot:
        text = await shown(pilot, "tickets.jsonl", "1 of 6", "row 1 · chat, 2 turns", "Issue: late parcel")
        assert "Where is my order #4417? It was due on Friday." in text
        assert "6  chat  2" in text


@pytest.mark.parametrize(
    ("key", "status", "mark"), [("a", "accepted", "✓"), ("x", "rejected", "✗")], ids=["accept", "reject"]
)
async def test_one_key_decides_and_moves_on(workspace, write_rows, key, status, mark):
    path = write_rows(tickets())
    async with app_on(workspace, "data").run_test(size=SIZE, notifications=True) as pilot:
        pane = await data_pane(pilot)
        await pilot.press(key)
        await shown(pilot, "2 of 6 · 1 decided", mark)
        assert pane.rows.cursor == 2
        assert row_on_disk(path, 1).status == status
        assert row_on_disk(path, 2).status == "undecided"


async def test_keys_pressed_in_one_burst_each_decide_their_own_row(workspace, write_rows):
    path = write_rows(tickets())
    app = app_on(workspace, "data")
    async with app.run_test(size=SIZE, notifications=True) as pilot:
        await data_pane(pilot)
        burst(app, "axa ax")
        await shown(pilot, "5 decided")
        found = [row_on_disk(path, number).status for number in range(1, 7)]
        assert found == ["accepted", "rejected", "accepted", "undecided", "accepted", "rejected"]


async def test_space_skips_without_deciding(workspace, write_rows):
    path = write_rows(tickets())
    async with app_on(workspace, "data").run_test(size=SIZE, notifications=True) as pilot:
        await data_pane(pilot)
        await pilot.press("space", "space")
        await shown(pilot, "3 of 6")
        assert [row_on_disk(path, number).status for number in (1, 2)] == ["undecided", "undecided"]


async def test_deciding_the_same_again_writes_nothing(workspace, write_rows):
    path = write_rows(tickets())
    async with app_on(workspace, "data").run_test(size=SIZE, notifications=True) as pilot:
        await data_pane(pilot)
        await pilot.press("a")
        await shown(pilot, "2 of 6 · 1 decided")
        await pilot.press("k", "a", "x")
        await shown(pilot, "3 of 6 · 2 decided")
        with Dataset.open(path) as dataset:
            assert [op.op for op in dataset.log()] == ["status", "status"]


async def test_undo_takes_back_and_shows_the_row_it_changed(workspace, write_rows):
    path = write_rows(tickets())
    async with app_on(workspace, "data").run_test(size=SIZE, notifications=True) as pilot:
        pane = await data_pane(pilot)
        await pilot.press("a", "x", "j", "j")
        await shown(pilot, "5 of 6 · 2 decided")
        await pilot.press("u")
        await shown(pilot, "2 of 6 · 1 decided", "undid reject on row 2")
        await pilot.press("u")
        await shown(pilot, "1 of 6", "undid accept on row 1")
        assert pane.rows.cursor == 1
        assert row_on_disk(path, 1).status == "undecided"
        await pilot.press("u")
        await shown(pilot, "nothing to undo")


async def test_undo_reaches_back_over_a_restart(workspace, write_rows):
    path = write_rows(tickets())
    with Dataset.open(path) as dataset:
        dataset.annotate(4, actions.reject())
    async with app_on(workspace, "data").run_test(size=SIZE, notifications=True) as pilot:
        await data_pane(pilot, "1 decided")
        await pilot.press("u")
        await shown(pilot, "4 of 6", "undid reject on row 4")


async def test_flag_toggles_and_stays_on_the_row(workspace, write_rows):
    path = write_rows(tickets())
    async with app_on(workspace, "data").run_test(size=SIZE, notifications=True) as pilot:
        await data_pane(pilot)
        await pilot.press("f")
        await shown(pilot, "1 of 6", "· flagged", "▪")
        assert row_on_disk(path, 1).flagged
        await pilot.press("f")
        await until(pilot, lambda: not row_on_disk(path, 1).flagged)


async def test_digits_change_panes_and_never_rate(workspace, write_rows):
    path = write_rows(tickets())
    async with app_on(workspace, "data").run_test(size=SIZE, notifications=True) as pilot:
        await data_pane(pilot)
        await pilot.press("3")
        await until(pilot, lambda: pilot.app.current_mode == "train")
        await pilot.press("1")
        await data_pane(pilot)
        assert row_on_disk(path, 1).rating is None


async def test_a_rating_is_r_and_a_digit_or_alt_and_a_digit(workspace, write_rows):
    path = write_rows(tickets())
    async with app_on(workspace, "data").run_test(size=SIZE, notifications=True) as pilot:
        await data_pane(pilot)
        await pilot.press("r")
        await shown(pilot, "rate")
        await pilot.press("4")
        await shown(pilot, "★★★★☆")
        await pilot.press("alt+2")
        await shown(pilot, "★★☆☆☆")
        assert row_on_disk(path, 1).rating == 2
        await pilot.press("r", "0")
        await until(pilot, lambda: row_on_disk(path, 1).rating is None)
        await pilot.press("r", "escape")
        await shown(pilot, "accept")
        assert pilot.app.current_mode == "data"


async def test_tags_are_typed_suggested_and_taken_away_by_typing_them_again(workspace, write_rows):
    path = write_rows(tickets())
    async with app_on(workspace, "data").run_test(size=SIZE, notifications=True) as pilot:
        await data_pane(pilot)
        await pilot.press("t", *"sizing", "enter")
        await shown(pilot, "tags sizing")
        await pilot.press("j", "t", *"siz")
        await shown(pilot, "sizing")
        await pilot.press("right", "enter")
        await until(pilot, lambda: row_on_disk(path, 2).tags == ("sizing",))
        await shown(pilot, "row 2", "tags sizing")
        await pilot.press("t", *"sizing", "enter")
        await until(pilot, lambda: row_on_disk(path, 2).tags == ())


async def test_a_note_is_kept_and_offered_for_change(workspace, write_rows):
    path = write_rows(tickets())
    async with app_on(workspace, "data").run_test(size=SIZE, notifications=True) as pilot:
        await data_pane(pilot)
        await pilot.press("n", *"ask Bo", "enter")
        await shown(pilot, "note ask Bo")
        await pilot.press("n", "!", "enter")
        await shown(pilot, "note ask Bo!")
        assert row_on_disk(path, 1).note == "ask Bo!"
        await pilot.press("n", "x", "escape")
        assert row_on_disk(path, 1).note == "ask Bo!"


async def test_delete_marks_the_row_and_restores_it(workspace, write_rows):
    path = write_rows(tickets())
    async with app_on(workspace, "data").run_test(size=SIZE, notifications=True) as pilot:
        await data_pane(pilot)
        await pilot.press("delete")
        await shown(pilot, "· deleted")
        assert row_on_disk(path, 1).deleted
        await pilot.press("delete")
        await until(pilot, lambda: not row_on_disk(path, 1).deleted)


async def test_the_list_moves_as_lists_do(workspace, write_rows):
    write_rows(tickets() * 50)
    async with app_on(workspace, "data").run_test(size=SIZE, notifications=True) as pilot:
        await data_pane(pilot, "1 of 300")
        for key, number in [
            ("j", 2), ("down", 3), ("k", 2), ("up", 1), ("end", 300), ("down", 300), ("home", 1), ("up", 1),
            ("G", 300),
        ]:  # fmt: skip
            await pilot.press(key)
            await shown(pilot, f"{number} of 300", f"row {number} ·")
        await pilot.press("home", "pagedown")
        page = pilot.app.screen.rows.cursor
        assert 20 < page < 40
        await shown(pilot, f"{page} of 300")
        await pilot.press("pageup")
        await shown(pilot, "1 of 300")


async def test_go_to_a_row_by_number_or_share(workspace, write_rows):
    write_rows(tickets() * 50)
    async with app_on(workspace, "data").run_test(size=SIZE, notifications=True) as pilot:
        await data_pane(pilot, "1 of 300")
        burst(pilot.app, "g217\n")
        await shown(pilot, "217 of 300", "row 217")
        await pilot.press("g", "5", "0", "%", "enter")
        await shown(pilot, "150 of 300", "row 150")
        await pilot.press("g", *"301", "enter")
        await shown(pilot, "there is no row 301", "150 of 300")
        assert pilot.app.current_mode == "data", "a digit typed fast went to the panes"


async def test_search_finds_marks_and_walks_through_matches(workspace, write_rows):
    write_rows(tickets() * 3)
    async with app_on(workspace, "data").run_test(size=SIZE, notifications=True) as pilot:
        pane = await data_pane(pilot)
        await pilot.press("slash", *"boots")
        await shown(pilot, "4 of 18 · match 1 of 3", "Can I swap the boots")
        await pilot.press("down")
        await shown(pilot, "10 of 18 · match 2 of 3")
        await pilot.press("enter", "enter")
        await shown(pilot, "16 of 18 · match 3 of 3")
        await pilot.press("enter")
        await shown(pilot, "4 of 18 · match 1 of 3")
        await pilot.press("N")
        await shown(pilot, "16 of 18 · match 3 of 3")
        await pilot.press("escape")
        await until(pilot, lambda: not pane.searching)
        await shown(pilot, "16 of 18")


async def test_search_counts_capitals_only_when_some_are_typed(workspace, write_rows):
    write_rows(tickets())
    async with app_on(workspace, "data").run_test(size=SIZE, notifications=True) as pilot:
        await data_pane(pilot)
        await pilot.press("slash", *"RIDGE", "enter")
        await shown(pilot, "no match")
        await pilot.press("slash", *["backspace"] * 5, *"ridge", "enter")
        await shown(pilot, "2 of 6 · match 1 of 1")


async def test_a_search_taken_back_returns_to_where_it_began(workspace, write_rows):
    write_rows(tickets())
    async with app_on(workspace, "data").run_test(size=SIZE, notifications=True) as pilot:
        await data_pane(pilot)
        await pilot.press("j", "slash", *"headlamp")
        await shown(pilot, "6 of 6 · match 1 of 1")
        await pilot.press("escape")
        await shown(pilot, "2 of 6", "accept")


async def test_a_click_chooses_a_row_and_the_wheel_scrolls(workspace, write_rows):
    write_rows(tickets() * 50)
    async with app_on(workspace, "data").run_test(size=SIZE, notifications=True) as pilot:
        pane = await data_pane(pilot, "1 of 300")
        await pilot.click(RowList, offset=(10, 4))
        await shown(pilot, "4 of 300", "row 4")
        pane.rows.action_scroll_down()
        pane.rows.scroll_to(y=100, animate=False)
        await shown(pilot, "102  chat")


async def test_a_broken_row_is_a_row_shown_with_its_reason(workspace, write_rows):
    write_rows([tickets()[0], b'{"messages": [{"role": "user", "content": "never cl\xffosed', tickets()[1]])
    async with app_on(workspace, "data").run_test(size=SIZE, notifications=True) as pilot:
        await data_pane(pilot, "1 of 3", "broken")
        await pilot.press("j")
        await shown(pilot, "row 2 · line 2", "broken row", "never cl\\xffosed", "UTF-8")


async def test_a_row_of_no_known_shape_is_shown_as_a_tree(workspace, write_rows):
    write_rows([{"sku": 12, "nested": {"colour": "red"}}])
    async with app_on(workspace, "data").run_test(size=SIZE, notifications=True) as pilot:
        await shown(pilot, "of no known shape", "sku  number  12", "colour  text  red")


async def test_a_pair_stands_side_by_side_and_stacks_where_there_is_no_room(workspace, write_rows):
    write_rows([{"prompt": "Which is warmer?", "chosen": "The down jacket.", "rejected": "Two fleeces."}])
    async with app_on(workspace, "data").run_test(size=SIZE, notifications=True) as pilot:
        text = await shown(pilot, "✓ chosen", "✗ rejected")
        line = next(line for line in text.split("\n") if "The down jacket." in line)
        assert "Two fleeces." in line
    async with app_on(workspace, "data").run_test(size=(52, 40)) as pilot:
        text = await shown(pilot, "✓ chosen", "✗ rejected")
        assert not any("jacket." in line and "fleeces." in line for line in text.split("\n"))


async def test_tool_calls_are_readable(workspace, write_rows):
    call = {"id": "c1", "type": "function", "function": {"name": "lookup", "arguments": '{"order": "4417"}'}}
    schema = {"type": "object", "properties": {"order": {"type": "string"}}}
    tool = {
        "type": "function",
        "function": {"name": "lookup", "description": "finds an order", "parameters": schema},
    }
    turns = [
        {"role": "user", "content": "Where is 4417?"},
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "c1", "content": "in Leeds"},
    ]
    write_rows([{"messages": turns, "tools": [tool]}])
    async with app_on(workspace, "data").run_test(size=SIZE, notifications=True) as pilot:
        await shown(
            pilot,
            "assistant calls",
            "lookup {",
            '"order": "4417"',
            "lookup(order)",
            "finds an order",
            "in Leeds",
        )


async def test_it_works_at_80_by_24(workspace, write_rows):
    write_rows(tickets())
    async with app_on(workspace, "data").run_test(size=(80, 24)) as pilot:
        text = await shown(pilot, "1 of 6", "Issue: late parcel", "a accept", "? keys")
        lines = text.split("\n")
        assert len(lines) == 24
        assert lines[1].startswith("╭─ tickets.jsonl")


async def test_somebody_elses_decision_appears(workspace, write_rows):
    path = write_rows(tickets())
    async with app_on(workspace, "data").run_test(size=SIZE, notifications=True) as pilot:
        pane = await data_pane(pilot)
        with Dataset.open(path, who="bo") as theirs:
            theirs.annotate(3, actions.accept())
        pane._look_again()
        await shown(pilot, "1 decided", "✓")


async def test_a_file_replaced_while_open_is_read_again_and_said(workspace, write_rows):
    path = write_rows(tickets())
    async with app_on(workspace, "data").run_test(size=SIZE, notifications=True) as pilot:
        await data_pane(pilot)
        path.write_text("".join(json.dumps(row) + "\n" for row in tickets()[:3]), encoding="utf-8")
        await pilot.press("j")
        await shown(pilot, "of 3", "changed on disk")


async def test_a_full_disk_is_said_and_the_row_is_not_marked(workspace, write_rows, monkeypatch):
    path = write_rows(tickets())
    async with app_on(workspace, "data").run_test(size=SIZE, notifications=True) as pilot:
        pane = await data_pane(pilot)
        with monkeypatch.context() as broken:
            broken.setattr("ftui.data.journal.os.write", lambda _fd, data: len(data) // 2)
            await pilot.press("a")
            await shown(pilot, "not saved", "1 of 6")
            assert pane.rows.cursor == 1, "back to the row whose decision was lost"
            assert pane.rows.row(1).status == "undecided"
        await pilot.press("a")
        await shown(pilot, "2 of 6 · 1 decided")
        assert row_on_disk(path, 1).status == "accepted"


async def test_decisions_a_minute_and_time_left_are_shown(workspace, write_rows):
    write_rows(tickets() * 2_000)
    async with app_on(workspace, "data").run_test(size=SIZE, notifications=True) as pilot:
        await data_pane(pilot, "1 of 12,000")
        burst(pilot.app, "aaaa")
        await shown(pilot, "5 of 12,000 · 4 decided", "/min", " left")


async def test_what_was_decided_last_is_written_before_the_app_ends(workspace, write_rows):
    path = write_rows(tickets())
    app = app_on(workspace, "data")
    async with app.run_test(size=SIZE, notifications=True) as pilot:
        await data_pane(pilot)
        burst(app, "aaa")
        await pilot.press("ctrl+q")
    assert [row_on_disk(path, number).status for number in (1, 2, 3)] == ["accepted"] * 3


async def test_a_million_rows_open_and_end_is_one_key_away(workspace, write_rows):
    row = json.dumps(tickets()[0]).encode()
    path = workspace.datasets / "many.jsonl"
    path.write_bytes((row + b"\n") * 300_000)
    async with app_on(workspace, "data").run_test(size=SIZE, notifications=True) as pilot:
        await data_pane(pilot, "1 of 300,000")
        await pilot.press("end")
        await shown(pilot, "300,000 of 300,000", "row 300,000")
        assert len(pilot.app.screen.rows._rows) < 6_000


def burst(app, keys: str) -> None:
    """Key presses that arrive all at once, as over a slow line or from fast fingers."""
    names = {" ": "space", "\n": "enter", "%": "percent_sign"}
    for key in keys:
        app.post_message(events.Key(names.get(key, key), None if key == "\n" else key))


@pytest.mark.parametrize("first", ["the writer", "a reader"])
async def test_a_decision_on_a_file_that_changed_is_not_saved_and_says_what_to_do(
    workspace, write_rows, first
):
    path = write_rows(tickets())
    app = app_on(workspace, "data")
    async with app.run_test(size=SIZE, notifications=True) as pilot:
        pane = await data_pane(pilot)
        pane.desk._looking = True  # the pane's own look from time to time would come before the key, or not
        written = threading.Event()
        pane.desk._writes.submit(written.wait)
        path.write_text(path.read_text().replace("?", "!!"))
        await pilot.press("a")
        if first == "a reader":
            pane.desk.dataset.refresh()
        written.set()
        await shown(pilot, "press it again")
        await until(pilot, lambda: pane.rows.cursor == 1)
        await pilot.press("a")
        await until(pilot, lambda: pane.facts is not None and pane.facts.counts.accepted == 1)

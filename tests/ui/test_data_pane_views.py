"""Views of the Data pane: filters, queues, conflicts, and one action on all rows in sight."""

from __future__ import annotations

import threading

import pytest
from textual.widgets import Input

from ftui.data import actions
from ftui.data.dataset import Dataset
from ftui.ui.widgets.row_list import RowList
from tests.ui.capture import HOSTILE, assert_harmless, capture, output_of
from tests.ui.data_rows import data_pane, row_on_disk, ticket, tickets
from tests.ui.panes import app_on, screen_text, shown, still_machine, until  # noqa: F401

pytestmark = pytest.mark.usefixtures("still_machine")
SIZE = (120, 36)
BROKEN = b'{"messages": [{"role": "user", "content": "cut'


def annotated(path, who, *done):
    with Dataset.open(path, who=who) as dataset:
        for number, action in done:
            dataset.annotate(number, action)


def statuses(path) -> list[str]:
    with Dataset.open(path, who="somebody else") as dataset:
        return [row.status for row in dataset.rows()]


async def typed(pilot, text: str) -> None:
    """Types into the input that has the focus."""
    await pilot.press(*("space" if character == " " else character for character in text))


# -- a view ----------------------------------------------------------------------------------------


async def test_a_view_lists_some_rows_and_keys_move_among_them(workspace, write_rows):
    write_rows(tickets() * 50)
    async with app_on(workspace, "data").run_test(size=SIZE, notifications=True) as pilot:
        pane = await data_pane(pilot, "1 of 300")
        pane.show_only(range(5, 300, 5), "every fifth")
        await shown(pilot, "every fifth 1 of 59 · 59 to decide", "row 5 ·")
        for key, number in [
            ("j", 10),
            ("end", 295),
            ("j", 295),
            ("k", 290),
            ("home", 5),
            ("k", 5),
            ("space", 10),
        ]:
            await pilot.press(key)
            await until(pilot, lambda number=number: pane.rows.cursor == number)
        await pilot.press("pagedown")
        assert pane.rows.cursor > 100
        await pilot.click(RowList, offset=(20, 2))
        await until(pilot, lambda: pane.rows.cursor % 5 == 0 and pane.rows.cursor != 10)


async def test_esc_shows_all_rows_again_and_stays_on_the_row(workspace, write_rows):
    write_rows(tickets() * 50)
    async with app_on(workspace, "data").run_test(size=SIZE, notifications=True) as pilot:
        pane = await data_pane(pilot, "1 of 300")
        pane.show_only([7, 150, 299], "three")
        await shown(pilot, "three 1 of 3")
        await pilot.press("j", "escape")
        await shown(pilot, "150 of 300", "  149  ", "  151  ")
        assert not pane.viewing


async def test_a_view_begins_at_the_next_of_its_rows(workspace, write_rows):
    write_rows(tickets() * 50)
    async with app_on(workspace, "data").run_test(size=SIZE, notifications=True) as pilot:
        pane = await data_pane(pilot, "1 of 300")
        pane.rows.cursor = 100
        pane.show_only([7, 150, 299], "three")
        await shown(pilot, "three 2 of 3", "row 150 ·")
        pane.rows.cursor = 299
        pane.show_only([7, 150], "two")
        await shown(pilot, "two 2 of 2", "row 150 ·")


async def test_a_decided_row_stays_in_its_view_and_the_count_goes_down(workspace, write_rows):
    path = write_rows(tickets())
    async with app_on(workspace, "data").run_test(size=SIZE, notifications=True) as pilot:
        pane = await data_pane(pilot)
        pane.show_only([2, 4, 6], "three")
        await shown(pilot, "three 1 of 3 · 3 to decide")
        await pilot.press("a", "x")
        text = await shown(pilot, "three 3 of 3 · 1 to decide")
        assert text.count("✓") == text.count("✗") == 1
        assert statuses(path)[1:4:2] == ["accepted", "rejected"]
        await pilot.press("space")
        await shown(pilot, "last row of this view, 1 still undecided")
        await pilot.press("u")
        await shown(pilot, "three 2 of 3 · 2 to decide")


async def test_going_to_a_row_outside_the_view_leaves_it(workspace, write_rows):
    write_rows(tickets())
    async with app_on(workspace, "data").run_test(size=SIZE, notifications=True) as pilot:
        pane = await data_pane(pilot)
        pane.show_only([2, 4], "two")
        await shown(pilot, "two 1 of 2")
        await pilot.press("g", "5", "enter")
        await shown(pilot, "5 of 6")
        assert not pane.viewing


async def test_an_undo_outside_the_view_is_said_and_the_view_stays(workspace, write_rows):
    path = write_rows(tickets())
    annotated(path, "mira", (5, actions.reject()))
    async with app_on(workspace, "data").run_test(size=SIZE, notifications=True) as pilot:
        pane = await data_pane(pilot, "1 decided")
        pane.show_only([2, 4], "two")
        await pilot.press("u")
        await shown(pilot, "undid reject on row 5", "two 1 of 2")


async def test_a_view_of_nothing_is_only_said(workspace, write_rows):
    write_rows(tickets())
    async with app_on(workspace, "data").run_test(size=SIZE, notifications=True) as pilot:
        pane = await data_pane(pilot)
        pane.show_only([], "flagged")
        await shown(pilot, "no rows: flagged", "1 of 6")


async def test_a_search_inside_a_view_walks_through_its_rows_only(workspace, write_rows):
    write_rows(tickets() * 5)
    async with app_on(workspace, "data").run_test(size=SIZE, notifications=True) as pilot:
        pane = await data_pane(pilot, "1 of 30")
        pane.show_only([1, 7, 8, 13, 14], "five")
        await pilot.press("slash", *"4417", "enter")
        await shown(pilot, "five 1 of 5", "match 1 of 3")
        await pilot.press("enter")
        await until(pilot, lambda: pane.rows.cursor == 7)
        await pilot.press("escape")
        await until(pilot, lambda: not pane.searching and pane.viewing)
        await pilot.press("escape")
        await until(pilot, lambda: not pane.viewing)


async def test_a_view_is_left_when_the_file_is_replaced(workspace, write_rows):
    write_rows(tickets())
    async with app_on(workspace, "data").run_test(size=SIZE, notifications=True) as pilot:
        pane = await data_pane(pilot)
        pane.show_only([2, 4], "two")
        await shown(pilot, "two 1 of 2")
        write_rows(tickets()[::-1] * 2)
        pane.desk.look_again()
        await shown(pilot, "of 12", "changed on disk")


# -- a filter --------------------------------------------------------------------------------------


async def test_a_filter_is_typed_and_shows_its_rows(workspace, write_rows):
    path = write_rows([*tickets(), BROKEN])
    annotated(path, "mira", (2, actions.accept()), (3, actions.tag("refund")))
    async with app_on(workspace, "data").run_test(size=SIZE, notifications=True) as pilot:
        pane = await data_pane(pilot)
        await pilot.press("F")
        await shown(pilot, "filter", "7 rows", "refund", "broken")
        await typed(pilot, "status:undecided -is:broken")
        await shown(pilot, "5 rows")
        await pilot.press("enter")
        await shown(pilot, "status:undecided -is:broken 1 of 5")
        assert list(pane.rows.numbers) == [1, 3, 4, 5, 6]
        await pilot.press("F")
        await shown(pilot, "5 rows")
        assert pilot.app.screen.query_one(Input).value == "status:undecided -is:broken"


async def test_a_filter_is_picked_with_keys(workspace, write_rows):
    path = write_rows(tickets())
    annotated(path, "mira", (2, actions.accept()), (3, actions.reject()))
    async with app_on(workspace, "data").run_test(size=SIZE, notifications=True) as pilot:
        pane = await data_pane(pilot)
        await pilot.press("F")
        await shown(pilot, "undecided", "4")
        await pilot.press("tab", "down", "space")
        await shown(pilot, "status:accepted", "1 row", "+ accepted")
        await pilot.press("down", "space")
        await shown(pilot, "status:accepted,rejected", "2 rows")
        await pilot.press("minus")
        await shown(pilot, "status:accepted -status:rejected", "- rejected")
        await pilot.press("minus", "enter")
        await shown(pilot, "status:accepted 1 of 1")
        assert list(pane.rows.numbers) == [2]


async def test_a_filter_is_picked_with_the_mouse(workspace, write_rows):
    path = write_rows(tickets())
    annotated(path, "mira", (2, actions.accept()))
    async with app_on(workspace, "data").run_test(size=SIZE, notifications=True) as pilot:
        await data_pane(pilot)
        await pilot.press("F")
        await shown(pilot, "accepted")
        await pilot.click("OptionList", offset=(8, 2))
        await shown(pilot, "status:accepted", "+ accepted", "1 row")


async def test_what_is_typed_is_completed(workspace, write_rows):
    path = write_rows(tickets())
    annotated(path, "mira", (2, actions.tag("late parcel")))
    async with app_on(workspace, "data").run_test(size=SIZE, notifications=True) as pilot:
        await data_pane(pilot)
        await pilot.press("F")
        await shown(pilot, "late parcel")
        await typed(pilot, "sta")
        await shown(pilot, "status:")
        await pilot.press("right")
        await typed(pilot, "rej")
        await shown(pilot, "status:rejected")
        await pilot.press("right")
        await shown(pilot, "0 rows")
        assert pilot.app.screen.query_one(Input).value == "status:rejected"


async def test_a_wrong_filter_says_what_it_may_be_and_stays_open(workspace, write_rows):
    write_rows(tickets())
    async with app_on(workspace, "data").run_test(size=SIZE, notifications=True) as pilot:
        await data_pane(pilot)
        await pilot.press("F")
        await shown(pilot, "6 rows")
        await typed(pilot, "colour:red")
        await pilot.press("enter")
        await shown(pilot, "there is no colour:", "one of status, is, tag")
        await pilot.press("escape")
        await shown(pilot, "1 of 6")


async def test_an_empty_filter_shows_all_rows(workspace, write_rows):
    write_rows(tickets())
    async with app_on(workspace, "data").run_test(size=SIZE, notifications=True) as pilot:
        pane = await data_pane(pilot)
        pane.show_only([2, 4], "two")
        await pilot.press("F")
        await shown(pilot, "6 rows")
        await pilot.press("enter")
        await until(pilot, lambda: not pane.viewing)


async def test_the_matches_of_a_search_become_a_view(workspace, write_rows):
    write_rows(tickets() * 5)
    async with app_on(workspace, "data").run_test(size=SIZE, notifications=True) as pilot:
        pane = await data_pane(pilot)
        await pilot.press("slash", *"boots", "enter")
        await shown(pilot, "match 1 of 5")
        await pilot.press("F")
        await shown(pilot, "5 rows")
        await pilot.press("enter")
        await until(pilot, lambda: pane.viewing)
        assert list(pane.rows.numbers) == [4, 10, 16, 22, 28]


async def test_findings_can_be_filtered_by_once_the_checks_ran(workspace, write_rows):
    write_rows([*tickets(), ticket("My flask is cold.", "")])
    async with app_on(workspace, "data").run_test(size=SIZE, notifications=True) as pilot:
        pane = await data_pane(pilot)
        await pilot.press("F")
        await typed(pilot, "finding:empty-answer")
        await shown(pilot, "the checks have not run yet")
        await pilot.press("escape", "c")
        await until(pilot, lambda: pane.findings)
        await pilot.press("escape", "F")
        await shown(pilot, "found by the checks", "empty-answer")
        await typed(pilot, "finding:empty-answer")
        await shown(pilot, "1 row")
        await pilot.press("enter")
        await until(pilot, lambda: list(pane.rows.numbers) == [7])


# -- queues ----------------------------------------------------------------------------------------


async def test_queues_tell_their_counts_and_show_their_rows(workspace, write_rows):
    path = write_rows([*tickets(), BROKEN])
    annotated(
        path, "mira", (1, actions.accept()), (2, actions.accept()), (3, actions.reject()), (5, actions.flag())
    )
    async with app_on(workspace, "data").run_test(size=SIZE, notifications=True) as pilot:
        pane = await data_pane(pilot)
        await pilot.press("Q")
        text = await until(pilot, lambda: _lines_of(pilot.app, "undecided", "4"))
        for words, count in [
            ("accepted", 2),
            ("rejected", 1),
            ("flagged", 1),
            ("conflicts", 0),
            ("broken", 1),
        ]:
            assert _lines_of(pilot.app, words, str(count)), text
        assert "kappa" not in screen_text(pilot.app)
        await pilot.press("u")
        await shown(pilot, "undecided 1 of 4 · 4 to decide", "row 4 ·")
        await pilot.press("a", "a", "Q", "u")
        await shown(pilot, "undecided 1 of 2 · 2 to decide", "row 6 ·")
        assert list(pane.rows.numbers) == [6, 7]


def _lines_of(app, *words):
    return [line for line in screen_text(app).splitlines() if all(word in line for word in words)]


async def test_an_empty_queue_is_said(workspace, write_rows):
    write_rows(tickets())
    async with app_on(workspace, "data").run_test(size=SIZE, notifications=True) as pilot:
        await data_pane(pilot)
        await pilot.press("Q", "d")
        await shown(pilot, "no rows: deleted", "1 of 6")


async def test_a_conflict_shows_both_sides_and_any_decision_settles_it(workspace, write_rows):
    path = write_rows(tickets())
    annotated(
        path,
        "bo",
        (2, actions.accept()),
        (4, actions.reject()),
        (4, actions.set_value("/messages/1/content", "Bo's")),
    )
    annotated(path, "mira", (2, actions.accept()), (4, actions.accept()))
    annotated(path, "mira", (4, actions.set_value("/messages/1/content", "Mira's")))
    async with app_on(workspace, "data").run_test(size=SIZE, notifications=True) as pilot:
        await data_pane(pilot, "≠")
        await pilot.press("Q")
        await shown(pilot, "bo and mira: agreement 50%", "kappa 0.00", "2 rows both decided")
        await pilot.press("c")
        await shown(
            pilot,
            "conflicts 1 of 1",
            "✗ rejected  bo",
            "✓ accepted  mira",
            "both edited",
            "bo: Bo's",
            "mira: Mira's",
        )
        await pilot.press("a")
        await until(pilot, lambda: "≠" not in screen_text(pilot.app))
        assert "a or x settles it" not in screen_text(pilot.app)
        with Dataset.open(path, who="bo") as dataset:
            assert dataset.conflicts() == {}
            assert dataset.row(4).status == "accepted"
        await pilot.press("u")
        await shown(pilot, "≠", "✗ rejected  bo", "a or x settles it")


async def test_hostile_names_tags_and_edits_do_not_reach_the_terminal(workspace, write_rows, monkeypatch):
    path = write_rows(tickets())
    hostile = HOSTILE.replace("\x00", "").replace("\ud800", "")
    annotated(
        path,
        "b\x1b[2Jo\u202e",
        (1, actions.reject()),
        (1, actions.tag(hostile)),
        (1, actions.set_value("/messages/1/content", hostile)),
    )
    annotated(path, "mira", (1, actions.accept()), (1, actions.set_value("/messages/1/content", HOSTILE)))
    app = capture(app_on(workspace, "data"))
    async with app.run_test(headless=False, size=(120, 50), notifications=True) as pilot:
        await data_pane(pilot, "both edited")
        await pilot.press("Q")
        await shown(pilot, "kappa")
        await pilot.press("escape", "F")
        await shown(pilot, "worked on by")
        await typed(pilot, "tag:")
        await pilot.press("right", "enter")
        await pilot.press("escape", "B")
        await shown(pilot, "of the whole file")
        await pilot.press("T")
        await shown(pilot, "take a tag from")
        assert_harmless(output_of(app))


# -- redo ------------------------------------------------------------------------------------------


async def test_redo_brings_back_what_was_undone_and_shows_it(workspace, write_rows):
    path = write_rows(tickets())
    async with app_on(workspace, "data").run_test(size=SIZE, notifications=True) as pilot:
        await data_pane(pilot)
        await pilot.press("a", "x", "u", "u")
        await shown(pilot, "undid accept on row 1", "1 of 6")
        await pilot.press("U")
        await shown(pilot, "did accept on row 1 again", "1 decided")
        await pilot.press("U")
        await shown(pilot, "did reject on row 2 again", "2 of 6 · 2 decided")
        await pilot.press("U")
        await shown(pilot, "nothing to redo")
        assert statuses(path)[:3] == ["accepted", "rejected", "undecided"]


# -- bulk ------------------------------------------------------------------------------------------


async def test_one_key_rejects_all_rows_in_sight_and_one_undo_takes_it_back(workspace, write_rows):
    path = write_rows(tickets())
    annotated(path, "mira", (1, actions.accept()), (4, actions.reject()))
    async with app_on(workspace, "data").run_test(size=SIZE, notifications=True) as pilot:
        pane = await data_pane(pilot)
        pane.show_only([1, 2, 4], "three")
        await shown(pilot, "three 1 of 3 · 1 to decide")
        await pilot.press("B")
        await shown(pilot, "3 rows of this view", "take a tag away")
        await pilot.press("x")
        await shown(pilot, "reject 2 rows? (1 is so already)")
        await pilot.press("y")
        await shown(pilot, "reject 2 rows: done, u takes it back")
        await until(pilot, lambda: "to decide" not in screen_text(pilot.app))
        assert statuses(path) == ["rejected", "rejected", "undecided", "rejected", "undecided", "undecided"]
        await pilot.press("u")
        await shown(pilot, "undid reject on 2 rows", "1 to decide")
        assert statuses(path)[:4] == ["accepted", "undecided", "undecided", "rejected"]


@pytest.mark.parametrize(
    ("keys", "holds"),
    [
        (("a",), lambda row: row.status == "accepted"),
        (("f",), lambda row: row.flagged),
        (("d",), lambda row: row.deleted),
        (("t", *"urgent", "enter"), lambda row: row.tags == ("old", "urgent")),
        (("T", *"old", "enter"), lambda row: row.tags == ()),
        (("r", "3"), lambda row: row.rating == 3),
    ],
    ids=["accept", "flag", "delete", "tag", "untag", "rate"],
)
async def test_every_bulk_action_does_what_it_says(workspace, write_rows, keys, holds):
    path = write_rows(tickets())
    annotated(path, "mira", *((number, actions.tag("old")) for number in (1, 2, 5, 6)))
    async with app_on(workspace, "data").run_test(size=SIZE, notifications=True) as pilot:
        pane = await data_pane(pilot)
        pane.show_only([2, 5], "two")
        await pilot.press("B", *keys)
        await shown(pilot, "2 row", "y yes")
        await pilot.press("y")
        await until(pilot, lambda: holds(row_on_disk(path, 5)))
        assert [holds(row_on_disk(path, number)) for number in (1, 2, 6)] == [False, True, False]


async def test_without_a_yes_nothing_is_written(workspace, write_rows):
    path = write_rows(tickets())
    async with app_on(workspace, "data").run_test(size=SIZE, notifications=True) as pilot:
        await data_pane(pilot)
        await pilot.press("B", "x")
        await shown(pilot, "reject 6 rows?")
        await pilot.press("n", "escape")
        await shown(pilot, "accept")
        await pilot.press("B", "escape")
        assert set(statuses(path)) == {"undecided"}


async def test_bulk_acts_on_the_matches_of_a_search(workspace, write_rows):
    path = write_rows(tickets())
    async with app_on(workspace, "data").run_test(size=SIZE, notifications=True) as pilot:
        await data_pane(pilot)
        await pilot.press("slash", *"boots", "enter")
        await shown(pilot, "match 1 of 1")
        await pilot.press("B")
        await shown(pilot, "1 row that hold")
        await pilot.press("a", "y")
        await until(pilot, lambda: statuses(path)[3] == "accepted")
        assert statuses(path).count("accepted") == 1


async def test_what_is_so_already_is_not_written_again(workspace, write_rows):
    path = write_rows(tickets())
    annotated(path, "mira", (1, actions.accept()), (2, actions.accept()))
    async with app_on(workspace, "data").run_test(size=SIZE, notifications=True) as pilot:
        pane = await data_pane(pilot)
        pane.show_only([1, 2], "two")
        await pilot.press("B", "a")
        await shown(pilot, "all 2 rows are so already")


async def test_the_screen_stays_alive_while_a_bulk_action_is_written(workspace, write_rows, monkeypatch):
    path, write, disk = write_rows(tickets() * 1000), Dataset.annotate_each, threading.Event()
    monkeypatch.setattr(Dataset, "annotate_each", lambda *given: disk.wait(120) and write(*given))
    async with app_on(workspace, "data").run_test(size=SIZE, notifications=True) as pilot:
        pane = await data_pane(pilot, "1 of 6,000")
        await pilot.press("B", "x")
        await shown(pilot, "reject 6,000 rows?")
        await pilot.press("y")
        await shown(pilot, "writing: reject 6,000 rows")
        await pilot.press("j", "j")
        await shown(pilot, "writing: reject 6,000 rows", "row 3 ·")
        assert pane.rows.cursor == 3
        disk.set()
        await shown(pilot, "reject 6,000 rows: done", "6,000 decided")
        with Dataset.open(path) as dataset:
            assert dataset.counts().rejected == 6000
            dataset.undo()
            assert dataset.counts().rejected == 0

"""Keys that arrive in one burst, as over a slow line, and a file that changes under the cursor."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from tests.ui.data_rows import data_pane, row_on_disk, tickets
from tests.ui.panes import app_on, burst, shown, still_machine  # noqa: F401

pytestmark = pytest.mark.usefixtures("still_machine")
SIZE = (120, 36)


async def test_keys_behind_a_rating_go_to_the_rows(workspace, write_rows):
    path = write_rows(tickets())
    app = app_on(workspace, "data")
    async with app.run_test(size=SIZE, notifications=True) as pilot:
        await data_pane(pilot)
        burst(app, "r", "3", "a", "r", "2", "x")
        await shown(pilot, "3 of 6 · 2 decided")
        found = [(row_on_disk(path, number).rating, row_on_disk(path, number).status) for number in (1, 2)]
        assert found == [(3, "accepted"), (2, "rejected")]


async def test_keys_behind_a_typed_answer_are_no_part_of_it(workspace, write_rows):
    path = write_rows(tickets())
    app = app_on(workspace, "data")
    async with app.run_test(size=SIZE, notifications=True) as pilot:
        await data_pane(pilot)
        burst(app, "t", *"late", "enter", "a", "x")
        await shown(pilot, "3 of 6 · 2 decided")
        assert row_on_disk(path, 1).tags == ("late",)
        assert [row_on_disk(path, number).status for number in (1, 2)] == ["accepted", "rejected"]


async def test_a_file_that_grows_leaves_the_cursor_on_its_row(workspace, write_rows):
    row = tickets()[0]
    path = write_rows([{**row, "id": number} for number in range(5_000)])
    async with app_on(workspace, "data").run_test(size=SIZE, notifications=True) as pilot:
        pane = await data_pane(pilot, "1 of 5,000")
        pane.rows.cursor = 4_500
        await shown(pilot, "4,500 of 5,000", "row 4,500")
        with path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")
        pane._look_again()
        await shown(pilot, "4,500 of 5,001", "row 4,500", "changed on disk")


async def test_a_row_not_found_yet_is_not_called_missing(workspace, write_rows):
    write_rows(tickets())
    async with app_on(workspace, "data").run_test(size=SIZE, notifications=True) as pilot:
        pane = await data_pane(pilot)
        pane.facts = replace(pane.facts, complete=False)
        pane._go_to("7")
        await shown(pilot, "row 7 is not found yet", "6 of its rows are found so far", "1 of 6")

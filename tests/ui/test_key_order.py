"""Moving and acting in one burst: what is acted on is what was moved to."""

from __future__ import annotations

import pytest
from textual.widgets import OptionList

from ftui.core.recipe import Recipe
from ftui.runs.recipes import save_recipe
from ftui.ui.chat_sides import named_side
from ftui.ui.modals.filter_rows import FilterRows
from ftui.ui.modals.open_file import OpenDataset
from ftui.ui.widgets.field_list import FieldList
from ftui.ui.widgets.prompt_box import PromptBox
from ftui.ui.widgets.run_list import RunList
from ftui.ui.widgets.value_editor import ValueEditor
from tests.ui.data_rows import data_pane, tickets
from tests.ui.panes import app_on, burst, screen_text, shown, still_machine, until  # noqa: F401
from tests.ui.run_builder import make_run

pytestmark = pytest.mark.usefixtures("still_machine")
SIZE = (120, 40)


@pytest.fixture
def recipe(workspace, write_rows):
    write_rows(tickets())
    path = workspace.recipes / "tickets.toml"
    save_recipe(path, Recipe().with_values({"name": "tickets", "data.train": "datasets/tickets.jsonl"}))
    return path


async def recipe_form(pilot, field: str) -> FieldList:
    await until(pilot, lambda: getattr(pilot.app.screen, "_around", None))
    form = pilot.app.screen.query_one(FieldList)
    form.go(field)
    return form


async def test_the_field_moved_to_is_the_one_edited(workspace, recipe):
    async with app_on(workspace, "recipe").run_test(size=SIZE) as pilot:
        await recipe_form(pilot, "adapter.rank")
        burst(pilot.app, "down", "enter")
        editor = pilot.app.screen.query_one(ValueEditor)
        await until(pilot, lambda: editor.is_open)
        assert editor.field == "adapter.alpha"


async def test_saving_saves_the_value_that_is_being_typed(workspace, recipe):
    async with app_on(workspace, "recipe").run_test(size=SIZE) as pilot:
        await recipe_form(pilot, "adapter.rank")
        burst(pilot.app, "enter", "backspace", "backspace", "8", "ctrl+s")
        await until(pilot, lambda: "rank = 8" in recipe.read_text(encoding="utf-8"))
        assert not pilot.app.screen.query_one(ValueEditor).is_open


async def test_nothing_is_saved_while_the_value_typed_is_none(workspace, recipe):
    before = recipe.read_text(encoding="utf-8")
    async with app_on(workspace, "recipe").run_test(size=SIZE) as pilot:
        await recipe_form(pilot, "adapter.rank")
        burst(pilot.app, "enter", "x", "ctrl+s")
        await until(pilot, lambda: pilot.app.screen.query_one(ValueEditor).value.endswith("x"))
        await shown(pilot, "whole number")
        assert pilot.app.screen.query_one(ValueEditor).is_open
    assert recipe.read_text(encoding="utf-8") == before


async def test_esc_in_a_value_leaves_the_value_and_then_goes_back(workspace, recipe):
    async with app_on(workspace, "recipe").run_test(size=SIZE) as pilot:
        form = await recipe_form(pilot, "adapter.rank")
        burst(pilot.app, "enter", "9", "escape", "down", "enter")
        editor = pilot.app.screen.query_one(ValueEditor)
        await until(pilot, lambda: editor.is_open and editor.field == "adapter.alpha")
        assert pilot.app.screen.draft.recipe.adapter.rank == Recipe().adapter.rank
        assert form.cursor == "adapter.alpha"


async def test_the_run_moved_to_is_the_one_tagged(workspace):
    workspace.runs.mkdir(parents=True, exist_ok=True)
    for name in ("older", "newer"):
        make_run(workspace, name)
    async with app_on(workspace, "train").run_test(size=SIZE) as pilot:
        runs = pilot.app.screen.query_one(RunList)
        await until(pilot, lambda: len(runs._runs) == 2)
        burst(pilot.app, "home", "down", "t")
        await until(pilot, lambda: pilot.app.screen.asking)
        burst(pilot.app, *"ab", "backspace", "enter")
        await until(pilot, lambda: any(run.tags for run in pilot.app.pulse.runs))
        assert [run.name for run in pilot.app.pulse.runs if run.tags] == [runs._runs[1].name]
        assert len(pilot.app.pulse.runs) == 2  # backspace was for the answer, not for the run


async def test_the_file_moved_to_is_the_one_opened(workspace, write_rows):
    for name in ("one", "two", "three"):
        write_rows(tickets(), f"{name}.jsonl")
    async with app_on(workspace, "data").run_test(size=SIZE) as pilot:
        burst(pilot.app, "o")
        await until(pilot, lambda: isinstance(pilot.app.screen, OpenDataset) and pilot.app.screen._offered)
        dialog = pilot.app.screen
        options = dialog.query_one(OptionList)
        third = dialog._offered[int(options.options[options.highlighted + 2].id)].path
        burst(pilot.app, "down", "down", "enter")
        await until(pilot, lambda: pilot.app.screen is not dialog)
        await until(pilot, lambda: pilot.app.screen.desk and pilot.app.screen.desk.path == third)


async def test_the_value_moved_to_is_the_one_filtered_by(workspace, write_rows):
    write_rows(tickets())
    async with app_on(workspace, "data").run_test(size=SIZE) as pilot:
        pane = await data_pane(pilot)
        burst(pilot.app, "a")
        await until(pilot, lambda: pane.rows.row(1).status == "accepted" and not pane.rows.waits(1))
        burst(pilot.app, "F")
        await until(pilot, lambda: isinstance(pilot.app.screen, FilterRows) and pilot.app.screen.known)
        burst(pilot.app, "down", "down", "space", "enter")
        await until(pilot, lambda: pilot.app.screen is pane)
        await shown(pilot, "status:accepted")


async def test_the_side_gone_to_has_the_keys_at_once(workspace, write_rows):
    write_rows(tickets())
    async with app_on(workspace, "data").run_test(size=SIZE) as pilot:
        pane = await data_pane(pilot)
        burst(pilot.app, "tab", "tab", "down")
        await until(pilot, lambda: pane.rows.cursor == 2)
        burst(pilot.app, "tab", "enter")
        await until(pilot, lambda: pane.editing)


async def test_the_palette_over_a_dialog_does_not_lead_elsewhere(workspace, write_rows):
    write_rows(tickets())
    async with app_on(workspace, "data").run_test(size=SIZE) as pilot:
        await data_pane(pilot)
        await pilot.press("w")
        await shown(pilot, "enter exports")
        await pilot.press("ctrl+p")
        await shown(pilot, "Theme")
        assert "Go to Train" not in screen_text(pilot.app)


@pytest.mark.parametrize("words", ["x" * 300 + ".jsonl", "~nobody-at-all/x.jsonl"])
async def test_a_path_that_cannot_be_is_said_to_be_missing(workspace, write_rows, words):
    write_rows(tickets())
    async with app_on(workspace, "data").run_test(size=SIZE, notifications=True) as pilot:
        pane = await data_pane(pilot)
        await pilot.press("o")
        await until(pilot, lambda: isinstance(pilot.app.screen, OpenDataset))
        burst(pilot.app, *words, "enter")
        await until(pilot, lambda: pilot.app.screen is pane)
        await until(pilot, lambda: pilot.app._notifications or "cannot" in screen_text(pilot.app))
    assert named_side(words).base == words


async def test_a_path_can_be_typed_into_a_recipe(workspace, recipe):
    async with app_on(workspace, "recipe").run_test(size=SIZE) as pilot:
        await recipe_form(pilot, "model.base")
        await pilot.press("enter", "slash", "a", "minus", "b", "plus", "c", "underscore", "at", "backslash")
        editor = pilot.app.screen.query_one(ValueEditor)
        assert editor.value.endswith("/a-b+c_@\\")
        assert not pilot.app.screen.asking


async def test_every_character_of_a_note_on_a_run_is_the_note_s(workspace):
    workspace.runs.mkdir(parents=True, exist_ok=True)
    make_run(workspace, "one")
    async with app_on(workspace, "train").run_test(size=SIZE) as pilot:
        await until(pilot, lambda: pilot.app.screen.query_one(RunList).chosen)
        note = "s/l m-n+o=p [q] <r> t.u,v?1@_\\"
        await pilot.press("N", *note, "enter")
        await until(pilot, lambda: pilot.app.pulse.runs[0].note == note)


async def test_a_filter_may_be_typed_with_a_minus_and_spaces(workspace, write_rows):
    write_rows(tickets())
    async with app_on(workspace, "data").run_test(size=SIZE) as pilot:
        await data_pane(pilot)
        await pilot.press("F")
        await until(pilot, lambda: isinstance(pilot.app.screen, FilterRows) and pilot.app.screen.known)
        await pilot.press("minus", *"is:flagged", "space", *"a/b")
        assert pilot.app.screen.text == "-is:flagged a/b"


async def test_esc_leaves_the_prompt_before_the_next_key(workspace):
    async with app_on(workspace, "chat").run_test(size=SIZE) as pilot:
        prompt = pilot.app.screen.query_one(PromptBox)
        await until(pilot, lambda: pilot.app.screen.focused is prompt)
        burst(pilot.app, "escape", "2")
        await until(pilot, lambda: pilot.app.current_mode == "recipe")
        assert prompt.text == ""

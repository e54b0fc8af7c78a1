"""Keys that arrive in one burst, as over a slow line, do what they would have done one by one."""

from __future__ import annotations

import threading

import pytest

from ftui.core.errors import FtuiError
from ftui.core.recipe import Recipe
from ftui.runs.recipes import save_recipe
from ftui.ui import chat_asking, recipe_desk
from ftui.ui.chat_servers import ChatServers
from ftui.ui.modals.choose_key import ChooseKey
from ftui.ui.widgets.field_list import FieldList
from ftui.ui.widgets.value_editor import ValueEditor
from tests.ui.data_rows import data_pane, tickets
from tests.ui.fake_engine import FakeEngine
from tests.ui.panes import app_on, burst, screen_text, shown, still_machine, until  # noqa: F401
from tests.ui.run_builder import make_run

pytestmark = pytest.mark.usefixtures("still_machine")
SIZE = (120, 40)


@pytest.fixture
def path(workspace, write_rows):
    """A recipe on a dataset of six rows."""
    write_rows(tickets())
    path = workspace.recipes / "tickets.toml"
    save_recipe(path, Recipe().with_values({"name": "tickets", "data.train": "datasets/tickets.jsonl"}))
    return path


@pytest.fixture
def engine(monkeypatch) -> FakeEngine:
    engine = FakeEngine({"base": "hello"})
    monkeypatch.setattr(chat_asking, "ChatServers", lambda: ChatServers(start=engine.serve))
    return engine


async def recipe_pane(pilot):
    await until(pilot, lambda: getattr(pilot.app.screen, "_around", None))
    return pilot.app.screen


async def test_a_recipe_s_value_is_typed_behind_the_key_that_opens_it(workspace, path):
    async with app_on(workspace, "recipe").run_test(size=SIZE) as pilot:
        pane = await recipe_pane(pilot)
        pane.query_one(FieldList).go("adapter.rank")
        burst(
            pilot.app, "enter", "backspace", "backspace", "3", "2", "tab", "backspace", "backspace", "4", "1"
        )
        burst(pilot.app, "enter")
        await until(pilot, lambda: pane.draft.recipe.adapter.alpha == 41)
        assert pane.draft.recipe.adapter.rank == 32
        assert pilot.app.screen is pane


async def test_enter_pressed_twice_takes_a_value_once(workspace, path):
    async with app_on(workspace, "recipe").run_test(size=SIZE) as pilot:
        pane = await recipe_pane(pilot)
        pane.query_one(FieldList).go("adapter.rank")
        await pilot.press("enter")
        editor = pane.query_one(ValueEditor)
        assert editor.is_open
        burst(pilot.app, "backspace", "backspace", "8", "enter", "escape", "down")
        await until(pilot, lambda: pane.draft.recipe.adapter.rank == 8)
        await until(pilot, lambda: pane.query_one(FieldList).cursor == "adapter.alpha")
        assert not editor.is_open


async def test_a_pane_and_what_is_asked_there_can_be_typed_at_once(workspace, path):
    async with app_on(workspace, "data").run_test(size=SIZE) as pilot:
        await data_pane(pilot)
        burst(pilot.app, "2")
        pane = await recipe_pane(pilot)
        burst(pilot.app, "slash", *"rank", "enter")
        await until(pilot, lambda: pane.query_one(FieldList).cursor == "adapter.rank")
        burst(pilot.app, "3", "g")
        await shown(pilot, "machine", "esc closes")


async def test_the_key_that_runs_pressed_twice_starts_one_run(workspace, path, monkeypatch):
    begun, go_on = [], threading.Event()

    def launch(*_arguments, **_options):
        begun.append(1)
        assert go_on.wait(120)
        raise FtuiError("no more processes")

    monkeypatch.setattr(recipe_desk, "launch", launch)
    async with app_on(workspace, "recipe").run_test(size=SIZE, notifications=True) as pilot:
        await recipe_pane(pilot)
        burst(pilot.app, "r", "r")
        await until(pilot, lambda: begun)
        burst(pilot.app, "r", "i")  # i: so that all three were looked at
        await until(pilot, lambda: pilot.app.screen.has_class("-takes"))
        go_on.set()
        await shown(pilot, "no more processes")
        assert begun == [1]


async def test_a_recipe_saved_twice_is_no_conflict(workspace, path, monkeypatch):
    begun, go_on, asked = threading.Event(), threading.Event(), []
    save = recipe_desk.save_recipe

    def slowly(*arguments, **options):
        begun.set()
        assert go_on.wait(120)
        return save(*arguments, **options)

    monkeypatch.setattr(recipe_desk, "save_recipe", slowly)
    async with app_on(workspace, "recipe").run_test(size=SIZE, notifications=True) as pilot:
        pane = await recipe_pane(pilot)
        save_to = pane._save_to
        monkeypatch.setattr(pane, "_save_to", lambda *given: asked.append(1) or save_to(*given))
        pane.change({"adapter.rank": 8})
        burst(pilot.app, "ctrl+s")
        await until(pilot, begun.is_set)
        pane.change({"adapter.rank": 4})
        burst(pilot.app, "ctrl+s")
        await until(pilot, lambda: len(asked) == 2)
        go_on.set()
        await until(pilot, lambda: "rank = 4" in path.read_text() and not pane.draft.modified)
        assert not pane.asking


async def test_a_dialog_answered_twice_closes_once(workspace, write_rows):
    write_rows(tickets())
    async with app_on(workspace, "data").run_test(size=SIZE, notifications=True) as pilot:
        await data_pane(pilot)
        await pilot.press("B")
        await until(pilot, lambda: isinstance(pilot.app.screen, ChooseKey))
        burst(pilot.app, "x", "x")
        await shown(pilot, "reject 6 rows?")


async def test_a_filter_is_what_was_typed_before_enter(workspace, write_rows):
    write_rows(tickets())
    async with app_on(workspace, "data").run_test(size=SIZE) as pilot:
        await data_pane(pilot)
        await pilot.press("F")
        burst(pilot.app, *"zip", "enter")
        await shown(pilot, "zip 1 of 1")


async def test_a_file_is_exported_under_the_name_typed_before_enter(workspace, write_rows):
    write_rows(tickets())
    async with app_on(workspace, "data").run_test(size=SIZE) as pilot:
        await data_pane(pilot)
        await pilot.press("w")
        await shown(pilot, "6 rows would be written")
        burst(pilot.app, *["backspace"] * len("clean.jsonl"), *"mine.jsonl", "enter")
        await shown(pilot, "exported")
        assert (workspace.datasets / "tickets.mine.jsonl").exists()


async def test_a_part_of_a_name_opens_its_file_though_the_list_is_slower(workspace, write_rows):
    for name in ("alpha.jsonl", "beta.jsonl", "gamma.jsonl"):
        write_rows(tickets(), name)
    app = app_on(workspace, "data")
    async with app.run_test(size=SIZE) as pilot:
        await until(pilot, lambda: not pilot.app.screen.query("#data").first().display or app.screen.desk)
        await pilot.press("ctrl+p")
        await pilot.press("escape")
        await app.action_open_dataset()
        await shown(pilot, "alpha.jsonl", "gamma.jsonl")
        burst(app, *"beta", "enter")
        await until(pilot, lambda: not app.screen.is_modal)
        await until(pilot, lambda: app.screen.desk is not None)
        assert app.screen.desk.path.name == "beta.jsonl"


async def test_a_prompt_is_sent_whole_and_with_its_line_break(workspace, engine):
    async with app_on(workspace, "chat").run_test(size=SIZE) as pilot:
        await shown(pilot, "A  base")
        await pilot.press("escape")
        burst(pilot.app, "i", *"1st", "ctrl+j", *"2nd", "enter")
        await until(pilot, lambda: engine.asked)
        assert engine.asked[0][0]["messages"] == [{"role": "user", "content": "1st\n2nd"}]
        assert "2nd" in screen_text(pilot.app)


async def test_a_note_is_typed_behind_the_key_that_asks_for_it(workspace):
    workspace.runs.mkdir()
    run = make_run(workspace, "tickets-r16", alive=False)
    async with app_on(workspace, "train").run_test(size=SIZE, notifications=True) as pilot:
        await shown(pilot, "tickets-r16")
        burst(pilot.app, "N", *"lr123", "enter")
        await shown(pilot, "tickets-r16 is noted")
        assert "lr123" in (run.path / "labels.json").read_text()

"""The shell around the panes: going places, the keys and command lists, rebinding, opening files, leaving."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from textual import events
from textual.widgets import Static

from ftui.runs.workspace import Workspace
from ftui.ui.app import FtuiApp
from ftui.ui.screens.base import PaneScreen
from ftui.ui.settings import Settings, load_settings
from tests.ui.data_rows import data_pane, row_on_disk, tickets
from tests.ui.panes import app_on, screen_text, shown, still_machine, until  # noqa: F401
from tests.ui.run_builder import finish, make_run

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.usefixtures("still_machine")
SIZE = (120, 36)


def settings_file(tmp_path: Path, text: str) -> Settings:
    """Settings as a person would have written them."""
    folder = tmp_path / "config"
    folder.mkdir(exist_ok=True)
    (folder / "settings.toml").write_text(text, encoding="utf-8")
    return load_settings()


class QuietChat(PaneScreen):
    """In the place of the Chat pane, which would start a model."""

    PANE = "chat"

    def compose_body(self):
        yield Static("quiet")


@pytest.mark.parametrize(("key", "mode"), [("1", "data"), ("2", "recipe"), ("3", "train"), ("4", "chat")])
async def test_a_digit_goes_to_its_pane_and_back(workspace, write_rows, monkeypatch, key, mode):
    monkeypatch.setitem(FtuiApp.MODES, "chat", QuietChat)
    write_rows(tickets())
    async with app_on(workspace, "data").run_test(size=SIZE, notifications=True) as pilot:
        await data_pane(pilot)
        await pilot.press(key)
        await until(pilot, lambda: pilot.app.current_mode == mode)
        await shown(pilot, "ftui  support-bot", "? keys")
        await pilot.press("1")
        await data_pane(pilot)


async def test_only_the_pane_that_is_shown_was_made(workspace):
    app = app_on(workspace, "train")
    async with app.run_test(size=SIZE) as pilot:
        await shown(pilot, "3 Train")
        assert [mode for mode, stack in app._screen_stacks.items() if stack] == ["train"]


async def test_a_click_on_a_panes_name_goes_there(workspace, write_rows):
    write_rows(tickets())
    async with app_on(workspace, "data").run_test(size=SIZE) as pilot:
        await data_pane(pilot)
        column = screen_text(pilot.app).split("\n")[0].index("3 Train")
        await pilot.click("TitleBar", offset=(column + 2, 0))
        await until(pilot, lambda: pilot.app.current_mode == "train")


async def test_question_mark_lists_the_keys_of_where_you_are(workspace, write_rows):
    write_rows(tickets())
    async with app_on(workspace, "data").run_test(size=(120, 54)) as pilot:
        await data_pane(pilot)
        await pilot.press("question_mark")
        await shown(pilot, "data.accept", "accept", "edit in $EDITOR", "ctrl+q", "Everywhere")
        await pilot.press("3")
        assert pilot.app.current_mode == "data", "a list of keys is no place to go on from"
        await pilot.press("escape")
        await until(pilot, lambda: not pilot.app.screen.is_modal)


async def test_ctrl_p_lists_what_can_be_done(workspace, write_rows):
    write_rows(tickets())
    async with app_on(workspace, "data").run_test(size=SIZE) as pilot:
        await data_pane(pilot)
        await pilot.press("ctrl+p")
        await shown(pilot, "Open a dataset", "Open a recipe", "Go to Train", "Theme", "Quit")
        await pilot.press(*"train", "enter")
        await until(pilot, lambda: pilot.app.current_mode == "train")


async def test_ctrl_p_finds_what_the_pane_can_do_now_and_does_it(workspace, write_rows):
    path = write_rows(tickets())
    async with app_on(workspace, "data").run_test(size=SIZE) as pilot:
        await data_pane(pilot)
        await pilot.press("ctrl+p", *"accept")
        await shown(pilot, "Accept", "a · data.accept")
        await pilot.press("enter")
        await shown(pilot, "2 of 6 · 1 decided")
        assert row_on_disk(path, 1).status == "accepted"
        await pilot.press("3")
        await until(pilot, lambda: pilot.app.current_mode == "train")
        await pilot.press("ctrl+p", *"stop")
        await shown(pilot, "No matches found")


async def test_the_list_of_keys_says_how_to_scroll_and_names_a_thing_once(workspace):
    workspace.runs.mkdir()
    finish(make_run(workspace, "tickets"), "finished")
    async with app_on(workspace, "train").run_test(size=(80, 24)) as pilot:
        await shown(pilot, "tickets")
        await pilot.press("question_mark")
        await shown(pilot, "↑↓ scroll · esc back")
        await pilot.resize_terminal(120, 70)
        text = await shown(pilot, "train.cursor_left", "train.cursor_right", "ctrl+q")
        assert text.count("train.zoom_in") == 1
        assert "+  =" in text
        assert "↑↓ scroll" not in text


async def test_ctrl_q_quits_at_once_even_from_a_dialog(workspace, write_rows):
    write_rows(tickets())
    app = app_on(workspace, "data")
    async with app.run_test(size=SIZE) as pilot:
        await data_pane(pilot)
        await pilot.press("o", "ctrl+q")
        await until(pilot, lambda: app._exit)


async def test_ctrl_c_says_how_to_quit_instead(workspace, write_rows):
    write_rows(tickets())
    app = app_on(workspace, "data")
    async with app.run_test(size=SIZE, notifications=True) as pilot:
        await data_pane(pilot)
        await pilot.press("ctrl+c")
        await shown(pilot, "ctrl+q")
        assert not app._exit


async def test_a_rebound_key_works_and_is_shown(workspace, write_rows, tmp_path):
    path = write_rows(tickets())
    settings = settings_file(tmp_path, '[keys]\n"data.accept" = "y"\n"pane.train" = "f3"\n')
    async with FtuiApp(workspace, settings=settings).run_test(size=SIZE, notifications=True) as pilot:
        await data_pane(pilot, "y accept")
        await pilot.press("a", "y")
        await shown(pilot, "2 of 6 · 1 decided")
        assert row_on_disk(path, 1).status == "accepted"
        await pilot.press("f3")
        await until(pilot, lambda: pilot.app.current_mode == "train")


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ('"data.acept" = "y"', ["data.acept", "did you mean", "data.accept?"]),
        ('"nonsense.id" = "y"', ["nonsense.id", "nothing is called that"]),
        ('"data.accept" = "contrl+x"', ["no key is called", "contrl+x"]),
        ('"data.accept" = "x"', ["x is now data.accept", "data.reject has lost it"]),
    ],
    ids=["misspelt", "unknown", "no such key", "taken twice"],
)
async def test_keys_that_cannot_be_used_are_reported(workspace, write_rows, tmp_path, line, words):
    write_rows(tickets())
    settings = settings_file(tmp_path, f"[keys]\n{line}\n")
    async with FtuiApp(workspace, settings=settings).run_test(size=SIZE, notifications=True) as pilot:
        await shown(pilot, "1 of 6")
        await until(pilot, lambda: all(word in told(pilot.app) for word in words))


async def test_swapped_keys_are_nothing_to_report(workspace, write_rows, tmp_path):
    path = write_rows(tickets())
    keys = (
        '"data.accept" = "x"\n"data.reject" = "a"\n"data.save_edit" = "ctrl+w"\n"data.welcome_demo" = "m"\n'
    )
    settings = settings_file(tmp_path, f"[keys]\n{keys}")
    app = FtuiApp(workspace, settings=settings)
    async with app.run_test(size=SIZE, notifications=True) as pilot:
        await data_pane(pilot)
        await pilot.press("a")
        await shown(pilot, "2 of 6 · 1 decided")
        assert row_on_disk(path, 1).status == "rejected"
        assert told(app) == ""


async def test_a_new_workspace_offers_three_ways_to_begin(tmp_path):
    app = app_on(Workspace(tmp_path / "new-bot"), "data")
    async with app.run_test(size=SIZE) as pilot:
        await shown(
            pilot, "new-bot", "Open a dataset", "Run the demo", "Look at an example", "o open a dataset"
        )
        assert not (tmp_path / "new-bot").exists(), "looking around writes nothing"


async def test_the_example_opens_from_the_welcome_with_one_key(tmp_path):
    workspace = Workspace(tmp_path / "new-bot")
    async with app_on(workspace, "data").run_test(size=SIZE) as pilot:
        await shown(pilot, "Look at an example")
        await pilot.press("e")
        await data_pane(pilot, "tickets.jsonl", "1 of 200")
        assert (workspace.datasets / "tickets.jsonl").is_file()


async def test_the_demo_is_asked_for_with_one_key(tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr(FtuiApp, "action_demo", lambda self: asked.append("demo"))
    async with app_on(Workspace(tmp_path / "new-bot"), "data").run_test(size=SIZE) as pilot:
        await shown(pilot, "Run the demo")
        await pilot.press("d")
        await until(pilot, lambda: asked)


async def test_files_lying_around_are_offered_and_opened_where_they_are(tmp_path, monkeypatch):
    here = tmp_path / "here"
    here.mkdir()
    (here / "my_data.jsonl").write_text(json.dumps({"text": "lying around"}) + "\n")
    (here / "package.json").write_text("{}")
    monkeypatch.chdir(here)
    workspace = Workspace(tmp_path / "new-bot")
    async with app_on(workspace, "data").run_test(size=SIZE) as pilot:
        text = await shown(pilot, "found nearby", "my_data.jsonl")
        assert "package.json" not in text
        await pilot.press("down", "down", "down", "enter")
        await data_pane(pilot, "my_data.jsonl", "lying around")
        await pilot.press("a")
        await until(pilot, (here / "my_data.jsonl.ftui").is_dir)
        assert not list(workspace.root.rglob("my_data*")), "it was not copied"


async def test_o_opens_by_typing_a_part_of_a_name(workspace, write_rows):
    write_rows([{"text": "the other one"}], "other.jsonl")
    write_rows(tickets())
    async with app_on(workspace, "data").run_test(size=SIZE) as pilot:
        await data_pane(pilot, "tickets.jsonl")
        for key in "ooth":
            pilot.app.post_message(events.Key(key, key))
        await shown(pilot, "other.jsonl")
        await until(pilot, lambda: len(pilot.app.screen._offered) == 1)
        await pilot.press("enter")
        await data_pane(pilot, "the other one", "1 of 1")


async def test_a_path_is_completed_folder_by_folder(workspace, write_rows, tmp_path):
    write_rows(tickets())
    folder = tmp_path / "elsewhere" / "deep"
    folder.mkdir(parents=True)
    (folder / "far.jsonl").write_text(json.dumps({"text": "from far away"}) + "\n")
    async with app_on(workspace, "data").run_test(size=SIZE) as pilot:
        await data_pane(pilot)
        await pilot.press("o")
        pilot.app.post_message(events.Paste(f"{tmp_path}/else"))
        await shown(pilot, "elsewhere/")
        await pilot.press("tab")
        await shown(pilot, "deep/")
        await pilot.press("enter")
        await shown(pilot, "far.jsonl")
        await pilot.press("enter")
        await data_pane(pilot, "from far away")


async def test_a_file_that_is_no_dataset_is_said_and_the_way_back_is_open(workspace, tmp_path):
    async with app_on(workspace, "data").run_test(size=SIZE, notifications=True) as pilot:
        await shown(pilot, "Open a dataset")
        pilot.app.open_dataset(tmp_path / "missing.jsonl")
        await until(pilot, lambda: "missing.jsonl" in told(pilot.app))
        await shown(pilot, "Look at an example")


async def test_the_file_worked_on_last_is_opened_next_time(workspace, write_rows, tmp_path):
    write_rows(tickets())
    elsewhere = tmp_path / "elsewhere.jsonl"
    elsewhere.write_text(json.dumps({"text": "opened by path"}) + "\n")
    async with app_on(workspace, "data").run_test(size=SIZE) as pilot:
        await data_pane(pilot)
        pilot.app.open_dataset(elsewhere)
        await data_pane(pilot, "opened by path")
        await until(pilot, (tmp_path / "cache" / "recent.json").exists)
        await until(pilot, lambda: str(elsewhere) in (tmp_path / "cache" / "recent.json").read_text())
    async with app_on(workspace, "data").run_test(size=SIZE) as pilot:
        await data_pane(pilot, "opened by path")


async def test_an_empty_dataset_is_said_to_be_empty(workspace, write_rows):
    write_rows([])
    async with app_on(workspace, "data").run_test(size=SIZE) as pilot:
        await shown(pilot, "no rows")
        await pilot.press("a", "x", "e", "j", "end", "u")
        await shown(pilot, "no rows")


@pytest.mark.parametrize("size", [(80, 24), (40, 10), (20, 6), (220, 60)], ids=str)
async def test_every_size_of_terminal_is_survived(workspace, write_rows, size):
    write_rows(tickets())
    async with app_on(workspace, "data").run_test(size=size) as pilot:
        await until(pilot, lambda: pilot.app.screen.facts is not None)
        await pilot.press(
            "a", "j", "tab", "down", "e", "escape", "slash", "t", "escape", "question_mark", "escape"
        )
        await pilot.resize_terminal(120, 36)
        await shown(pilot, "of 6")


def told(app: FtuiApp) -> str:
    """Everything the app has said in its corner."""
    return "\n".join(notification.message for notification in app._notifications)

"""What comes late, from a thread or a slow disk, is for whoever asked, and for nobody who has gone on since."""

from __future__ import annotations

import asyncio
import threading
from types import SimpleNamespace

import pytest
from textual import events

from ftui.core.findings import Finding
from ftui.core.recipe import Recipe
from ftui.data.dataset import Dataset
from ftui.runs.recipes import save_recipe
from ftui.runs.rundir import EventWriter
from ftui.ui import chat_asking, recipe_desk, run_facts
from ftui.ui.chat_servers import ChatServers
from ftui.ui.dataset_messages import Opened
from ftui.ui.modals.choose_key import ChooseKey
from ftui.ui.modals.confirm_stop import ConfirmStop
from ftui.ui.pulse import Pulse, PulseMessage
from ftui.ui.recipe_draft import Draft
from ftui.ui.screens import recipe_part
from ftui.ui.screens.chat import ChatRequest
from ftui.ui.screens.data_queues import QueuesCounted
from ftui.ui.widgets.field_list import FieldList
from ftui.ui.widgets.findings_list import FindingsList
from ftui.ui.widgets.reply_side import ReplySide
from ftui.ui.widgets.value_editor import ValueEditor
from tests.ui.data_rows import data_pane, row_on_disk, tickets
from tests.ui.fake_engine import FakeEngine
from tests.ui.panes import app_on, burst, screen_text, shown, still_machine, until  # noqa: F401
from tests.ui.run_builder import finish, make_run, write_steps

pytestmark = pytest.mark.usefixtures("still_machine")
SIZE = (120, 40)


@pytest.fixture
def path(workspace, write_rows):
    """A recipe on a dataset of six rows."""
    write_rows(tickets())
    path = workspace.recipes / "tickets.toml"
    save_recipe(path, Recipe().with_values({"name": "tickets", "data.train": "datasets/tickets.jsonl"}))
    return path


async def recipe_pane(pilot):
    await until(pilot, lambda: getattr(pilot.app.screen, "_around", None))
    return pilot.app.screen


def another(name: str = "other") -> recipe_desk.Opened:
    return recipe_desk.Opened(Draft.fresh(Recipe().with_values({"name": name})))


# -- the pulse --------------------------------------------------------------------------------------


async def test_figures_that_come_while_the_train_pane_comes_up_are_shown_once_it_is_there(workspace):
    workspace.runs.mkdir()
    make_run(workspace, "tickets-r16", alive=False)
    app = app_on(workspace, "data")
    async with app.run_test(size=SIZE) as pilot:
        await until(pilot, lambda: app.pulse.runs)
        app.pane("train")
        app.on_pulse_message(PulseMessage(Pulse(app.pulse.runs)))
        await shown(pilot, "tickets-r16")


# -- recipes ----------------------------------------------------------------------------------------


async def test_no_recipe_is_shown_and_no_key_is_taken_before_the_first_is_opened(
    workspace, path, monkeypatch
):
    go_on, first = threading.Event(), recipe_desk.open_first
    monkeypatch.setattr(recipe_desk, "open_first", lambda where: go_on.wait(120) and first(where))
    async with app_on(workspace, "recipe").run_test(size=SIZE, notifications=True) as pilot:
        await until(pilot, lambda: isinstance(pilot.app.focused, FieldList))
        pilot.app.screen.on_resize()
        await pilot.press("r", "f", "enter")
        text = screen_text(pilot.app)
        assert "cannot run" not in text
        assert "untitled" not in text
        go_on.set()
        await shown(pilot, "recipes/tickets.toml")


async def test_a_slow_file_does_not_take_the_place_of_one_opened_after_it(workspace, path, monkeypatch):
    async with app_on(workspace, "recipe").run_test(size=SIZE) as pilot:
        pane = await recipe_pane(pilot)
        begun, told = [], []
        with monkeypatch.context() as patch:
            patch.setattr(pane, "run_worker", lambda work, **_: begun.append(work))
            pane.open_recipe(path)
            patch.setattr(pane, "post_message", told.append)
            patch.setattr(recipe_part, "get_current_worker", lambda: SimpleNamespace(is_cancelled=True))
            begun[0]()  # it is through when something else was asked for
            assert not told
            patch.setattr(recipe_part, "get_current_worker", lambda: SimpleNamespace(is_cancelled=False))
            begun[0]()
        assert [message.draft.path for message in told] == [path]


def at_work(pane, group: str) -> bool:
    return any(worker.group == group and not worker.is_finished for worker in pane.workers)


async def test_a_recipe_that_is_saved_late_does_not_give_its_file_to_the_next(workspace, path):
    async with app_on(workspace, "recipe").run_test(size=SIZE, notifications=True) as pilot:
        pane = await recipe_pane(pilot)
        pane.change({"adapter.rank": 8})
        late = recipe_desk.Saved(path, path.read_text(), pane.draft.recipe, None)
        late.draft = pane.draft
        pane.take_opened(another())
        pane.take_saved(late)
        assert pane.draft.path is None
        await shown(pilot, "other, new", "saved tickets.toml")


async def test_another_recipe_s_conflict_is_said_and_not_asked_about(workspace, path):
    async with app_on(workspace, "recipe").run_test(size=SIZE, notifications=True) as pilot:
        pane = await recipe_pane(pilot)
        pane.change({"adapter.rank": 8})
        path.write_text(path.read_text() + "\n# theirs\n")
        pane._save_to(path, pane.draft.text)
        pane.take_opened(another())
        await shown(pilot, "the file has changed since you opened it")
        assert not pane.asking


async def test_a_recipe_that_is_opened_closes_what_was_begun_on_the_last(workspace, path):
    async with app_on(workspace, "recipe").run_test(size=SIZE, notifications=True) as pilot:
        pane = await recipe_pane(pilot)
        pane.query_one(FieldList).go("adapter.rank")
        await pilot.press("enter")
        pane.take_opened(another())
        assert not pane.query_one(ValueEditor).is_open
        await pilot.press("n")
        assert pane.asking
        pane.take_opened(another("third"))
        assert not pane.asking
        assert isinstance(pilot.app.focused, FieldList)


async def test_a_list_of_recipes_is_not_opened_over_something_else(workspace, path):
    async with app_on(workspace, "recipe").run_test(size=SIZE) as pilot:
        pane = await recipe_pane(pilot)
        app = pilot.app
        listed = recipe_desk.list_for("preset", workspace)
        pane.choose_listed(listed)
        pane.choose_listed(listed)
        assert len(app.screen_stack) == 2
        await pilot.press("escape")
        await pilot.press("1")
        pane.choose_listed(listed)
        assert len(app.screen_stack) == 1


async def test_a_run_that_starts_late_does_not_take_the_user_away(workspace, path):
    workspace.runs.mkdir()
    run = make_run(workspace, "tickets-r16")
    async with app_on(workspace, "recipe").run_test(size=SIZE, notifications=True) as pilot:
        pane = await recipe_pane(pilot)
        await pilot.press("1")
        pane.take_launched(recipe_desk.Launched(run, ""))
        assert pilot.app.current_mode == "data"
        await shown(pilot, f"{run.id} is training in the background")


async def test_the_cursor_stays_on_its_finding_when_others_come_above_it(workspace, path):
    mine, new = Finding("adapter.rank", "hint", "small"), Finding("data.train", "error", "gone")
    async with app_on(workspace, "recipe").run_test(size=SIZE) as pilot:
        await recipe_pane(pilot)
        findings = pilot.app.screen.query_one(FindingsList)
        findings.focus()
        await until(pilot, lambda: findings.has_focus)
        findings.show([mine])
        findings.show([new, mine])
        assert findings.cursor == 1


# -- runs -------------------------------------------------------------------------------------------


@pytest.fixture
def two_runs(workspace):
    """A failed run with checkpoints, and one before it that was stopped."""
    workspace.runs.mkdir()
    stopped = make_run(workspace, "stopped", age=900, alive=False)
    finish(stopped, "stopped", ago=800)
    failed = make_run(workspace, "failed", age=90, alive=False)
    with EventWriter(failed, 1) as writer:
        write_steps(writer, 1, 20, 600)
        writer.emit("checkpoint", step=20)
    finish(failed, "failed", reason="out of memory", ago=80)
    return failed, stopped


async def test_what_is_said_of_one_run_is_not_done_to_the_next(workspace, two_runs, monkeypatch):
    async with app_on(workspace, "train").run_test(size=SIZE) as pilot:
        await shown(pilot, "step 20", "out of memory")
        pane = pilot.app.screen
        done = []
        monkeypatch.setattr(pane, "action_resume", lambda: done.append(1))
        monkeypatch.setattr(pane, "_tick", lambda: None)  # the next run is not read yet
        assert pane.can_act("remedy")
        await pilot.press("down")
        assert pane._chosen().name == "stopped"
        assert not pane.can_act("remedy")
        pane.action_remedy()
        assert not done


async def test_a_run_that_was_not_read_yet_is_not_said_to_have_no_checkpoint(
    workspace, two_runs, monkeypatch
):
    async with app_on(workspace, "train").run_test(size=SIZE) as pilot:
        await shown(pilot, "step 20")
        pane = pilot.app.screen
        monkeypatch.setattr(pane, "_tick", lambda: None)
        await pilot.press("down")
        pane.action_stop(now=True)
        assert isinstance(pilot.app.screen, ConfirmStop)
        assert "goes on from its last checkpoint" in pilot.app.screen._question().plain


async def test_details_that_come_late_are_shown_once_and_only_where_they_were_asked_for(workspace, two_runs):
    async with app_on(workspace, "train").run_test(size=SIZE) as pilot:
        await shown(pilot, "step 20")
        pane, app = pilot.app.screen, pilot.app
        run, facts = pane._chosen(), run_facts.RunFacts((), "")
        pane._show_details(run, facts)
        pane._show_details(run, facts)
        assert len(app.screen_stack) == 2
        await pilot.press("escape", "down")
        pane._show_details(run, facts)
        assert len(app.screen_stack) == 1
        await pilot.press("up", "1")
        pane._show_details(run, facts)
        assert len(app.screen_stack) == 1


async def test_a_piece_of_the_log_that_comes_late_is_not_shown_over_a_later_one(workspace, monkeypatch):
    workspace.runs.mkdir()
    run = make_run(workspace, "tickets-r16", alive=False)
    run.log_path.write_text("".join(f"line {n}\n" for n in range(9000)))
    from ftui.runs import log_reading

    go_on, real, asked = threading.Event(), log_reading.read_around, []

    def read_around(path, at):
        asked.append(at)
        if len(asked) == 1:
            assert go_on.wait(120)
        return real(path, at)

    monkeypatch.setattr(log_reading, "read_around", read_around)
    async with app_on(workspace, "train").run_test(size=SIZE) as pilot:
        await shown(pilot, "line 8999")
        pane = pilot.app.screen
        pane._read_piece(run.log_path, 0, "", 0)
        await until(pilot, lambda: asked)
        pane._read_piece(run.log_path, len("line 1000\n") * 5000, "", 0)
        await shown(pilot, "line 51")
        go_on.set()
        await until(pilot, lambda: not at_work(pane, "log piece"))
        await pilot.pause()
        assert "line 51" in screen_text(pilot.app)


# -- the chat ---------------------------------------------------------------------------------------


async def test_whom_there_is_does_not_take_the_seats_of_whom_was_asked_for(workspace, monkeypatch):
    engine = FakeEngine({"base": "hello"})
    monkeypatch.setattr(chat_asking, "ChatServers", lambda: ChatServers(start=engine.serve))
    async with app_on(workspace, "chat").run_test(size=SIZE) as pilot:
        await shown(pilot, "A  base")
        pane = pilot.app.screen
        seat = pane._seat_default()  # asked for when nobody was seated, and begun when somebody is
        pane.open_chat(ChatRequest("mine", ("/somewhere/adapter",)))
        await until(pilot, lambda: len(pane.query(ReplySide)) == 2)
        await seat
        assert [row.side.base for row in pane.query(ReplySide)] == ["mine", "mine"]


# -- datasets ---------------------------------------------------------------------------------------


@pytest.fixture
def disk(monkeypatch) -> threading.Event:
    """A disk that writes no decision before it is set."""
    disk, write = threading.Event(), Dataset.annotate_each
    monkeypatch.setattr(Dataset, "annotate_each", lambda *given: disk.wait(120) and write(*given))
    return disk


async def test_a_decision_is_changed_before_the_disk_has_it(workspace, write_rows, disk):
    path = write_rows(tickets())
    disk.set()
    async with app_on(workspace, "data").run_test(size=SIZE) as pilot:
        await data_pane(pilot)
        await pilot.press("a", "up")
        await shown(pilot, "1 of 6 · 1 decided")
        disk.clear()
        await pilot.press("x", "up", "a", "up")
        disk.set()
        await until(pilot, lambda: len(list(Dataset.open(path, who="tom").log())) == 3)
        assert row_on_disk(path, 1).status == "accepted"


async def test_a_match_asked_for_before_the_matches_are_known_is_gone_to(workspace, write_rows, monkeypatch):
    write_rows(tickets() * 3)
    go_on, search = threading.Event(), Dataset.search
    monkeypatch.setattr(Dataset, "search", lambda *given, **how: go_on.wait(120) and search(*given, **how))
    async with app_on(workspace, "data").run_test(size=SIZE) as pilot:
        await data_pane(pilot)
        await pilot.press("slash", *"boots", "enter", "enter")
        await shown(pilot, "searching")
        go_on.set()
        await shown(pilot, "10 of 18 · match 2 of 3")


async def test_a_rating_goes_to_the_row_it_was_asked_for(workspace, write_rows):
    path = write_rows(tickets())
    async with app_on(workspace, "data").run_test(size=SIZE) as pilot:
        pane = await data_pane(pilot)
        await pilot.press("down", "r")
        pane.rows.cursor = 5  # as an undo does, once it is written
        await pilot.press("4")
        await until(pilot, lambda: row_on_disk(path, 2).rating == 4)
        assert row_on_disk(path, 5).rating is None


async def test_an_edit_goes_to_the_row_whose_text_was_opened(workspace, write_rows):
    path = write_rows(tickets())
    async with app_on(workspace, "data").run_test(size=SIZE, notifications=True) as pilot:
        pane = await data_pane(pilot, "row 1")
        make_room = pane._make_room

        async def slowly():
            editor = await make_room()
            pane.rows.cursor = 5  # as an undo does, once it is written
            return editor

        pane._make_room = slowly
        await pilot.press("e")
        assert pane.editing
        await pilot.press("exclamation_mark", "ctrl+s")
        await until(pilot, lambda: row_on_disk(path, 1).edited)
        assert not row_on_disk(path, 5).edited


async def test_a_row_that_was_replaced_on_the_page_is_not_edited(workspace, write_rows):
    write_rows(tickets())
    async with app_on(workspace, "data").run_test(size=SIZE, notifications=True) as pilot:
        pane = await data_pane(pilot, "row 1")
        make_room = pane._make_room

        async def slowly():
            editor = await make_room()
            pane.rows.cursor = 5
            while pane.example.row.number != 5:
                await asyncio.sleep(0)
            return editor

        pane._make_room = slowly
        await pilot.press("e")
        await shown(pilot, "another row is shown by now")
        assert not pane.editing


async def test_a_dataset_opened_before_this_one_closes_nothing_of_it(workspace, write_rows):
    write_rows(tickets(), "first.jsonl")
    path = write_rows(tickets())
    app = app_on(workspace, "data")
    app.dataset_to_open = workspace.datasets / "first.jsonl"
    async with app.run_test(size=SIZE) as pilot:
        pane = await data_pane(pilot, "first.jsonl")
        late = Opened(pane.desk, pane.facts, [])
        pane.open_dataset(path)
        await data_pane(pilot, "tickets.jsonl")
        await pilot.press("c")
        await shown(pilot, "checks")
        stop = pane._stop
        pane.post_message(late)
        await pilot.pause()
        await until(pilot, pane._message_queue.empty)
        assert pane.checks is not None
        assert not stop.is_set()


async def test_counts_of_the_queues_are_not_shown_in_another_dialog(workspace, write_rows):
    write_rows(tickets())
    async with app_on(workspace, "data").run_test(size=SIZE) as pilot:
        pane = await data_pane(pilot)
        await pilot.press("Q")
        queues = pilot.app.screen
        await pilot.press("escape", "B")
        await until(pilot, lambda: isinstance(pilot.app.screen, ChooseKey))
        pane.show_queue_counts(QueuesCounted(pane.desk, queues, dict.fromkeys("uaxfecbd", 3), None))
        await shown(pilot, "undecided again", "take the flag away")


async def test_a_key_that_comes_when_a_dialog_is_gone_is_no_fault(workspace, write_rows):
    write_rows(tickets())
    async with app_on(workspace, "data").run_test(size=SIZE) as pilot:
        await data_pane(pilot)
        await pilot.press("Q")
        dialog = pilot.app.screen
        dialog.on_key(events.Key("a", "a"))
        dialog.on_key(events.Key("a", "a"))
        burst(pilot.app, "j")
        await shown(pilot, "2 of 6")

"""Editing a row in the Data pane: in place, in $EDITOR, and what happens to typed text when something fails."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest
from textual import events

from ftui.data import pointers
from tests.ui.capture import HOSTILE
from tests.ui.data_rows import data_pane, row_on_disk, ticket, tickets
from tests.ui.panes import app_on, shown, still_machine, until  # noqa: F401
from tests.ui.test_data_pane import burst

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.usefixtures("still_machine")
SIZE = (120, 36)
PRIVATE_USE = "\U000f001b"


async def test_e_opens_the_answer_in_place_and_ctrl_s_saves_it(workspace, write_rows):
    path = write_rows(tickets())
    async with app_on(workspace, "data").run_test(size=SIZE, notifications=True) as pilot:
        await data_pane(pilot)
        await pilot.press("e", *"est")
        text = await shown(pilot, "Priority: Highest", "ctrl+s save")
        assert "Where is my order #4417?" in text, "the question stays in sight"
        await pilot.press("ctrl+s")
        await shown(pilot, "edited by mira, just now", "a accept")
        assert row_on_disk(path, 1).value["messages"][1]["content"].endswith("Priority: Highest")
        assert '"Priority: Highest"' not in path.read_text(), "the source is never written"


async def test_text_typed_in_one_burst_with_e_is_text_and_no_commands(workspace, write_rows):
    path = write_rows(tickets())
    app = app_on(workspace, "data")
    async with app.run_test(size=SIZE, notifications=True) as pilot:
        await data_pane(pilot)
        burst(app, "jexa13 fu")
        await shown(pilot, "Priority: Mediumxa13 fu")
        await pilot.press("ctrl+s")
        await until(pilot, lambda: row_on_disk(path, 2).edited)
        assert row_on_disk(path, 2).status == "undecided"


async def test_esc_leaves_at_once_when_nothing_changed_and_asks_when_something_did(workspace, write_rows):
    path = write_rows(tickets())
    async with app_on(workspace, "data").run_test(size=SIZE, notifications=True) as pilot:
        pane = await data_pane(pilot)
        await pilot.press("e", "escape")
        await until(pilot, lambda: not pane.editing)
        await pilot.press("e", "!", "escape")
        await shown(pilot, "the edit is not saved", "discard it")
        await pilot.press("escape")
        await shown(pilot, "High!", "ctrl+s save")
        await pilot.press("?", "escape", "d")
        await until(pilot, lambda: not pane.editing)
        await pilot.press("e", "!", "escape", "s")
        await shown(pilot, "edited by mira")
        assert row_on_disk(path, 1).value["messages"][1]["content"].endswith("High!")


async def test_any_field_can_be_chosen_and_edited(workspace, write_rows):
    path = write_rows(tickets())
    async with app_on(workspace, "data").run_test(size=SIZE, notifications=True) as pilot:
        await data_pane(pilot)
        await pilot.press("tab", "up", "e", *" Thanks", "ctrl+s")
        await until(pilot, lambda: row_on_disk(path, 1).edited)
        assert row_on_disk(path, 1).value["messages"][0]["content"].endswith("Friday. Thanks")


@pytest.mark.parametrize(
    ("row", "keys", "pointer", "value"),
    [
        ({"instruction": "Ask", "input": "Context", "output": "Answer"}, ["up"], "/input", "Context!"),
        ({"instruction": "Ask", "input": "Context", "output": "Answer"}, ["up", "up"], "/instruction", "Ask!"),
        ({"instruction": "Ask", "input": "", "output": "Answer"}, [], "/output", "Answer!"),
        (
            {"conversations": [{"from": "human", "value": "Hi"}, {"from": "gpt", "value": "Hi"}]},
            [], "/conversations/1/value", "Hi!",
        ),
        ({"prompt": "Q", "chosen": "same", "rejected": "same"}, ["down"], "/rejected", "same!"),
        ({"prompt": "Q", "completion": "A", "label": True}, ["up"], "/prompt", "Q!"),
        ({"text": "one text"}, [], "/text", "one text!"),
        ({"messages": [{"role": "user", "content": "user"}]}, [], "/messages/0/content", "user!"),
        ({"a/b": {"messages": 1}, "text": "t"}, [], "/text", "t!"),
    ],
)  # fmt: skip
async def test_an_edit_goes_to_the_place_it_was_read_from(workspace, write_rows, row, keys, pointer, value):
    path = write_rows([row])
    async with app_on(workspace, "data").run_test(size=SIZE, notifications=True) as pilot:
        await data_pane(pilot)
        await pilot.press("tab", *keys, "e", "!", "ctrl+s")
        await until(pilot, lambda: row_on_disk(path, 1).edited)
        assert pointers.get(row_on_disk(path, 1).value, pointer) == value
        changed = [key for key in row if row_on_disk(path, 1).value[key] != row[key]]
        assert len(changed) == 1


async def test_tool_calls_are_edited_as_json_and_not_saved_while_they_are_none(workspace, write_rows):
    call = {"id": "c1", "type": "function", "function": {"name": "lookup", "arguments": "{}"}}
    path = write_rows([{"messages": [{"role": "assistant", "content": None, "tool_calls": [call]}]}])
    async with app_on(workspace, "data").run_test(size=SIZE, notifications=True) as pilot:
        await data_pane(pilot)
        await pilot.press("e")
        await shown(pilot, '"name": "lookup"')
        await pilot.press("backspace", "ctrl+s")
        await shown(pilot, "this is not JSON yet", "your text is kept", "ctrl+s save")
        await pilot.press("right_square_bracket", "ctrl+s")
        await shown(pilot, "a accept")
        assert not row_on_disk(path, 1).edited, "it came back to what it was"


async def test_a_broken_row_is_mended_as_text(workspace, write_rows):
    path = write_rows([b'{"text": "no end'])
    async with app_on(workspace, "data").run_test(size=SIZE, notifications=True) as pilot:
        await shown(pilot, "broken row", "1 of 1")
        await pilot.press("e", '"', "}", "ctrl+s")
        await shown(pilot, "row 1 · text", "edited by mira")
        assert row_on_disk(path, 1).value == {"text": "no end"}


async def test_what_has_no_place_of_its_own_is_edited_as_the_whole_row(workspace, write_rows):
    path = write_rows([{"sku": 12, "nested": {"colour": "red"}}])
    async with app_on(workspace, "data").run_test(size=SIZE, notifications=True) as pilot:
        await shown(pilot, "of no known shape")
        await pilot.press("e", "ctrl+home", "down", "end", "left", "3", "ctrl+s")
        await until(pilot, lambda: row_on_disk(path, 1).edited)
        assert row_on_disk(path, 1).value == {"sku": 123, "nested": {"colour": "red"}}


async def test_what_cannot_be_written_stays_in_the_editor(workspace, write_rows, monkeypatch):
    path = write_rows(tickets())
    async with app_on(workspace, "data").run_test(size=SIZE, notifications=True) as pilot:
        pane = await data_pane(pilot)
        await pilot.press("e", *"est")
        with monkeypatch.context() as broken:
            broken.setattr("ftui.data.journal.os.write", lambda _fd, data: len(data) // 2)
            await pilot.press("ctrl+s")
            await shown(pilot, "not saved", "Highest", "ctrl+s save")
        assert pane.editing
        await pilot.press("ctrl+s")
        await until(pilot, lambda: not pane.editing)
        assert row_on_disk(path, 1).value["messages"][1]["content"].endswith("Highest")


async def test_hostile_text_goes_through_the_editor_unchanged(workspace, write_rows):
    text = HOSTILE.replace("\ud800", "") + "\x0c\x1c\x85 line\nlast"
    path = write_rows([ticket("Q", text)])
    async with app_on(workspace, "data").run_test(size=SIZE, notifications=True) as pilot:
        await data_pane(pilot)
        await pilot.press("e", "!", "ctrl+s")
        await until(pilot, lambda: row_on_disk(path, 1).edited)
        assert row_on_disk(path, 1).value["messages"][1]["content"] == text + "!"


async def test_text_the_editor_cannot_hold_is_offered_to_another(workspace, write_rows):
    write_rows([ticket("Q", f"a private {PRIVATE_USE} letter")])
    async with app_on(workspace, "data").run_test(size=SIZE, notifications=True) as pilot:
        pane = await data_pane(pilot)
        await pilot.press("e")
        await shown(pilot, "press E")
        assert not pane.editing


async def test_a_pasted_text_is_taken_whole(workspace, write_rows):
    path = write_rows(tickets())
    async with app_on(workspace, "data").run_test(size=SIZE, notifications=True) as pilot:
        await data_pane(pilot)
        await pilot.press("e", "ctrl+home")
        pilot.app.post_message(events.Paste("one\r\ntwo\x1b[2J\u2028"))
        await shown(pilot, "two␛[2J")
        await pilot.press("ctrl+s")
        await until(pilot, lambda: row_on_disk(path, 1).edited)
        assert row_on_disk(path, 1).value["messages"][1]["content"].startswith("one\ntwo\x1b[2J\u2028Issue")


async def test_quitting_with_an_unsaved_edit_asks_once(workspace, write_rows):
    write_rows(tickets())
    app = app_on(workspace, "data")
    async with app.run_test(size=SIZE, notifications=True) as pilot:
        await data_pane(pilot)
        await pilot.press("e", "!", "ctrl+q")
        await shown(pilot, "row 1 has an edit that is not saved")
        assert app.is_running
        await pilot.press("ctrl+q")
        await until(pilot, lambda: app._exit)


async def test_opening_another_file_does_not_throw_an_edit_away(workspace, write_rows):
    other = write_rows([{"text": "another"}], "other.jsonl")
    write_rows(tickets())
    app = app_on(workspace, "data")
    async with app.run_test(size=SIZE, notifications=True) as pilot:
        await data_pane(pilot)
        await pilot.press("e", "!")
        app.open_dataset(other)
        await shown(pilot, "row 1 has an edit that is not saved", "High!")


def editor_script(folder: Path, program: str) -> str:
    """A command that runs `program` on the file it is given, as `path`."""
    script = folder / "editor.py"
    script.write_text(f"import sys, pathlib\npath = pathlib.Path(sys.argv[1])\n{program}\n", encoding="utf-8")
    return f"{sys.executable} {script}"


@pytest.fixture
def lendable(monkeypatch):
    """A terminal that can be lent to another program."""
    monkeypatch.setattr("textual.drivers.headless_driver.HeadlessDriver.can_suspend", True)
    for name in ("suspend_application_mode", "resume_application_mode"):
        monkeypatch.setattr(f"textual.drivers.headless_driver.HeadlessDriver.{name}", lambda self: None)


@pytest.mark.usefixtures("lendable")
async def test_capital_e_edits_the_field_in_the_users_editor(workspace, write_rows, tmp_path, monkeypatch):
    path = write_rows(tickets())
    program = "text = path.read_text()\npath.write_text(text.replace('High', 'Low') + chr(10))"
    monkeypatch.setenv("EDITOR", editor_script(tmp_path, program))
    async with app_on(workspace, "data").run_test(size=SIZE, notifications=True) as pilot:
        pane = await data_pane(pilot)
        await pilot.press("E")
        await until(pilot, lambda: row_on_disk(path, 1).edited and not pane.editing)
        content = row_on_disk(path, 1).value["messages"][1]["content"]
        assert content == tickets()[0]["messages"][1]["content"].replace("High", "Low")


@pytest.mark.usefixtures("lendable")
async def test_an_editor_that_changes_nothing_writes_nothing(workspace, write_rows, tmp_path, monkeypatch):
    path = write_rows(tickets())
    monkeypatch.setenv("EDITOR", editor_script(tmp_path, "pass"))
    async with app_on(workspace, "data").run_test(size=SIZE, notifications=True) as pilot:
        pane = await data_pane(pilot)
        await pilot.press("E", "j")
        await shown(pilot, "2 of 6")
        assert not pane.editing
        assert not path.with_name("tickets.jsonl.ftui").exists() or not row_on_disk(path, 1).edited


@pytest.mark.usefixtures("lendable")
async def test_an_editor_that_fails_changes_nothing_and_is_said(workspace, write_rows, tmp_path, monkeypatch):
    path = write_rows(tickets())
    monkeypatch.setenv("EDITOR", editor_script(tmp_path, "path.write_text('lost')\nsys.exit(3)"))
    async with app_on(workspace, "data").run_test(size=SIZE, notifications=True) as pilot:
        await data_pane(pilot)
        await pilot.press("E")
        await shown(pilot, "ended with 3", "nothing was changed")
        assert not row_on_disk(path, 1).edited


async def test_a_terminal_that_cannot_be_lent_says_so(workspace, write_rows):
    write_rows(tickets())
    async with app_on(workspace, "data").run_test(size=SIZE, notifications=True) as pilot:
        await data_pane(pilot)
        await pilot.press("E")
        await shown(pilot, "cannot be lent", "press e")

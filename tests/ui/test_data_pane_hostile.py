"""A dataset made to attack the terminal: every byte the Data pane sends is looked at."""

from __future__ import annotations

import pytest
from textual import events

from tests.ui.capture import HOSTILE, assert_harmless, capture, output_of
from tests.ui.data_rows import data_pane, ticket
from tests.ui.panes import app_on, shown, still_machine, until  # noqa: F401

pytestmark = pytest.mark.usefixtures("still_machine")


def hostile_rows():
    """Every shape, every field, keys included, broken rows too."""
    call = {
        "id": HOSTILE,
        "type": "function",
        "function": {"name": HOSTILE, "arguments": f'{{"a": "{HOSTILE}"}}'},
    }
    tool = {"type": "function", "function": {"name": HOSTILE, "description": HOSTILE}}
    turns = [
        {"role": "system", "content": HOSTILE},
        {"role": HOSTILE, "content": HOSTILE},
        {"role": "assistant", "content": None, "tool_calls": [call], "reasoning": HOSTILE},
        {"role": "tool", "content": HOSTILE, "name": HOSTILE},
    ]
    return [
        ticket(HOSTILE, HOSTILE),
        {"messages": turns, "tools": [tool]},
        {"prompt": HOSTILE, "chosen": HOSTILE, "rejected": HOSTILE},
        {"text": HOSTILE},
        {HOSTILE: {HOSTILE: [HOSTILE]}},
        b'{"text": "' + HOSTILE.encode("utf-8", "surrogatepass"),
        b"\x1b]52;c;aGVsbG8=\x07 \xff\x9b31m [/INST]",
        {"messages": [{"role": "user", "content": "x", "tool_calls": HOSTILE}], "tools": HOSTILE},
    ]


@pytest.mark.parametrize("size", [(120, 36), (80, 24)], ids=["wide", "narrow"])
async def test_no_control_byte_of_a_dataset_reaches_the_terminal(workspace, write_rows, size):
    rows = hostile_rows()
    write_rows(rows, "evil \x1b]52;c;aGk=\x07[INST]\u202e.jsonl")
    app = capture(app_on(workspace, "data"))
    async with app.run_test(headless=False, size=size, notifications=True) as pilot:
        pane = await data_pane(pilot)
        for number in range(1, len(rows) + 1):
            await until(pilot, lambda number=number: pane.example.row and pane.example.row.number == number)
            await pilot.press("tab", "down", "down", "up", "tab")
            await pilot.press("e")
            await pilot.pause()
            await pilot.press("escape")
            await until(pilot, lambda: not pane.editing)
            await pilot.press("j")
        # What other annotators wrote is as untrusted as the data.
        for key in ("n", "t"):
            await pilot.press(key)
            app.post_message(events.Paste(HOSTILE))
            await pilot.pause()
            await pilot.press("enter")
        await until(pilot, lambda: pane.example.row.note and pane.example.row.tags)
        await pilot.press("tab", "end")
        await shown(pilot, "tags", "note")
        await pilot.press("tab")
        await pilot.press("n", "escape", "t", "[", "escape")
        await pilot.press("slash")
        app.post_message(events.Paste("[bold]\x1b[2J"))
        await shown(pilot, "[bold]")
        await pilot.press("enter", "escape", "u")
        await shown(pilot, "undid")
        await pilot.press("o")
        await shown(pilot, "open a dataset", "evil ")
        await pilot.press("escape")
        assert_harmless(output_of(app))


async def test_what_is_hostile_is_seen_and_not_swallowed(workspace, write_rows):
    write_rows([ticket(HOSTILE, "fine")])
    async with app_on(workspace, "data").run_test(size=(120, 36)) as pilot:
        await shown(pilot, "[/INST] [bold]<s>[INST] ␛[5;35;9mESC", "␀NUL", "⟨202E⟩RTL", "⟨D800⟩", "a⟨200B⟩b")

"""Pictures of the Data pane: what changes in them, changes for everybody who looks at it all day."""

from __future__ import annotations

import pytest

from ftui.data import actions
from ftui.data.dataset import Dataset
from ftui.runs.workspace import Workspace
from tests.ui.data_rows import ticket, tickets
from tests.ui.panes import app_on, shown, still_machine  # noqa: F401

pytestmark = pytest.mark.usefixtures("still_machine")
SIZES = pytest.mark.parametrize("size", [(80, 24), (120, 40)], ids=["80x24", "120x40"])

BROKEN = (
    b'{"messages": [{"role": "user", "content": "Order 10911. Guidebook: pages 81 to 96 are in there twice'
)
CALL = {
    "id": "c1",
    "type": "function",
    "function": {"name": "lookup_order", "arguments": '{"order": "4417"}'},
}
TOOL = {
    "type": "function",
    "function": {
        "name": "lookup_order",
        "description": "Where a parcel is.",
        "parameters": {"type": "object", "properties": {"order": {"type": "string"}}},
    },
}
TOOLS = {
    "tools": [TOOL],
    "messages": [
        {"role": "system", "content": "You are the support desk of Orbit Outfitters."},
        {"role": "user", "content": "Where is order 4417?"},
        {"role": "assistant", "content": None, "tool_calls": [CALL]},
        {"role": "tool", "tool_call_id": "c1", "content": '{"status": "in Leeds"}'},
        {"role": "assistant", "content": "It is in Leeds and will be with you tomorrow."},
    ],
}
PAIR = {
    "prompt": "Which is warmer: two thin fleeces or one down jacket?",
    "chosen": "One down jacket: it holds more still air for its weight. Two fleeces win only when it is wet.",
    "rejected": "It depends on many factors. Both are great products, and you should consult an expert.",
}


@SIZES
def test_picture_of_a_dataset_at_work(workspace, write_rows, snap_compare, size):
    rows = [*tickets(), ticket("My flask doesn't keep anything warm.", ""), BROKEN, TOOLS, PAIR, {"sku": 12}]
    path = write_rows(rows)
    with Dataset.open(path) as dataset:
        for number, action in [
            (1, actions.accept()), (2, actions.accept()), (3, actions.reject()), (5, actions.flag()),
            (4, actions.rate(4)), (4, actions.tag("sizing")), (4, actions.tag("exchange")),
            (4, actions.note("confirm 43.5 exists in this colour")), (6, actions.delete()),
            (4, actions.set_value("/messages/1/content", "Issue: wrong size\nItem: Cairn boots, 43\nPriority: Low")),
        ]:  # fmt: skip
            dataset.annotate(number, action)

    async def ready(pilot) -> None:
        await shown(pilot, "11 · 3 decided", "RAM")
        await pilot.press("j", "j", "j")
        await shown(pilot, "row 4 ·", "edited by mira, just now")

    assert snap_compare(app_on(workspace, "data"), terminal_size=size, run_before=ready)


@SIZES
def test_picture_of_a_pair(workspace, write_rows, snap_compare, size):
    write_rows([PAIR, TOOLS])

    async def ready(pilot) -> None:
        await shown(pilot, "✓ chosen", "RAM")

    assert snap_compare(app_on(workspace, "data"), terminal_size=size, run_before=ready)


def test_picture_of_tool_calls(workspace, write_rows, snap_compare):
    write_rows([TOOLS])

    async def ready(pilot) -> None:
        await shown(pilot, "assistant calls", "RAM")
        await pilot.press("tab")
        await shown(pilot, "row 1")

    assert snap_compare(app_on(workspace, "data"), terminal_size=(120, 40), run_before=ready)


def test_picture_of_a_broken_row_being_mended(workspace, write_rows, snap_compare):
    write_rows([BROKEN, *tickets()])

    async def ready(pilot) -> None:
        await shown(pilot, "broken row", "RAM")
        await pilot.press("e")
        await shown(pilot, "ctrl+s save")
        pilot.app.screen.focused.cursor_blink = False

    assert snap_compare(app_on(workspace, "data"), terminal_size=(80, 24), run_before=ready)


@SIZES
def test_picture_of_a_new_workspace(tmp_path, monkeypatch, snap_compare, size):
    monkeypatch.chdir(tmp_path)

    async def ready(pilot) -> None:
        await shown(pilot, "Look at an example", "RAM")

    assert snap_compare(app_on(Workspace(tmp_path / "new-bot"), "data"), terminal_size=size, run_before=ready)


def test_picture_of_the_keys(workspace, write_rows, snap_compare):
    write_rows(tickets())

    async def ready(pilot) -> None:
        await shown(pilot, "of 6", "RAM")
        await pilot.press("question_mark")
        await shown(pilot, "data.accept")

    assert snap_compare(app_on(workspace, "data"), terminal_size=(120, 40), run_before=ready)

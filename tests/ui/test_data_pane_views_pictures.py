"""Pictures of filters, queues, conflicts and bulk actions."""

from __future__ import annotations

import pytest

from ftui.data import actions
from ftui.data.dataset import Dataset
from tests.ui.data_rows import tickets
from tests.ui.panes import app_on, shown, still_machine  # noqa: F401

pytestmark = pytest.mark.usefixtures("still_machine")
SIZES = pytest.mark.parametrize("size", [(80, 24), (120, 40)], ids=["80x24", "120x40"])
BROKEN = b'{"messages": [{"role": "user", "content": "cut'


@pytest.fixture
def annotated(write_rows) -> None:
    """Seven rows, decided by two people who do not always agree."""
    path = write_rows([*tickets(), BROKEN])
    mended = "Issue: wrong size\nItem: Cairn boots, {}\nPriority: Low"
    for who, done in {
        "bo": [(1, actions.accept()), (2, actions.reject()), (4, actions.reject()), (6, actions.accept()),
               (4, actions.set_value("/messages/1/content", mended.format("half a size up")))],
        "mira": [(1, actions.accept()), (2, actions.reject()), (4, actions.accept()), (3, actions.tag("test row")),
                 (5, actions.flag()), (6, actions.tag("refund")), (6, actions.rate(4)),
                 (4, actions.set_value("/messages/1/content", mended.format("43")))],
    }.items():  # fmt: skip
        with Dataset.open(path, who) as dataset:
            for number, action in done:
                dataset.annotate(number, action)


@SIZES
def test_picture_of_a_filter(workspace, annotated, snap_compare, size):
    async def ready(pilot) -> None:
        await shown(pilot, "1 of 7", "RAM")
        await pilot.press("F", *"status:accepted", "tab", "down", "down", "minus")
        await shown(pilot, "- rejected", "3 rows", "decided")

    assert snap_compare(app_on(workspace, "data"), terminal_size=size, run_before=ready)


@SIZES
def test_picture_of_a_conflict(workspace, annotated, snap_compare, size):
    async def ready(pilot) -> None:
        await shown(pilot, "1 of 7", "RAM")
        await pilot.press("Q", "c")
        await shown(pilot, "conflicts 1 of 1", "mira: Issue", "row 4 ·")

    assert snap_compare(app_on(workspace, "data"), terminal_size=size, run_before=ready)


@SIZES
def test_picture_of_the_queues(workspace, annotated, snap_compare, size):
    async def ready(pilot) -> None:
        await shown(pilot, "1 of 7", "RAM")
        await pilot.press("Q")
        await shown(pilot, "kappa")

    assert snap_compare(app_on(workspace, "data"), terminal_size=size, run_before=ready)


@SIZES
def test_picture_of_a_bulk_action_about_to_be_done(workspace, annotated, snap_compare, size):
    async def ready(pilot) -> None:
        await shown(pilot, "1 of 7", "RAM")
        await pilot.press("Q", "u")
        await shown(pilot, "undecided 1 of 3 · 3 to decide")
        await pilot.press("B", "x")
        await shown(pilot, "reject 3 rows?")

    assert snap_compare(app_on(workspace, "data"), terminal_size=size, run_before=ready)

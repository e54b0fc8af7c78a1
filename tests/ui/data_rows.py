"""Rows and readings shared by the tests of the Data pane."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ftui.data.dataset import Dataset
from tests.ui.panes import shown

if TYPE_CHECKING:
    from pathlib import Path

    from textual.pilot import Pilot

    from ftui.data.rows import Row
    from ftui.ui.screens.data import DataScreen

TICKETS = (
    ("Where is my order #4417? It was due on Friday.", "Issue: late parcel\nItem: tent\nPriority: High"),
    (
        "The zip on the Ridge 40 broke on the first day.",
        "Issue: broken zip\nItem: Ridge 40\nPriority: Medium",
    ),
    ("asdf test test", "Issue: none\nItem: none\nPriority: Low"),
    ("Can I swap the boots for half a size up?", "Issue: wrong size\nItem: Cairn boots\nPriority: Medium"),
    ("I was charged twice for the stove.", "Issue: double charge\nItem: stove\nPriority: High"),
    ("My headlamp arrived with a cracked lens.", "Issue: cracked lens\nItem: headlamp\nPriority: Medium"),
)


def ticket(question: str, answer: str) -> dict[str, Any]:
    """A row in OpenAI's messages."""
    turns = [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]
    return {"messages": turns}


def tickets() -> list[dict[str, Any]]:
    """Six rows of two turns each."""
    return [ticket(*pair) for pair in TICKETS]


def row_on_disk(path: Path, number: int) -> Row:
    """A row as anybody else would read it now, from source and journals."""
    with Dataset.open(path, who="somebody else") as dataset:
        return dataset.row(number)


async def data_pane(pilot: Pilot[Any], *words: str) -> DataScreen:
    """The Data pane once its first rows (and all of `words`) are on the screen."""
    await shown(pilot, "of ", *words)
    return pilot.app.screen  # type: ignore[return-value]

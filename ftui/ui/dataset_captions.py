"""The words in the borders of the Data pane. Pure: facts in, words out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual.content import Content

from ftui.core.text import one_line
from ftui.ui.reading import short_shape

if TYPE_CHECKING:
    from ftui.data.rows import Row, RowSummary
    from ftui.ui.dataset_messages import Facts

_STATES = {"accepted": "$good", "rejected": "$bad"}


def list_caption(
    facts: Facts,
    cursor: int,
    width: int,
    *,
    matches: str = "",
    share: float | None = None,
    pace: float | None = None,
    view: tuple[str, int, int, int | None] | None = None,
    busy: str = "",
) -> str:
    """ "5 of 12,480 · 1,204 decided · 9/min · 20 h left", as much of it as fits into `width` columns.

    matches: what a search found. share: of the index, while it grows. pace: decisions a minute. view: its
    label, where in it the cursor is, how many rows it has, and how many of them are undecided: "refunds 3 of
    41 · 39 to decide · 9/min". busy: what is under way, in the place of all that.
    """
    if not facts.rows:
        return "no rows"
    if busy:
        return one_line(busy, max(1, width))
    counts, undecided = facts.counts, facts.counts.undecided
    parts = [f"{cursor:,} of {facts.rows:,}{'' if facts.complete else '+'}"]
    if view is not None:
        label, at, many, left = view
        place = f"{at:,} of {many:,}"
        undecided = left or 0
        room = width - len(place) - 1 - len(f" · {undecided:,} to decide")
        parts = [f"{one_line(label, max(12, room))} {place}"]
    if matches:
        parts.append(matches)
    if share is not None:
        parts.append(f"indexing {share:.0%}")
    if view is not None:
        parts += [f"{undecided:,} to decide"] if undecided else []
    elif decided := counts.accepted + counts.rejected:
        parts.append(f"{decided:,} decided")
    if pace and facts.complete:
        parts.append(f"{pace:.0f}/min")
        if undecided:
            parts.append(f"{time_left(undecided / pace)} left")
    while len(text := " · ".join(parts)) > width and len(parts) > 1:
        parts.pop()
    return text


def example_caption(row: Row, summary: RowSummary | None) -> Content:
    """ "row 5 · chat, 2 turns · 131 characters · accepted"; a broken row tells its line instead."""
    parts = [f"row {row.number:,}"]
    if row.broken:
        parts.append(f"line {row.line:,}")
    elif summary is not None:
        turns = f", {summary.turns} turn{'s' if summary.turns != 1 else ''}" if summary.turns else ""
        parts += [f"{short_shape(row.shape)}{turns}", f"{summary.chars:,} characters"]
    caption = Content(" · ".join(parts))
    if row.deleted:
        caption += Content(" · ") + Content.styled("deleted", "$bad")
    elif row.status in _STATES:
        caption += Content(" · ") + Content.styled(row.status, _STATES[row.status])
    if row.flagged:
        caption += Content(" · ") + Content.styled("flagged", "$warning")
    return caption


def time_left(minutes: float) -> str:
    """How long it will take, as one says it: "35 min", "20 h", "12 days"."""
    if minutes < 90:
        return f"{max(1, round(minutes))} min"
    if minutes < 48 * 60:
        return f"{round(minutes / 60)} h"
    return f"{round(minutes / 1440)} days"

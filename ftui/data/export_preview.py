"""What an export would hold, said before it is written: exact for small files, for large ones from a look."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ftui.core.errors import FtuiError
from ftui.core.shapes_back import from_example, lost
from ftui.data.export import left_out, unfit

if TYPE_CHECKING:
    from collections.abc import Callable

    from ftui.data.dataset import Dataset
    from ftui.data.export import Plan
    from ftui.data.rows import Counts

MOST_ROWS = 2_000


@dataclass(frozen=True, slots=True)
class Preview:
    """Of the first `looked` rows: how many are written, left out and lose something, by reason.

    whole: those are all the rows there are. refused: rows that would end the export; first_refused: why.
    """

    looked: int
    rows: int
    whole: bool
    skipped: dict[str, int] = field(default_factory=dict)
    lost: dict[str, int] = field(default_factory=dict)
    refused: int = 0
    first_refused: FtuiError | None = None


def expected_rows(counts: Counts, plan: Plan) -> int:
    """About how many rows are written, from running totals; exact where no row is broken or of no shape."""
    taken = counts.accepted
    if plan.only != "accepted":
        taken += counts.undecided
    if plan.only == "all":
        taken += counts.rejected
    return max(0, taken - (counts.broken if plan.only != "accepted" else 0))


def preview(
    dataset: Dataset, plan: Plan, container: str, cancelled: Callable[[], bool], most: int = MOST_ROWS
) -> Preview | None:
    """Looks at up to `most` rows, for a thread; None when cancelled. Raises FtuiError when reading fails."""
    skipped: Counter[str] = Counter()
    losses: Counter[str] = Counter()
    rows = refused = looked = 0
    first_refused: FtuiError | None = None
    header: set[str] | None = None
    for row in dataset.rows():
        if cancelled():
            return None
        if looked >= most:
            return Preview(looked, rows, False, dict(skipped), dict(losses), refused, first_refused)
        looked += 1
        if reason := left_out(row, plan):
            skipped[reason] += 1
            continue
        try:
            value = row.value
            if plan.shape != "same" and row.example is not None:
                losses.update(lost(row.example, plan.shape))
                value = from_example(row.example, plan.shape)
            if container == "csv":
                header = _fitting(value, header)
        except FtuiError as error:
            if plan.skip_unfit:
                skipped[unfit(plan, container)] += 1
                continue
            refused += 1
            first_refused = first_refused or FtuiError(error.message, error.hint, f"row {row.number:,}")
        else:
            rows += 1
    return Preview(looked, rows, True, dict(skipped), dict(losses), refused, first_refused)


def _fitting(value: Any, header: set[str] | None) -> set[str]:
    """The columns of a CSV; raises FtuiError where `value` has no place in them."""
    if not isinstance(value, dict):
        raise FtuiError("a CSV row needs named fields", "export as .jsonl instead")
    if header is not None and (unknown := set(value) - header):
        raise FtuiError(f"it has fields the first lacks: {', '.join(sorted(unknown))}", "export as .jsonl")
    return header if header is not None else set(value)

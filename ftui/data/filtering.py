"""The rows a query asks for: first what needs no reading, then shapes, then texts, then the rows themselves."""

from __future__ import annotations

from array import array
from collections import Counter
from dataclasses import dataclass, field
from itertools import compress
from typing import TYPE_CHECKING, TypeVar

from ftui.core.errors import FtuiError
from ftui.data.annotations import RowState
from ftui.data.facts import BROKEN

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from ftui.data.dataset import Cancelled, Dataset, Progress
    from ftui.data.query import Query, Term
    from ftui.data.rows import Row, RowSummary

_R = TypeVar("_R", "Row", "RowSummary")
_BLOCK = 512  # rows read between two looks at the cancel button
_COST = {"shape": 1, "tokens": 1, "finding": 1, "text": 2, "chars": 3, "turns": 3, "role": 4}
_NOTHING = RowState(("", 0), 0)  # of a row nobody has touched

_MARKS: dict[str, Callable[[RowState], bool]] = {
    "flagged": lambda state: state.flagged,
    "edited": lambda state: bool(state.edits),
    "deleted": lambda state: state.deleted,
    "conflict": lambda state: state.conflict and not state.deleted,
    "rated": lambda state: state.rating is not None,
    "tagged": lambda state: bool(state.tags),
    "noted": lambda state: bool(state.note),
}


def matching(
    dataset: Dataset,
    query: Query,
    *,
    findings: Mapping[str, Sequence[int]] | None = None,
    lengths: Sequence[tuple[int, int]] | None = None,
    progress: Progress | None = None,
    cancelled: Cancelled | None = None,
) -> array[int] | None:
    """Numbers of the rows that `query` asks for, in order; None when cancelled.

    findings: the rows of each check that found something. lengths: (row number, tokens) of the rows that
    give tokens, once they are counted. progress gets (done, total) of whatever is slow just then.
    Raises FtuiError for a finding or lengths that are not there, and as reading rows does.
    """
    _refuse_unknown(query, findings, lengths)
    look = _Look(
        dataset, findings or {}, lengths or (), progress or (lambda *_: None), cancelled or (lambda: False)
    )
    total = dataset.find_all(look.stop)
    if any(map(_needs_shape, query.terms)):
        dataset.build(look.tell, look.stop)
    everything = int.from_bytes(b"\1" * total, "little")
    wanted = bytes(b"\1" * total)
    for term in sorted(query.terms, key=lambda term: _COST.get(term.key, _needs_shape(term))):
        if look.stop():
            return None
        having = int.from_bytes(look.rows_having(term, wanted), "little")
        wanted = (
            int.from_bytes(wanted, "little") & (everything ^ having if term.negated else having)
        ).to_bytes(total, "little")
    return None if look.stop() else _numbers(wanted)


@dataclass
class Facets:
    """What a filter can ask for here: how many rows have each value, most frequent first."""

    status: dict[str, int] = field(default_factory=dict)
    marks: dict[str, int] = field(default_factory=dict)
    tag: dict[str, int] = field(default_factory=dict)
    rating: dict[str, int] = field(default_factory=dict)
    by: dict[str, int] = field(default_factory=dict)
    shape: dict[str, int] = field(default_factory=dict)


def facets(dataset: Dataset) -> Facets:
    """From what is known already: nothing is read. Shapes are those of the rows read so far."""
    counts = dataset.counts()
    marks: Counter[str] = Counter()
    tags: Counter[str] = Counter()
    ratings: Counter[str] = Counter()
    people: Counter[str] = Counter()

    def count(state: RowState) -> bool:
        marks.update(name for name, has in _MARKS.items() if has(state))
        tags.update(state.tags)
        people.update({op.who for op in state.ops})
        if state.rating is not None:
            ratings[str(state.rating)] += 1
        return False

    dataset.decided_rows(count)
    marks[BROKEN] = counts.broken
    shapes = {name: rows for name, rows in dataset.shapes.items() if name != BROKEN}
    status = {"undecided": counts.undecided, "accepted": counts.accepted, "rejected": counts.rejected}
    order = [*_MARKS, BROKEN]
    return Facets(
        status,
        {name: marks[name] for name in sorted(order, key=order.index)},
        dict(tags.most_common()),
        dict(sorted(ratings.items(), reverse=True)),
        dict(people.most_common()),
        shapes,
    )


@dataclass(frozen=True)
class _Look:
    """One evaluation. Masks are bytes, 1 for a row that has what a term asks for, before it is negated."""

    dataset: Dataset
    findings: Mapping[str, Sequence[int]]
    lengths: Sequence[tuple[int, int]]
    tell: Progress
    stop: Cancelled

    def rows_having(self, term: Term, wanted: bytes) -> bytes:
        """The mask of a term; rows that are not `wanted` any more may be left out of it."""
        total = len(wanted)
        match term.key:
            case "shape":
                return self._shaped(term.values, total)
            case "is":
                named = [_MARKS[value] for value in term.values if value != BROKEN]
                mask = self._decided(lambda state: any(has(state) for has in named), total)
                broken = self._shaped((BROKEN,), total) if BROKEN in term.values else bytes(total)
                return bytes(map(max, mask, broken)) if BROKEN in term.values else mask
            case "finding":
                return _mask(total, (number for name in term.values for number in self.findings[name]))
            case "tokens":
                spans = term.spans()
                fitting = (
                    number for number, length in self.lengths if any(span.holds(length) for span in spans)
                )
                return _mask(total, fitting)
            case "text":
                return _mask(total, (number for text in term.values for number in self._with_text(text)))
            case "chars" | "turns":
                return self._measured(term, wanted)
            case "role":
                return self._read(wanted, self.dataset.rows_of, lambda row: _has_role(row, term.values))
        return self._decided(_judge(term), total)

    def _decided(self, judge: Callable[[RowState], bool], total: int) -> bytes:
        if not judge(_NOTHING):
            return _mask(total, self.dataset.decided_rows(judge))
        others = _mask(total, self.dataset.decided_rows(lambda state: not judge(state)))
        return others.translate(b"\1\0" + bytes(254))

    def _shaped(self, names: Sequence[str], total: int) -> bytes:
        codes, known = self.dataset.shape_codes()
        table = bytes(code < len(known) and known[code] in names for code in range(256))
        mask = bytearray(codes[:total].translate(table).ljust(total, b"\0"))
        edited = [row for row in self.dataset.decided_rows(lambda state: bool(state.edits)) if row <= total]
        for start in range(0, len(edited), _BLOCK):
            if self.stop():
                break
            for row in self.dataset.rows_of(edited[start : start + _BLOCK]):
                mask[row.number - 1] = row.shape in names
        return bytes(mask)

    def _with_text(self, text: str) -> list[int]:
        return self.dataset.search(text, text == text.lower(), progress=self.tell, cancelled=self.stop)

    def _measured(self, term: Term, wanted: bytes) -> bytes:
        spans = term.spans()
        chars = term.key == "chars"

        def fits(row: RowSummary) -> bool:
            number = row.chars if chars else row.turns
            return any(span.holds(number) for span in spans)

        return self._read(wanted, self.dataset.summaries_of, fits)

    def _read(
        self, wanted: bytes, read: Callable[[Sequence[int]], Iterable[_R]], fits: Callable[[_R], bool]
    ) -> bytes:
        """Only the rows that are still wanted are read."""
        mask, numbers = bytearray(len(wanted)), _numbers(wanted)
        for start in range(0, len(numbers), _BLOCK):
            if self.stop():
                break
            for row in read(numbers[start : start + _BLOCK]):
                mask[row.number - 1] = fits(row)
            self.tell(start, len(numbers))
        return bytes(mask)


def _judge(term: Term) -> Callable[[RowState], bool]:
    """What a term asks of a row's decisions. Deleted rows have no status: they are in no queue."""
    values = frozenset(term.values)
    match term.key:
        case "status":
            return lambda state: state.status in values and not state.deleted
        case "tag":
            return lambda state: not values.isdisjoint(state.tags)
        case "by":
            return lambda state: any(op.who in values for op in state.ops)
        case "note":
            words = [value.casefold() for value in values]
            return lambda state: any(word in state.note.casefold() for word in words)
    spans = term.spans()
    return lambda state: state.rating is not None and any(span.holds(state.rating) for span in spans)


def _has_role(row: Row, roles: Sequence[str]) -> bool:
    example = row.example
    if example is None:
        return False
    return any(turn.role in roles for turn in (*example.messages, *example.chosen, *example.rejected))


def _needs_shape(term: Term) -> bool:
    return term.key == "shape" or (term.key == "is" and BROKEN in term.values)


def _refuse_unknown(
    query: Query, findings: Mapping[str, Sequence[int]] | None, lengths: Sequence[tuple[int, int]] | None
) -> None:
    for term in query.terms:
        if term.key == "tokens" and lengths is None:
            raise FtuiError(
                "the rows' tokens are not counted yet",
                "L in the Data pane counts them; or ask for characters: chars:>2000",
                str(term),
            )
        if term.key == "finding":
            if findings is None:
                raise FtuiError("the checks have not run yet", "c in the Data pane runs them", str(term))
            for name in term.values:
                if name not in findings:
                    found = ", ".join(findings) or "nothing"
                    raise FtuiError(f"no check has found {name!r} here", f"found: {found}", str(term))


def _mask(total: int, numbers: Iterable[int]) -> bytes:
    mask = bytearray(total)
    for number in numbers:
        if number <= total:
            mask[number - 1] = 1
    return bytes(mask)


def _numbers(mask: bytes) -> array[int]:
    return array("I", compress(range(1, len(mask) + 1), mask))

"""What the field mapper is about to say: which field is the question, which the answer, or which shape the rows are.

Pure: rows that were looked at in, a mapping out.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from ftui.core import shapes
from ftui.core.errors import FtuiError
from ftui.core.shapes_mapping import FORCED, TARGETS, FieldMap, parse
from ftui.core.shapes_survey import FoundField, guess, survey, turn_words

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ftui.data.dataset import Dataset
    from ftui.data.rows import Row

LOOKED_AT = 100  # rows
_MOST_BYTES = 4 << 20  # of rows looked at together
FIELDS, AS_THEY_LOOK = "fields", "as they look"
WAYS = (FIELDS, AS_THEY_LOOK, *FORCED)
KEYS = {
    "prompt": "p", "completion": "c", "system": "s", "messages": "m", "text": "t", "chosen": "+",
    "rejected": "-", "label": "l", "tools": "o",
}  # fmt: skip

# What a target cannot stand beside.
_APART = {
    "prompt": {"messages", "text"},
    "completion": {"messages", "text", "chosen", "rejected"},
    "system": {"text"},
    "messages": {"prompt", "completion", "text", "chosen", "rejected"},
    "text": set(TARGETS) - {"text"},
    "chosen": {"completion", "messages", "text", "label"},
    "rejected": {"completion", "messages", "text", "label"},
    "label": {"text", "chosen", "rejected"},
    "tools": {"text"},
}


@dataclass(frozen=True, slots=True)
class Looked:
    """Rows that were looked at. row: the one under the cursor; votes: all rows by the shape they have by themselves;
    mapping: how they are read now."""

    rows: tuple[Row, ...]
    row: Row
    votes: Mapping[str, int]
    mapping: FieldMap | None


def look(dataset: Dataset, number: int, cancelled: Callable[[], bool]) -> Looked:
    """Reads the first rows and row `number`; for a thread. Raises FtuiError where they cannot be read."""
    rows: list[Row] = []
    size = 0
    for at in range(1, min(LOOKED_AT, dataset.rows_known) + 1):
        if size > _MOST_BYTES or cancelled():
            break
        row = dataset.row(at)
        size += len(row.raw)
        if not row.broken:
            rows.append(row)
    return Looked(tuple(rows), dataset.row(number), dataset.votes, dataset.mapping)


class Draft:
    """A mapping being made. way: one of WAYS. targets: target -> pointer. words: what the turns' fields are called."""

    def __init__(self, looked: Looked) -> None:
        self.looked = looked
        self._values = [row.value for row in looked.rows]
        self.found: list[FoundField] = survey(self._values)
        self.targets: dict[str, str] = {}
        self.words: dict[str, Any] = {}
        known = looked.mapping
        self._take(known.to_dict() if known is not None and known.fields else guess(self.found, self._values))
        if known is not None:
            self.way = FIELDS if known.fields else known.shape
        else:
            self.way = FIELDS if self.targets else AS_THEY_LOOK

    def _take(self, document: Mapping[str, Any]) -> None:
        self.targets = {target: document[target] for target in TARGETS if target in document}
        self.words = {name: document[name] for name in ("role", "content", "roles") if name in document}

    def assign(self, target: str, pointer: str) -> None:
        """`pointer` is `target` from now on, and nothing else; once more takes it back."""
        self.way = FIELDS
        if self.targets.pop(target, None) == pointer:
            self._forget_words()
            return
        kept = {
            other: place
            for other, place in self.targets.items()
            if place != pointer and other not in _APART[target]
        }
        self.targets = {**kept, target: pointer}
        self._forget_words()
        if target == "messages":
            self.words = turn_words(self._values, pointer)

    def _forget_words(self) -> None:
        if "messages" not in self.targets:
            self.words = {}

    def swap_roles(self) -> None:
        """Who asks answers, and who answers asks."""
        other = {"user": "assistant", "assistant": "user"}
        roles = self.words.get("roles", {})
        if roles:
            self.words = {
                **self.words,
                "roles": {word: other.get(role, role) for word, role in roles.items()},
            }

    def step(self, by: int) -> None:
        """The next way of reading rows."""
        self.way = WAYS[(WAYS.index(self.way) + by) % len(WAYS)]

    def mapping(self) -> FieldMap | None:
        """What was said so far; None: rows are read as they look. Raises FtuiError for what reads nothing yet."""
        if self.way == AS_THEY_LOOK:
            return None
        if self.way != FIELDS:
            return parse({"shape": self.way})
        if not self.targets:
            raise FtuiError("no field has a meaning yet", "put the cursor on one and press p, c, m, ...")
        return parse({**self.targets, **self.words})

    def complaint(self) -> str:
        """Why there is no mapping yet, "" when there is one."""
        try:
            self.mapping()
        except FtuiError as error:
            return error.message
        return ""

    def count(self) -> int:
        """How many of the rows looked at can be read so."""
        try:
            mapping = self.mapping()
        except FtuiError:
            return 0
        if mapping is None:
            return sum(shapes.recognise(value) != "unknown" for value in self._values)
        return sum(mapping.example(value) is not None for value in self._values)

    def preview(self) -> Row:
        """The row under the cursor as it would be read."""
        row = self.looked.row
        if row.broken:
            return row
        try:
            mapping = self.mapping()
        except FtuiError:
            return replace(row, shape="unknown", example=None)
        example = mapping.example(row.value) if mapping is not None else None
        if mapping is not None and example is not None:
            return replace(row, shape=mapping.shape, example=example)
        shape = shapes.recognise(row.value)
        return replace(row, shape=shape, example=shapes.to_example(row.value, shape))

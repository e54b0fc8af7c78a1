"""A train / validation split that near-duplicates never straddle, decided row by row in file order."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Literal

from ftui.data.checks.duplicates import SIMILAR, shingles
from ftui.data.checks.finding import all_text
from ftui.data.split import content_key, place, within

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ftui.core.example import Example

Side = Literal["train", "validation", "between"]

_PERMUTATIONS = 128
_SHORTEST = 5  # word triples; below that two texts are the same or they are not


class GroupedSplit:
    """Decides a row's side from its content and the rows before it; ask in file order.

    A row nearly the same as earlier ones (Jaccard of word triples 0.8 and above) goes where they went, any
    other by the hash of its content. So rows added at the end never move an old one. A row close to some of
    both sides is "between": in either it would leak, so it belongs in neither.
    share: 0 to 1, how much goes to validation, of groups rather than of rows. moved: the hashes of rows that
    go to the other side than theirs, with all that follow them.
    """

    def __init__(self, share: float, seed: int, moved: frozenset[int] = frozenset()) -> None:
        from rensa import RMinHashLSH

        self._share = share
        self._seed = seed
        self._moved = moved
        self._index = RMinHashLSH(threshold=SIMILAR, num_perm=_PERMUTATIONS, num_bands=16)
        self._sketches: list[object] = []
        self._sides: list[Side] = []
        self._first: list[int] = []  # the hash of the row each one followed, its own where it followed none
        self._groups = _Groups()
        self._used: Counter[int] = Counter()
        self._filled: set[Side] = set()

    def side(self, example: Example, *, used: bool = True) -> Side:
        """Where the next row goes. used: there is something in it to write on that side."""
        if not 0 < self._share < 1:
            return "validation" if self._share >= 1 else "train"
        side, first = self._decide(example)
        if used and side != "between":
            self._filled.add(side)
            self._used[first] += 1
        return side

    def mended(self) -> GroupedSplit | None:
        """For a second pass over the same rows, where this one left a side without any: one whole group goes
        over, as large as comes nearest to the share; of several the one whose hash is nearest. None where that
        is not needed, or cannot be: a single group is all for training.
        """
        if self._moved or len(self._filled) != 1:
            return None
        groups = self._groups.of(self._used)
        train = "train" not in self._filled
        if len(groups) == 1 and not train:
            return None
        wanted = (1 - self._share if train else self._share) * self._used.total()
        moved = min(
            groups,
            key=lambda group: (
                abs(sum(self._used[first] for first in group) - wanted),
                -max(group) if train else min(group),
            ),
        )
        return GroupedSplit(self._share, self._seed, frozenset(moved))

    @property
    def alike(self) -> int:
        """How many rows there are where all are nearly the same, one group that cannot be split; else 0."""
        return self._used.total() if len(self._groups.of(self._used)) == 1 else 0

    def _decide(self, example: Example) -> tuple[Side, int]:
        """(side, the hash of the first row of those it follows)."""
        from rensa import RMinHash

        hashed = place(content_key(example), self._seed)
        own: Side = "validation" if within(hashed, self._share) != (hashed in self._moved) else "train"
        tokens = shingles(all_text(example))
        if len(tokens) < _SHORTEST:
            return own, hashed
        sketch = RMinHash(num_perm=_PERMUTATIONS, seed=42)
        sketch.update(tokens)
        near = [
            at
            for at in self._index.query(sketch)
            if sketch.jaccard(self._sketches[at]) >= SIMILAR and self._sides[at] != "between"
        ]
        sides = {self._sides[at] for at in near}
        side: Side = own if not sides else sides.pop() if len(sides) == 1 else "between"
        first = self._first[near[0]] if near else hashed
        if side != "between":
            self._groups.join(first, {self._first[at] for at in near})
        self._index.insert(len(self._sides), sketch)
        self._sketches.append(sketch)
        self._sides.append(side)
        self._first.append(first)
        return side, first


class _Groups:
    """Which first rows, by their hashes, belong together because a later row is near to several of them."""

    def __init__(self) -> None:
        self._parents: dict[int, int] = {}

    def join(self, first: int, others: Iterable[int]) -> None:
        for other in others:
            if (root := self._root(other)) != self._root(first):
                self._parents[root] = self._root(first)

    def of(self, firsts: Iterable[int]) -> list[list[int]]:
        """The groups that have one of `firsts`, whole."""
        wanted = {self._root(first) for first in firsts}
        groups: dict[int, list[int]] = {root: [root] for root in wanted}
        for first in self._parents:
            if (root := self._root(first)) in groups:
                groups[root].append(first)
        return list(groups.values())

    def _root(self, first: int) -> int:
        root = first
        while root in self._parents:
            root = self._parents[root]
        if root != first:
            self._parents[first] = root  # the next one to ask has a shorter way
        return root

"""A train / validation split that near-duplicates never straddle, decided row by row in file order."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from ftui.data.checks.duplicates import SIMILAR, shingles
from ftui.data.checks.finding import all_text
from ftui.data.split import content_key, is_validation

if TYPE_CHECKING:
    from ftui.core.example import Example

Side = Literal["train", "validation", "between"]

_PERMUTATIONS = 128
_SHORTEST = 5  # word triples; below that two texts are the same or they are not


class GroupedSplit:
    """Decides a row's side from its content and the rows before it; ask in file order.

    A row nearly the same as earlier ones (Jaccard of word triples 0.8 and above) goes where they went, any
    other by the hash of its content. So rows added at the end never move an old one. A row close to some of
    both sides is "between": in either it would leak, so it belongs in neither.
    share: 0 to 1, how much goes to validation, of groups rather than of rows.
    """

    def __init__(self, share: float, seed: int) -> None:
        from rensa import RMinHashLSH

        self._share = share
        self._seed = seed
        self._index = RMinHashLSH(threshold=SIMILAR, num_perm=_PERMUTATIONS, num_bands=16)
        self._sketches: list[object] = []
        self._sides: list[Side] = []

    def side(self, example: Example) -> Side:
        """Where the next row goes."""
        from rensa import RMinHash

        own: Side = "validation" if is_validation(content_key(example), self._share, self._seed) else "train"
        tokens = shingles(all_text(example))
        if not 0 < self._share < 1 or len(tokens) < _SHORTEST:
            return own
        sketch = RMinHash(num_perm=_PERMUTATIONS, seed=42)
        sketch.update(tokens)
        near = {
            self._sides[at]
            for at in self._index.query(sketch)
            if sketch.jaccard(self._sketches[at]) >= SIMILAR
        } - {"between"}
        side: Side = own if not near else near.pop() if len(near) == 1 else "between"
        self._index.insert(len(self._sides), sketch)
        self._sketches.append(sketch)
        self._sides.append(side)
        return side

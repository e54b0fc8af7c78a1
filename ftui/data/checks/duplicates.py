"""Repeated examples: exact, nearly, and across two files."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import lru_cache
from hashlib import blake2b
from typing import TYPE_CHECKING

from ftui.data.checks.finding import Finding, all_text

if TYPE_CHECKING:
    from ftui.core.example import Example
    from ftui.data.rows import Row

SIMILAR = 0.8
_PERMUTATIONS = 128
_BANDS = 16  # 16 bands of 8: half of all pairs at Jaccard 0.7 are candidates, nearly all at 0.8 and above
_WORD = re.compile(r"\w+")


def normalised(text: str) -> str:
    """Case and white space folded: what makes two texts the same to a reader."""
    return " ".join(text.casefold().split())


@lru_cache(maxsize=2)  # two checks ask for the same text one after the other
def text_key(text: str) -> bytes:
    """16 bytes that are equal when two texts are the same to a reader."""
    return blake2b(normalised(text).encode("utf-8", "surrogatepass"), digest_size=16).digest()


def prompt_text(example: Example) -> str:
    """What is asked: every turn before the first answer; all of a raw text."""
    if example.text is not None:
        return example.text
    turns = []
    for turn in example.messages:
        if turn.role == "assistant":
            break
        turns.append(turn.content)
    return "\n\n".join(turns)


def shingles(text: str) -> list[str]:
    """Overlapping word triples: order matters a little, a changed word changes three of them."""
    words = _WORD.findall(text.casefold())
    if len(words) < 3:
        return [" ".join(words)] if words else []
    return list(map(" ".join, zip(words, words[1:], words[2:], strict=False)))


@dataclass(slots=True)
class ExactCheck:
    """Same text after folding case and white space; and the same question with different answers."""

    _rows: dict[bytes, list[int]] = field(default_factory=dict)
    _prompts: dict[bytes, dict[bytes, int]] = field(default_factory=dict)

    def look(self, row: Row) -> None:
        if row.example is None:
            return
        text = all_text(row.example)
        if not text.strip():
            return
        key = text_key(text)
        self._rows.setdefault(key, []).append(row.number)
        if row.example.text is None and (prompt := prompt_text(row.example)).strip():
            self._prompts.setdefault(text_key(prompt), {}).setdefault(key, row.number)

    def findings(self) -> Iterable[Finding]:
        groups = tuple(tuple(rows) for rows in self._rows.values() if len(rows) > 1)
        if groups:
            extra = tuple(sorted(row for rows in groups for row in rows[1:]))
            yield Finding(
                "duplicates",
                "warning",
                extra,
                "the same as an earlier row: it counts double in training",
                "reject",
                groups,
            )
        forked = tuple(tuple(sorted(keys.values())) for keys in self._prompts.values() if len(keys) > 1)
        if forked:
            yield Finding(
                "same-question", "hint", tuple(sorted(row for rows in forked for row in rows)),
                "the same question with different answers: is that what you want to teach?", "", forked,
            )  # fmt: skip


@dataclass(slots=True)
class NearCheck:
    """Rows that share most of their word triples, by MinHash and the sketches' Jaccard estimate."""

    cancelled: Callable[[], bool] | None = None
    _numbers: list[int] = field(default_factory=list)
    _sketches: list[object] = field(default_factory=list)
    _pending: list[list[str]] = field(default_factory=list)
    _exact: set[bytes] = field(default_factory=set)

    def look(self, row: Row) -> None:
        if row.example is None:
            return
        text = all_text(row.example)
        tokens = shingles(text)
        key = text_key(text)
        if len(tokens) < 5 or key in self._exact:
            return  # too short to be compared, or an exact duplicate, which has a finding of its own
        self._exact.add(key)
        self._numbers.append(row.number)
        self._pending.append(tokens)
        if len(self._pending) >= 2000:
            self._sketch()

    def _sketch(self) -> None:
        from rensa import RMinHash

        self._sketches += RMinHash.from_token_sets(self._pending, num_perm=_PERMUTATIONS, seed=42)
        self._pending.clear()

    def findings(self) -> Iterable[Finding]:
        from rensa import RMinHashLSH

        self._sketch()
        index = RMinHashLSH(threshold=SIMILAR, num_perm=_PERMUTATIONS, num_bands=_BANDS)
        parent = list(range(len(self._numbers)))
        for at, sketch in enumerate(self._sketches):
            if self.cancelled is not None and at % 1024 == 0 and self.cancelled():
                return
            for other in index.query(sketch):
                if sketch.jaccard(self._sketches[other]) >= SIMILAR:  # type: ignore[attr-defined]
                    parent[_root(parent, at)] = _root(parent, other)
            index.insert(at, sketch)
        together: dict[int, list[int]] = {}
        for at, number in enumerate(self._numbers):
            together.setdefault(_root(parent, at), []).append(number)
        groups = tuple(tuple(sorted(rows)) for rows in together.values() if len(rows) > 1)
        if groups:
            extra = tuple(sorted(row for rows in groups for row in rows[1:]))
            yield Finding(
                "near-duplicates", "warning", extra,
                "nearly the same as an earlier row: teaches little, leaks into validation", "reject", groups,
            )  # fmt: skip


def _root(parent: list[int], at: int) -> int:
    while parent[at] != at:
        parent[at] = parent[parent[at]]
        at = parent[at]
    return at


class LeakCheck:
    """Rows whose question is also in another file: a validation set or a benchmark that must stay unseen."""

    def __init__(self, other: Iterable[Row], name: str) -> None:
        self._name = name
        self._keys = {
            text_key(prompt) for row in other if row.example and (prompt := prompt_text(row.example)).strip()
        }
        self._rows: list[int] = []

    def look(self, row: Row) -> None:
        if row.example and text_key(prompt_text(row.example)) in self._keys:
            self._rows.append(row.number)

    def findings(self) -> Iterable[Finding]:
        if self._rows:
            yield Finding(
                "leakage", "error", tuple(self._rows),
                f"the same question is in {self._name}: scores on it would be too good", "reject",
            )  # fmt: skip

"""Rows as training sees them: the file with its journal applied, and a fingerprint of what that was."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from ftui.core.errors import FtuiError
from ftui.core.shapes_thread import join_threads
from ftui.data.dataset import Dataset
from ftui.data.journal import sidecar

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from ftui.core.example import Example

Only = Literal["not-rejected", "accepted", "all"]
_BLOCK = 1 << 20


@dataclass(frozen=True, slots=True)
class Skipped:
    """A row that cannot be trained on. reason: "broken", "unknown shape", "empty", "rejected", ..."""

    row: int
    reason: str
    detail: str = ""


def read_examples(
    path: Path, only: Only = "not-rejected", skipped: list[Skipped] | None = None
) -> Iterator[tuple[int, Example]]:
    """(row number, example) of every row to train on, edits applied, in file order; threads last, joined.

    only: which rows by their status; "all" takes rejected ones too. Deleted rows are never taken.
    skipped: filled with the rows left out, and why. Raises FtuiError where the file cannot be read.
    """
    out = skipped if skipped is not None else []
    posts: list[tuple[int, Mapping[str, Any]]] = []
    with Dataset.open(path) as dataset:
        for row in dataset.rows():
            if row.deleted:
                out.append(Skipped(row.number, "deleted"))
            elif row.status == "rejected" and only != "all":
                out.append(Skipped(row.number, "rejected"))
            elif row.status != "accepted" and only == "accepted":
                out.append(Skipped(row.number, "not accepted"))
            elif row.broken:
                out.append(Skipped(row.number, "broken", row.broken))
            elif row.shape == "thread":
                posts.append((row.number, row.value))
            elif row.example is None:
                out.append(Skipped(row.number, "unknown shape"))
            elif reason := empty(row.example):
                out.append(Skipped(row.number, "empty", reason))
            elif not encodable(row.example):
                out.append(Skipped(row.number, "not text", "half a character (a lone surrogate)"))
            else:
                yield row.number, row.example
    for number, example in join_threads(posts):
        if reason := empty(example):
            out.append(Skipped(number, "empty", reason))
        else:
            yield number, example


def encodable(example: Example) -> bool:
    """Whether every text of `example` can be written as UTF-8; no tokenizer takes what cannot."""
    turns = (*example.messages, *example.chosen, *example.rejected)
    texts = [part for turn in turns for part in (turn.content, turn.reasoning, turn.tool_calls)]
    try:
        "".join([*texts, example.text or "", example.tools]).encode()
    except UnicodeEncodeError:
        return False
    return True


def empty(example: Example) -> str:
    """Why there is nothing to learn from `example`, "" when there is something."""
    if example.text is not None:
        return "" if example.text.strip() else "the text is empty"
    if example.chosen or example.rejected:
        sides = (example.chosen, example.rejected)
        return (
            "" if all(any(_says(turn) for turn in side) for side in sides) else "a reply of the pair is empty"
        )
    if not example.messages:
        return "no turns"
    return "" if any(_says(turn) for turn in example.messages if turn.role == "assistant") else "no answer"


def _says(turn: Any) -> bool:
    return bool(turn.content.strip() or turn.tool_calls or turn.reasoning.strip())


def fingerprint(path: Path) -> dict[str, Any]:
    """{path, sha256, journal_sha256, rows, bytes}: exactly what a run trained on, for its manifest.

    journal_sha256 covers every journal of the dataset, "" where there is none. Reads the file whole.
    Raises FtuiError where it cannot be read.
    """
    with Dataset.open(path) as dataset:
        rows = dataset.find_all()
    journals = hashlib.sha256()
    names = sorted(sidecar(path).glob("journal-*.jsonl"))
    for name in names:
        journals.update(name.name.encode() + b"\0")
        _hash_into(journals, name)
    source = hashlib.sha256()
    size = _hash_into(source, path)
    return {
        "path": str(path),
        "sha256": source.hexdigest(),
        "journal_sha256": journals.hexdigest() if names else "",
        "rows": rows,
        "bytes": size,
    }


def _hash_into(digest: Any, path: Path) -> int:
    size = 0
    try:
        with path.open("rb") as file:
            while block := file.read(_BLOCK):
                digest.update(block)
                size += len(block)
    except OSError as error:
        raise FtuiError(f"cannot read: {error.strerror}", "", str(path)) from None
    return size

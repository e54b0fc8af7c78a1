"""Encoded rows on disk: written once a run, read through memory maps, so a dataset may be larger than RAM.

`ids.bin` (int32) and `weights.bin` (float32) hold all documents one after the other, `index.npz` their
lengths, summed weights and row numbers, a few bytes a document kept in memory. A resumed run reads the same
files, so it trains on the same tokens even if the dataset has changed since.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import shlex
import shutil
import tempfile
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import orjson

from ftui.core.errors import FtuiError
from ftui.core.objectives import PREFERENCE
from ftui.data.grouped_split import GroupedSplit
from ftui.data.training import Skipped, read_examples
from ftui.engine.encode import OVERLONG
from ftui.engine.preference_rows import unsuited

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from ftui.core.example import Example
    from ftui.core.recipe import Recipe
    from ftui.engine.encode import Encoder
    from ftui.engine.pack import Document
    from ftui.engine.preference_rows import Unit

    Units = Callable[[Encoder, Sequence[Example]], Iterator[list[Unit]]]

_BATCH = 256
_INDEX = "index.npz"
_REASONS = 50  # told apart; a reason may quote the row
# Written last: where it is, the rows are, in this version's format. A run that an older ftui began encodes anew.
TALLY = "tally-2.json"


class Rows:
    """Encoded documents in a folder that `RowWriter` has finished. Raises FileNotFoundError without one.

    labels: 1 for desirable replies, 0 for undesirable ones. reference: the log-probability of each document's
    reply before training, where the objective needs it (`reference.py`).
    """

    reference: np.ndarray | None = None

    def __init__(self, folder: Path) -> None:
        with np.load(folder / _INDEX) as index:
            self.lengths: np.ndarray = index["lengths"]
            self.weight_sums: np.ndarray = index["weight_sums"]
            self.trained: np.ndarray = index["trained"]
            self.numbers: np.ndarray = index["numbers"]
            self.labels: np.ndarray = index["labels"]
        self._starts = np.concatenate([[0], np.cumsum(self.lengths, dtype=np.int64)])
        empty = len(self.lengths) == 0  # an empty file cannot be mapped
        self._ids = np.zeros(0, np.int32) if empty else np.memmap(folder / "ids.bin", np.int32, "r")
        self._weights = (
            np.zeros(0, np.float32) if empty else np.memmap(folder / "weights.bin", np.float32, "r")
        )

    def __len__(self) -> int:
        return len(self.lengths)

    @property
    def highest_id(self) -> int:
        """The largest token id, -1 without rows. Reads all of them."""
        return int(self._ids.max(initial=-1))

    def __getitem__(self, number: int) -> Document:
        start, end = self._starts[number], self._starts[number + 1]
        return np.asarray(self._ids[start:end]), np.asarray(self._weights[start:end])


class RowWriter:
    """Writes documents into a temporary folder; `finish` gives it its name, so a torn one is never read."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.parent.mkdir(parents=True, exist_ok=True)
        self._temporary = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
        self._ids = (self._temporary / "ids.bin").open("wb")
        self._weights = (self._temporary / "weights.bin").open("wb")
        self._index: list[tuple[int, int, float, int, float]] = []

    def add(self, number: int, ids: list[int], weights: list[float], label: float = 1.0) -> None:
        counts = np.asarray(weights, np.float32)
        self._ids.write(np.asarray(ids, np.int32).tobytes())
        self._weights.write(counts.tobytes())
        sums = float(counts[1:].sum()), int((counts[1:] > 0).sum())
        self._index.append((number, len(ids), *sums, label))

    def finish(self) -> None:
        for file in (self._ids, self._weights):
            file.flush()
            os.fsync(file.fileno())
            file.close()
        numbers, lengths, sums, trained, labels = zip(*self._index, strict=True) if self._index else ((),) * 5
        with (self._temporary / _INDEX).open("wb") as file:
            np.savez(
                file,
                numbers=np.asarray(numbers, np.int64),
                lengths=np.asarray(lengths, np.int32),
                weight_sums=np.asarray(sums, np.float64),
                trained=np.asarray(trained, np.int32),
                labels=np.asarray(labels, np.float32),
            )
            os.fsync(file.fileno())
        if self._folder.exists():
            shutil.rmtree(self._folder)
        self._temporary.rename(self._folder)

    def discard(self) -> None:
        with contextlib.suppress(OSError):
            self._ids.close()
            self._weights.close()
        shutil.rmtree(self._temporary, ignore_errors=True)


@dataclass
class Tally:
    """What became of the rows: `dropped` by reason, the first row of each, and how many were cut short.

    alike: how many rows there are when all are nearly the same, so that none could be held back; else 0.
    """

    dropped: Counter[str] = field(default_factory=Counter)
    first_dropped: dict[str, int] = field(default_factory=dict)
    truncated: int = 0
    warnings: Counter[str] = field(default_factory=Counter)
    alike: int = 0

    def drop(self, number: int, reason: str) -> None:
        if reason not in self.dropped and len(self.dropped) >= _REASONS:
            reason = "other reasons"
        self.dropped[reason] += 1
        self.first_dropped.setdefault(reason, number)

    def to_dict(self) -> dict[str, object]:
        return {**vars(self), "dropped": dict(self.dropped), "warnings": dict(self.warnings)}


@dataclass(frozen=True, slots=True)
class Prepared:
    train: Rows
    validation: Rows
    tally: dict[str, object]


def prepare(
    cache: Path,
    recipe: Recipe,
    encoder: Callable[[], Encoder],
    units: Units,
    *,
    train: Path,
    validation: Path | None,
    tell: Callable[[int], None],
) -> Prepared:
    """The run's encoded rows: from its cache when an earlier attempt made them, else made now.

    encoder: made only when needed. units: what an example is trained as. tell: called with the number of rows
    done so far; what it raises ends the work and leaves nothing behind. Raises FtuiError when nothing is left
    to train on.
    """
    tally_path = cache / TALLY
    if not tally_path.exists():
        tally = _encode_all(cache, recipe, encoder(), units, train=train, validation=validation, tell=tell)
        tally_path.write_bytes(orjson.dumps(tally.to_dict()))
    prepared = Prepared(
        Rows(cache / "train"), Rows(cache / "validation"), orjson.loads(tally_path.read_bytes())
    )
    if not len(prepared.train):
        tally_path.unlink()
        reasons = Counter(prepared.tally["dropped"]).most_common(1)
        if (
            reasons
            and recipe.training.objective in PREFERENCE
            and reasons[0][0] == unsuited(recipe.training.objective)
        ):
            raise FtuiError(
                f"{reasons[0][0]}, and no row of this dataset is that",
                'set it to "sft", or name another dataset in data.train',
                "training.objective",
            )
        why = f": {reasons[0][0]} ({reasons[0][1]} rows)" if reasons else ": the dataset has no rows"
        first = prepared.tally.get("first_dropped", {}).get(reasons[0][0], 1) if reasons else 1
        hint = _remedy(recipe, train, reasons[0][0], first) if reasons else "name another file in data.train"
        raise FtuiError(f"nothing to train on{why}", hint, str(train))
    return prepared


def _remedy(recipe: Recipe, train: Path, reason: str, row: int) -> str:
    """What to do about rows left out for `reason`, of which `row` is the first."""
    file = shlex.quote(str(train))
    if reason in ("rejected", "not accepted", "deleted"):
        return f"`ftui data show {file} --row {row}` is one: decide anew, or change data.only"
    if reason == OVERLONG:
        return 'raise data.max_length, or set data.overlong to "truncate"'
    if reason in ("broken", "unknown shape", "empty"):
        return f"`ftui data check {file}` lists them"
    options = {
        "--train-on": (recipe.data.train_on, "assistant"),
        "--objective": (recipe.training.objective, "sft"),
        "--chat-template": (recipe.model.chat_template, ""),
    }
    rest = "".join(
        f" {name} {shlex.quote(value)}" for name, (value, usual) in options.items() if value != usual
    )
    command = f"ftui data xray {file} --row {row} --model {shlex.quote(recipe.model.base)}{rest}"
    return f"`{command}` shows the first of them"


def _encode_all(
    cache: Path,
    recipe: Recipe,
    encoder: Encoder,
    units: Units,
    *,
    train: Path,
    validation: Path | None,
    tell: Callable[[int], None],
    split: GroupedSplit | None = None,
) -> Tally:
    tally = Tally()
    if split is None:
        share = recipe.data.validation if isinstance(recipe.data.validation, int | float) else 0
        split = GroupedSplit(share, recipe.data.seed)
    writers = {False: RowWriter(cache / "train"), True: RowWriter(cache / "validation")}
    sources = [(train, False)] + ([(validation, True)] if validation else [])
    done = 0
    try:
        for path, held_back in sources:
            skipped: list[Skipped] = []
            examples = read_examples(path, recipe.data.only, skipped)
            for numbered in batched(examples, _BATCH):
                encoded = units(encoder, [example for _, example in numbered])
                for (number, example), row in zip(numbered, encoded, strict=True):
                    used = not all(unit.dropped for unit in row)
                    side = "validation" if held_back else split.side(example, used=used)
                    if side == "between":
                        tally.drop(number, "nearly the same as rows on both sides of the split")
                    else:
                        for unit in row:
                            _keep(writers[side == "validation"], number, unit, encoder, tally)
                done += len(numbered)
                tell(done)
            for left_out in skipped:
                tally.drop(left_out.row, left_out.reason)
        mended = split.mended()
        for writer in writers.values():
            if mended is None:
                writer.finish()
            else:
                writer.discard()
    except BaseException:
        for writer in writers.values():
            writer.discard()
        raise
    if mended is not None:
        return _encode_all(
            cache, recipe, encoder, units, train=train, validation=validation, tell=tell, split=mended
        )
    tally.alike = split.alike
    return tally


def _keep(writer: RowWriter, number: int, unit: Unit, encoder: Encoder, tally: Tally) -> None:
    for row in unit.documents:
        tally.warnings.update(row.warnings)
    if unit.dropped:
        tally.drop(number, unit.dropped)
        return
    tally.truncated += any(row.truncated for row in unit.documents)
    if len(unit.documents) > 1:
        for row in unit.documents:
            writer.add(number, row.ids, row.weights, unit.label)
        return
    (row,) = unit.documents
    for start in range(0, len(row.ids), encoder.max_length):
        ids, weights = (
            row.ids[start : start + encoder.max_length],
            row.weights[start : start + encoder.max_length],
        )
        if any(weights[1:]):
            writer.add(number, ids, weights)


def batched(items: Iterator[tuple[int, Example]], size: int) -> Iterator[list[tuple[int, Example]]]:
    while batch := list(itertools.islice(items, size)):
        yield batch

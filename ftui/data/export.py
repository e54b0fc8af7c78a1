"""Leaving: a dataset as files others can read, with a manifest that says exactly what they hold."""

from __future__ import annotations

import contextlib
import csv
import hashlib
import io
import json
import os
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import IO, TYPE_CHECKING, Any, Literal

from ftui import __version__
from ftui.core.errors import FtuiError
from ftui.core.shapes_back import TARGETS, from_example, lost
from ftui.data.dataset import Dataset
from ftui.data.grouped_split import GroupedSplit
from ftui.data.rows import dump_json
from ftui.data.training import fingerprint

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from ftui.data.rows import Row

Only = Literal["not-rejected", "accepted", "all"]
CONTAINERS = ("jsonl", "json", "csv")
_SUFFIXES = {".jsonl": "jsonl", ".ndjson": "jsonl", ".json": "json", ".csv": "csv"}
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


@dataclass(frozen=True, slots=True)
class Plan:
    """What to write.

    shape: "same" keeps every row as it is (unedited rows byte for byte, where the container stays), else one
    of core.shapes_back.TARGETS. split: share for validation, 0 writes one file. spreadsheet_safe: CSV cells
    that a spreadsheet would run as formulas get a leading apostrophe; it alters text.
    """

    shape: str = "same"
    only: Only = "not-rejected"
    split: float = 0.0
    seed: int = 0
    spreadsheet_safe: bool = False
    overwrite: bool = False


@dataclass(frozen=True, slots=True)
class Written:
    path: Path
    rows: int
    sha256: str

    def to_dict(self) -> dict[str, Any]:
        return {"path": str(self.path), "rows": self.rows, "sha256": self.sha256}


@dataclass(frozen=True, slots=True)
class Report:
    """files: train first. skipped, lost: how many rows were left out, or lost something, by reason."""

    files: tuple[Written, ...]
    manifest: Path
    skipped: dict[str, int] = field(default_factory=dict)
    lost: dict[str, int] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        return {
            "files": [file.to_dict() for file in self.files],
            "manifest": str(self.manifest),
            "skipped": self.skipped,
            "lost": self.lost,
        }


def export(
    source: Path,
    out: Path,
    plan: Plan,
    progress: Callable[[int, int], None] | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> Report:
    """Writes `source` with its journal applied to `out` (or, split, to OUT's train and validation files).

    Each file is written beside its place, flushed to disk and renamed: a failure leaves what was there.
    Never the source itself. Raises FtuiError for a plan that cannot be carried out, a full disk, or a row
    the shape cannot hold.
    """
    container = _SUFFIXES.get(out.suffix.lower())
    if container is None:
        raise FtuiError(
            f"cannot write {out.suffix or 'a file without a suffix'}",
            "end it in .jsonl, .json or .csv",
            str(out),
        )
    if plan.shape != "same" and plan.shape not in TARGETS:
        raise FtuiError(f"no such shape: {plan.shape}", f"same, or one of {', '.join(TARGETS)}", "--as")
    if not 0 <= plan.split < 1:
        raise FtuiError(
            f"a split is a share from 0 up to 1, got {plan.split}", "for example --split 0.1", "--split"
        )
    before = fingerprint(source)
    targets = _targets(out, plan)
    manifest = out.with_name(f"{out.stem}.manifest.json")
    _refuse_to_destroy(source, (*targets, manifest), manifest, plan.overwrite)
    with Dataset.open(source) as dataset, contextlib.ExitStack() as open_files:
        same_form = dataset.container == container and dataset.delimiter in ("", ",")
        keep_bytes = plan.shape == "same" and same_form
        writers = [
            open_files.enter_context(_Writer(path, container, plan.spreadsheet_safe)) for path in targets
        ]
        counts = _Counts()
        split = GroupedSplit(plan.split, plan.seed)
        total = before["rows"]
        for row in dataset.rows():
            if row.number % 256 == 1 and cancelled is not None and cancelled():
                raise FtuiError("cancelled: nothing was written", "", str(out))
            if row.number % 256 == 1 and progress is not None:
                progress(row.number, total)
            if reason := _left_out(row, plan):
                counts.skipped[reason] += 1
                continue
            value, raw = _converted(row, plan.shape, keep_bytes, counts)
            writer = writers[0]
            if plan.split and row.example is not None:
                side = split.side(row.example)
                if side == "between":
                    counts.skipped["close to both sides of the split"] += 1
                    continue
                writer = writers[side == "validation"]
            writer.write(value, raw)
        if fingerprint(source) != before:
            raise FtuiError(
                "the dataset changed while it was exported: nothing was written", "export again", str(source)
            )
        files = tuple(writer.finish() for writer in writers)
    report = Report(files, manifest, dict(counts.skipped), dict(counts.lost))
    _write_manifest(manifest, before, plan, report)
    return report


@dataclass(slots=True)
class _Counts:
    skipped: Counter[str] = field(default_factory=Counter)
    lost: Counter[str] = field(default_factory=Counter)


def _targets(out: Path, plan: Plan) -> list[Path]:
    if not plan.split:
        return [out]
    return [out.with_name(f"{out.stem}.{side}{out.suffix}") for side in ("train", "validation")]


def _refuse_to_destroy(source: Path, targets: tuple[Path, ...], manifest: Path, overwrite: bool) -> None:
    """The source is never overwritten; other files only when they are an earlier export, or when asked."""
    for target in targets:
        if target.exists() and target.samefile(source):
            raise FtuiError("that is the dataset itself", "give another file as --out", str(target))
        if target.exists() and not overwrite and not manifest.exists():
            raise FtuiError("the file exists already", "choose another, or add --force", str(target))


def _left_out(row: Row, plan: Plan) -> str:
    if row.deleted:
        return "deleted"
    if row.status == "rejected" and plan.only != "all":
        return "rejected"
    if row.status != "accepted" and plan.only == "accepted":
        return "not accepted"
    if row.broken:
        return "broken"
    if row.example is None and plan.shape != "same":
        return "unknown shape"
    return ""


def _converted(row: Row, shape: str, keep_bytes: bool, counts: _Counts) -> tuple[Any, bytes | None]:
    """The value to write, and the row's own bytes where those may be kept. Raises FtuiError with the row."""
    if shape == "same":
        return row.value, row.raw if keep_bytes and not row.edited else None
    assert row.example is not None
    counts.lost.update(lost(row.example, shape))
    try:
        return from_example(row.example, shape), None
    except FtuiError as error:
        raise FtuiError(error.message, error.hint, f"row {row.number}") from None


class _Writer:
    """Writes rows to a temporary file beside `path`; `finish` puts it in place, leaving removes it."""

    def __init__(self, path: Path, container: str, spreadsheet_safe: bool) -> None:
        self._path = path
        self._container = container
        self._safe = spreadsheet_safe
        self._part = path.with_name(f".{path.name}.{os.getpid()}.part")
        self._digest = hashlib.sha256()
        self._rows = 0
        self._header: list[str] = []
        self._done = False

    def __enter__(self) -> _Writer:
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._file: IO[bytes] = self._part.open("wb")
        except OSError as error:
            raise FtuiError(f"cannot write: {error.strerror}", "", str(self._path)) from None
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(OSError):
            self._file.close()
        if not self._done:
            self._part.unlink(missing_ok=True)

    def write(self, value: Any, raw: bytes | None) -> None:
        """Appends a row: its own bytes where given, else its value in this container's form."""
        for piece in self._pieces(value, raw):
            self._put(piece)
        self._rows += 1

    def _pieces(self, value: Any, raw: bytes | None) -> Iterator[bytes]:
        if self._container == "csv":
            yield from self._csv(value, raw)
            return
        line = raw if raw is not None else dump_json(value).encode("utf-8")
        if self._container == "json":
            yield b"[\n" if not self._rows else b",\n"
            yield line
        else:
            yield line + b"\n"

    def _csv(self, value: Any, raw: bytes | None) -> Iterator[bytes]:
        if not isinstance(value, dict):
            raise FtuiError("a CSV row needs named fields", "export as .jsonl instead", str(self._path))
        if not self._rows:
            self._header = list(value)
            yield _record(self._header)
        if unknown := set(value) - set(self._header):
            names = ", ".join(sorted(unknown))
            raise FtuiError(f"a row has fields the first lacks: {names}", "export as .jsonl", str(self._path))
        if raw is not None and not self._safe:
            yield raw + b"\n"
            return
        cells = [_cell(value.get(name, "")) for name in self._header]
        yield _record([f"'{cell}" if self._safe and cell.startswith(_FORMULA) else cell for cell in cells])

    def finish(self) -> Written:
        """Flushes to disk and puts the file in its place."""
        if self._container == "json":
            self._put(b"\n]\n" if self._rows else b"[]\n")
        try:
            self._file.flush()
            os.fsync(self._file.fileno())
            self._file.close()
            self._part.replace(self._path)
        except OSError as error:
            raise FtuiError(
                f"cannot write: {error.strerror}", "nothing earlier was harmed", str(self._path)
            ) from None
        self._done = True
        return Written(self._path, self._rows, self._digest.hexdigest())

    def _put(self, piece: bytes) -> None:
        try:
            self._file.write(piece)
        except OSError as error:
            raise FtuiError(
                f"cannot write: {error.strerror}", "nothing earlier was harmed", str(self._path)
            ) from None
        self._digest.update(piece)


def _cell(value: Any) -> str:
    if isinstance(value, str):
        return value
    return "" if value is None else dump_json(value)


def _record(cells: list[str]) -> bytes:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow(cells)
    return text.getvalue().encode("utf-8", "surrogatepass")


def _write_manifest(path: Path, source: dict[str, Any], plan: Plan, report: Report) -> None:
    document = {
        "ftui": __version__,
        "created": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "source": source,
        "shape": plan.shape,
        "only": plan.only,
        "split": plan.split,
        "seed": plan.seed,
        "spreadsheet_safe": plan.spreadsheet_safe,
        **report.to_dict(),
    }
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with part.open("w", encoding="utf-8") as file:
            json.dump(document, file, indent=1)
            file.write("\n")
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise FtuiError(f"cannot write the manifest: {error.strerror}", "", str(path)) from None

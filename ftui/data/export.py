"""Leaving: a dataset as files others can read, with a manifest that says exactly what they hold."""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from ftui import __version__
from ftui.core.errors import FtuiError
from ftui.core.shapes_back import TARGETS, from_example, lost
from ftui.data.dataset import Dataset
from ftui.data.export_file import DoesNotFit, Writer, Written
from ftui.data.grouped_split import GroupedSplit
from ftui.data.training import fingerprint

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from ftui.data.rows import Row

Only = Literal["not-rejected", "accepted", "all"]
_SUFFIXES = {".jsonl": "jsonl", ".ndjson": "jsonl", ".json": "json", ".csv": "csv"}


@dataclass(frozen=True, slots=True)
class Plan:
    """What to write.

    shape: "same" keeps every row as it is (unedited rows byte for byte, where the container stays), else one
    of core.shapes_back.TARGETS. split: share for validation, 0 writes one file. spreadsheet_safe: CSV cells
    that a spreadsheet would run as formulas get a leading apostrophe; it alters text. skip_unfit: rows the
    shape or the CSV's columns cannot hold are left out and counted; otherwise the first of them ends it.
    """

    shape: str = "same"
    only: Only = "not-rejected"
    split: float = 0.0
    seed: int = 0
    spreadsheet_safe: bool = False
    skip_unfit: bool = False
    overwrite: bool = False


@dataclass(frozen=True, slots=True)
class Report:
    """files: train first. skipped, lost: how many rows were left out, or lost something, by reason.

    altered: CSV cells that got an apostrophe to be safe in a spreadsheet.
    """

    files: tuple[Written, ...]
    manifest: Path
    skipped: dict[str, int] = field(default_factory=dict)
    lost: dict[str, int] = field(default_factory=dict)
    altered: int = 0

    def to_dict(self) -> dict[str, Any]:
        return {
            "files": [file.to_dict() for file in self.files],
            "manifest": str(self.manifest),
            "skipped": self.skipped,
            "lost": self.lost,
            "altered": self.altered,
        }


def export(
    source: Path,
    out: Path,
    plan: Plan,
    progress: Callable[[int, int], None] | None = None,
    cancelled: Callable[[], bool] | None = None,
    split: GroupedSplit | None = None,
) -> Report:
    """Writes `source` with its journal applied to `out` (or, split, to OUT's train and validation files).

    Each file is written beside its place, flushed to disk and renamed: a failure leaves what was there.
    Never the source itself. Raises FtuiError for a plan that cannot be carried out, a full disk, or (unless
    such are skipped) a row the shape cannot hold. split: decides the sides where the plan's own left a
    file empty.
    """
    container = _checked(plan, out)
    before = fingerprint(source)
    targets, manifest = files_of(out, plan), manifest_of(out)
    _refuse_to_destroy(source, (*targets, manifest), manifest, plan.overwrite)
    with Dataset.open(source) as dataset, contextlib.ExitStack() as open_files:
        same_form = dataset.container == container and dataset.delimiter in ("", ",")
        keep_bytes = plan.shape == "same" and same_form
        writers = [
            open_files.enter_context(Writer(path, container, plan.spreadsheet_safe)) for path in targets
        ]
        counts = _Counts()
        split = split or GroupedSplit(plan.split, plan.seed)
        total = before["rows"]
        for row in dataset.rows():
            if row.number % 256 == 1 and cancelled is not None and cancelled():
                raise FtuiError("cancelled: nothing was written", "", str(out))
            if row.number % 256 == 1 and progress is not None:
                progress(row.number, total)
            if reason := left_out(row, plan):
                counts.skipped[reason] += 1
                continue
            writer = writers[0]
            if plan.split and row.example is not None:
                side = split.side(row.example)
                if side == "between":
                    counts.skipped["close to both sides of the split"] += 1
                    continue
                writer = writers[side == "validation"]
            try:
                writer.write(*_converted(row, plan.shape, keep_bytes))
            except DoesNotFit as error:
                if not plan.skip_unfit:
                    hint = f"{error.hint}, or leave such rows out: --skip-unfit"
                    raise FtuiError(error.message, hint, f"row {row.number}") from None
                counts.skipped[unfit(plan, container)] += 1
                continue
            if plan.shape != "same" and row.example is not None:
                counts.lost.update(lost(row.example, plan.shape))
        if fingerprint(source) != before:
            raise FtuiError(
                "the dataset changed while it was exported: nothing was written", "export again", str(source)
            )
        mended = split.mended()
        files = () if mended else tuple(writer.finish() for writer in writers)
    if mended:
        return export(source, out, plan, progress, cancelled, mended)
    altered = sum(writer.altered for writer in writers)
    report = Report(files, manifest, dict(counts.skipped), dict(counts.lost), altered)
    _write_manifest(manifest, before, plan, report)
    return report


@dataclass(slots=True)
class _Counts:
    skipped: Counter[str] = field(default_factory=Counter)
    lost: Counter[str] = field(default_factory=Counter)


def files_of(out: Path, plan: Plan) -> list[Path]:
    """What an export to `out` writes beside its manifest; train first."""
    if not plan.split:
        return [out]
    return [out.with_name(f"{out.stem}.{side}{out.suffix}") for side in ("train", "validation")]


def manifest_of(out: Path) -> Path:
    return out.with_name(f"{out.stem}.manifest.json")


def container_of(out: Path) -> str:
    """What a file of this suffix holds: "jsonl", "json" or "csv", "" for none of them."""
    return _SUFFIXES.get(out.suffix.lower(), "")


def _checked(plan: Plan, out: Path) -> str:
    """The container of `out`. Raises FtuiError for a plan that cannot be carried out."""
    container = container_of(out)
    if not container:
        raise FtuiError(
            f"cannot write {out.suffix or 'a file without a suffix'}",
            "end it in .jsonl, .json or .csv",
            str(out),
        )
    if plan.shape != "same" and plan.shape not in TARGETS:
        raise FtuiError(f"no such shape: {plan.shape}", f"same, or one of {', '.join(TARGETS)}", "--as")
    if plan.spreadsheet_safe and container != "csv":
        raise FtuiError("only a CSV is opened by spreadsheets", "end --out in .csv", "--spreadsheet-safe")
    if not 0 <= plan.split < 1:
        raise FtuiError(
            f"a split is a share from 0 up to 1, got {plan.split}", "for example --split 0.1", "--split"
        )
    return container


def _refuse_to_destroy(source: Path, targets: tuple[Path, ...], manifest: Path, overwrite: bool) -> None:
    """The source is never overwritten; other files only when they are an earlier export, or when asked."""
    for target in targets:
        if target.exists() and target.samefile(source):
            raise FtuiError("that is the dataset itself", "give another file as --out", str(target))
        if target.exists() and not overwrite and not manifest.exists():
            raise FtuiError("the file exists already", "choose another, or add --force", str(target))


def left_out(row: Row, plan: Plan) -> str:
    """Why `row` is not written, "" when it is."""
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


def unfit(plan: Plan, container: str) -> str:
    """What is said of rows left out because they do not fit."""
    return f"do not fit {container.upper() if plan.shape == 'same' else plan.shape}"


def _converted(row: Row, shape: str, keep_bytes: bool) -> tuple[Any, bytes | None]:
    """The value to write, and the row's own bytes where those may be kept. Raises DoesNotFit."""
    if shape == "same":
        return row.value, row.raw if keep_bytes and not row.edited else None
    assert row.example is not None
    try:
        return from_example(row.example, shape), None
    except FtuiError as error:
        raise DoesNotFit(error.message, error.hint) from None


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
        "skip_unfit": plan.skip_unfit,
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

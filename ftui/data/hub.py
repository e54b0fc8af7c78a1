"""Datasets from the Hugging Face hub, or a folder `datasets` wrote, as a JSONL file people can work on.

Imports `datasets` (seconds) only when asked.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ftui.core.errors import FtuiError
from ftui.core.text import one_line
from ftui.data.row_json import dump_json

if TYPE_CHECKING:
    from collections.abc import Iterable

Progress = Callable[[int, int], None]


def save_as_jsonl(
    source: str,
    out: Path,
    *,
    name: str | None = None,
    split: str = "train",
    revision: str | None = None,
    limit: int = 0,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> int:
    """Writes the rows of `source` to `out`, one JSON object a line; how many there were.

    source: a hub id ("org/name") or a folder. name: one of a dataset's configurations. limit: the first so
    many rows, 0 for all. progress: called with (rows written, rows expected or 0). `out` appears whole or
    not at all. Raises FtuiError.
    """
    if out.exists() and not overwrite:
        raise FtuiError("already there", "name another file, or overwrite it with --force", str(out))
    rows, total = _open(source, name, split, revision)
    expected = min(total, limit) if total and limit else total or limit
    part = out.with_name(f".{out.name}.part")
    written = 0
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with part.open("wb") as file:
            for row in islice(rows, limit or None):
                file.write(f"{dump_json(_plain(row, ()))}\n".encode("utf-8", "replace"))
                written += 1
                if progress is not None and written % 500 == 0:
                    progress(written, expected)
            file.flush()
            os.fsync(file.fileno())
        part.replace(out)
    except OSError as error:
        raise FtuiError(f"cannot be written: {error.strerror or error}", "", str(out)) from None
    finally:
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)
    return written


def _open(source: str, name: str | None, split: str, revision: str | None) -> tuple[Iterable[Any], int]:
    """(rows, how many where that is known)."""
    import datasets

    datasets.disable_progress_bars()
    try:
        if (Path(source) / "dataset_dict.json").is_file() or (Path(source) / "state.json").is_file():
            found = datasets.load_from_disk(source)
            table = found[split] if isinstance(found, datasets.DatasetDict) else found
            return table, len(table)
        stream = datasets.load_dataset(source, name, split=split, revision=revision, streaming=True)
        known = (stream.info.splits or {}).get(split)
        return stream, known.num_examples if known is not None else 0
    except KeyError:
        raise FtuiError(f"it has no split {split!r}", f"it has {', '.join(found)}", source) from None
    except Exception as error:  # noqa: BLE001 - the library raises a class of its own for nearly everything
        raise FtuiError(one_line(f"cannot be opened: {error}", 240), _hint(error), source) from None


def _hint(error: Exception) -> str:
    words = str(error)
    if "Config name is missing" in words or "BuilderConfig" in words:
        return "name one with --config"
    if "split" in words.lower():
        return "name another one with --split"
    return "a hub id such as HuggingFaceH4/no_robots, or a folder; private ones need HF_TOKEN"


def _plain(value: Any, path: tuple[str, ...]) -> Any:
    """`value` as JSON can hold it. Raises FtuiError for bytes: pictures and sound are not text."""
    if isinstance(value, dict):
        return {str(key): _plain(item, (*path, str(key))) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item, path) for item in value]
    if value is None or isinstance(value, str | int | float | bool):
        return value
    if isinstance(value, datetime | date | time):
        return value.isoformat()
    if isinstance(value, timedelta | Decimal):
        return str(value)
    raise FtuiError(
        f"the column {'.'.join(path)!r} holds {type(value).__name__}, which is not text",
        "ftui trains language models: take a dataset of text",
    )

"""Parquet as JSON lines. pyarrow is imported only when such a file is opened."""

from __future__ import annotations

import base64
import json
import os
import tempfile
from typing import TYPE_CHECKING, Any

import orjson

from ftui.core.errors import FtuiError
from ftui.data.format_csv import unique_names

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from ftui.data.unpack import Meter

_BATCH = 1024  # rows


def parquet_rows(fd: int, packed: Iterator[bytes] | None, path: Path, meter: Meter) -> Iterator[bytes]:
    """One line of JSON a row, about a thousand rows at a time. Raises FtuiError for an unreadable file.

    packed: the file's bytes where it was compressed as a whole; Parquet is read from its end, so those are
    spooled first.
    """
    import pyarrow
    import pyarrow.parquet

    try:
        with tempfile.TemporaryFile() if packed else os.fdopen(os.dup(fd), "rb") as file:
            for chunk in packed or ():
                file.write(chunk)
            table = pyarrow.parquet.ParquetFile(file)
            names = unique_names(table.schema_arrow.names)
            # orjson would write NaN as null; the standard library is slower and keeps it.
            floats = any(kind in str(table.schema_arrow) for kind in ("float", "double"))
            total, done = max(1, table.metadata.num_rows), 0
            try:
                for batch in table.iter_batches(_BATCH):
                    rows = batch.rename_columns(names).to_pylist()
                    yield b"".join(_line(row, floats) for row in rows)
                    done += len(rows)
                    meter.done = meter.size * done // total
            except (pyarrow.ArrowException, OSError) as error:
                meter.losses.append(f"the Parquet data is damaged after row {done}: {_first_line(error)}")
    except (pyarrow.ArrowException, OSError) as error:
        raise FtuiError(f"cannot read this Parquet file: {_first_line(error)}", "", str(path)) from None


def _line(row: dict[str, Any], floats: bool) -> bytes:
    if floats:
        return json.dumps(row, default=_plain, ensure_ascii=True).encode() + b"\n"
    return orjson.dumps(row, default=_plain, option=orjson.OPT_APPEND_NEWLINE | orjson.OPT_NON_STR_KEYS)


def _plain(value: Any) -> Any:
    """What JSON has no word for: bytes as text where they are, else base64; dates and decimals as text."""
    if isinstance(value, bytes):
        try:
            return value.decode("utf-8")
        except UnicodeDecodeError:
            return base64.b64encode(value).decode("ascii")
    return value.isoformat() if hasattr(value, "isoformat") else str(value)


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0][:200]

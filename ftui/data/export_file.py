"""One file of an export: JSON lines, a JSON array or CSV, written beside its place and then put there."""

from __future__ import annotations

import contextlib
import csv
import hashlib
import io
import os
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Any

from ftui.core.errors import FtuiError
from ftui.data.row_json import dump_json

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_FORMULA = ("=", "+", "-", "@", "\t", "\r")  # what a spreadsheet takes for the beginning of one


class DoesNotFit(FtuiError):
    """A row that the file's form cannot hold."""


@dataclass(frozen=True, slots=True)
class Written:
    path: Path
    rows: int
    sha256: str

    def to_dict(self) -> dict[str, Any]:
        return {"path": str(self.path), "rows": self.rows, "sha256": self.sha256}


class Writer:
    """Writes rows to a temporary file beside `path`; `finish` puts it in place, leaving removes it.

    spreadsheet_safe: CSV cells that look like formulas get an apostrophe. altered: how many did.
    """

    def __init__(self, path: Path, container: str, spreadsheet_safe: bool) -> None:
        self._path = path
        self._container = container
        self._safe = spreadsheet_safe
        self._part = path.with_name(f".{path.name}.{os.getpid()}.part")
        self._digest = hashlib.sha256()
        self._rows = 0
        self.altered = 0
        self._header: list[str] = []
        self._done = False

    def __enter__(self) -> Writer:
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
        """Appends a row: its own bytes where given, else its value in this container's form.

        Raises DoesNotFit, with nothing written, for a row it cannot hold; FtuiError for a full disk.
        """
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
            raise DoesNotFit("a CSV row needs named fields", "export as .jsonl instead", str(self._path))
        if not self._rows:
            self._header = list(value)
            yield _record(self._harmless(self._header))
        if unknown := set(value) - set(self._header):
            names = ", ".join(sorted(unknown))
            raise DoesNotFit(
                f"a row has fields the first lacks: {names}", "export as .jsonl", str(self._path)
            )
        if raw is not None and not self._safe:
            yield raw + b"\n"
            return
        cells = [_cell(value.get(name, "")) for name in self._header]
        yield _record(self._harmless(cells))

    def _harmless(self, cells: list[str]) -> list[str]:
        if not self._safe:
            return cells
        self.altered += sum(cell.startswith(_FORMULA) for cell in cells)
        return [f"'{cell}" if cell.startswith(_FORMULA) else cell for cell in cells]

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
    # Cells are quoted for what is in the line's end: a lone \r in a cell must be, too.
    csv.writer(text, lineterminator="\r\n").writerow(cells)
    return text.getvalue().removesuffix("\r\n").encode("utf-8", "surrogatepass") + b"\n"

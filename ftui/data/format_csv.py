"""CSV and TSV: a header, then records that may hold quoted newlines. Values are text."""

from __future__ import annotations

import csv
import io
import sys
from typing import TYPE_CHECKING, Any

from ftui.data.row_json import dump_json

if TYPE_CHECKING:
    from ftui.data.formats import Spans

csv.field_size_limit(min(sys.maxsize, 2**31 - 1))  # the default refuses a field over 128 KiB


class Csv:
    """header: column names, made unique. start: where the first record after the header begins."""

    container = "csv"

    def __init__(self, header: list[str], delimiter: str, start: int) -> None:
        self.header = unique_names(header)
        self.delimiter = delimiter
        self.start = start

    def scan(self, data: bytes, final: bool) -> tuple[Spans, int]:
        starts: list[int] = []
        ends: list[int] = []
        at = 0
        while at < len(data):
            line_end = data.find(b"\n", at)
            end = line_end
            if line_end < 0 or data.find(b'"', at, line_end) >= 0:
                end = record_end(data, at, self.delimiter)
                unfinished = end < 0
                if unfinished and not final and len(data) - at < (16 << 20):
                    break
                if unfinished or (end > line_end >= 0 and not self._whole(data[at:end])):
                    # A quote that never closes would swallow every row after it: only its own line is broken.
                    end = line_end if line_end >= 0 else len(data)
            record = data[at:end].rstrip(b"\r\n")
            if record.strip():
                starts.append(at)
                ends.append(at + len(record))
            at = end + 1
        return (starts, ends), min(at, len(data))

    def parse(self, raw: bytes, exact: bool = True) -> tuple[Any, str]:
        try:
            text = raw.decode("utf-8")
        except UnicodeDecodeError as error:
            return None, f"not UTF-8: byte 0x{raw[error.start]:02X} at byte {error.start + 1}"
        if '"' in text and record_end(raw + b"\n", 0, self.delimiter) < 0:
            return None, "a quoted field is never closed"
        try:
            # A stray quote is tolerated within a line; across lines it means two rows grown together.
            records = read_records(text, self.delimiter, strict="\n" in text)
        except csv.Error as error:
            return None, str(error)
        if len(records) != 1:
            return None, f"{len(records)} records in one row"
        fields = records[0]
        if len(fields) != len(self.header):
            return None, f"{_count(len(fields), 'field')}, the header has {len(self.header)}"
        return dict(zip(self.header, fields, strict=True)), ""

    def encode(self, value: Any, like: bytes) -> bytes:
        """The record as CSV; what is no text is written as JSON. Raises ValueError for what is no object."""
        if not isinstance(value, dict):
            raise ValueError("a CSV row is an object")
        out = io.StringIO()
        fields = [value.get(name, "") for name in self.header]
        csv.writer(out, delimiter=self.delimiter, lineterminator="\r\n").writerow(
            [_text(field) for field in fields]
        )
        # With that line end, cells with line ends of any kind are quoted.
        return out.getvalue().removesuffix("\r\n").encode("utf-8", "surrogatepass")

    def _whole(self, record: bytes) -> bool:
        """Whether a record of several lines has as many fields as the header."""
        return not self.parse(record)[1]


def record_end(data: bytes, at: int, delimiter: str) -> int:
    """Where the record at `at` ends (its newline), as the csv module reads it; -1 when `data` ends first."""
    comma = delimiter.encode()
    while True:
        if data[at : at + 1] == b'"':  # a quoted field: doubled quotes are text
            at += 1
            while (quote := data.find(b'"', at)) >= 0 and data[quote + 1 : quote + 2] == b'"':
                at = quote + 2
            if quote < 0:
                return -1
            at = quote + 1
        newline = data.find(b"\n", at)
        field_end = data.find(comma, at, newline if newline >= 0 else len(data))
        if field_end < 0:
            return newline if newline >= 0 else -1
        at = field_end + 1


def read_records(text: str, delimiter: str, strict: bool = False) -> list[list[str]]:
    """Every record in `text`, blank lines left out. Raises csv.Error."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=strict)
    return [record for record in reader if record]


def unique_names(header: list[str]) -> list[str]:
    """Column names as keys: an empty one becomes column_3, a repeated one name_2."""
    names: list[str] = []
    for at, raw in enumerate(header):
        base = name = raw.strip() or f"column_{at + 1}"
        times = 1
        while name in names:
            times += 1
            name = f"{base}_{times}"
        names.append(name)
    return names


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    return "" if value is None else dump_json(value)


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" + ("" if number == 1 else "s")

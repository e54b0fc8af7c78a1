"""Decides by content, not by name, what a file is and how its rows are found."""

from __future__ import annotations

import csv
import re
from typing import TYPE_CHECKING, Any

from ftui.core import shapes
from ftui.core.errors import FtuiError
from ftui.data import unpack
from ftui.data.format_csv import Csv, read_records, record_end
from ftui.data.format_json import KEY, ROW_KEYS, JsonDocument
from ftui.data.format_text import BLANK_LINE, PlainText
from ftui.data.formats import Format, JsonLines
from ftui.data.json_scan import value_end
from ftui.data.parquet import parquet_rows
from ftui.data.row_json import parse_json
from ftui.data.source import Bytes, Identity, PlainBytes, read_exactly

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_HEAD = 64 * 1024
_LONG_HEAD = 8 << 20  # looked at where the first line is longer than _HEAD
_BOM = b"\xef\xbb\xbf"
_BOMS = (
    (b"\xff\xfe\0\0", "utf-32-le"),
    (b"\0\0\xfe\xff", "utf-32-be"),
    (b"\xff\xfe", "utf-16-le"),
    (b"\xfe\xff", "utf-16-be"),
)
_OTHERS = {  # what people pick by mistake, and what to do instead
    b"PK\x03\x04": ("a ZIP archive", "unpack it first"),
    b"SQLite format 3": ("an SQLite database", "export a table as CSV or JSONL"),
    b"%PDF": ("a PDF", "extract its text first"),
    b"\x89PNG": ("an image", ""),
    b"\xff\xd8\xff": ("an image", ""),
    b"GGUF": ("a GGUF model", "name it as a recipe's model.base"),
    b"\x7fELF": ("a program", ""),
    b"ARROW1": ("an Arrow file", "save it as Parquet or JSONL"),
    b"\xff\xff\xff\xff": ("an Arrow stream", "save it as Parquet or JSONL"),
    b"BZh": ("bzip2 data", "unpack it with bunzip2"),
    b"\xfd7zXZ": ("xz data", "unpack it with unxz"),
    b"\x80\x04": ("a Python pickle", "save it as JSONL"),
    b"\x93NUMPY": ("a NumPy array", "save it as JSONL"),
}
_NAME = re.compile(r"[\w .:/()#@-]{1,80}")
_LOST_BRACKET = re.compile(rb'[^\[]{1,2}\s*(?=\{\s*"[^"\n]{1,80}"\s*:)')  # an array's, damaged or gone
# Two brackets before a row that is no turn: one too many (a list of turns may well be in a list of rows).
_DOUBLED = re.compile(rb'\[\s*\[(?=\s*\{\s*"(?!role"|from"|content"|value")[^"\n]{1,80}"\s*:)')
_ROWS_FOLLOW = re.compile(rb'\[(?=\s*\{\s*")')
_NOT_TEXT = bytes(range(9)) + bytes(range(14, 27)) + bytes(range(28, 32))


def open_source(path: Path, fd: int, identity: Identity) -> tuple[Bytes, Format, unpack.Meter]:
    """Where the rows of `path` are read, in which format, and what unpacking says. Raises FtuiError."""
    meter = unpack.Meter(identity.size)
    head = read_exactly(fd, 0, _HEAD, path)
    layers: list[str] = []
    while len(layers) < 4 and (layer := _layer(head)):
        layers.append(layer)
        head = b""
        if layer == "parquet":
            break
        for chunk in _unpacked(fd, path, unpack.Meter(0), layers):
            head += chunk
            if len(head) >= _HEAD:
                break
    source: Bytes = PlainBytes(fd, path)
    if layers:
        source = unpack.UnpackedBytes(
            path, identity, "+".join(layers), lambda: _unpacked(fd, path, meter, layers), meter
        )
    if "parquet" in layers:
        return source, JsonLines(container="parquet"), meter
    return source, _format(path, source), meter


def _layer(head: bytes) -> str:
    """The outermost packing, "" where there is none."""
    if head.startswith(b"\x1f\x8b\x08"):
        return "gzip"
    if head.startswith(b"\x28\xb5\x2f\xfd") or (
        head[1:4] == b"\x2a\x4d\x18" and head[:1] in b"PQRSTUVWXYZ[\\]^_"
    ):
        return "zstd"
    if head.startswith(b"PAR1"):
        return "parquet"
    for mark, encoding in _BOMS:
        if head.startswith(mark):
            return encoding
    half = len(head) // 2
    even, odd = head[0 : 2 * half : 2].count(0), head[1 : 2 * half : 2].count(0)
    if half and odd > 0.4 * half and even < 0.1 * half:
        return "utf-16-le"
    if half and even > 0.4 * half and odd < 0.1 * half:
        return "utf-16-be"
    return (
        "cr"
        if b"\r" in head.rstrip(b"\r") and b"\n" not in head and head.translate(None, _NOT_TEXT) == head
        else ""
    )


def _unpacked(fd: int, path: Path, meter: unpack.Meter, layers: list[str]) -> Iterator[bytes]:
    chunks = unpack.file_chunks(fd, path, meter)
    for at, layer in enumerate(layers):
        if layer == "gzip":
            chunks = unpack.gunzip(chunks, meter)
        elif layer == "zstd":
            chunks = unpack.unzstd(chunks, meter)
        elif layer == "cr":
            chunks = unpack.newlines(chunks)
        elif layer == "parquet":
            chunks = parquet_rows(fd, chunks if at else None, path, meter)
        else:
            chunks = unpack.transcode(chunks, layer)
    return chunks


def _format(path: Path, source: Bytes) -> Format:
    head = source.read(0, _HEAD)
    if b"\n" not in head and len(head) == _HEAD:
        head = source.read(0, _LONG_HEAD)
    whole = source.ended(len(head))
    start = len(_BOM) if head.startswith(_BOM) else 0
    body = head[start:].strip()
    suffixes = [suffix.lower() for suffix in path.suffixes]
    if not body:
        return PlainText(True, start) if ".txt" in suffixes or ".md" in suffixes else JsonLines(start)
    lines = [
        line.strip() for line in (head[start:] if whole else head[start:].rpartition(b"\n")[0]).split(b"\n")
    ]
    lines = [line for line in lines[:200] if line]
    if body[:1] in (b"{", b"["):
        return _json(head, start, lines, whole)
    if not _lines_of(dict, lines) and (lost := _LOST_BRACKET.match(head, start)):
        return JsonDocument("values", lost.end())
    if _lines_of(dict, lines) or (body[:1] == b'"' and _json_values(lines) and ".csv" not in suffixes):
        return JsonLines(start)
    for magic, (what, hint) in _OTHERS.items():
        if head.startswith(magic):
            raise FtuiError(f"this is {what}, not a dataset", hint, str(path))
    if len(body) - len(body.translate(None, _NOT_TEXT)) > len(body) // 10:
        raise FtuiError("this is neither text, JSON, CSV nor Parquet", "name a dataset file", str(path))
    if table := _csv(head, start, whole, suffixes):
        return table
    return PlainText(bool(BLANK_LINE.search(body)) or len(lines) < 2, start)


def _lines_of(kind: type, lines: list[bytes]) -> bool:
    """True for one JSON value a line: the first of several is a whole `kind`, or half of them are, or half
    look so and some are."""
    if len(lines) > 1 and isinstance(parse_json(lines[0])[0], kind):
        return True
    first, last = (b"{", b"}") if kind is dict else (b"[", b"]")
    closed = [line for line in lines if line.startswith(first) and line.endswith(last)]
    read = sum(isinstance(parse_json(line)[0], kind) for line in closed)
    return 2 * read >= max(1, len(lines)) or (read > 0 and 2 * len(closed) >= len(lines))


def _json_values(lines: list[bytes]) -> bool:
    return all(not parse_json(line)[1] for line in lines[:20])


def _json(head: bytes, start: int, lines: list[bytes], whole: bool) -> Format:
    begin = start + len(head[start:]) - len(head[start:].lstrip())
    one_line = len(lines) == 1 and whole
    if head[begin : begin + 1] == b"[":
        first = parse_json(lines[0])[0] if lines else None
        conversation = shapes.recognise(first) != "unknown"  # a list of turns, not of rows
        if conversation or (not one_line and _lines_of(list, lines) and not _rows(first)):
            return JsonLines(start)
        doubled = _DOUBLED.match(head, begin)
        if doubled and whole and not parse_json(head[begin:].strip())[1]:
            doubled = None  # both brackets are closed: its rows are lists
        return JsonDocument("array", doubled.end() if doubled else begin + 1)
    if not one_line and _lines_of(dict, lines):
        return JsonLines(start)
    if lost := _LOST_BRACKET.match(head, begin):
        return JsonDocument("values", lost.end())
    document = _object(head, begin)
    if document is None:
        end = value_end(head, begin)
        more = end > 0 and head[end:].lstrip()[:1] in (b",", b"{")  # an array that lost its bracket
        return JsonLines(start) if len(lines) < 2 and not more else JsonDocument("values", start)
    return document


def _rows(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and shapes.recognise(value[0]) not in ("unknown", "text")


def _object(head: bytes, begin: int) -> JsonDocument | None:
    """How a JSON object keeps its rows; None where it is a row itself."""
    at = begin + 1
    members: list[
        tuple[bytes, int, int]
    ] = []  # key, where its value starts and ends (negative: not in `head`)
    while (key := KEY.match(head, at)) and key.end() < len(head) and len(members) < 50:
        at = value_end(head, key.end())
        members.append((key.group(1), key.end(), at))
        if at < 0:
            break
    for key_name, value, _ in members:
        if key_name in ROW_KEYS and head[value] == 0x5B:
            return JsonDocument("array", value + 1, wrapped=True)
    if not members and (lost := _ROWS_FOLLOW.search(head, begin, begin + 200)):
        return JsonDocument("array", lost.end(), wrapped=True)
    whole, _ = parse_json(head[begin:].strip())
    if isinstance(whole, dict) and shapes.recognise(whole) != "unknown":
        return None
    objects = [(value, end) for _, value, end in members if head[value] == 0x7B]
    if len(objects) == len(members) and (len(objects) > 1 or any(_known(head, *place) for place in objects)):
        if members[0][0].decode("utf-8", "replace") in shapes.FIELDS:
            return None
        return JsonDocument("object", begin + 1)
    for key_name, value, _ in members:
        first = value + 1 + len(head[value + 1 :]) - len(head[value + 1 :].lstrip())
        if (
            head[value] == 0x5B
            and first < len(head)
            and key_name.decode("utf-8", "replace") not in shapes.FIELDS
        ):
            end = value_end(head, first)
            if _known(head, first, end):
                return JsonDocument("array", value + 1, wrapped=True)
    return None


def _known(head: bytes, start: int, end: int) -> bool:
    value, broken = parse_json(head[start:end]) if end > start else (None, "unfinished")
    return not broken and shapes.recognise(value) not in ("unknown", "text")


def _csv(head: bytes, start: int, whole: bool, suffixes: list[str]) -> Csv | None:
    """The table `head` holds: the delimiter that gives most columns, the same number in most records."""
    named = ".csv" in suffixes or ".tsv" in suffixes
    best: tuple[int, Csv] | None = None
    for delimiter in (",", "\t", ";", "|"):
        end = record_end(head, start, delimiter)
        text = head[start : len(head) if whole else max(start, head.rfind(b"\n"))].decode("utf-8", "replace")
        try:
            records = read_records(text, delimiter)[: 50 if whole else -1][:50]
        except csv.Error:
            continue
        if not records:
            continue
        header, body = records[0], records[1:]
        even = sum(len(record) == len(header) for record in body)
        plausible = all(_NAME.fullmatch(name.strip()) for name in header if name.strip())
        known = any(name.strip().lower() in shapes.FIELDS for name in header)
        enough = even * 5 >= len(body) * 4 and (bool(body) or named or known)
        if len(header) > 1 and plausible and (enough or named) and (known or named or not suffixes):
            score = len(header) * (1 + even)
            if best is None or score > best[0]:
                best = (score, Csv(header, delimiter, end + 1 if end >= 0 else len(head)))
    if best:
        return best[1]
    if named:
        delimiter = "\t" if ".tsv" in suffixes else ","
        end = record_end(head, start, delimiter)
        first = head[start : end if end >= 0 else len(head)].decode("utf-8", "replace")
        header = next(iter(read_records(first, delimiter)), [""])
        return Csv(header, delimiter, end + 1 if end >= 0 else len(head))
    return None

"""Every file people have: good rows are shown, bad ones are broken rows with a reason, nothing crashes."""

from __future__ import annotations

import datetime
import decimal
import gzip
import io
import json
import math
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from ftui.core.errors import FtuiError
from ftui.data.dataset import Dataset

GOOD = [{"instruction": f"question {n}", "output": f"answer {n}"} for n in range(5)]
LINES = [json.dumps(row).encode() for row in GOOD]
BROKEN = object()


@dataclass
class Nasty:
    """A file and what must be seen in it: each row's value, or BROKEN."""

    data: bytes
    rows: list[Any]
    container: str = "jsonl"
    name: str = "file.jsonl"
    notices: int = 0
    reasons: list[str] = field(default_factory=list)


def zst(data: bytes) -> bytes:
    import zstandard

    return zstandard.ZstdCompressor().compress(data)


def parquet(rows: list[dict[str, Any]], **options: Any) -> bytes:
    import pyarrow
    import pyarrow.parquet

    out = io.BytesIO()
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), out, **options)
    return out.getvalue()


def document(value: Any, **options: Any) -> bytes:
    return json.dumps(value, **options).encode()


def csv_of(*lines: str) -> bytes:
    return "\r\n".join(lines).encode()


JSONL = b"\n".join(LINES) + b"\n"
PRETTY = document(GOOD, indent=2)
DEEP_OK = '{"text": "x", "meta": ' + "[" * 200 + "]" * 200 + "}"
DEEP_BAD = '{"text": "x", "meta": ' + "[" * 5000 + "]" * 5000 + "}"
MESSY = [{"instruction": 'tricky " \\ } ] { [ , \n é \U0001f600', "output": '"}, {"instruction": "no'}] * 3
LONG = "word " * 2_000_000
CARD = {"id": "1", "parent_id": "", "text": "hi"}

FILES: dict[str, Nasty] = {
    # JSON lines
    "plain": Nasty(JSONL, GOOD),
    "json lines named .json": Nasty(JSONL, GOOD, name="file.json"),
    "json lines named .csv": Nasty(JSONL, GOOD, name="file.csv"),
    "no final newline": Nasty(JSONL[:-1], GOOD),
    "crlf": Nasty(b"\r\n".join(LINES) + b"\r\n", GOOD),
    "old mac line ends": Nasty(b"\r".join(LINES), GOOD),
    "blank lines": Nasty(b"\n\n  \n" + b"\n\n\t\r\n".join(LINES) + b"\n\n", GOOD),
    "byte order mark": Nasty(b"\xef\xbb\xbf" + JSONL, GOOD),
    "byte order marks inside": Nasty(b"\xef\xbb\xbf" + LINES[0] + b"\n\xef\xbb\xbf" + LINES[1], GOOD[:2]),
    "utf-16 with mark": Nasty(JSONL.decode().encode("utf-16"), GOOD),
    "utf-16 little endian, no mark": Nasty(JSONL.decode().encode("utf-16-le"), GOOD),
    "utf-16 big endian with mark": Nasty(b"\xfe\xff" + JSONL.decode().encode("utf-16-be"), GOOD),
    "utf-32 with mark": Nasty(JSONL.decode().encode("utf-32"), GOOD),
    "utf-16 cut in half a character": Nasty(
        b"\xff\xfe" + JSONL.decode().encode("utf-16-le") + b"x", [*GOOD, BROKEN]
    ),
    "truncated last line": Nasty(JSONL + LINES[0][:20], [*GOOD, BROKEN], reasons=["ends too early"]),
    "invalid utf-8": Nasty(JSONL + b'{"text": "\xff\xfe"}\n' + LINES[0], [*GOOD, BROKEN, GOOD[0]], reasons=["not UTF-8"]),
    "a nul in a text": Nasty(JSONL + b'{"text": "a\0b"}\n', [*GOOD, BROKEN], reasons=["control character"]),
    "a hole of nuls": Nasty(JSONL + b"\0" * 5000 + b"\n" + LINES[0], [*GOOD, BROKEN, GOOD[0]], reasons=["NUL"]),
    "nan and infinity": Nasty(b'{"text": "x", "score": NaN}\n{"text": "x", "score": -Infinity}', [
        {"text": "x", "score": math.nan}, {"text": "x", "score": -math.inf}]),
    "integers over 64 bits": Nasty(b'{"text": "x", "id": 18446744073709551616}\n{"text": "x", "id": -9223372036854775809}', [
        {"text": "x", "id": 2**64}, {"text": "x", "id": -(2**63) - 1}]),
    "an integer of 5000 digits": Nasty(JSONL + b'{"id": ' + b"9" * 5000 + b"}", [*GOOD, BROKEN]),
    "duplicate keys": Nasty(b'{"text": "a", "text": "b"}\n', [{"text": "b"}]),
    "deep nesting": Nasty(DEEP_OK.encode(), [json.loads(DEEP_OK)]),
    "nesting nobody can parse": Nasty(JSONL + DEEP_BAD.encode(), [*GOOD, BROKEN], reasons=["too deep"]),
    "a line of ten megabytes": Nasty(JSONL + json.dumps({"text": LONG}).encode() + b"\n" + LINES[0], [
        *GOOD, {"text": LONG}, GOOD[0]]),
    "line separators inside": Nasty('{"text": "a\u2028b\u0085c"}\n'.encode() + LINES[0], [{"text": "a\u2028b\u0085c"}, GOOD[0]]),
    "lone surrogates": Nasty(b'{"text": "\\ud800"}\n', [{"text": "\ud800"}]),
    "single quotes": Nasty(JSONL + b"{'text': 'x'}\n", [*GOOD, BROKEN]),
    "trailing commas": Nasty(JSONL + b'{"text": "x",}\n', [*GOOD, BROKEN]),
    "python's way of writing": Nasty(b"{'text': 'x'}\n{'text': None}\n", [BROKEN, BROKEN], "json"),
    "array commas between lines": Nasty(b",\n".join(LINES) + b",\n", GOOD, "json"),
    "objects with nothing between": Nasty(b"".join(LINES), GOOD, "json"),
    "objects on one line": Nasty(b" ".join(LINES), GOOD, "json", "file.json"),
    "utf-16 with crlf": Nasty(b"\r\n".join(LINES).decode().encode("utf-16"), GOOD),
    "two carriage returns": Nasty(b"\r\r\n".join(LINES), GOOD),
    "escapes in keys": Nasty(b'{"te\\u0078t": "x"}\n{"text": "y", "a\\u0000b": 1}\n', [{"text": "x"}, {"text": "y", "a\0b": 1}]),
    "a number in one row of ten thousand levels": Nasty(
        JSONL + b'{"a": ' * 10_000 + b"1" + b"}" * 10_000 + b"\n" + LINES[0], [*GOOD, BROKEN, GOOD[0]], reasons=["too deep"]),
    "one text alone": Nasty(b'"hello"', ["hello"], name="file.json"),
    "one number alone": Nasty(b"42", [{"text": "42"}], "text", "file.json"),
    "a web page by mistake": Nasty(b"<!DOCTYPE html>\n\n<p>404</p>\n", [{"text": "<!DOCTYPE html>"}, {"text": "<p>404</p>"}], "text"),
    "two objects on a line": Nasty(JSONL + LINES[0] + LINES[1] + b"\n", [*GOOD, BROKEN], reasons=["extra data"]),
    "the first line is broken": Nasty(b'{"instruction": "x\n' + JSONL, [BROKEN, *GOOD]),
    "the first line is a comment": Nasty(b"# exported today\n" + JSONL, [BROKEN, *GOOD]),
    "rows that are no objects": Nasty(b'"a text"\n12\nnull\n[1, 2]\n', ["a text", 12, None, [1, 2]]),
    "rows that are lists of objects": Nasty(b'[[{"a": 1}, {"a": 2}]]', [[{"a": 1}, {"a": 2}]], "json", "file.json"),
    "rows that are lists of turns": Nasty(document([{"role": "user", "content": "hi"}]) + b"\n", [[{"role": "user", "content": "hi"}]]),
    "mixed shapes": Nasty(LINES[0] + b'\n{"text": "x"}\n{"messages": []}', [GOOD[0], {"text": "x"}, {"messages": []}]),
    "a key first seen late": Nasty(b'{"text": "x"}\n' * 3000 + b'{"text": "x", "late": 1}\n', [{"text": "x"}] * 3000 + [{"text": "x", "late": 1}]),
    "empty": Nasty(b"", []),
    "only white space": Nasty(b" \n\t\r\n  ", []),
    "only a byte order mark": Nasty(b"\xef\xbb\xbf", []),
    # JSON documents
    "array": Nasty(document(GOOD), GOOD, "json", "file.json"),
    "array named .jsonl": Nasty(document(GOOD), GOOD, "json"),
    "pretty array": Nasty(PRETTY, GOOD, "json"),
    "array with byte order mark and crlf": Nasty(b"\xef\xbb\xbf" + PRETTY.replace(b"\n", b"\r\n"), GOOD, "json"),
    "array of rows, one a line": Nasty(b"[\n" + b",\n".join(LINES) + b"\n]\n", GOOD, "json"),
    "utf-16 array": Nasty(PRETTY.decode().encode("utf-16"), GOOD, "json"),
    "array with tricky texts": Nasty(document(MESSY), MESSY, "json"),
    "array cut short": Nasty(document(GOOD)[:-20], [*GOOD[:4], BROKEN], "json", reasons=["ends too early"]),
    "pretty array cut short": Nasty(PRETTY[:-20], [*GOOD[:4], BROKEN], "json"),
    "array without its end": Nasty(document(GOOD)[:-1], GOOD, "json"),
    "array with a lost quote": Nasty(PRETTY.replace(b'question 2"', b"question 2"), [*GOOD[:2], BROKEN, *GOOD[3:]], "json"),
    "compact array with a lost quote": Nasty(
        document(GOOD).replace(b'question 2"', b"question 2"), [*GOOD[:2], BROKEN, *GOOD[3:]], "json"),
    "array with a lost quote in its first row": Nasty(PRETTY.replace(b'question 0"', b"question 0"), [BROKEN, *GOOD[1:]], "json"),
    "array with a lost quote in its last row": Nasty(PRETTY.replace(b'question 4"', b"question 4"), [*GOOD[:4], BROKEN], "json"),
    "array with a lost bracket": Nasty(
        document(GOOD).replace(b'answer 2"}', b'answer 2"'), [*GOOD[:2], BROKEN, *GOOD[3:]], "json"),
    "array with raw newlines in a text": Nasty(document(GOOD).replace(b"answer 1", b"answer\n1"), [GOOD[0], BROKEN, *GOOD[2:]], "json"),
    "array with a bad element": Nasty(b'[{"text": "a"}, oops it broke, {"text": "b"}]', [{"text": "a"}, BROKEN, {"text": "b"}], "json"),
    "array with invalid utf-8": Nasty(b'[{"text": "a"}, {"text": "\xff"}, {"text": "b"}]', [{"text": "a"}, BROKEN, {"text": "b"}], "json"),
    "array without commas": Nasty(b"[" + b" ".join(LINES) + b"]", GOOD, "json"),
    "array with extra commas": Nasty(b"[" + b",,".join(LINES) + b",]", GOOD, "json"),
    "two arrays": Nasty(document(GOOD[:2]) + b"\n" + document(GOOD[2:]), GOOD, "json"),
    "empty array": Nasty(b"[]", [], "json"),
    "array of texts": Nasty(b'["a", "b, ]", "c"]', ["a", "b, ]", "c"], "json"),
    "array of numbers": Nasty(b"[1, -2.5e3, true, null]", [1, -2500.0, True, None], "json"),
    "array with a ten megabyte row": Nasty(document([GOOD[0], {"text": LONG}, GOOD[1]]), [GOOD[0], {"text": LONG}, GOOD[1]], "json"),
    "rows under data": Nasty(document({"version": "1", "data": GOOD, "more": {"a": [1]}}), GOOD, "json"),
    "rows under train and test": Nasty(document({"train": GOOD[:2], "info": "x", "test": GOOD[2:]}, indent=1), GOOD, "json"),
    "rows under a name of their own": Nasty(document({"version": 2, "tickets": GOOD}), GOOD, "json"),
    "object of rows": Nasty(document({f"id{n}": row for n, row in enumerate(GOOD)}), GOOD, "json"),
    "pretty object of rows": Nasty(document({str(n): row for n, row in enumerate(GOOD)}, indent=4), GOOD, "json"),
    "object of rows with a lost quote": Nasty(
        document({str(n): row for n, row in enumerate(GOOD)}, indent=4).replace(b'question 2"', b"question 2"),
        [*GOOD[:2], BROKEN, *GOOD[3:]], "json"),
    "one pretty object": Nasty(document(GOOD[0], indent=2), GOOD[:1], "json"),
    "pretty objects one after another": Nasty(b"\n".join(document(row, indent=2) for row in GOOD), GOOD, "json"),
    "one object on one line": Nasty(LINES[0], GOOD[:1]),
    "one preference pair": Nasty(document({"chosen": {"role": "assistant", "content": "a"}, "rejected": {"role": "assistant", "content": "b"}}, indent=1), [
        {"chosen": {"role": "assistant", "content": "a"}, "rejected": {"role": "assistant", "content": "b"}}], "json"),
    # tables
    "csv": Nasty(csv_of("instruction,output", "a,b", "c,d"), [{"instruction": "a", "output": "b"}, {"instruction": "c", "output": "d"}], "csv", "f.csv"),
    "csv without a name for it": Nasty(csv_of("instruction,output", "a,b", "c,d"), [{"instruction": "a", "output": "b"}, {"instruction": "c", "output": "d"}], "csv", "f"),
    "csv with quoted newlines": Nasty(b'instruction,output\n"a\nb","say ""hi"", ok"\nc,d\n', [
        {"instruction": "a\nb", "output": 'say "hi", ok'}, {"instruction": "c", "output": "d"}], "csv", "f.csv"),
    "csv with a quote never closed": Nasty(b'instruction,output\na,b\nc,"d\ne,f\n', [
        {"instruction": "a", "output": "b"}, BROKEN, {"instruction": "e", "output": "f"}], "csv", "f.csv"),
    "csv with a stray quote before quoted rows": Nasty(b'instruction,output\nc,"d\ne,"f"\ng,h\n', [
        BROKEN, {"instruction": "e", "output": "f"}, {"instruction": "g", "output": "h"}], "csv", "f.csv"),
    "csv with inches": Nasty(b'instruction,output\n5" pipe,yes\nc,d\n', [{"instruction": '5" pipe', "output": "yes"}, {"instruction": "c", "output": "d"}], "csv", "f.csv"),
    "csv with ragged rows": Nasty(b"instruction,output\na\nb,c\nd,e,f\n", [BROKEN, {"instruction": "b", "output": "c"}, BROKEN], "csv", "f.csv", reasons=["1 field,"]),
    "csv with a bom": Nasty(b"\xef\xbb\xbfinstruction,output\na,b\n", [{"instruction": "a", "output": "b"}], "csv", "f.csv"),
    "csv in utf-16": Nasty("instruction\toutput\na\tb\n".encode("utf-16"), [{"instruction": "a", "output": "b"}], "csv", "f.csv"),
    "csv with semicolons": Nasty(b"instruction;output\na;b, c\nd;e\n", [{"instruction": "a", "output": "b, c"}, {"instruction": "d", "output": "e"}], "csv", "f.csv"),
    "csv with a huge field": Nasty(b"instruction,output\na," + b"x" * 300_000 + b"\n", [{"instruction": "a", "output": "x" * 300_000}], "csv", "f.csv"),
    "csv with repeated and empty names": Nasty(b"text,text,,\na,b,c,d\n", [{"text": "a", "text_2": "b", "column_3": "c", "column_4": "d"}], "csv", "f.csv"),
    "csv header only": Nasty(b"instruction,output\n", [], "csv", "f.csv"),
    "csv with one column": Nasty(b"text\nhello\nworld\n", [{"text": "hello"}, {"text": "world"}], "csv", "f.csv"),
    "csv with invalid utf-8": Nasty(b"instruction,output\na,b\n\xff,c\n", [{"instruction": "a", "output": "b"}, BROKEN], "csv", "f.csv"),
    "csv in latin-1": Nasty("instruction,output\na,b\nÄ,é\n".encode("latin-1"), [{"instruction": "a", "output": "b"}, BROKEN], "csv", "f.csv"),
    "csv with a nul": Nasty(b"instruction,output\na,b\0c\nd,e\n", [{"instruction": "a", "output": "b\0c"}, {"instruction": "d", "output": "e"}], "csv", "f.csv"),
    "csv with blank lines": Nasty(b"a,b\n\n1,2\n\n\n3,4\n", [{"a": "1", "b": "2"}, {"a": "3", "b": "4"}], "csv", "f.csv"),
    "csv of nothing but quotes": Nasty(b'a,b\n"",""\n', [{"a": "", "b": ""}], "csv", "f.csv"),
    "tsv with ragged rows": Nasty(b"a\tb\n1\t2\n3\n", [{"a": "1", "b": "2"}, BROKEN], "csv", "f.tsv"),
    "tsv": Nasty(b"instruction\toutput\na\tb\n", [{"instruction": "a", "output": "b"}], "csv", "f.tsv"),
    "threads": Nasty(b"id,parent_id,text\n1,,hi\n", [CARD], "csv", "f.csv"),
    # text
    "paragraphs": Nasty(b"One line\nand more.\n\n\n  Second, indented.\n \nThird.", [
        {"text": "One line\nand more."}, {"text": "  Second, indented."}, {"text": "Third."}], "text", "f.txt"),
    "a text a line": Nasty(b"One.\nTwo, here.\nThree.\n", [{"text": "One."}, {"text": "Two, here."}, {"text": "Three."}], "text", "f.txt"),
    "text with invalid utf-8": Nasty(b"One.\n\n\xff\xfe bad\n\nThree.", [{"text": "One."}, BROKEN, {"text": "Three."}], "text", "f.txt"),
    "empty text": Nasty(b"", [], "text", "f.txt"),
    # packed
    "gzip": Nasty(gzip.compress(JSONL), GOOD, name="f.jsonl.gz"),
    "gzip without a name for it": Nasty(gzip.compress(JSONL), GOOD),
    "gzip in several members": Nasty(gzip.compress(JSONL[:100]) + gzip.compress(JSONL[100:]) + b"\0" * 64, GOOD),
    "gzip cut short": Nasty(gzip.compress(JSONL, mtime=0)[:-4], GOOD, notices=1),
    "gzip with garbage after it": Nasty(gzip.compress(JSONL) + b"garbage", GOOD, notices=1),
    "gzip of a json array": Nasty(gzip.compress(PRETTY), GOOD, "json", "f.json.gz"),
    "gzip of csv": Nasty(gzip.compress(b"instruction,output\na,b\n"), [{"instruction": "a", "output": "b"}], "csv", "f.csv.gz"),
    "gzip of gzip of utf-16": Nasty(gzip.compress(gzip.compress(JSONL.decode().encode("utf-16"))), GOOD),
    "empty gzip": Nasty(gzip.compress(b""), []),
    "zstandard": Nasty(zst(JSONL), GOOD, name="f.jsonl.zst"),
    "zstandard in several frames": Nasty(zst(JSONL[:100]) + zst(JSONL[100:]), GOOD),
    "zstandard cut short": Nasty(zst(JSONL)[:-3], [], notices=1),
    "parquet": Nasty(parquet(GOOD), GOOD, "parquet", "f.parquet"),
    "parquet with another name": Nasty(parquet(GOOD), GOOD, "parquet", "f.jsonl"),
    "parquet in small row groups": Nasty(parquet(GOOD, row_group_size=2), GOOD, "parquet"),
    "parquet with nested rows": Nasty(parquet([{"messages": [{"role": "user", "content": "hi"}]}]), [{"messages": [{"role": "user", "content": "hi"}]}], "parquet"),
    "parquet with nan": Nasty(parquet([{"text": "a", "score": math.nan}]), [{"text": "a", "score": math.nan}], "parquet"),
    "parquet with bytes": Nasty(parquet([{"text": "a", "raw": b"\xff\0"}]), [{"text": "a", "raw": "/wA="}], "parquet"),
    "parquet with times, decimals and nothing": Nasty(
        parquet([{"text": "a", "at": datetime.datetime(2024, 1, 2, 3, 4, 5), "day": datetime.date(2024, 1, 2),
                  "price": decimal.Decimal("1.50"), "none": None, "few": [None, 1]}, {"text": None}]),
        [{"text": "a", "at": "2024-01-02T03:04:05", "day": "2024-01-02", "price": "1.50", "none": None, "few": [None, 1]},
         {"text": None, "at": None, "day": None, "price": None, "none": None, "few": None}], "parquet"),
    "zstandard with garbage after it": Nasty(zst(JSONL) + b"garbage", GOOD, notices=1),
    "gzip of parquet": Nasty(gzip.compress(parquet(GOOD)), GOOD, "parquet", "f.parquet.gz"),
}  # fmt: skip


@pytest.fixture(autouse=True)
def _own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def _same(seen: Any, wanted: Any) -> bool:
    if isinstance(wanted, float) and math.isnan(wanted):
        return isinstance(seen, float) and math.isnan(seen)
    if isinstance(wanted, dict):
        return (
            isinstance(seen, dict)
            and list(seen) == list(wanted)
            and all(_same(seen[k], wanted[k]) for k in wanted)
        )
    return type(seen) is type(wanted) and bool(seen == wanted)


@pytest.mark.parametrize("name", FILES)
def test_shows_every_good_row_and_names_every_bad_one(name, tmp_path):
    nasty = FILES[name]
    path = tmp_path / nasty.name
    path.write_bytes(nasty.data)
    with Dataset.open(path, "tester") as dataset:
        dataset.build()
        rows = list(dataset.rows())
        assert dataset.container == nasty.container
        assert [row.number for row in rows] == list(range(1, len(nasty.rows) + 1))
        for row, wanted in zip(rows, nasty.rows, strict=True):
            if wanted is BROKEN:
                assert row.broken
                assert row.shape == "broken"
            else:
                assert not row.broken, row.broken
                assert _same(row.value, wanted)
        assert dataset.broken_known == sum(wanted is BROKEN for wanted in nasty.rows)
        assert len(dataset.notices) == nasty.notices
        broken = " ".join(row.broken for row in rows)
        assert all(reason in broken for reason in nasty.reasons)
        # Seen one by one and in pages, the rows are the same.
        summaries = dataset.summaries(1, len(rows) + 10)
        assert [summary.number for summary in summaries] == [row.number for row in rows]
        assert all(summary.preview.isprintable() for summary in summaries)
        picked = sorted({1, (len(rows) + 1) // 2, len(rows)}) if rows else []
        for number in picked:
            assert dataset.row(number).raw == rows[number - 1].raw
            assert dataset.row(number).line == rows[number - 1].line
    assert path.read_bytes() == nasty.data


def test_lines_are_counted_where_blank_lines_are_not(tmp_path):
    path = tmp_path / "file.jsonl"
    path.write_bytes(b"\n\n" + LINES[0] + b"\n\n{bad\n" + LINES[1] + b"\n")
    with Dataset.open(path, "tester") as dataset:
        assert [(row.number, row.line) for row in dataset.rows()] == [(1, 3), (2, 5), (3, 6)]
        assert dataset.row(3).line == 6


@pytest.mark.parametrize(
    ("data", "word"),
    [
        (b"PK\x03\x04" + bytes(100), "ZIP"),
        (b"SQLite format 3\0" + bytes(100), "SQLite"),
        (b"%PDF-1.4\n%\xff", "PDF"),
        (bytes(range(256)) * 20, "neither"),
        (b"PAR1" + bytes(50), "Parquet"),
        (parquet(GOOD)[:-30], "Parquet"),
    ],
)
def test_says_what_a_file_is_that_is_no_dataset(data, word, tmp_path):
    path = tmp_path / "file.jsonl"
    path.write_bytes(data)
    with pytest.raises(FtuiError, match=word):
        Dataset.open(path, "tester")


def test_a_folder_or_a_missing_file_is_one_clear_error(tmp_path):
    with pytest.raises(FtuiError, match="folder"):
        Dataset.open(tmp_path, "tester")
    with pytest.raises(FtuiError, match="no such file"):
        Dataset.open(tmp_path / "none.jsonl", "tester")


@pytest.mark.parametrize(
    ("name", "word"),
    [("loop", "symbolic links"), ("dangling", "no such file"), ("fifo", "regular file"), ("device", "regular file"),
     ("n" * 300, "too long"), ("locked", "denied")],
    ids=lambda value: value[:8],
)  # fmt: skip
def test_what_cannot_be_read_is_one_clear_error_at_once(name, word, tmp_path):
    path = tmp_path / name
    if name == "loop":
        path.symlink_to(path)
    elif name == "dangling":
        path.symlink_to(tmp_path / "nowhere")
    elif name == "fifo":
        os.mkfifo(path)
    elif name == "device":
        path = Path("/dev/zero")
    elif name == "locked":
        path.write_bytes(JSONL)
        path.chmod(0)
        if os.access(path, os.R_OK):
            pytest.skip("root reads everything")
    with pytest.raises(FtuiError, match=word):
        Dataset.open(path, "tester")


def test_there_are_at_least_a_hundred_of_them():
    assert len(FILES) >= 100


def test_a_key_first_seen_at_row_120_000_is_there(tmp_path):
    path = tmp_path / "late.jsonl"
    path.write_bytes(b'{"text": "x"}\n' * 119_999 + b'{"text": "x", "late": 1}\n{"text": "x"}\n')
    with Dataset.open(path, "tester") as dataset:
        assert dataset.row(120_000).value == {"text": "x", "late": 1}
        assert dataset.row(120_001).value == {"text": "x"}


def test_rows_are_readable_before_a_large_file_is_indexed(tmp_path):
    path = tmp_path / "large.jsonl"
    path.write_bytes(JSONL * 40_000)
    with Dataset.open(path, "tester") as dataset:
        assert not dataset.complete
        assert len(dataset.summaries(1, 50)) == 50
        assert dataset.row(1).value == GOOD[0]
        assert not dataset.complete
        steps = []
        dataset.build(lambda done, total: steps.append((done, total)))
        assert dataset.complete
        assert dataset.checked
        assert dataset.rows_known == 200_000
        assert steps == sorted(steps)
        assert steps[-1][0] == steps[-1][1]
        assert dataset.row(200_000).line == 200_000
    with Dataset.open(path, "tester") as again:
        assert again.complete  # from its cached index
        assert again.checked
        assert again.row(123_456).value == GOOD[(123_456 - 1) % 5]
        assert again.row(123_456).line == 123_456
        assert again.shapes == {"alpaca": 200_000}


def test_building_can_be_cancelled_and_taken_up_again(tmp_path):
    path = tmp_path / "large.jsonl"
    path.write_bytes(JSONL * 40_000)
    with Dataset.open(path, "tester") as dataset:
        dataset.build(cancelled=lambda: dataset.rows_known > 50_000)
        assert 50_000 < dataset.rows_known < 200_000
        dataset.build()
        assert dataset.rows_known == 200_000


@pytest.mark.parametrize("pack", [gzip.compress, zst], ids=["gzip", "zstandard"])
def test_a_packed_file_is_unpacked_once(pack, tmp_path):
    path = tmp_path / "packed.jsonl"
    path.write_bytes(pack(JSONL * 4000))
    with Dataset.open(path, "tester") as dataset:
        assert dataset.row(1).value == GOOD[0]
        dataset.build()
    unpacked = list((tmp_path / "cache" / "ftui" / "unpacked").iterdir())
    assert [len(file.read_bytes()) for file in unpacked] == [len(JSONL) * 4000]
    with Dataset.open(path, "tester") as dataset:
        dataset.build()
        assert dataset.rows_known == 20_000
    path.write_bytes(pack(JSONL))
    with Dataset.open(path, "tester") as dataset:
        assert dataset.find_all() == 5
    assert len(list((tmp_path / "cache" / "ftui" / "unpacked").iterdir())) == 1


def test_a_damaged_index_cache_is_made_again(tmp_path):
    path = tmp_path / "large.jsonl"
    path.write_bytes(JSONL * 40_000)
    with Dataset.open(path, "tester") as dataset:
        dataset.build()
    cached = path.with_name("large.jsonl.ftui") / "index.bin"
    good = cached.read_bytes()
    for bad in (b"", good[:100], good[:-1], good[:5000] + b"\xff" + good[5001:]):
        cached.write_bytes(bad)
        with Dataset.open(path, "tester") as dataset:
            assert not dataset.complete
            assert dataset.find_all() == 200_000

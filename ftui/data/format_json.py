"""JSON documents that hold rows: an array, an object of rows, `{"data": [...]}`, one object, several values.

Whole-file parsers lose everything for one bad element. Here each element is found first and parsed by itself;
where one derails (a quote or a bracket is missing), scanning starts again at the next thing that looks like
the beginning of a row.
"""

from __future__ import annotations

import contextlib
import re
from typing import TYPE_CHECKING, Any, Literal

import orjson

from ftui.data.json_scan import INCOMPLETE, value_end
from ftui.data.row_json import dump_json, parse_json

if TYPE_CHECKING:
    from ftui.data.formats import Spans

Layout = Literal["array", "object", "values"]

# Keys under which a document keeps its rows.
ROW_KEYS = frozenset(
    b"data rows examples train training test eval validation dev".split()
    + b"items instances samples records dataset entries".split()
)
KEY = re.compile(rb'[ \t\r\n,]*"((?:[^"\\\n]|\\.)*)"[ \t\r\n]*:[ \t\r\n]*')
_SEPARATORS = re.compile(rb"[ \t\r\n,]*")
_SPACE = re.compile(rb"[ \t\r\n]*")
_FIRST_KEY = re.compile(rb'\{\s*("(?:[^"\\\n]|\\.){1,80}")\s*:')
_ANY_ROW = re.compile(rb"[,\[\n]\s*(?=[{\[])")
_MISSES = 1000  # guesses that may fail before guessing ends
_LONGEST_ELEMENT = 256 << 20  # one that goes on for longer has lost a quote

_MORE = -1  # the data ends before it is clear


class JsonDocument:
    """Rows in one JSON document.

    layout: rows are the elements of an "array", the members of an "object", or "values" one after another.
    start: just after the bracket that opens them. wrapped: the array is a member of an object, and members
    after it that hold rows too are read as well.
    """

    container = "json"

    def __init__(self, layout: Layout, start: int, wrapped: bool = False) -> None:
        self.start = start
        self._layout = layout
        self._wrapped = wrapped
        self._inside = layout != "values"
        self._joint = b""
        self._misses = 0
        self._key = b""
        self._row_start: re.Pattern[bytes] | None = None
        self._nested: re.Pattern[bytes] | None = None

    def scan(self, data: bytes, final: bool) -> tuple[Spans, int]:
        starts: list[int] = []
        ends: list[int] = []
        used, inside = 0, self._inside
        while (at := self._next(data, used, final)) not in (_MORE, len(data)):
            if not self._joint and starts:
                self._learn_joint(data, used, at)
            end = self._quick_end(data, at) or self._end(data, at, final)
            if end == _MORE:
                break
            starts.append(at)
            ends.append(end)
            used, inside = end, self._inside
        if final:
            return (starts, ends), len(data)
        self._inside = inside  # as it was at `used`: the rest is seen again
        return (starts, ends), used

    def parse(self, raw: bytes, exact: bool = True) -> tuple[Any, str]:
        return parse_json(raw, exact=exact)

    def encode(self, value: Any, like: bytes) -> bytes:
        return dump_json(value).encode("utf-8")

    def _next(self, data: bytes, at: int, final: bool) -> int:
        """Where the next row begins, len(data) when there is none, _MORE when that is not clear yet."""
        while True:
            before, at = at, _skip(data, at)
            byte = data[at : at + 1]
            if not byte:
                return at
            if self._inside and byte in (b"]", b"}"):
                self._inside = False
                at += 1
            elif not self._inside and byte == b"[" and self._layout == "array":
                self._inside = True  # another document follows the first
                at += 1
            elif self._inside and byte == b"[" and self._nested and self._nested.match(data, at):
                at += 1  # a stray bracket before a row
            elif not self._inside and self._wrapped and byte == b"{":
                self._inside = True  # rows go on after a stray bracket
            elif not self._inside and self._wrapped:
                at = self._after_array(data, before, final)
                if at < 0:
                    return len(data) if final else _MORE
            elif self._inside and self._layout == "object" and byte == b'"':
                key = KEY.match(data, at)
                if key and key.end() < len(data):
                    return key.end()
                return at if final or (key is None and b"\n" in data[at:]) else _MORE
            else:
                return at

    def _after_array(self, data: bytes, at: int, final: bool) -> int:
        """Reads on in the object around the rows: into the next array of rows, or past what is none."""
        key = KEY.match(data, at)
        if key is None:
            at = _skip(data, at)
            return at + 1 if data[at : at + 1] == b"}" or final or b"\n" in data[at:] else _MORE
        if key.end() == len(data):
            return _MORE
        if key.group(1) in ROW_KEYS and data[key.end()] == 0x5B:
            self._inside = True
            return key.end() + 1
        return max(value_end(data, key.end()), _MORE)

    def _quick_end(self, data: bytes, at: int) -> int:
        """Where the row at `at` ends, guessed from what came between earlier rows, proved by parsing; else 0.

        An object that parses is the whole row: no other prefix of the text from there is one too.
        """
        if not self._joint:
            return 0
        end = data.find(self._joint, at) + 1
        if end:
            with contextlib.suppress(orjson.JSONDecodeError):
                orjson.loads(memoryview(data)[at:end])
                return end
        self._misses += 1
        if self._misses > _MISSES:
            self._joint = b""
        return 0

    def _learn_joint(self, data: bytes, end: int, at: int) -> None:
        """Remembers what lies between two rows, from closing bracket to first key, while it may be of use."""
        key = _FIRST_KEY.match(data, at)
        if key and self._misses <= _MISSES and data[end - 1 : end] == b"}":
            self._joint = data[end - 1 : key.end(1)]

    def _end(self, data: bytes, at: int, final: bool) -> int:
        """Where the row at `at` ends, or _MORE."""
        end = value_end(data, at)
        patient = not final and len(data) - at < _LONGEST_ELEMENT
        if end == INCOMPLETE and patient:
            return _MORE
        if end >= 0:
            if not self._key and (key := _FIRST_KEY.match(data, at)):
                self._learn(key.group(1))
            if not self._suspicious(data, at, end):
                return end
        own_key = _FIRST_KEY.match(data, at)
        pattern = self._row_start or (self._pattern(own_key.group(1)) if own_key else _ANY_ROW)
        following = pattern.search(data, at + 1)
        if following is None and patient:
            return _MORE
        broken = data[at : following.start() if following else len(data)].rstrip(b" \t\r\n,")
        if following is None and self._inside:
            # What closes the document is no part of its last row.
            inner = broken.removesuffix(b"}" if self._layout == "object" else b"]").rstrip()
            if inner.endswith((b"}", b"]", b'"')):
                broken = inner
        return at + max(1, len(broken))

    def _learn(self, key: bytes) -> None:
        """Remembers how rows begin: most begin with the same key."""
        self._key = key
        self._row_start = self._pattern(key)
        self._nested = re.compile(rb"\[\s*\{\s*" + re.escape(key) + rb"\s*:")

    def _suspicious(self, data: bytes, at: int, end: int) -> bool:
        """True for what cannot be a row among these: two grown together, or a scrap of a broken one."""
        if data[at] not in b"{[" and (self._row_start or self._inside):
            return data[_SPACE.match(data, end).end() :][:1] not in (b",", b"]", b"}", b"")  # type: ignore[union-attr]
        if not self._row_start:
            return False
        again = data.find(self._key, at + 2 + len(self._key), end) >= 0
        return (
            again
            and self._row_start.search(data, at + 1, end) is not None
            and bool(parse_json(data[at:end])[1])
        )

    def _pattern(self, key: bytes) -> re.Pattern[bytes]:
        """What comes between two rows, when rows begin with `key`."""
        name = rb'"(?:[^"\\\n]|\\.)*"\s*:\s*' if self._layout == "object" else b""
        return re.compile(rb"[,\[\n]\s*" + name + rb"(?=\{\s*" + re.escape(key) + rb"\s*:)")


def _skip(data: bytes, at: int) -> int:
    match = _SEPARATORS.match(data, at)
    return match.end() if match else at

"""Finds the rows that contain a text, at the speed of the disk: over raw bytes, offsets mapped to rows.

A text is looked for as it would lie in the file: as it is, JSON-escaped (`\\n`, `\\"`, `\\u00e9`), or with
CSV's doubled quotes. What matches is the whole row, field names included.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ftui.data.opened import OpenedFile

_CHUNK = 4 << 20


class Needle:
    """A text to find. `within` looks in a decoded text, `offsets` in bytes."""

    def __init__(self, text: str, ignore_case: bool) -> None:
        self._text = text.casefold() if ignore_case else text
        self._ignore_case = ignore_case
        forms = _forms(text)
        self.longest = max(map(len, forms))
        self._plain: bytes | None = None
        self._pattern: re.Pattern[bytes] | None = None
        if ignore_case and not text.isascii():
            self._pattern = re.compile(b"".join(map(_any_case, text)))
            self.longest = 12 * len(text)
        elif len(forms) == 1:
            self._plain = forms[0].lower() if ignore_case else forms[0]
        else:
            flags = re.IGNORECASE if ignore_case else 0
            self._pattern = re.compile(b"|".join(re.escape(form) for form in forms), flags)

    def within(self, text: str) -> bool:
        """Whether `text` contains it."""
        return self._text in (text.casefold() if self._ignore_case else text)

    def offsets(self, data: bytes) -> Callable[[int], int]:
        """A function from a position to that of the next match in `data`, -1 when there is none."""
        if self._pattern is not None:
            search = self._pattern.search

            def next_match(at: int) -> int:
                match = search(data, at)
                return match.start() if match else -1

            return next_match
        plain, haystack = self._plain, data.lower() if self._ignore_case else data
        assert plain is not None
        return lambda at: haystack.find(plain, at)


def matching_rows(
    file: OpenedFile, needle: Needle, progress: Callable[[int, int], None], stop: Callable[[], bool]
) -> Iterator[int]:
    """Rows (from 0, in order) whose raw bytes contain `needle`. The index must be complete."""
    index = file.index
    if not len(index):
        return
    end_of_rows = index.starts[-1] + index.sizes[-1]
    at, overlap = index.starts[0], needle.longest - 1
    last = -1
    while at < end_of_rows and not stop():
        data = file.read(at, min(_CHUNK, end_of_rows - at))
        if not data:
            return
        next_match = needle.offsets(data)
        found = next_match(0)
        while found >= 0:
            row = index.row_at(at + found)
            end = index.starts[row] + index.sizes[row]
            if row > last and at + found < end:
                yield row
                last = row
            # On with the next row: one match is enough.
            found = next_match(max(found + 1, end - at)) if end - at < len(data) else -1
        at += max(1, len(data) - overlap) if at + len(data) < end_of_rows else len(data)
        progress(min(at, end_of_rows), end_of_rows)


def _forms(text: str) -> list[bytes]:
    """The ways `text` may lie in a file, as bytes."""
    utf8 = text.encode("utf-8", "surrogatepass")
    escaped = json.dumps(text, ensure_ascii=True)[1:-1].encode()
    half = json.dumps(text, ensure_ascii=False)[1:-1].encode("utf-8", "surrogatepass")
    upper = re.sub(rb"(?<!\\)\\u[0-9a-f]{4}", lambda match: b"\\u" + match.group()[2:].upper(), escaped)
    forms = {utf8, half, escaped, upper, utf8.replace(b'"', b'""'), half.replace(b"/", b"\\/")}
    return sorted(forms, key=len, reverse=True)


def _any_case(char: str) -> bytes:
    """A pattern for `char` in any case, raw or escaped."""
    cases = {char, char.lower(), char.upper(), char.casefold()}
    forms = {form for case in cases for form in _forms(case)}
    if not char.isascii():
        forms |= {form.replace(b"\\u", b"\\U").lower() for form in forms if form.startswith(b"\\u")}
    return b"(?:" + b"|".join(re.escape(form) for form in sorted(forms, key=len, reverse=True)) + b")"

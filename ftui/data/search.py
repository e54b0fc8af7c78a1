"""Finds the rows that contain a text, at the speed of the disk: over raw bytes, offsets mapped to rows.

A text is looked for as it would lie in the file: as it is, JSON-escaped (`\\n`, `\\"`, `\\u00e9`), or with
CSV's doubled quotes. What matches is the whole row, field names included.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import re
from bisect import bisect_right
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from concurrent.futures import Future

    from ftui.data.index import Index
    from ftui.data.opened import OpenedFile

_CHUNK = 1 << 20
_WORKERS = 4
_MANY = 16  # matches in a block: from here on, asking row by row is cheaper than starting RE2 for each
_LONG = 2000  # bytes of pattern; RE2 refuses very long ones


_LOWER = 0x20  # the bit that tells a lower-case ASCII letter from its capital
_SKIPS = 6  # bytes from which on `memmem`, which skips ahead by the length of what it looks for, beats RE2


class Needle:
    """A text to find. `within` looks in a decoded text, `finder` and `row_test` in bytes.

    RE2 and the C library search bytes outside the interpreter lock, so blocks are searched side by side, and
    RE2 folds case without copying them.
    """

    def __init__(self, text: str, ignore_case: bool) -> None:
        self._text = text.casefold() if ignore_case else text
        self._ignore_case = ignore_case
        forms = _forms(text)
        self._fold = ignore_case and text.isascii()
        if ignore_case and not self._fold:
            pattern, forms = b"".join(map(_any_case, text)), []
        else:
            pattern = b"|".join(re.escape(form) for form in forms)
        self._plain = forms[0] if len(forms) == 1 else b""
        self._skips = _MEMMEM is not None and len(self._plain) >= _SKIPS
        if self._fold:
            self._plain = self._plain.lower()
        self._search = _compiled(pattern, self._fold)

    def within(self, text: str) -> bool:
        """Whether `text` contains it."""
        return self._text in (text.casefold() if self._ignore_case else text)

    def finder(self, data: bytes) -> Callable[[int], int]:
        """A function from a place in `data` to where it next begins from there on, -1 for nowhere."""
        if self._skips:
            return _folded_finder(data, self._plain) if self._fold else _finder(data, self._plain)
        search = self._search

        def next_match(at: int) -> int:
            match = search(data, at)
            return match.start() if match else -1

        return next_match

    def row_test(self, data: bytes) -> Callable[[int, int], bool] | None:
        """A cheap test whether it lies between two places of `data`; None for a text that has none."""
        if not self._plain:
            return None
        find = (data.lower() if self._fold else data).find
        plain = self._plain
        return lambda start, end: find(plain, start, end) >= 0


def matching_rows(
    file: OpenedFile, needle: Needle, progress: Callable[[int, int], None], stop: Callable[[], bool]
) -> Iterator[int]:
    """Rows (from 0, in order) whose raw bytes contain `needle`. The index must be complete."""
    blocks = list(_blocks(file.index))
    if not blocks:
        return
    end = file.index.starts[-1] + file.index.sizes[-1]
    workers = min(_WORKERS, len(blocks), len(os.sched_getaffinity(0)))
    with ThreadPoolExecutor(workers, "ftui-search") as pool:
        ahead: deque[Future[list[int]]] = deque()
        waiting = iter(blocks)
        try:
            for block in blocks:
                while len(ahead) < 2 * workers and (later := next(waiting, None)):
                    ahead.append(pool.submit(_search_block, file, needle, later))
                if stop():
                    return
                yield from ahead.popleft().result()
                progress(file.index.starts[block[1] - 1] + file.index.sizes[block[1] - 1], end)
        finally:
            for future in ahead:
                future.cancel()


def _blocks(index: Index) -> Iterator[tuple[int, int]]:
    """Whole rows of about a megabyte together: (first, one after the last)."""
    first = 0
    while first < len(index):
        last = bisect_right(index.starts, index.starts[first] + _CHUNK, first)
        yield first, last
        first = last


def _search_block(file: OpenedFile, needle: Needle, block: tuple[int, int]) -> list[int]:
    first, last = block
    starts, sizes = file.index.starts, file.index.sizes
    base = starts[first]
    data = file.read(base, starts[last - 1] + sizes[last - 1] - base)
    found: list[int] = []
    next_match = needle.finder(data)
    row, at = first, next_match(0)
    while at >= 0:
        row = bisect_right(starts, base + at, row, last) - 1
        end = starts[row] + sizes[row] - base
        if at < end:
            found.append(row)
            at = end  # one match is enough: on with the next row
        if len(found) == _MANY and (has := needle.row_test(data)):
            rest = range(row + 1, last)
            spans = zip(rest, starts[row + 1 : last], sizes[row + 1 : last], strict=True)
            return found + [each for each, start, size in spans if has(start - base, start - base + size)]
        at = next_match(at + 1)
    return found


def _c_memmem() -> Any:
    """The C library's substring search, None where it has none."""
    search = getattr(ctypes.CDLL(None), "memmem", None)
    if search is not None:
        search.restype = ctypes.c_void_p
        search.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_char_p, ctypes.c_size_t]
    return search


_MEMMEM = _c_memmem()


def _finder(data: bytes, text: bytes) -> Callable[[int], int]:
    """`data.find(text, at)`, outside the interpreter lock."""
    return _at(ctypes.cast(ctypes.c_char_p(data), ctypes.c_void_p).value or 0, len(data), text)


def _folded_finder(data: bytes, text: bytes) -> Callable[[int], int]:
    """The same for a lower-case `text` in any case.

    Both are folded by setting one bit of every byte, which costs nothing next to reading them but also makes
    some signs equal (`[` and `{`), so that each match is looked at again.
    """
    import numpy

    folded = numpy.bitwise_or(numpy.frombuffer(data, numpy.uint8), _LOWER)
    next_maybe = _at(folded.ctypes.data, len(data), bytes(byte | _LOWER for byte in text))

    def next_match(at: int) -> int:
        found = next_maybe(at)
        while found >= 0 and data[found : found + len(text)].lower() != text:
            found = next_maybe(found + 1)
        return found if len(folded) else -1  # (which also keeps the folded bytes alive)

    return next_match


def _at(begin: int, size: int, text: bytes) -> Callable[[int], int]:
    length = len(text)

    def next_match(at: int) -> int:
        found = _MEMMEM(begin + at, size - at, text, length) if at < size else None
        return found - begin if found else -1

    return next_match


def _compiled(pattern: bytes, fold: bool) -> Callable[[bytes, int], Any]:
    """A search function: RE2's, or the standard library's for what RE2 refuses."""
    if len(pattern) <= _LONG:
        import re2

        options = re2.Options()
        options.encoding = re2.Options.Encoding.LATIN1  # bytes as they are
        options.log_errors = False
        options.case_sensitive = not fold
        with contextlib.suppress(re2.error):
            search: Callable[[bytes, int], Any] = re2.compile(pattern, options).search
            return search
    return re.compile(pattern, re.IGNORECASE if fold else 0).search


def _forms(text: str) -> list[bytes]:
    """The ways `text` may lie in a file, as bytes."""
    utf8 = text.encode("utf-8", "surrogatepass")
    escaped = json.dumps(text, ensure_ascii=True)[1:-1].encode()
    half = json.dumps(text, ensure_ascii=False)[1:-1].encode("utf-8", "surrogatepass")
    upper = re.sub(rb"(?<!\\)\\u[0-9a-f]{4}", lambda match: b"\\u" + match.group()[2:].upper(), escaped)
    forms = {utf8, half, escaped, upper, utf8.replace(b'"', b'""'), half.replace(b"/", b"\\/")}
    for sign in (b"<", b">", b"&"):  # as Go and some web frameworks write them
        half = half.replace(sign, b"\\u%04x" % sign[0])
    forms.add(half)
    return sorted(forms, key=len, reverse=True)


def _any_case(char: str) -> bytes:
    """A pattern for `char` in any case, raw or escaped."""
    cases = {char, char.lower(), char.upper(), char.casefold()}
    forms = {form for case in cases for form in _forms(case)}
    if not char.isascii():
        forms |= {form.replace(b"\\u", b"\\U").lower() for form in forms if form.startswith(b"\\u")}
    return b"(?:" + b"|".join(re.escape(form) for form in sorted(forms, key=len, reverse=True)) + b")"

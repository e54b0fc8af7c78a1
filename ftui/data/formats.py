"""What a container does: find where its rows are, and turn a row's bytes into a value and back."""

from __future__ import annotations

from typing import Any, Protocol

from ftui.data.row_json import dump_json, parse_json

Spans = tuple[list[int], list[int]]  # where rows start and end


class Format(Protocol):
    """container: its name. start: where rows can begin (after a byte order mark)."""

    container: str
    start: int

    def scan(self, data: bytes, final: bool) -> tuple[Spans, int]:
        """The whole rows in `data`, relative to it, and how many bytes they and what follows them use up.

        0 bytes: the first row is longer than `data`; call again from the same place with more. `final`: there
        is nothing after `data`, so an unfinished last row is a row too.
        """

    def parse(self, raw: bytes, exact: bool = True) -> tuple[Any, str]:
        """A row's value and "", or None and why it is broken. Never raises."""

    def encode(self, value: Any, like: bytes) -> bytes:
        """An edited row in this container's own format; `like` is the row it replaces."""


class JsonLines:
    """One JSON value a line, split on \\n only (U+2028 is text). Blank lines are no rows."""

    def __init__(self, start: int = 0, container: str = "jsonl") -> None:
        self.start = start
        self.container = container

    def scan(self, data: bytes, final: bool) -> tuple[Spans, int]:
        starts: list[int] = []
        ends: list[int] = []
        find, at = data.find, 0
        while (end := find(b"\n", at)) >= 0:
            line_end = end
            if end > at and data[end - 1] == 13:  # \r\n
                line_end -= 1
            if line_end - at > 8 or data[at:line_end].strip(b" \t\r\xef\xbb\xbf"):
                starts.append(at)
                ends.append(line_end)
            at = end + 1
        if final and at < len(data):
            if data[at:].strip():
                starts.append(at)
                ends.append(len(data))
            at = len(data)
        return (starts, ends), at

    def parse(self, raw: bytes, exact: bool = True) -> tuple[Any, str]:
        return parse_json(raw, exact=exact)

    def encode(self, value: Any, like: bytes) -> bytes:
        return dump_json(value).encode("utf-8")

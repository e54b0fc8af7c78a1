"""Plain text for pretraining: a row is a paragraph (blank lines between), or a line where there are none.

A row's value is `{"text": ...}`, so that it is edited, searched and exported like any other row.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ftui.data.formats import Spans

BLANK_LINE = re.compile(rb"\n(?:[ \t\r\f\v]*\n)+")
_LINE = re.compile(rb"\n+")


class PlainText:
    """paragraphs: rows are separated by blank lines, else each line is a row."""

    container = "text"

    def __init__(self, paragraphs: bool, start: int = 0) -> None:
        self.start = start
        self._between = BLANK_LINE if paragraphs else _LINE

    def scan(self, data: bytes, final: bool) -> tuple[Spans, int]:
        starts: list[int] = []
        ends: list[int] = []
        used = 0
        for match in self._between.finditer(data):
            if match.end() == len(data) and not final:
                break  # more white space may follow
            self._add(data, used, match.start(), starts, ends)
            used = match.end()
        if final:
            self._add(data, used, len(data), starts, ends)
            used = len(data)
        return (starts, ends), used

    def parse(self, raw: bytes, exact: bool = True) -> tuple[Any, str]:
        try:
            return {"text": raw.decode("utf-8").replace("\r\n", "\n")}, ""
        except UnicodeDecodeError as error:
            return None, f"not UTF-8: byte 0x{raw[error.start]:02X} at byte {error.start + 1}"

    def encode(self, value: Any, like: bytes) -> bytes:
        """Raises ValueError for a value without text."""
        if not isinstance(value, dict) or not isinstance(value.get("text"), str):
            raise ValueError("a text row is an object with a text")
        text: str = value["text"]
        return text.encode("utf-8", "surrogatepass")

    @staticmethod
    def _add(data: bytes, start: int, end: int, starts: list[int], ends: list[int]) -> None:
        row = data[start:end].rstrip()
        if row:
            starts.append(end - len(data[start:end].lstrip(b"\r\n")))
            ends.append(start + len(row))

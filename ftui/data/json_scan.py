"""Finds where a JSON value ends without parsing it: strings, escapes and brackets only."""

from __future__ import annotations

import re

INCOMPLETE = -1  # the data ends first
DERAILED = -2  # no JSON value can be read from here

_STRUCTURE = re.compile(rb'["{}\[\]]')
_SCALAR = re.compile(rb'[^,\[\]{}"\r\n]*')
_CLOSER = {0x7B: 0x7D, 0x5B: 0x5D}  # { -> }, [ -> ]
_QUOTE, _BACKSLASH = 0x22, 0x5C


def value_end(data: bytes, start: int) -> int:
    """Where the JSON value at `start` ends, INCOMPLETE, or DERAILED.

    A raw newline inside a string derails: JSON forbids it, and it is the surest sign of a missing quote.
    What is no string and no container ends at the next bracket, quote, comma or line end.
    """
    first = data[start]
    if first == _QUOTE:
        return string_end(data, start)
    if first not in _CLOSER:
        match = _SCALAR.match(data, start)
        end = match.end() if match else start
        return INCOMPLETE if end == len(data) else max(start + len(data[start:end].rstrip()), start + 1)
    stack = bytearray((_CLOSER[first],))
    at, search, find = start + 1, _STRUCTURE.search, data.find
    while match := search(data, at):
        at = match.end()
        byte = data[at - 1]
        if byte == _QUOTE:
            end = find(b'"', at) + 1
            if not end or data[end - 2] == _BACKSLASH or find(b"\n", at, end) >= 0:
                end = string_end(data, at - 1)
                if end < 0:
                    return end
            at = end
        elif byte in _CLOSER:
            stack.append(_CLOSER[byte])
        elif byte != stack.pop():
            return DERAILED
        elif not stack:
            return at
    return INCOMPLETE


def string_end(data: bytes, start: int) -> int:
    """Where the JSON string whose opening quote is at `start` ends, INCOMPLETE, or DERAILED."""
    at = start + 1
    while (quote := data.find(b'"', at)) >= 0:
        if data.find(b"\n", at, quote) >= 0:
            return DERAILED
        slash = quote - 1
        while data[slash] == _BACKSLASH:
            slash -= 1
        if (quote - slash) % 2:
            return quote + 1
        at = quote + 1
    return DERAILED if data.find(b"\n", at) >= 0 else INCOMPLETE

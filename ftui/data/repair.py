"""Mends a journal line in which one byte went bad, by what its CRC-32 says about where and how.

A CRC is linear: crc(good) xor crc(damaged) depends only on which bits differ and how many bytes follow them.
That difference is walked back byte by byte until it is what a single wrong byte leaves behind.
"""

from __future__ import annotations

import zlib

_POLYNOMIAL = 0xEDB88320


def _table() -> tuple[int, ...]:
    rows = []
    for byte in range(256):
        state = byte
        for _ in range(8):
            state = state >> 1 ^ (_POLYNOMIAL if state & 1 else 0)
        rows.append(state)
    return tuple(rows)


_AFTER_BYTE = _table()  # what one wrong byte does to the CRC when nothing follows it
_BYTE_OF = {state: byte for byte, state in enumerate(_AFTER_BYTE)}
_BY_TOP = {state >> 24: byte for byte, state in enumerate(_AFTER_BYTE)}


def candidates(line: bytes) -> list[bytes]:
    """Bodies whose CRC-32 is right if exactly one byte of `line` ("crc32hex body") is wrong.

    Usually one: the true one. Whether it makes sense is for the caller to see.
    """
    body = line[9:]
    expected = b"%08x " % zlib.crc32(body)
    if sum(a != b for a, b in zip(expected, line[:9], strict=False)) == 1:
        return [body]  # the damage is in the checksum itself
    try:
        state = int(line[:8], 16) ^ zlib.crc32(body)
    except ValueError:
        return []
    found = []
    for at in range(len(body) - 1, -1, -1):
        if state in _BYTE_OF:
            found.append(body[:at] + bytes((body[at] ^ _BYTE_OF[state],)) + body[at + 1 :])
        index = _BY_TOP[state >> 24]
        state = ((state ^ _AFTER_BYTE[index]) << 8 | index) & 0xFFFFFFFF
    return found

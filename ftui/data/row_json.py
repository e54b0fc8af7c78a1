"""A row's JSON: the ladder from bytes to a value (orjson, standard library, broken), and back to one line."""

from __future__ import annotations

import json
from typing import Any

import orjson

_DIGITS = bytes.maketrans(b"0123456789", b"0" * 10)
_LONG_NUMBER = b"0" * 19
_BOM = b"\xef\xbb\xbf"


def parse_json(raw: bytes, *, exact: bool = True) -> tuple[Any, str]:
    """The JSON value in `raw` and "", or None and the reason it is broken. Never raises.

    orjson first; the standard library where orjson gives up on what Python can hold (NaN, lone surrogates) or
    would round (integers of 64 bits and more). `exact=False` skips that last check.
    """
    try:
        value = orjson.loads(raw)
    except (orjson.JSONDecodeError, RecursionError) as error:
        return _parse_slowly(raw, str(error))
    if exact and _LONG_NUMBER in raw.translate(_DIGITS):
        slow, reason = _parse_slowly(raw, "")
        return (value, "") if reason else (slow, "")
    return value, ""


def _parse_slowly(raw: bytes, reason: str) -> tuple[Any, str]:
    if not raw.strip(b"\0"):
        return None, f"{len(raw)} NUL bytes, no text"
    try:
        text = raw.removeprefix(_BOM).decode("utf-8")
    except UnicodeDecodeError as error:
        return None, f"not UTF-8: byte 0x{raw[error.start]:02X} at byte {error.start + 1}"
    try:
        return json.loads(text), ""
    except RecursionError:
        return None, "nested too deeply to read (about 1,000 levels)"
    except json.JSONDecodeError as error:
        where = f"column {error.pos + 1}" if "\n" not in text else f"line {error.lineno} column {error.colno}"
        if error.pos >= len(text.rstrip()) or error.msg.startswith("Unterminated string"):
            return None, f"ends too early: {_lower(error.msg)} at {where}"
        return None, f"{_lower(error.msg)} at {where}"
    except ValueError as error:  # an integer of more than 4,300 digits
        return None, _lower(str(error).partition(";")[0]) or reason


def _lower(text: str) -> str:
    return text[:1].lower() + text[1:]


def dump_json(value: Any) -> str:
    """`value` as one line of JSON that reads back as the same value: big integers and NaN included."""
    try:
        text = json.dumps(value, ensure_ascii=False)
        text.encode("utf-8")
    except UnicodeEncodeError:
        return json.dumps(value, ensure_ascii=True)  # lone surrogates exist only as escapes
    return text

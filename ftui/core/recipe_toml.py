"""Recipes as text: read with exact places, written, and changed without losing a comment."""

from __future__ import annotations

import re
import tomllib
from typing import TYPE_CHECKING, Any

from ftui.core.errors import FtuiError
from ftui.core.recipe_fields import toml_value
from ftui.core.text import one_line

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

LARGEST = 1_000_000  # bytes; a recipe has about 2,000

_HEADER = re.compile(r"^\s*\[\s*([A-Za-z0-9_.\s\"'-]+?)\s*\]\s*(?:#.*)?$")
_KEY = re.compile(r"^\s*([A-Za-z0-9_-]+|\"[^\"]*\"|'[^']*')(\s*\.\s*[A-Za-z0-9_-]+)*\s*=\s*")
_PLACE = re.compile(r"\s*\(at (?:line (\d+), column \d+|end of document)\)$")


def read_text(path: Path) -> str:
    """The text of the recipe file `path`. Raises FtuiError unless it is a UTF-8 file of recipe size."""
    where = str(path)
    try:
        if not path.exists():
            raise FtuiError("no such recipe", "`ftui recipe list` shows the ones there are", where)
        if not path.is_file():
            raise FtuiError("not a file", "give the path of a recipe's TOML file", where)
        with path.open("rb") as file:
            raw = file.read(LARGEST + 1)
    except OSError as error:
        raise FtuiError(
            f"cannot read the recipe: {(error.strerror or str(error)).lower()}", "", where
        ) from None
    if len(raw) > LARGEST:
        raise FtuiError("too large for a recipe (over 1 MB)", "is this a dataset?", where)
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise FtuiError("not UTF-8 text", "save the file as UTF-8", f"{where}:{line}") from None


def parse_text(text: str, where: str = "") -> dict[str, Any]:
    """The TOML document in `text`. Raises FtuiError with the line that is wrong."""
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        message = str(error)
        place = _PLACE.search(message)
        line = int(place[1]) if place and place[1] else text.count("\n") + 1
        raise _syntax_error(_PLACE.sub("", message), text, line, where) from None
    except (RecursionError, ValueError):  # absurd nesting; a number of thousands of digits
        raise FtuiError("not valid TOML: nested too deeply, or a number without end", "", where) from None


def _syntax_error(message: str, text: str, line: int, where: str) -> FtuiError:
    source = one_line([*text.split("\n"), ""][line - 1].strip(), 60)
    twice = re.match(r"Cannot (?:declare|overwrite)", message)
    if twice:
        problem = f"{source or 'a key'} is given twice: keep one of them"
    else:
        problem = f"not valid TOML: {message[:1].lower()}{message[1:]}" + (f", in {source}" if source else "")
    return FtuiError(
        one_line(problem, 200),
        "" if twice else "text needs quotes, lists need [ ]",
        f"{where}:{line}".lstrip(":"),
    )


def key_lines(text: str) -> dict[str, int]:
    """The line (from 1) of every `section.key` and `section` in a TOML text that parses.

    Plain tables and keys, which is what recipes are; anything more unusual is simply not listed.
    """
    lines: dict[str, int] = {}
    section = ""
    for number, line in _statements(text):
        if header := _HEADER.match(line):
            section = ".".join(part.strip().strip("\"'") for part in header[1].split("."))
            lines.setdefault(section, number)
        elif key := _KEY.match(line):
            name = ".".join(part.strip().strip("\"'") for part in key[0].rpartition("=")[0].split("."))
            lines.setdefault(f"{section}.{name}" if section else name, number)
    return lines


def _statements(text: str) -> list[tuple[int, str]]:
    """(line number, line) of the lines that start a statement: not those inside a longer string or list."""
    found = []
    lines = text.split("\n")
    number = 0
    while number < len(lines):
        found.append((number + 1, lines[number]))
        key = _KEY.match(lines[number])
        number += _height(lines, number, key.end()) if key else 1
    return found


def _height(lines: list[str], number: int, start: int) -> int:
    """How many lines the value that starts in column `start` of line `number` takes."""
    depth, quote, height = 0, "", 0
    for line in lines[number:]:
        height += 1
        at = start if height == 1 else 0
        while at < len(line):
            if quote:
                if quote[0] == '"' and line[at] == "\\":
                    at += 2
                elif line.startswith(quote, at):
                    at, quote = at + len(quote), ""
                else:
                    at += 1
            elif line[at] in "\"'":
                quote = line[at] * 3 if line.startswith(line[at] * 3, at) else line[at]
                at += len(quote)
            elif line[at] == "#":
                break
            else:
                depth += (line[at] in "[{") - (line[at] in "]}")
                at += 1
        if len(quote) == 1:
            quote = ""  # a one-line string cannot go on; the parser has already accepted this text
        if not quote and depth <= 0:
            break
    return height


def render(document: Mapping[str, Any], comments: Mapping[str, str]) -> str:
    """A recipe document as TOML: top-level keys, then a table a section, `comments` by dotted field."""
    rows = [_row("", key, value, comments) for key, value in document.items() if not isinstance(value, dict)]
    blocks = [rows]
    for name, table in document.items():
        if isinstance(table, dict):
            blocks.append(
                [(f"[{name}]", "")] + [_row(name, key, value, comments) for key, value in table.items()]
            )
    return "\n".join(line for block in blocks for line in [*_aligned(block), ""]).rstrip("\n") + "\n"


def _row(section: str, key: str, value: Any, comments: Mapping[str, str]) -> tuple[str, str]:
    name = f"{section}.{key}" if section else key
    return f"{key} = {toml_value(value)}", comments.get(name, "")


def _aligned(block: list[tuple[str, str]]) -> list[str]:
    width = max((len(code) for code, comment in block if comment and len(code) < 48), default=0)
    return [f"{code.ljust(width)}  # {comment}" if comment else code for code, comment in block]


def patch(text: str, changes: Mapping[str, Any]) -> str:
    """`text` with the dotted fields in `changes` set, every other byte as it was, comments included.

    A field the text does not have yet goes to the end of its section. Only right for texts that `key_lines`
    understands whole: the caller compares the result with what it wanted.
    """
    for field, value in changes.items():
        section, _, key = field.rpartition(".")
        text = _set(text.split("\n"), section, key, toml_value(value), key_lines(text))
    return text


def _set(lines: list[str], section: str, key: str, value: str, places: Mapping[str, int]) -> str:
    at = places.get(f"{section}.{key}" if section else key)
    if at is not None:
        start = _KEY.match(lines[at - 1])
        height = _height(lines, at - 1, start.end()) if start else 1
        head = start[0] if start else f"{key} = "
        tail = _comment(lines[at - 1], len(head)) if height == 1 else ""
        lines[at - 1 : at - 1 + height] = [head + value + tail]
    elif section and section not in places:
        while lines and not lines[-1].strip():
            lines.pop()
        lines += ["", f"[{section}]", f"{key} = {value}", ""]
    else:
        lines.insert(_end_of(lines, section, places), f"{key} = {value}")
    return "\n".join(lines)


def _end_of(lines: list[str], section: str, places: Mapping[str, int]) -> int:
    """The index after the last filled line of `section`."""
    start = places[section] if section else 0
    end = next(
        (n - 1 for n, line in _statements("\n".join(lines)) if n > start and _HEADER.match(line)), len(lines)
    )
    while end > start and not lines[end - 1].strip():
        end -= 1
    return end


def _comment(line: str, start: int) -> str:
    """What follows the one-line value at `start`: white space and a comment."""
    quote = ""
    at = start
    while at < len(line):
        if quote:
            if quote == '"' and line[at] == "\\":
                at += 1
            elif line[at] == quote:
                quote = ""
        elif line[at] in "\"'":
            quote = line[at]
        elif line[at] == "#":
            break
        at += 1
    value = line[start:at]
    return value[len(value.rstrip()) :] + line[at:]

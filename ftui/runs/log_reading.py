"""Reading a run's log anywhere, however large it is: a few hundred lines around a place, and finding text."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ftui.core.text import sanitize

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

_PIECE_BYTES = 131_072  # read to either side of a place
_LINE = 2000  # characters of a line that are shown
_BLOCK_BYTES = 262_144  # searched between two looks at whether anybody still wants to know
_LONGEST = 4 << 20  # bytes without a newline are a line of their own from here on
MOST_HITS = 100_000


@dataclass(frozen=True, slots=True)
class LogPiece:
    """Consecutive lines, safe to show. starts: the byte each begins at. at_end: the log ends with the last."""

    lines: tuple[str, ...] = ()
    starts: tuple[int, ...] = ()
    at_end: bool = True

    def index(self, place: int) -> int:
        """The number of the line that holds byte `place`, counted from 0."""
        return max((number for number, start in enumerate(self.starts) if start <= place), default=0)


@dataclass(frozen=True, slots=True)
class Looked:
    """Lines found so far, the last of the log first. share: of the log that has been looked through.

    capped: there may be more; nobody looked any further.
    """

    hits: tuple[int, ...]
    share: float
    capped: bool = False


def shown(line: bytes) -> str:
    """A line as a person sees it: of a progress bar its last state."""
    text = line[-8 * _LINE :].decode("utf-8", "replace").rstrip("\r").rpartition("\r")[2]
    return sanitize(text[:_LINE], lines=False)


def read_around(path: Path, place: int, lines: int = 200) -> LogPiece:
    """Up to `lines` lines on either side of the one at byte `place`. Raises OSError."""
    with path.open("rb") as file:
        size = file.seek(0, 2)
        place = max(0, min(place, size))
        begin = max(0, place - _PIECE_BYTES)
        file.seek(begin)
        before = file.read(place - begin)
        after = file.read(_PIECE_BYTES)
    if begin and b"\n" in before:  # it begins in the middle of a line
        cut = before.index(b"\n") + 1
        begin, before = begin + cut, before[cut:]
    earlier = _split(before, begin)
    at_end = place + len(after) >= size
    if not at_end and b"\n" in after:
        after = after[: after.rindex(b"\n") + 1]
    later = _split(after, place)
    at_end = at_end and len(later) <= lines
    if earlier and later and before and not before.endswith(b"\n"):  # `place` was within a line
        start, head = earlier.pop()
        later[0] = (start, head + later[0][1])
    kept = earlier[-lines:] + later[:lines]
    while at_end and kept and not kept[-1][1].strip():
        kept.pop()
    return LogPiece(tuple(shown(line) for _, line in kept), tuple(start for start, _ in kept), at_end)


def last_lines_start(path: Path, lines: int) -> int:
    """The byte at which the last `lines` lines begin, as far back as is read at once. Raises OSError."""
    piece = read_around(path, path.stat().st_size, lines)
    return piece.starts[0] if piece.starts else 0


def search(path: Path, text: str, cancelled: Callable[[], bool]) -> Iterator[Looked]:
    """Lines that show `text`, from the end of the log backwards; ends early when nobody wants to know.

    Capitals count when `text` has any. Yields after every block; at most MOST_HITS lines. Raises OSError.
    """
    any_case = text == text.lower()
    fold = any_case and text.isascii()  # many times faster than a pattern that ignores case
    pattern = re.compile(re.escape(text.encode())) if fold or not any_case else _either_case(text)
    hits: list[int] = []
    with path.open("rb") as file:
        size = end = file.seek(0, 2)
        rest = b""  # the end of a line whose beginning is in the block before
        while end > 0 and not cancelled() and len(hits) < MOST_HITS:
            begin = max(0, end - _BLOCK_BYTES)
            file.seek(begin)
            block = file.read(end - begin) + rest
            end = begin
            cut = block.find(b"\n") + 1 if begin else 0
            if begin and (cut == 0 or cut == len(block)) and len(block) < _LONGEST:
                rest = block
                continue
            rest = block[:cut] if len(block) < _LONGEST or cut else b""
            hits += reversed(_hits_in(block.lower() if fold else block, cut, begin, pattern))
            capped = len(hits) > MOST_HITS or (len(hits) == MOST_HITS and begin > 0)
            yield Looked(tuple(hits[:MOST_HITS]), 1 - begin / size, capped)


def _either_case(text: str) -> re.Pattern[bytes]:
    """Bytes know the case of ASCII only: every other letter in both its forms."""
    letters = (sorted({letter.lower(), letter.upper()}) for letter in text)
    return re.compile(
        b"".join(b"(?:" + b"|".join(re.escape(form.encode()) for form in forms) + b")" for forms in letters)
    )


def _hits_in(block: bytes, cut: int, base: int, pattern: re.Pattern[bytes]) -> list[int]:
    """Where the lines begin that show the pattern, of those after `cut`; `base` is the block's place."""
    found, at = [], cut
    while match := pattern.search(block, at):
        start = block.rfind(b"\n", cut, match.start()) + 1 or cut
        stop = block.find(b"\n", match.end())
        stop = len(block) if stop < 0 else stop
        line = block[start:stop].rstrip(b"\r").rpartition(b"\r")[2]
        if pattern.search(line):
            found.append(base + start)
        at = stop
    return found


def _split(block: bytes, begin: int) -> list[tuple[int, bytes]]:
    lines, at = [], begin
    for line in block.split(b"\n"):
        lines.append((at, line))
        at += len(line) + 1
    if lines and not lines[-1][1]:
        lines.pop()  # after the last newline
    return lines

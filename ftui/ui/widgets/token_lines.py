"""Sets tokens into lines: every one visible, ends of lines too, nothing a terminal would obey. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from rich.cells import cell_len, get_character_cell_size

from ftui.core.text import sanitize

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ftui.runs.encoder import Token

MOST_TOKENS = 20_000  # laid out; a person does not scroll further
SPACE, NEWLINE, NOTHING = "·", "↵", "▫"


@dataclass(frozen=True, slots=True)
class Piece:
    """A stretch of one line. token: its number among all tokens shown, -1 for words of ours."""

    text: str
    token: int


@dataclass(frozen=True, slots=True)
class TokenLines:
    """lines: pieces each. places: of each token, the line and the column where it begins."""

    lines: tuple[tuple[Piece, ...], ...] = ((),)
    places: tuple[tuple[int, int], ...] = ()

    def nearest(self, line: int, column: int) -> int:
        """The token on `line` that lies over `column`, or nearest to it; -1 where the line has none."""
        best, x = -1, 0
        if 0 <= line < len(self.lines):
            for piece in self.lines[line]:
                if piece.token >= 0 and (best < 0 or x <= column):
                    best = piece.token
                x += cell_len(piece.text)
        return best


def visible(text: str) -> str:
    """A token's text as it may be shown, its spaces and ends of lines as signs; newlines follow theirs."""
    parts = [sanitize(part, lines=False).replace(" ", SPACE) for part in text.split("\n")]
    return f"{NEWLINE}\n".join(parts) or NOTHING


def lay_out(sections: Sequence[tuple[str, Sequence[Token]]], width: int) -> TokenLines:
    """(heading, tokens) each, in lines of at most `width` cells; a token goes to the next line whole."""
    width = max(4, width)
    lines: list[list[Piece]] = [[]]
    places: list[tuple[int, int]] = []
    used = 0
    number = 0

    def new_line() -> None:
        nonlocal used
        lines.append([])
        used = 0

    for heading, tokens in sections:
        if heading:
            if lines[-1]:
                new_line()
            if len(lines) > 1:
                new_line()
            lines[-1].append(Piece(heading, -1))
            new_line()
        for token in tokens[:MOST_TOKENS]:
            shown = visible(token.text)
            for index, part in enumerate(shown.split("\n")):
                if index:
                    new_line()
                size = cell_len(part)
                if used and used + size > width:
                    new_line()
                    if not index and part[0] not in (SPACE, NEWLINE):
                        used = _take_word_along(lines, places)
                        if used and used + size > width:
                            new_line()
                if index == 0:
                    places.append((len(lines) - 1, used))
                rest = part
                while size > width:
                    end = _fitting(rest, width)
                    lines[-1].append(Piece(rest[:end], number))
                    new_line()
                    rest = rest[end:]
                    size = cell_len(rest)
                if rest:
                    lines[-1].append(Piece(rest, number))
                    used += size
            number += 1
        if len(tokens) > MOST_TOKENS:
            new_line()
            lines[-1].append(Piece(f"… {len(tokens) - MOST_TOKENS:,} more tokens", -1))
            number += len(tokens) - MOST_TOKENS
            places += [(len(lines) - 1, 0)] * (len(tokens) - MOST_TOKENS)
    return TokenLines(tuple(map(tuple, lines)), tuple(places))


def _take_word_along(lines: list[list[Piece]], places: list[tuple[int, int]]) -> int:
    """Moves the beginning of a word from the line before last to the last one; how many cells it takes."""
    line = lines[-2]
    start = next((at for at in range(len(line) - 1, 0, -1) if line[at].text[0] in (SPACE, NEWLINE)), 0)
    if not start:
        return 0  # the word is all of the line
    used = 0
    for piece in line[start:]:
        if piece.token < 0 or (piece.token and line[start - 1].token == piece.token):
            return 0  # words of ours, or a token that is broken already
    for piece in line[start:]:
        lines[-1].append(piece)
        places[piece.token] = (len(lines) - 1, used)
        used += cell_len(piece.text)
    del line[start:]
    return used


def _fitting(text: str, width: int) -> int:
    used = 0
    for end, character in enumerate(text):
        used += get_character_cell_size(character)
        if used > width:
            return max(1, end)
    return len(text)

"""A run's log as text: its end, or a piece of it where something was found."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from rich.style import Style
from rich.text import Text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ftui.runs.log_reading import LogPiece
    from ftui.ui.themes import Palette


@dataclass(frozen=True, slots=True)
class LogWindow:
    """A piece of the log away from its end. text: what is looked for; hit: the byte where its line begins."""

    piece: LogPiece
    text: str = ""
    hit: int = -1


def log_text(
    log: Sequence[str], window: LogWindow | None, colors: Palette, *, stepped: bool = True
) -> list[Text]:
    """A paragraph a line: of the window, with what was looked for marked, else of the log's end.

    stepped: the run has come to its first step.
    """
    plainly = Style(color=colors.foreground)
    if window is None:
        lines = [Text(line or " ", plainly) for line in log]
        nothing = "nothing was written to the log" + ("; the steps are above" if stepped else "")
        return lines or [Text(nothing, Style(color=colors.dim))]
    found = Style(color=colors.background, bgcolor=colors.warning)
    here, lines = window.piece.index(window.hit) if window.hit >= 0 else -1, []
    for number, line in enumerate(window.piece.lines):
        text = Text(line or " ", Style(color=colors.foreground, bold=number == here))
        if window.text:
            text.highlight_words([window.text], found, case_sensitive=window.text != window.text.lower())
        lines.append(text)
    return lines

"""What there is to look at in a run as text, with the key that does something about it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.style import Style
from rich.text import Text

from ftui.ui.widgets import figures

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console

    from ftui.ui.run_troubles import Trouble
    from ftui.ui.themes import Palette

_MARKS = {"warning": ("▲", "!", "warning"), "error": ("✗", "E", "bad"), "hint": ("·", "-", "accent")}


def mark(level: str, *, plain: bool) -> tuple[str, str]:
    """The glyph of a level and the name of its palette colour."""
    glyph, poor, meaning = _MARKS.get(level, ("·", "-", "dim"))
    return (poor if plain else glyph), meaning


def troubles_text(
    found: Sequence[Trouble], chosen: int, width: int, colors: Palette, console: Console
) -> tuple[list[Text], list[int]]:
    """Paragraphs, and the one each trouble begins with. The chosen one is lit and says what x does, before
    anything longer: the window may be low. What is past is dim."""
    dim, plain = Style(color=colors.dim), figures.ascii_only()
    paragraphs: list[Text] = []
    begins = []
    several = len(found) > 1
    for index, trouble in enumerate(found):
        begins.append(len(paragraphs))
        here = index == chosen
        glyph, meaning = mark(trouble.level, plain=plain)
        cursor = (">" if plain else "▌") if here and several else " " if several else ""
        ground = Style(color=colors.dim if trouble.past else colors.foreground, bold=here and several)
        head = Text.assemble(
            (cursor, Style(color=colors.accent)),
            (f"{glyph} ", dim if trouble.past else Style(color=getattr(colors, meaning), bold=True)),
        )
        indent = "   " if several else "  "
        paragraphs.append(_hanging(head, Text(trouble.message, ground), width, console))
        if trouble.deed and here:
            paragraphs.append(
                Text.assemble((f"{indent}x ", Style(color=colors.accent, bold=True)), (trouble.words, ground))
            )
        if trouble.hint:
            paragraphs.append(_hanging(Text(indent), Text(trouble.hint, dim), width, console))
    return paragraphs, begins


def _hanging(head: Text, body: Text, width: int, console: Console) -> Text:
    """`body` behind `head`, its further lines as far to the right."""
    lines = body.wrap(console, max(8, width - head.cell_len), overflow="fold")
    margin, text = " " * head.cell_len, head
    for number, line in enumerate(lines):
        line.rstrip()
        text.append(f"\n{margin}" if number else "")
        text.append_text(line)
    return text


def nothing_text(colors: Palette) -> Text:
    tick = "v " if figures.ascii_only() else "✓ "
    return Text.assemble((tick, Style(color=colors.good)), ("nothing to report", Style(color=colors.dim)))


def unchecked_text(unchecked: Sequence[tuple[str, str]], colors: Palette) -> list[Text]:
    """The checks that could not run, grouped by why."""
    by_reason: dict[str, list[str]] = {}
    for name, reason in unchecked:
        by_reason.setdefault(reason, []).append(name.replace("-", " "))
    return [
        Text(f"not checked, {reason}: {', '.join(names)}", Style(color=colors.dim))
        for reason, names in by_reason.items()
    ]

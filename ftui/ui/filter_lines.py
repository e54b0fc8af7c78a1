"""What a filter can ask for, as lines to pick from: every value, how many rows have it, whether it is asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from rich.style import Style
from rich.text import Text

from ftui.core.example import ROLES
from ftui.core.text import one_line
from ftui.data.query import KEYS, NUMBERS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ftui.data.filtering import Facets
    from ftui.data.query import Query
    from ftui.ui.themes import Palette

_MOST_VALUES = 30  # of one kind listed; any can be typed
_HEADINGS = {"status": "decided", "is": "marks", "tag": "tags", "rating": "stars", "by": "worked on by",
             "shape": "shapes", "role": "turns by", "finding": "found by the checks"}  # fmt: skip


class FilterLine(NamedTuple):
    """key, value: what it asks for; without a value the key is to be typed on."""

    text: Text
    key: str = ""
    value: str = ""
    heading: bool = False


def filter_lines(
    found: Facets, findings: Mapping[str, Sequence[int]], query: Query, colors: Palette
) -> list[FilterLine]:
    """Every value of the rows under its heading, then the keys whose values are typed."""
    heading = Style(color=colors.special, bold=True)
    plain, dim = Style(color=colors.foreground), Style(color=colors.dim)
    lines = []
    for key, values in _groups(found, findings):
        if values:
            lines.append(FilterLine(Text(_HEADINGS[key], heading), key, heading=True))
        for value, count in list(values.items())[:_MOST_VALUES]:
            mark, color = {"only": ("+", colors.good), "not": ("-", colors.bad)}.get(
                query.state_of(key, value), (" ", colors.dim)
            )
            text = Text.assemble(
                (f"{mark} ", Style(color=color, bold=True)),
                (f"{one_line(value, 40):<42}", plain),
                ("" if count is None else f"{count:>12,}", dim),
                no_wrap=True,
            )
            lines.append(FilterLine(text, key, value))
    lines.append(FilterLine(Text("or type", heading), heading=True))
    for key in (*NUMBERS, "note", "text"):
        text = Text.assemble((f"  {key + ':':<9}", plain), (KEYS[key], dim), no_wrap=True)
        lines.append(FilterLine(text, key))
    return lines


def _groups(found: Facets, findings: Mapping[str, Sequence[int]]) -> list[tuple[str, dict[str, int | None]]]:
    """(key, its values with the number of rows that have each, None where they are not counted)."""
    return [
        ("status", dict(found.status)),
        ("is", {name: count for name, count in found.marks.items() if count}),
        ("finding", {name: len(rows) for name, rows in findings.items()}),
        ("tag", dict(found.tag)),
        ("rating", dict(found.rating)),
        ("shape", dict(found.shape) if len(found.shape) > 1 else {}),
        ("by", dict(found.by) if len(found.by) > 1 else {}),
        ("role", dict.fromkeys(ROLES)),
    ]

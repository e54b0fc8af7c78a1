"""A comparison of runs as a table: a column a run, the better figure in colour. Everything from files is sanitized."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from rich.cells import cell_len
from rich.style import Style
from rich.text import Text

from ftui.core.text import one_line
from ftui.ui.widgets import figures

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ftui.runs.compare import Comparison, Outcome
    from ftui.ui.themes import Palette
    from ftui.ui.widgets.chart import Ink

Mark = tuple[str, tuple["Ink", tuple[str, str]]]  # a run's name, its colour, its marker and that in ASCII

_LABEL = 24
_NARROW = 14
_GAP = 2
_BEST = "best eval loss"

# label, what to show, how it is written, which is better: -1 the lower, 1 the higher, 0 neither.
_ROWS: tuple[tuple[str, Callable[[Outcome], Any], Callable[[Any], str], int], ...] = (
    ("state", lambda run: run.state, str, 0),
    ("steps", lambda run: run.steps, str, 0),
    ("loss, last 10", lambda run: run.loss, figures.number, -1),
    ("eval loss", lambda run: run.eval_loss, figures.number, -1),
    ("perplexity", lambda run: run.perplexity, figures.number, -1),
    (_BEST, lambda run: run.best_eval_loss, figures.number, -1),
    ("tokens/s", lambda run: run.tokens_per_second, figures.rate, 1),
    ("peak memory", lambda run: run.peak_memory, lambda size: f"{figures.gib(size)} GB", -1),
    ("time trained", lambda run: run.seconds, figures.duration, -1),
)


def comparison_lines(found: Comparison, runs: Sequence[Mark], width: int, colors: Palette) -> list[Text]:
    """The table's lines for a screen `width` cells wide."""
    label = _LABEL if width >= _LABEL + len(runs) * 16 else _NARROW
    column = max(6, min(28, (width - label) // max(len(runs), 1) - _GAP))
    table = _Table(label, column, colors)
    plain = figures.ascii_only()
    heads = [(f"{marker[plain]} {name}", ink) for name, (ink, marker) in runs]
    lines = [table.line("", heads, strong=True)]
    for name, read, write, better in _ROWS:
        values = [read(outcome) for outcome in found.outcomes]
        if all(value is None for value in values):
            continue
        words = ["–" if value is None else write(value) for value in values]
        best = _best(values, words, better)
        if name == _BEST:
            words = [
                f"{word} at {run.best_step}" if run.best_step is not None else word
                for word, run in zip(words, found.outcomes, strict=True)
            ]
        cells = [(word, "good" if place in best else "foreground") for place, word in enumerate(words)]
        lines.append(table.line(name, cells))
    lines += [Text(" "), table.heading("what was different")]
    lines += [
        table.line(one.field, [(_shown(value), "foreground") for value in one.values])
        for one in found.differences
    ]
    if not found.differences:
        lines.append(Text("  nothing in the recipe", Style(color=colors.dim)))
    data = {True: "the same in all", False: "not the same", None: "not known of every run"}[found.same_data]
    lines.append(table.line("training data", [(data, "dim" if found.same_data else "warning")], free=True))
    return lines


class _Table:
    def __init__(self, label: int, column: int, colors: Palette) -> None:
        self._label, self._column, self._colors = label, column, colors

    def heading(self, words: str) -> Text:
        return Text(words, Style(color=self._colors.special, bold=True))

    def line(
        self, label: str, cells: Sequence[tuple[str, str]], *, strong: bool = False, free: bool = False
    ) -> Text:
        """free: one cell that may take the whole line."""
        line = Text(_cut(label, self._label).ljust(self._label), Style(color=self._colors.dim))
        for words, color in cells:
            cell = words if free else _cut(words, self._column)
            pad = " " * max(0, self._column + _GAP - cell_len(cell))
            line.append(cell + pad, Style(color=getattr(self._colors, color), bold=strong))
        return line


def _cut(words: str, width: int) -> str:
    """Of a long dotted name its end, which says more than its beginning."""
    if cell_len(words) <= width or "." not in words or " " in words:
        return one_line(words, width)
    return one_line("…" + words[-(width - 1) :], width)


def _shown(value: Any) -> str:
    if value is None or value == "":
        return "–"
    if isinstance(value, float):
        return f"{value:g}"
    return one_line(str(value), 200)


def _best(values: Sequence[Any], words: Sequence[str], better: int) -> set[int]:
    """The places of the values to point out; none where all read the same."""
    known = {
        place: value
        for place, value in enumerate(values)
        if value is not None and not (isinstance(value, float) and math.isnan(value))
    }
    if not better or len({words[place] for place in known}) < 2:
        return set()
    best = (max if better > 0 else min)(known, key=known.__getitem__)
    return {place for place in known if words[place] == words[best]}

"""The checks of a dataset as lines: where they stand, what they found in plain words, what did not run."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from rich.cells import cell_len
from rich.segment import Segment
from rich.style import Style
from textual.strip import Strip

from ftui.core.text import one_line
from ftui.ui.widgets import figures
from ftui.ui.widgets.wrapping import wrap

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ftui.data.checks.finding import Finding
    from ftui.ui.themes import Palette

_MARKS = {"error": ("✗", "bad"), "warning": ("!", "warning"), "hint": ("·", "dim")}
_INDENT = 10  # mark and count


@dataclass(frozen=True, slots=True)
class Checked:
    """The state of the checks on one dataset.

    missing: checks that did not run, with the reason. share: how far a running check is, else None; doing: in
    words. done, total: rows looked at. partial: stopped before the end. stale: rows have changed since.
    against: the file that must stay unseen, as words. examples: rows that can train, -1 while not known.
    """

    findings: tuple[Finding, ...] = ()
    missing: tuple[tuple[str, str], ...] = ()
    share: float | None = None
    doing: str = ""
    done: int = 0
    total: int = 0
    partial: bool = False
    stale: bool = False
    against: str = ""
    examples: int = -1
    labels: dict[str, str] = field(default_factory=dict)  # what each fix does, in words
    needs: tuple[tuple[str, int, int], ...] = ()  # (task, from, to) examples


def checks_lines(
    state: Checked, cursor: int, focused: bool, width: int, colors: Palette
) -> list[tuple[Strip, int]]:
    """Lines, each with the number of the finding it belongs to, -1 for none; checks that did not run are
    counted on. The one under the cursor is lit."""
    ground = Style(bgcolor=colors.selection if focused else colors.panel)
    lines = [(strip, -1) for strip in _head(state, width, colors)]

    def add(number: int, strips: list[Strip]) -> None:
        if number == cursor:
            strips = [strip.adjust_cell_length(width).apply_style(ground) for strip in strips]
        lines.extend((strip, number) for strip in strips)

    for number, finding in enumerate(state.findings):
        add(number, _finding(finding, state.labels, number == cursor, width, colors))
    if state.missing:
        lines += [(Strip([]), -1), (_line("did not run", colors.special), -1)]
    for number, (name, why) in enumerate(state.missing, len(state.findings)):
        add(number, _missing(name, why, width, colors))
    return lines + [(strip, -1) for strip in _needs(state, width, colors)]


def _head(state: Checked, width: int, colors: Palette) -> list[Strip]:
    """Where the checks stand: running, stopped half-way, or out of date."""
    dim = Style(color=colors.dim)
    if state.share is not None:
        full, empty = figures.bar(state.share, max(8, min(20, width // 4)), plain=figures.ascii_only())
        bar = [
            Segment(full, Style(color=colors.accent)),
            Segment(empty, Style(color=colors.border)),
            Segment(f" {state.share:>4.0%}  {state.doing}", Style(color=colors.foreground)),
            Segment("  esc stops", dim),
        ]
        return [Strip(bar), Strip([])]
    rows = f"{state.done:,} rows checked"
    strips = []
    if state.partial:
        words = f"! partial: stopped after {state.done:,} of {state.total:,} rows   r checks them all"
        strips.append(_line(words, colors.warning))
    elif not state.stale:
        against = f" against {state.against}" if state.against else ""
        strips.append(_line(one_line(f"{rows}{against}", width), colors.dim))
    if state.stale:
        strips.append(_line("! from before your edits   r checks again", colors.warning))
    return [*strips, Strip([])]


def _finding(
    finding: Finding, labels: Mapping[str, str], here: bool, width: int, colors: Palette
) -> list[Strip]:
    mark, color = _MARKS[finding.severity]
    mark_style = Style(color=getattr(colors, color), bold=True)
    count = f"{finding.count:,}" if finding.rows else "file"
    name = one_line(finding.check, 24)
    head = [
        Segment(f"{mark} ", mark_style),
        Segment(f"{count:>6}  ", Style(color=colors.foreground)),
        Segment(name, Style(color=colors.foreground, bold=True)),
    ]
    if finding.fix:
        label = labels.get(finding.fix, finding.fix)
        fix = one_line(label, max(4, width - _INDENT - len(name) - 5))
        room = width - _INDENT - len(name) - cell_len(fix) - 2
        head += [
            Segment(" " * max(1, room)),
            Segment("x ", Style(color=colors.accent if here else colors.dim, bold=here)),
            Segment(fix, Style(color=colors.good if here else colors.dim)),
        ]
    strips = [Strip(head), *_words(one_line(finding.message, 400), width, colors.dim)]
    if finding.groups:
        strips.append(_line(f"{'':{_INDENT}}{len(finding.groups):,} groups   ] steps through", colors.dim))
    return strips


def _missing(name: str, why: str, width: int, colors: Palette) -> list[Strip]:
    head = Strip(
        [
            Segment(f"{'-':<{_INDENT}}", Style(color=colors.dim)),
            Segment(name, Style(color=colors.foreground)),
        ]
    )
    return [head, *_words(one_line(why, 300), width, colors.dim)]


def _words(text: str, width: int, color: str) -> list[Strip]:
    return [_line(f"{'':{_INDENT}}{line}", color) for line in wrap(text, max(8, width - _INDENT))]


def _needs(state: Checked, width: int, colors: Palette) -> list[Strip]:
    """The number of examples against what tasks usually need."""
    if state.examples < 0 or not state.needs:
        return []
    good, dim = Style(color=colors.good), Style(color=colors.dim)
    heading = _line(f"{state.examples:,} examples; a task usually needs", colors.special)
    strips = [Strip([]), heading]
    for task, least, most in state.needs:
        enough = state.examples >= least
        parts = [
            Segment("✓ " if enough else "· ", good if enough else dim),
            Segment(f"{task:<12}", Style(color=colors.foreground) if enough else dim),
            Segment(f"{least:>7,} to {most:,}", dim),
        ]
        if not enough:
            parts.append(Segment(f"   {least - state.examples:,} short", dim))
        strips.append(Strip(parts).crop(0, width))
    return strips


def _line(text: str, color: str) -> Strip:
    return Strip([Segment(text, Style(color=color))])


def summary(findings: tuple[Finding, ...]) -> str:
    """`1 error · 2 warnings`, "" when there is nothing."""
    counts = [(sum(one.severity == severity for one in findings), severity) for severity in _MARKS]
    return " · ".join(f"{count} {severity}{'s' if count > 1 else ''}" for count, severity in counts if count)

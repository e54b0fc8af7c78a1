"""Sample replies as text: the steps as an axis, and the base model's reply beside the chosen one."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

from rich.style import Style
from rich.text import Text
from textual.content import Content

from ftui.core.text import one_line
from ftui.ui.sample_timeline import at
from ftui.ui.widgets import figures

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console

    from ftui.ui.sample_timeline import Choice, Timeline
    from ftui.ui.themes import Palette

_BESIDE = 76  # columns from which two replies stand side by side
_GAP = 3
_LOW = 6  # lines below which every one counts


def samples_text(
    lines: Sequence[Timeline], choice: Choice, width: int, height: int, colors: Palette, console: Console
) -> list[Text]:
    """Paragraphs for a widget `width` columns wide; where it is low the prompt has one line."""
    dim = Style(color=colors.dim)
    if not lines:
        return [
            Text("no sample replies: evaluation.prompts are answered at step 0 and at every checkpoint", dim)
        ]
    number = choice.prompt % len(lines)
    line = lines[number]
    index = at(line, choice)
    first, (step, reply) = line.replies[0], line.replies[index]
    which = f"{number + 1}/{len(lines)} " if len(lines) > 1 else ""
    room = width - len(which) if height < _LOW else 3 * width
    prompt = Text.assemble((which, dim), (one_line(line.prompt, room), Style(color=colors.eval)))
    if index == 0:
        untrained = [Text("step 0, untrained", dim)] if step == 0 and height >= _LOW else []
        return [prompt, *untrained, _reply(reply, colors)]
    if width >= _BESIDE:
        return [prompt, *_side_by_side(first, (step, reply), width, colors, console)]
    before = Text(f"at {_called(first[0])} it was", dim)
    return [prompt, _reply(reply, colors), before, _reply(first[1], colors, dim)]


def axis(lines: Sequence[Timeline], choice: Choice, width: int) -> Content:
    """`step < 0 · 9 · 18 >` with the keys that move and the chosen step lit; of many steps those around it."""
    if not lines:
        return Content("")
    line = lines[choice.prompt % len(lines)]
    chosen, steps = at(line, choice), line.steps
    first, last = _around(steps, chosen, width - 24)
    parts: list[Content | str] = [Content.styled("step ", "$dim")]
    parts += [Content.styled("< ", "bold $accent")] if len(steps) > 1 else []
    parts += [Content.styled("… · ", "$dim")] if first > 0 else []
    for index in range(first, last + 1):
        style = "bold $foreground" if index == chosen else "$dim"
        parts += [Content.styled(" · ", "$dim")] if index > first else []
        parts.append(Content.styled(str(steps[index]), style))
    parts += [Content.styled(" · …", "$dim")] if last < len(steps) - 1 else []
    parts += [Content.styled(" >", "bold $accent")] if len(steps) > 1 else []
    if len(lines) > 1:
        parts += [Content.styled("  m ", "bold $accent"), Content.styled("prompt", "$dim")]
    return Content.assemble(*parts)


def _around(steps: Sequence[int], chosen: int, room: int) -> tuple[int, int]:
    """The first and last index of the steps that have room, with the chosen one in their middle."""
    first = last = chosen
    used, end = len(str(steps[chosen])), len(steps) - 1
    while first > 0 or last < end:
        earlier = first > 0 and (chosen - first <= last - chosen or last == end)
        more = first - 1 if earlier else last + 1
        used += len(str(steps[more])) + 3
        if used > room:
            break
        first, last = min(first, more), max(last, more)
    return first, last


def _called(step: int) -> str:
    return f"step {step}" if step else "step 0, untrained,"


def _reply(reply: str, colors: Palette, style: Style | None = None) -> Text:
    return Text(reply.strip() or "(empty reply)", style or Style(color=colors.foreground))


def _side_by_side(
    left: tuple[int, str], right: tuple[int, str], width: int, colors: Palette, console: Console
) -> list[Text]:
    """Two replies in columns, the older one dim."""
    column, bar = (width - _GAP) // 2, "|" if figures.ascii_only() else "│"
    dim, plainly, rule = Style(color=colors.dim), Style(color=colors.foreground), Style(color=colors.border)
    heads = (
        Text("step 0, untrained" if not left[0] else f"step {left[0]}", dim),
        Text(f"step {right[0]}", Style(color=colors.accent)),
    )
    sides = [
        [head, *_reply(reply, colors, style).wrap(console, column, overflow="fold")]
        for head, (_, reply), style in zip(heads, (left, right), (dim, plainly), strict=True)
    ]
    rows = []
    for one, other in itertools.zip_longest(*sides, fillvalue=Text("")):
        row = Text(no_wrap=True)
        row.append_text(one)
        row.rstrip()
        row.append(" " * max(0, column - row.cell_len) + " ")
        row.append(f"{bar} ", rule)
        row.append_text(other)
        rows.append(row)
    return rows

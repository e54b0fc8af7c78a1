"""The strip that never leaves: the run at work and the GPU (or the host) in one line.

What does not fit is left out by importance, so that 80 columns still say which run, how far, how well.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from rich.style import Style
from rich.text import Text
from textual.reactive import reactive
from textual.widget import Widget

from ftui.core.text import one_line
from ftui.runs.devices import gpus_of
from ftui.ui.pulse import EMPTY_PULSE, Pulse
from ftui.ui.run_troubles import loudest
from ftui.ui.themes import palette
from ftui.ui.widgets import figures
from ftui.ui.widgets.troubles_text import mark

if TYPE_CHECKING:
    from ftui.core.vitals import Alarm
    from ftui.gpu.host import HostSnapshot
    from ftui.gpu.nvml import Gpu
    from ftui.runs.state import RunSummary
    from ftui.ui.themes import Palette

_GAP = 2
_BAR = (8, 20)  # its least and greatest width
_BAR_RANK = 5
_NAME_WIDTH = 24


@dataclass(frozen=True, slots=True)
class _Part:
    """A piece of the line; `rank` 0 always stays, the highest rank goes first."""

    text: Text
    rank: int
    right: bool = False


class Strip(Widget):
    """Shows a Pulse in one line; redrawn only when its words change. A click opens the Train pane."""

    DEFAULT_CSS = "Strip { height: 1; background: $background; }"

    pulse: reactive[Pulse] = reactive(EMPTY_PULSE, init=False, repaint=False)

    def __init__(self) -> None:
        super().__init__()
        self._shown: tuple[str, int] = ("", 0)

    def watch_pulse(self) -> None:
        line = self._line()
        if (line.markup, self.size.width) != self._shown:
            self.refresh()

    def render(self) -> Text:
        line = self._line()
        self._shown = (line.markup, self.size.width)
        return line

    def on_click(self) -> None:
        self.app.pane("train")  # type: ignore[attr-defined]

    def _line(self) -> Text:
        return compose_line(self.pulse, self.size.width, palette(self.app), plain=figures.ascii_only())


def current_run(runs: tuple[RunSummary, ...]) -> RunSummary | None:
    """The run the strip is about: the newest at work, else the newest."""
    return next((run for run in runs if run.state in figures.ACTIVE), runs[0] if runs else None)


def compose_line(pulse: Pulse, width: int, colors: Palette, *, plain: bool = False) -> Text:
    """The strip's text for a terminal `width` columns wide."""
    run = current_run(pulse.runs)
    parts = _run_parts(run, pulse, colors, plain) if run else _no_run_parts(colors)
    if pulse.trouble:
        parts.insert(0, _Part(Text(one_line(pulse.trouble, width // 2), Style(color=colors.bad)), 0))
    if pulse.gpus:
        mine = gpus_of(run.devices, pulse.gpus, run.pid) if run and run.active else ()
        parts += _gpu_parts((mine or pulse.gpus)[0], colors, plain)
    elif pulse.host:
        parts += _host_parts(pulse.host, colors, plain)
    while parts and _width(parts) > width and (worst := max(part.rank for part in parts)):
        parts = [part for part in parts if part.rank != worst]
    spare = width - _width(parts)
    if run and run.steps and any(part.rank == _BAR_RANK for part in parts):
        grown = min(spare, _BAR[1] - _BAR[0])
        bar = _bar((run.step or 0) / run.steps, _BAR[0] + grown, colors.good, colors, plain)
        parts = [replace(part, text=bar) if part.rank == _BAR_RANK else part for part in parts]
        spare -= grown
    left = [part.text for part in parts if not part.right]
    right = [part.text for part in parts if part.right]
    gap = Text(" " * _GAP)
    line = Text(" ", no_wrap=True, end="")
    line.append_text(gap.join(left))
    line.append(" " * (spare + _GAP if right else spare))
    line.append_text(gap.join(right))
    line.append(" ")
    line.truncate(width)
    return line


def _width(parts: list[_Part]) -> int:
    return sum(part.text.cell_len for part in parts) + _GAP * max(0, len(parts) - 1) + 2


def _run_parts(run: RunSummary, pulse: Pulse, colors: Palette, plain: bool) -> list[_Part]:
    dim, plainly = Style(color=colors.dim), Style(color=colors.foreground)
    glyph, meaning = figures.mark(run.state, plain=plain)
    strong = Style(color=getattr(colors, meaning), bold=True)
    name = Style(color=colors.foreground, bold=run.state in figures.ACTIVE)
    parts = [_Part(Text.assemble((f"{glyph} ", strong), (one_line(run.name, _NAME_WIDTH), name)), 0)]
    steps = f"{run.step or 0}/{run.steps}" if run.steps else ""
    if run.state in ("running", "finished") and steps:
        parts.append(_Part(Text(steps, dim), 0))
    else:
        parts.append(_Part(Text(f"{run.state} {steps}".strip(), strong if run.state != "queued" else dim), 0))
    if worry := loudest([alarm.severity for alarm in pulse.alarms.get(run.id, ())]):
        parts.append(_Part(_worry(worry, pulse.alarms[run.id], colors, plain), 0))
    if run.state in figures.ACTIVE and run.steps:
        parts.append(_Part(Text(" " * _BAR[0]), _BAR_RANK))
    if run.loss is not None:
        health = plainly if math.isfinite(run.loss) else Style(color=colors.bad)
        loss = Text.assemble(("loss ", dim), (figures.number(run.loss), health))
        arrow, color = {"down": ("↓", colors.good), "up": ("↑", colors.warning)}.get(pulse.trend, ("", ""))
        if arrow and run.state == "running":
            loss.append({"↓": "v", "↑": "^"}[arrow] if plain else arrow, Style(color=color))
        parts.append(_Part(loss, 0))
    if run.eval_loss is not None:
        parts.append(_Part(Text.assemble(("eval ", dim), (figures.number(run.eval_loss), plainly)), 4))
    if run.state == "running":
        if run.tokens_per_second:
            speed = (figures.rate(run.tokens_per_second), plainly)
            parts.append(_Part(Text.assemble(speed, (" tok/s", dim)), 3))
        if run.eta_seconds is not None:
            parts.append(_Part(Text.assemble(("eta ", dim), (figures.duration(run.eta_seconds), plainly)), 1))
    return parts


def _worry(worry: str, alarms: tuple[Alarm, ...], colors: Palette, plain: bool) -> Text:
    """The gravest alarm by its name: what it says in full is in the Train pane."""
    sign, meaning = mark(worry, plain=plain)
    name = next(alarm.check for alarm in alarms if alarm.severity == worry).replace("-", " ")
    return Text(f"{sign} {name}", Style(color=getattr(colors, meaning), bold=worry == "error"))


def _no_run_parts(colors: Palette) -> list[_Part]:
    dim, key = Style(color=colors.dim), Style(color=colors.accent, bold=True)
    return [
        _Part(Text("no run yet", dim), 0),
        _Part(Text.assemble(("2", key), (" write a recipe", dim)), 1),
    ]


def _gpu_parts(gpu: Gpu, colors: Palette, plain: bool) -> list[_Part]:
    dim, plainly = Style(color=colors.dim), Style(color=colors.foreground)
    used = figures.gib(gpu.memory_used)
    total = f"/{figures.gib(gpu.memory_total)} GB" if gpu.memory_total else ""
    parts = [_Part(Text.assemble((f"GPU{gpu.index} ", dim), (used, plainly), (total, dim)), 2, right=True)]
    if gpu.memory_used is not None and gpu.memory_total:
        share = gpu.memory_used / gpu.memory_total
        color = colors.bad if share > 0.97 else colors.warning if share > 0.92 else colors.accent
        parts.append(_Part(_bar(share, 8, color, colors, plain), 8, right=True))
    if gpu.utilization is not None:
        parts.append(_Part(Text(f"{gpu.utilization:.0f}%".rjust(4), plainly), 6, right=True))
    if gpu.temperature is not None:
        hot = Style(color=colors.warning) if gpu.temperature >= 85 or gpu.throttle else plainly
        parts.append(_Part(Text(f"{gpu.temperature:.0f}{'C' if plain else '°C'}", hot), 7, right=True))
    return parts


def _host_parts(host: HostSnapshot, colors: Palette, plain: bool) -> list[_Part]:
    dim, plainly = Style(color=colors.dim), Style(color=colors.foreground)
    parts = [_Part(Text("no GPU", dim), 6, right=True)]
    used, total = host.memory_used, host.memory_total
    if used is not None and total:
        amount = Text.assemble(
            ("RAM ", dim), (figures.gib(used), plainly), (f"/{figures.gib(total)} GB", dim)
        )
        share = used / total
        color = colors.bad if share > 0.95 else colors.warning if share > 0.85 else colors.accent
        parts += [_Part(amount, 2, right=True), _Part(_bar(share, 8, color, colors, plain), 8, right=True)]
    if host.cpu_percent is not None:
        load = Text.assemble(("CPU", dim), (f"{host.cpu_percent:.0f}%".rjust(5), plainly))
        parts.append(_Part(load, 7, right=True))
    return parts


def _bar(share: float, width: int, color: str, colors: Palette, plain: bool) -> Text:
    filled, empty = figures.bar(share, width, plain=plain)
    return Text.assemble((filled, Style(color=color)), (empty, Style(color=colors.border)))

"""The GPUs, a line each: memory, load, heat, power, what slows them, and of several who trains there.

Gone where there is none.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.style import Style
from rich.text import Text
from textual.widget import Widget

from ftui.core.text import one_line
from ftui.runs.devices import gpus_of
from ftui.ui.pulse import EMPTY_PULSE, Pulse
from ftui.ui.themes import palette
from ftui.ui.widgets import figures

if TYPE_CHECKING:
    from ftui.gpu.nvml import Gpu
    from ftui.ui.themes import Palette

_MOST = 4  # GPUs shown, first those with runs; the machine (`g`) and `ftui doctor` know the rest
_NAME = 24


class Gauge(Widget):
    """A line a GPU; its height follows their number."""

    DEFAULT_CSS = "Gauge { height: 1; padding: 0 2; background: $background; }"

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._pulse = EMPTY_PULSE
        self._shown = ""

    def show(self, pulse: Pulse) -> None:
        self._pulse = pulse
        lines = min(_MOST, len(pulse.gpus))
        self.display = bool(lines)
        if lines and (self.styles.height is None or self.styles.height.value != lines):
            self.styles.height = lines
        if self._text().markup != self._shown:
            self.refresh()

    def render(self) -> Text:
        text = self._text()
        self._shown = text.markup
        return text

    def _text(self) -> Text:
        colors, plain = palette(self.app), figures.ascii_only()
        lines = [_fitting(gpu, who, self.size.width, colors, plain) for gpu, who in _shown(self._pulse)]
        return Text("\n", no_wrap=True, overflow="ellipsis", end="").join(lines)


def _shown(pulse: Pulse) -> list[tuple[Gpu, str]]:
    """The GPUs there is room for, in their order, and who trains on them; "" where there is only one."""
    if len(pulse.gpus) < 2:
        return [(gpu, "") for gpu in pulse.gpus]
    names = ["" for _ in pulse.gpus]
    for run in pulse.runs:
        for gpu in gpus_of(run.devices, pulse.gpus, run.pid) if run.active else ():
            names[pulse.gpus.index(gpu)] = one_line(run.name, _NAME)
    first = sorted(range(len(names)), key=lambda index: not names[index])[:_MOST]
    return [(pulse.gpus[index], names[index]) for index in sorted(first)]


def _fitting(gpu: Gpu, who: str, width: int, colors: Palette, plain: bool) -> Text:
    """The GPU's line; where it is too long first the bar and then the name are left out."""
    line = Text()
    for bar, name in ((True, True), (False, True), (False, False)):
        line = _gpu_line(gpu, who, colors, plain, bar=bar, name=name)
        if line.cell_len <= width:
            break
    return line


def _gpu_line(gpu: Gpu, who: str, colors: Palette, plain: bool, *, bar: bool, name: bool) -> Text:
    dim, plainly = Style(color=colors.dim), Style(color=colors.foreground)
    line = Text.assemble((f"GPU{gpu.index} ", dim), no_wrap=True)
    if name:
        line.append(f"{one_line(gpu.name, 22)}  ", plainly)
    if bar and gpu.memory_used is not None and gpu.memory_total:
        filled, empty = figures.bar(gpu.memory_used / gpu.memory_total, 10, plain=plain)
        line.append(filled, Style(color=colors.accent))
        line.append(f"{empty} ", Style(color=colors.border))
    line.append(figures.gib(gpu.memory_used), plainly)
    line.append(f"/{figures.gib(gpu.memory_total)} GB", dim)
    if gpu.utilization is not None:
        line.append("   busy ", dim)
        line.append(f"{gpu.utilization:.0f}%", plainly)
    if gpu.temperature is not None:
        line.append(f"   {gpu.temperature:.0f}{'C' if plain else '°C'}", plainly)
    if gpu.power is not None:
        line.append(f"   {gpu.power:.0f}", plainly)
        line.append(f"/{gpu.power_limit:.0f} W" if gpu.power_limit else " W", dim)
    if gpu.throttle:
        line.append("   slowed by ", dim)
        line.append(one_line(", ".join(gpu.throttle), 40), Style(color=colors.warning))
    if who:
        line.append(f"   {who}", Style(color=colors.accent))
    return line

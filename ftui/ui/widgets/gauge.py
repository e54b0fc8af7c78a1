"""The GPUs, a line each: memory, load, heat, power, and what slows them. Gone where there is none."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.style import Style
from rich.text import Text
from textual.widget import Widget

from ftui.core.text import one_line
from ftui.ui.pulse import EMPTY_PULSE, Pulse
from ftui.ui.themes import palette
from ftui.ui.widgets import figures

if TYPE_CHECKING:
    from ftui.gpu.nvml import Gpu
    from ftui.ui.themes import Palette

_MOST = 4  # GPUs shown; the strip and `ftui doctor` know the rest


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
        lines = [_fitting(gpu, self.size.width, colors, plain) for gpu in self._pulse.gpus[:_MOST]]
        return Text("\n", no_wrap=True, overflow="ellipsis", end="").join(lines)


def _fitting(gpu: Gpu, width: int, colors: Palette, plain: bool) -> Text:
    """The GPU's line; where it is too long first the bar and then the name are left out."""
    line = Text()
    for bar, name in ((True, True), (False, True), (False, False)):
        line = _gpu_line(gpu, colors, plain, bar=bar, name=name)
        if line.cell_len <= width:
            break
    return line


def _gpu_line(gpu: Gpu, colors: Palette, plain: bool, *, bar: bool, name: bool) -> Text:
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
    return line

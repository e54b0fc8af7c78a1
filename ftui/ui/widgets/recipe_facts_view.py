"""What a recipe takes: memory by part against the machine, and how long the run is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.style import Style
from rich.text import Text
from textual.widgets import Static

from ftui.core.hardware import show_size
from ftui.core.text import one_line
from ftui.ui.themes import palette
from ftui.ui.widgets import figures

if TYPE_CHECKING:
    from ftui.core.findings import Facts
    from ftui.core.hardware import Hardware
    from ftui.runs.speed import Speed
    from ftui.ui.themes import Palette

_LABEL = 12
_SIZE = 10


class MemoryView(Static):
    """Bars by part, the total against what there is, and whether it fits."""

    def show(self, facts: Facts, reason: str, width: int) -> None:
        """reason: why there is no estimate, as a sentence; shown in its place."""
        colors = palette(self.app)  # type: ignore[arg-type]
        self.update(self._text(facts, reason, width, colors))

    def _text(self, facts: Facts, reason: str, width: int, colors: Palette) -> Text:
        plainly, dim = Style(color=colors.foreground), Style(color=colors.dim)
        needed, machine = facts.estimate, facts.hardware
        if needed is None:
            text = Text(one_line(reason, 300) or "looking…", dim)
            return text.append(_have(machine), dim) if machine else text
        parts = [
            ("weights", needed.weights, colors.accent),
            ("adapter+opt", needed.adapter + needed.optimizer + needed.gradients, colors.special),
            ("activations", needed.activations, colors.good),
            ("loss", needed.logits, colors.warning),
            ("overhead", needed.overhead, colors.border),
        ]
        room = max(4, width - _LABEL - _SIZE)
        # Bars share one scale: the machine's memory where the run fits it, else the largest part.
        scale = max(size for _, size, _ in parts)
        text = Text(no_wrap=True)
        for label, size, color in parts:
            text.append(f"{label:<{_LABEL}}", dim)
            text.append_text(_bar(size / scale if scale else 0, room, color, colors.background))
            text.append(f"{show_size(size):>{_SIZE}}\n", plainly)
        return text.append_text(self._verdict(facts, colors))

    def _verdict(self, facts: Facts, colors: Palette) -> Text:
        needed = facts.estimate
        assert needed is not None
        color = {True: colors.good, False: colors.bad, None: colors.foreground}[needed.fits]
        if needed.fits and not needed.roomy:
            color = colors.warning
        text = Text.assemble((show_size(needed.total), Style(color=color, bold=True)), no_wrap=True)
        if needed.memory:
            where = facts.hardware.name if facts.hardware else ""
            text.append(f" of {show_size(needed.memory)}", Style(color=colors.foreground))
            text.append(f", {one_line(where, 30)}  ", Style(color=colors.dim))
            text.append("fits" if needed.fits else "does not fit", Style(color=color))
        return text


class CourseView(Static):
    """Steps, tokens and time."""

    def show(self, facts: Facts, speed: Speed | None) -> None:
        colors = palette(self.app)  # type: ignore[arg-type]
        plainly, dim = Style(color=colors.foreground), Style(color=colors.dim)
        course = facts.schedule
        if course is None:
            self.update(Text("unknown until the dataset is read", dim))
            return
        parts = [f"{course.steps:,} steps"]
        tokens = course.steps * course.tokens_per_step if course.tokens_per_step else None
        if tokens:
            parts.append(f"about {_short(tokens)} tokens")
        text = Text(" · ".join(parts), plainly, no_wrap=True)
        if speed and tokens:
            text.append(" · ", plainly)
            text.append(
                f"about {figures.duration(tokens / speed.tokens_per_second)}",
                Style(color=colors.foreground, bold=True),
            )
            runs = "1 run" if speed.runs == 1 else f"{speed.runs} runs"
            text.append(f"\n{figures.rate(speed.tokens_per_second)} tok/s, from {runs} like it here", dim)
        else:
            text.append("\nno run like it here yet to tell the time from", dim)
        self.update(text)


def _bar(share: float, room: int, color: str, background: str) -> Text:
    """A bar of `share` of `room` cells, in eighths."""
    eighths = round(max(0.0, min(1.0, share)) * room * 8)
    full, rest = divmod(eighths, 8)
    if figures.ascii_only():
        bar = "#" * round(eighths / 8)
    else:
        bar = "█" * full + (" ▏▎▍▌▋▊▉"[rest] if rest else "")
    return Text(bar.ljust(room), Style(color=color, bgcolor=background))


def _have(machine: Hardware) -> str:
    return f"\n{show_size(machine.memory)} on {one_line(machine.name, 30)}" if machine.memory else ""


def _short(tokens: float) -> str:
    for unit, size in (("B", 1e9), ("M", 1e6), ("k", 1e3)):
        if tokens >= size:
            return f"{tokens / size:.1f}{unit}"
    return f"{tokens:.0f}"

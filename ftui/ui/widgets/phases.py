"""What a run does before its first step, and why it ended when it never took one."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from rich.style import Style
from rich.text import Text
from textual.widget import Widget

from ftui.core.text import one_line
from ftui.runs.lifecycle import UNREADABLE
from ftui.ui.themes import palette
from ftui.ui.widgets import figures
from ftui.ui.widgets.captions import set_title

if TYPE_CHECKING:
    from ftui.runs.stages import Stage
    from ftui.runs.state import RunSummary
    from ftui.ui.run_reader import RunView
    from ftui.ui.themes import Palette

_WORDS = {
    "download": "fetch the model",
    "convert": "convert it once",
    "load": "load the model",
    "quantize": "quantize weights",
    "encode": "encode the data",
    "resume": "load the checkpoint",
    "sample": "answer the prompts",
}
_NAME = 20
_BAR = 20


class Phases(Widget):
    """One line a phase: done with the time it took, at work with a bar."""

    DEFAULT_CSS = "Phases { height: 1fr; width: 1fr; }"

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id, classes="panel")
        self._view: RunView | None = None
        self._shown = ""

    def show(self, view: RunView) -> None:
        self._view = view
        early = view.run.state in (*figures.ACTIVE, "queued")
        ended = UNREADABLE if view.run.reason.startswith(UNREADABLE) else "ended before the first step"
        set_title(self, view.run.state if early else ended)
        if self._text().markup != self._shown:
            self.refresh()

    def render(self) -> Text:
        text = self._text()
        self._shown = text.markup
        return text

    def _text(self) -> Text:
        view, colors, plain = self._view, palette(self.app), figures.ascii_only()
        if view is None:
            return Text("")
        dim = Style(color=colors.dim)
        lines = [self._line(stage, view, colors, plain) for stage in view.stages]
        if view.run.state in figures.ACTIVE:
            if not view.stages:
                lines.append(Text(view.run.stage or "starting the trainer", dim))
            lines += [Text(""), Text(fact, dim)] if (fact := _facts(view)) else []
        elif view.run.state == "queued":
            lines = _waiting(view.run, colors, plain)
        else:
            glyph, meaning = figures.mark(view.run.state, plain=plain)
            style = Style(color=getattr(colors, meaning), bold=True)
            reason = one_line(view.run.reason or view.run.state, 400)
            lines += [Text(""), Text.assemble((f"{glyph} ", style), (reason, Style(color=colors.foreground)))]
            if view.run.hint:
                lines.append(Text(f"  {one_line(view.run.hint, 400)}", dim))
        for line in lines:
            line.truncate(max(1, self.size.width), overflow="ellipsis")
        return Text("\n", no_wrap=True).join(lines)

    def _line(self, stage: Stage, view: RunView, colors: Palette, plain: bool) -> Text:
        dim, plainly = Style(color=colors.dim), Style(color=colors.foreground)
        words = _WORDS.get(stage.name, stage.name).ljust(_NAME)
        over = stage.ended is not None
        if over or view.run.state not in figures.ACTIVE:
            glyph, color = (("v" if plain else "✓"), colors.good) if over else ("·", colors.dim)
            line = Text.assemble((f"{glyph} ", Style(color=color)), (words, dim))
            if stage.ended is not None:
                line.append(figures.duration(stage.ended - stage.began).rjust(5), dim)
            return line
        line = Text.assemble((f"{'>' if plain else '▶'} ", Style(color=colors.accent)), (words, plainly))
        if stage.total > 0:
            share = stage.done / stage.total
            filled, empty = figures.bar(share, _BAR, plain=plain)
            line.append(filled, Style(color=colors.accent))
            line.append(empty, Style(color=colors.border))
            line.append(f" {min(1.0, share):4.0%}  ", plainly)
            line.append(_amount(stage), dim)
        else:
            line.append(figures.duration(time.time() - stage.began).rjust(5), dim)
            if stage.note:
                line.append(f"  {stage.note}", dim)
        return line


def _waiting(run: RunSummary, colors: Palette, plain: bool) -> list[Text]:
    """A run's place in the queue, what it waits for, and what can be done about it."""
    dim, key = Style(color=colors.dim), Style(color=colors.accent, bold=True)
    glyph, _ = figures.mark("queued", plain=plain)
    place = "next" if run.position == 1 else f"number {run.position}" if run.position else "waiting"
    about = Text.assemble((f"{glyph} {place} in the queue", Style(color=colors.foreground, bold=True)))
    words = [one_line(text, 400) for text in (run.reason, run.hint) if text]
    keys = [
        Text.assemble((f"  {name:<5}", key), (does, dim))
        for name, does in (
            ("R", "start it now"),
            ("[ ]", "earlier, later"),
            ("q", "pause the queue, go on"),
            ("del", "take it out; u brings it back"),
        )
    ]
    return [about, *(Text(f"  {line}", dim) for line in words), Text(""), *keys]


def _amount(stage: Stage) -> str:
    if stage.unit in ("bytes", "B"):
        return f"{figures.size_of(stage.done)} of {figures.size_of(stage.total)}"
    return f"{stage.done:,.0f} of {stage.total:,.0f} {stage.unit}".rstrip()


def _facts(view: RunView) -> str:
    """What is already known of data and model, in a line."""
    data, model = view.facts.get("data", {}), view.facts.get("model", {})
    parts = []
    if isinstance(rows := data.get("train_rows"), int):
        parts.append(f"{rows:,} rows")
    if isinstance(tokens := data.get("train_tokens"), int) and tokens:
        trained = data.get("trained_tokens")
        share = f", {trained / tokens:.0%} trained" if isinstance(trained, int) else ""
        parts.append(f"{tokens:,} tokens{share}")
    if isinstance(trainable := model.get("trainable_parameters"), int):
        parts.append(f"{figures.rate(trainable)} trainable parameters")
    packed = model.get("quantized_fraction")
    if isinstance(packed, float) and packed:
        parts.append(f"{packed:.0%} of the frozen ones quantized")
    return " · ".join(parts)

"""Under the charts: sample replies, the end of the log, or notices; one at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, get_args

from rich.style import Style
from rich.text import Text
from textual.content import Content

from ftui.core.text import one_line
from ftui.ui.themes import palette
from ftui.ui.widgets import figures
from ftui.ui.widgets.captions import set_subtitle, set_title
from ftui.ui.widgets.flow import Flow

if TYPE_CHECKING:
    from ftui.ui.run_reader import RunView
    from ftui.ui.themes import Palette

Tab = Literal["samples", "log", "notices"]
_KEYS = {"stop": "s", "stop_now": "S"}
_WORDS = {"stop": "saves a checkpoint and stops", "stop_now": "stops now"}
_MARKS = {"warning": ("▲", "!", "warning"), "error": ("✗", "x", "bad")}


class RunNotes(Flow):
    """What a run says in words. Its title names all three tabs, with how many there are."""

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._view: RunView | None = None
        self._tab: Tab = "samples"
        self._by_hand = False

    @property
    def tab(self) -> Tab:
        return self._tab

    @tab.setter
    def tab(self, tab: Tab) -> None:
        """Chosen by the user: it stays."""
        self._by_hand = True
        self._switch(tab)

    def show_view(self, view: RunView, *, other_run: bool = False) -> None:
        self._view = view
        if other_run:
            self._by_hand = False
        if not self._by_hand:
            wanted = _of_interest(view)
            if wanted != self._tab:
                self._switch(wanted)
                return
        self.redraw()

    def _switch(self, tab: Tab) -> None:
        self._tab = tab
        self.redraw()
        self.to_end()

    def redraw(self) -> None:
        colors = palette(self.app)
        set_title(self, self._heading())
        view = self._view
        if view is None:
            self.show([])
            return
        set_subtitle(self, f"{view.bad} unreadable event lines" if view.bad else "")
        self.show({"samples": _samples, "log": _log, "notices": _notices}[self._tab](view, colors))

    def _heading(self) -> Content:
        view = self._view
        notices = len(view.alarms) + len(view.notices) if view else 0
        counts = {"samples": len(view.samples) if view else 0, "notices": notices}
        parts: list[Content | str] = []
        for tab in get_args(Tab):
            style = "bold $foreground" if tab == self._tab else "$dim"
            count = f" {counts[tab]}" if counts.get(tab) else ""
            worrying = view is not None and _worrying(view)
            loud = "$warning" if tab == "notices" and worrying and tab != self._tab else style
            parts += [Content.styled(f"{tab}{count}", loud), "  "]
        return Content.assemble(*parts[:-1])


def _of_interest(view: RunView) -> Tab:
    """What to show until the user chooses: what is wrong, else what it learned, else what it says."""
    if not view.series:
        return "log"  # why it has not begun, or never did, is shown above
    if view.run.state in ("failed", "crashed") or _worrying(view):
        return "notices"
    return "samples" if view.samples else "log"


def _worrying(view: RunView) -> bool:
    told = (*(notice.level for notice in view.notices), *(alarm.severity for alarm in view.alarms))
    return any(level in _MARKS for level in told)


def _samples(view: RunView, colors: Palette) -> list[Text]:
    dim, step_style = Style(color=colors.dim), Style(color=colors.special, bold=True)
    if not view.samples:
        return [
            Text("no sample replies: a recipe's evaluation.prompts are answered at every checkpoint", dim)
        ]
    paragraphs, step = [], -1
    for sample in view.samples:
        if sample.step != step:
            step = sample.step
            paragraphs.append(Text(f"step {step}", step_style))
        paragraphs.append(Text(f"{one_line(sample.prompt, 200)}", dim))
        paragraphs.append(Text(sample.reply.strip() or "(empty reply)", Style(color=colors.foreground)))
    return paragraphs


def _log(view: RunView, colors: Palette) -> list[Text]:
    if not view.log:
        return [Text("the log is empty", Style(color=colors.dim))]
    style = Style(color=colors.foreground)
    return [Text(line or " ", style) for line in view.log]


def _notices(view: RunView, colors: Palette) -> list[Text]:
    dim, plainly = Style(color=colors.dim), Style(color=colors.foreground)
    plain = figures.ascii_only()
    paragraphs = []
    for alarm in view.alarms:
        glyph, poor, meaning = _MARKS.get(alarm.severity, ("·", "-", "dim"))
        mark = (f"{poor if plain else glyph} ", Style(color=getattr(colors, meaning), bold=True))
        paragraphs.append(Text.assemble(mark, (alarm.message, plainly)))
        key = _KEYS.get(alarm.action, "") if view.run.active else ""
        about = Text(f"  {alarm.hint}", dim)
        if key:
            about.append(f"   {key} ", Style(color=colors.accent, bold=True))
            about.append(_WORDS[alarm.action], dim)
        paragraphs.append(about)
    for notice in view.notices:
        glyph, poor, meaning = _MARKS.get(notice.level, ("·", "-", "dim"))
        mark = (f"{poor if plain else glyph} ", Style(color=getattr(colors, meaning)))
        paragraphs.append(Text.assemble(mark, (notice.message, plainly)))
        if notice.hint:
            paragraphs.append(Text(f"  {notice.hint}", dim))
    if view.run.state in ("failed", "crashed", "stalled"):
        glyph, meaning = figures.mark(view.run.state, plain=plain)
        mark = (f"{glyph} ", Style(color=getattr(colors, meaning), bold=True))
        paragraphs.append(
            Text.assemble(mark, (f"{view.run.state}: {one_line(view.run.reason, 400)}", plainly))
        )
        if view.run.hint:
            paragraphs.append(Text(f"  {one_line(view.run.hint, 400)}", dim))
    if not paragraphs:
        mark = ("v " if plain else "✓ ", Style(color=colors.good))
        paragraphs.append(Text.assemble(mark, ("nothing to report", dim)))
    if view.unchecked and view.run.active:
        names = ", ".join(name for name, _ in view.unchecked)
        paragraphs.append(Text(f"  not checked, for lack of figures: {names}", dim))
    return paragraphs

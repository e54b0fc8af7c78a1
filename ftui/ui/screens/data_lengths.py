"""How long the rows are in tokens: counted in the background, with a cut-off to move and rows to jump to."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from textual import on
from textual.message import Message

from ftui.core.errors import FtuiError
from ftui.core.text import one_line
from ftui.ui.dataset_messages import Opened
from ftui.ui.screens.data_xray import Xraying

if TYPE_CHECKING:
    from pathlib import Path

    from textual.widget import Widget

    from ftui.ui.encoder_desk import Counting, Preparing
    from ftui.ui.length_stats import LengthStats
    from ftui.ui.token_settings import TokenSettings
    from ftui.ui.widgets.length_histogram import LengthHistogram


@dataclass
class _Count:
    """Lengths counted so far. stale: rows have changed since."""

    path: Path
    settings: TokenSettings
    rows: list[tuple[int, int]] = field(default_factory=list)
    refused: int = 0
    over: bool = False
    stopped: bool = False
    stale: bool = False
    problem: str = ""
    cut: int = 0
    shown: int = 0  # rows that the histogram has, or will have in a moment

    def same_tokens(self, path: Path, settings: TokenSettings) -> bool:
        """Whether the lengths are what these settings would give: the policy on length does not matter."""
        mine = replace(
            self.settings,
            max_length=settings.max_length,
            train_on=settings.train_on,
            overlong=settings.overlong,
            objective=settings.objective,
            origin=settings.origin,
        )
        return path == self.path and mine == settings


def _warnings(count: _Count) -> list[str]:
    """What is to be known about the figures."""
    warnings = [count.problem] if count.problem else []
    if count.stopped:
        warnings.append(f"partial: stopped after {len(count.rows):,} rows   r counts them all")
    if count.stale:
        warnings.append("from before your edits   r counts again")
    if count.refused and count.over:
        warnings.append(f"{count.refused:,} more give no tokens; i shows why, row by row")
    if count.over and not count.rows and not count.problem and not count.stopped:
        warnings.append("no row gives tokens")
    return warnings


class SummedUp(Message):
    """The lengths counted so far, summed up."""

    def __init__(self, count: _Count, stats: LengthStats) -> None:
        super().__init__()
        self.count, self.stats = count, stats


class Measuring(Xraying):
    """The part of the Data pane that shows lengths."""

    def __init__(self) -> None:
        super().__init__()
        self._count: _Count | None = None

    @property
    def histogram(self) -> LengthHistogram | None:
        """The panel, where it is open."""
        return self.panel if self.panel is not None and self.panel.id == "lengths" else None  # type: ignore[return-value]

    @property
    def token_lengths(self) -> list[tuple[int, int]] | None:
        count = self._count
        whole = count is not None and count.over and not (count.stopped or count.problem)
        mine = whole and self.desk is not None and count is not None and count.path == self.desk.path
        return count.rows if mine and count is not None else None

    async def action_lengths(self) -> None:
        from ftui.ui.widgets.length_histogram import LengthHistogram

        if self.histogram is not None:
            await self.close_panel()
            return
        await self.open_panel(LengthHistogram(), focus=True)
        if self.histogram is not None:
            self.histogram.wait("looking for the recipe in use …")
        self.look_for_settings()

    def panel_closed(self, panel: Widget) -> None:
        super().panel_closed(panel)
        if panel.id == "lengths" and self._count is not None:
            self._count.cut = panel.cut  # type: ignore[attr-defined]

    def settings_known(self) -> None:
        super().settings_known()
        if self.histogram is None or self.settings is None or self.desk is None:
            return
        known = self._count
        if known is not None and known.same_tokens(self.desk.path, self.settings):
            if known.cut and known.settings.max_length == self.settings.max_length:
                self.histogram.set_cut(known.cut)
            else:
                self.histogram.set_cut(self.settings.max_length)
            known.settings = self.settings
            self._show_count()
        else:
            self.histogram.set_cut(self.settings.max_length)
            self._begin_count()

    def _begin_count(self) -> None:
        if self.desk is None or self.settings is None:
            return
        self._count = _Count(self.desk.path, self.settings)
        self._show_count()
        self.encoder().count(self._count, self.desk.path, self.settings)

    def _show_count(self) -> None:
        """Sums up in a thread: a million lengths take a moment to sort."""
        count = self._count
        if count is not None and self.histogram is not None:
            from ftui.ui.length_stats import LengthStats

            rows = count.rows[:]
            count.shown = len(rows)
            self._in_a_thread(lambda: self.post_message(SummedUp(count, LengthStats(rows))))

    @on(SummedUp)
    def show_summed_up(self, message: SummedUp) -> None:
        count, histogram = self._count, self.histogram
        if count is not message.count or count is None or histogram is None:
            return
        if len(message.stats) < count.shown:
            return  # a later sum is on its way
        doing, share = self._doing()
        histogram.show(
            message.stats, count.settings, doing=doing, share=share, warnings=tuple(_warnings(count))
        )

    def _doing(self) -> tuple[str, float | None]:
        """What goes on, in words, and how far it is."""
        count, facts = self._count, self.facts
        if count is None or count.over or facts is None:
            return "", None
        if not (done := len(count.rows) + count.refused):
            return "starting the tokenizer …", None
        return f"counting tokens, {done:,} rows", min(1.0, done / max(1, facts.rows))

    def on_counting(self, message: Counting) -> None:
        count = self._count
        if count is None or message.key is not count:
            return
        count.rows += message.rows
        count.refused += len(message.refused)
        count.over, count.stopped = message.over, message.stopped
        if message.error is not None:
            count.stopped = bool(count.rows)
            count.problem = "; ".join(filter(None, (message.error.message, message.error.hint)))
        if (
            count.over
            and not count.stopped
            and count.settings.only == "not-rejected"
            and self.facts is not None
        ):
            counts = self.facts.counts  # broken rows and those of no known shape are not even asked about
            trainable = self.facts.rows - counts.rejected - counts.deleted
            count.refused = max(count.refused, trainable - len(count.rows))
        if count.over or len(count.rows) > 1.3 * count.shown:
            self._show_count()
        elif self.histogram is not None:
            self.histogram.wait(*self._doing())

    def on_preparing(self, message: Preparing) -> None:
        if self.histogram is not None and self._count is not None and not self._count.over:
            self.histogram.wait(message.words)

    @on(Opened)
    def forget_count(self, message: Opened) -> None:
        if not self._mine(message):
            return
        self._stop_count()
        self._count = None

    def _outdate(self) -> None:
        super()._outdate()
        if self._count is not None and not self._count.stale:
            self._count.stale = True
            self._show_count()

    def _stop_count(self) -> None:
        if self._encoder is not None:
            self._encoder.stop_counting()

    # -- what the panel asks for -------------------------------------------------------------------

    async def on_length_histogram_asked(self, message: LengthHistogram.Asked) -> None:
        histogram, count = self.histogram, self._count
        if histogram is None:
            return
        match message.what:
            case "leave" if count is not None and not count.over:
                self._stop_count()
            case "leave":
                await self.close_panel()
            case "again" if count is None or count.over:
                self._begin_count()
            case "model":
                await self.ask_settings()
            case "type":
                await self._ask_cut(histogram)
            case "rows":
                await self._go_to_long_rows(histogram)
            case "write":
                self._write_cut(histogram.cut)

    async def _ask_cut(self, histogram: LengthHistogram) -> None:
        from ftui.ui.widgets.prompt_line import PromptLine

        def typed(text: str) -> None:
            wish = text.strip().replace(",", "").replace("_", "")
            if wish.isdecimal() and len(wish) < 9:
                histogram.set_cut(int(wish))
            elif wish:
                self.say_error(FtuiError(f"{one_line(text, 30)} is no length", "a number of tokens"))

        await self.ask(PromptLine("cut off after", typed, value="", placeholder=f"{histogram.cut} tokens"))

    async def _go_to_long_rows(self, histogram: LengthHistogram) -> None:
        rows, cut = histogram.stats.rows_over(histogram.cut), histogram.cut
        if not rows:
            self.say(f"no row is over {cut:,} tokens")
            return
        await self.close_panel()
        self.show_only(rows, f"over {cut:,} tokens")
        self.set_focus(self.rows)

    def _write_cut(self, cut: int) -> None:
        """Into the recipe that is open in the Recipe pane; there it is saved, or taken back."""
        from ftui.ui.token_settings import recipe_pane

        pane = recipe_pane(self.app)
        if pane is None or pane.key is None:
            self.say_error(FtuiError("no recipe is open to write it into", "2 opens one; then w here again"))
        elif pane.change({"data.max_length": cut}):
            self.say(f"max_length is {cut:,} in {pane.title_words()}; not saved yet, 2 shows it")
            if self.settings is not None:
                self.settings = replace(self.settings, max_length=cut)

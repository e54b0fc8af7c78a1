"""Two real steps of the recipe before the whole run: what they are doing, then what they took."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any, ClassVar

from rich.style import Style
from rich.text import Text
from textual import on
from textual.binding import Binding
from textual.containers import Vertical
from textual.message import Message
from textual.widgets import Static

from ftui.core.errors import FtuiError
from ftui.core.text import one_line
from ftui.runs.trial import try_out
from ftui.runs.trial_words import lines
from ftui.ui.modals.dialog import Dialog
from ftui.ui.themes import palette
from ftui.ui.widgets.captions import set_subtitle, set_title

if TYPE_CHECKING:
    from pathlib import Path

    from textual.app import ComposeResult

    from ftui.core.recipe import Recipe
    from ftui.runs.trial import Trial
    from ftui.runs.workspace import Workspace

_BAR = 30


class _Moved(Message):
    def __init__(self, stage: str, done: int, total: int) -> None:
        super().__init__()
        self.stage, self.done, self.total = stage, done, total


class _Ended(Message):
    def __init__(self, trial: Trial | None, error: FtuiError | None) -> None:
        super().__init__()
        self.trial, self.error = trial, error


class TryRecipe(Dialog[bool]):
    """Returns True where the user wants the run to start now. esc ends the trial, and closes what came of it."""

    DEFAULT_CSS = """
    TryRecipe > Vertical { width: 72; max-width: 96%; height: auto; max-height: 92%; padding: 1 2 0 2; }
    TryRecipe #said { height: auto; margin-bottom: 1; }
    """
    BINDINGS: ClassVar[list[Any]] = [
        Binding("escape,q", "leave", "stop, or close", id="recipe.try.leave"),
        Binding("r", "run", "run it now", id="recipe.try.run"),
    ]

    def __init__(self, workspace: Workspace, recipe: Recipe, path: Path | None) -> None:
        super().__init__()
        self._workspace, self._recipe, self._path = workspace, recipe, path
        self._stop = threading.Event()
        self._trial: Trial | None = None
        self._going = True

    def compose(self) -> ComposeResult:
        with Vertical(classes="panel"):
            yield Static(id="said", markup=False)

    def on_mount(self) -> None:
        panel = self.query_one(Vertical)
        set_title(panel, f"trying {one_line(self._recipe.name, 40)}: two steps on its longest rows")
        set_subtitle(panel, "esc stops")
        self._show(_progress("start", 0, 0, palette(self.app)))
        self.run_worker(self._work, thread=True, group="trial", exit_on_error=False)

    def on_unmount(self) -> None:
        self._stop.set()

    def _work(self) -> None:
        trial, error = None, None
        try:
            trial = try_out(
                self._workspace,
                self._recipe,
                self._path,
                tell=self._tell,
                cancelled=self._stop.is_set,
            )
        except FtuiError as refused:
            error = refused
        except OSError as refused:
            error = FtuiError(f"cannot try it out: {refused.strerror or refused}")
        self.post_message(_Ended(trial, error))

    def _tell(self, stage: str, done: int, total: int) -> None:
        self.post_message(_Moved(stage, done, total))

    @on(_Moved)
    def show_moved(self, message: _Moved) -> None:
        if self._going:
            self._show(_progress(message.stage, message.done, message.total, palette(self.app)))

    @on(_Ended)
    def show_ended(self, message: _Ended) -> None:
        self._going = False
        if message.trial is None and message.error is None:
            self.dismiss(False)
            return
        self._trial = message.trial
        can_run = self._trial is not None and self._trial.ok
        set_subtitle(self.query_one(Vertical), "r runs it · esc closes" if can_run else "esc closes")
        self._show(_outcome(self._trial, message.error, palette(self.app)))

    def _show(self, text: Text) -> None:
        self.query_one("#said", Static).update(text)

    def action_leave(self) -> None:
        if not self._going:
            self.dismiss(False)
        elif not self._stop.is_set():
            self._stop.set()
            self._show(Text("stopping …", Style(color=palette(self.app).dim)))

    def action_run(self) -> None:
        if self._trial is not None and self._trial.ok:
            self.dismiss(True)


def _progress(stage: str, done: int, total: int, colors: Any) -> Text:
    filled = round(_BAR * min(1.0, done / total)) if total else 0
    return Text.assemble(
        (f"{one_line(stage, 20):<12}", Style(color=colors.foreground)),
        ("━" * filled, Style(color=colors.accent)),
        ("─" * (_BAR - filled), Style(color=colors.border)),
        (f"  {done:,} of {total:,}" if total else "", Style(color=colors.dim)),
        no_wrap=True,
    )


def _outcome(trial: Trial | None, error: FtuiError | None, colors: Any) -> Text:
    """What came of it: whether it runs, then the figures."""
    dim, plainly = Style(color=colors.dim), Style(color=colors.foreground)
    problem = error.message if error else "" if trial is None or trial.ok else trial.problem
    hint = error.hint if error else trial.hint if trial is not None else ""
    text = Text()
    if problem:
        text.append(f"✗ {one_line(problem, 300)}\n", Style(color=colors.bad, bold=True))
        text.append(f"{one_line(hint, 300)}\n" if hint else "", plainly)
    else:
        text.append("✓ it runs\n", Style(color=colors.good, bold=True))
    for name, value in lines(trial) if trial is not None else ():
        style = Style(color=colors.warning) if name == "notice" else plainly
        text.append(f"\n{name:<13}", dim).append(one_line(value, 200), style)
    return text

"""The words under the charts: which of them are shown, at which step, and how much room they get."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ftui.ui.bindings import ordered
from ftui.ui.screens.base import PaneScreen
from ftui.ui.widgets.run_notes import RunNotes

if TYPE_CHECKING:
    from ftui.ui.widgets.run_notes import Tab

KEYS: list[Any] = [
    ordered("l", "tab('log')", "log", id="train.log", show=True),
    ordered("m", "tab('samples')", "samples", id="train.samples", show=True),
    ordered("n", "tab('notices')", "notices", id="train.notices", show=True),
    ordered("less_than_sign", "sample(-1)", "earlier reply", key_display="<", id="train.reply_before"),
    ordered("greater_than_sign", "sample(1)", "later reply", key_display=">", id="train.reply_after"),
    ordered("z", "words", "more room for words", id="train.words"),
]
# Actions that need a run to read about.
ACTIONS = frozenset({"tab", "sample", "words", "search"})


class Reading(PaneScreen):
    """The part of the Train pane that shows words, and changes nothing else."""

    def show_parts(self) -> None:
        """Shows and hides the parts of the pane."""
        raise NotImplementedError

    def action_tab(self, tab: Tab) -> None:
        """Shows a tab; again, the next of what it shows."""
        self.query_one(RunNotes).tab = tab
        self.refresh_bindings()

    def action_sample(self, by: int) -> None:
        notes = self.query_one(RunNotes)
        if notes.tab != "samples":
            notes.tab = "samples"
        notes.step_sample(by)

    def action_words(self) -> None:
        """Most of the pane for the words, or back."""
        self.remove_class("-big")
        self.toggle_class("-words")
        self.show_parts()

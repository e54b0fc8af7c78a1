"""Asks before files that are there are replaced."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from textual.widgets import Static

from ftui.ui.bindings import ordered
from ftui.ui.export_words import replace_question
from ftui.ui.modals.dialog import Dialog
from ftui.ui.themes import palette

if TYPE_CHECKING:
    from pathlib import Path

    from textual.app import ComposeResult


class Replace(Dialog[bool]):
    """Whether files that are there may be replaced; enter is no answer, it was just pressed."""

    DEFAULT_CSS = """
    Replace > Static { width: 64; max-width: 90%; height: auto; padding: 1 2; }
    """
    BINDINGS: ClassVar[list[Any]] = [
        ordered("y", "dismiss(True)", "replace", id="data.export_replace"),
        ordered("escape,n,q", "dismiss(False)", "keep", id="data.export_keep"),
    ]

    def __init__(self, there: list[Path]) -> None:
        super().__init__()
        self._there = there

    def compose(self) -> ComposeResult:
        yield Static(replace_question(self._there, palette(self.app)), classes="panel", markup=False)

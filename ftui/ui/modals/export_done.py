"""What an export has written, and what may be done with it next."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from rich.style import Style
from rich.text import Text
from textual.widgets import Static

from ftui.core.text import one_line
from ftui.ui.bindings import ordered
from ftui.ui.export_words import short
from ftui.ui.modals.dialog import Dialog
from ftui.ui.themes import palette
from ftui.ui.widgets.captions import set_title

if TYPE_CHECKING:
    from textual.app import ComposeResult

    from ftui.data.export import Report
    from ftui.runs.workspace import Workspace

_HASH = 12  # characters of a sha256 shown; the manifest has all


class ExportDone(Dialog[str]):
    """Returns "recipe" (train on it), "open" (look at it), or "" for neither."""

    DEFAULT_CSS = """
    ExportDone > Static { width: 76; max-width: 96%; height: auto; max-height: 96%; padding: 1 1; }
    """
    BINDINGS: ClassVar[list[Any]] = [
        ordered("w", "dismiss('recipe')", "train on it", id="data.export_train_on"),
        ordered("o", "dismiss('open')", "open it", id="data.export_open"),
        ordered("enter,escape,q", "dismiss('')", "back", id="data.export_back"),
    ]

    def __init__(self, report: Report, workspace: Workspace) -> None:
        super().__init__()
        self._report, self._workspace = report, workspace

    def compose(self) -> ComposeResult:
        yield Static(self._text(), classes="panel", markup=False)

    def on_mount(self) -> None:
        set_title(self.query_one(Static), "exported")

    def _text(self) -> Text:
        report, colors = self._report, palette(self.app)
        dim, key = Style(color=colors.dim), Style(color=colors.accent, bold=True)
        plain, good = Style(color=colors.foreground), Style(color=colors.good, bold=True)
        warning = Style(color=colors.warning)
        text = Text(no_wrap=True, overflow="ellipsis")
        for file in report.files:
            text.append(_count(file.rows), good)
            text.append(f"{one_line(short(file.path, self._workspace), 52)}\n", plain)
            text.append(f"{'':>16}sha256 {file.sha256[:_HASH]}…\n", dim)
        for reason, count in report.skipped.items():
            text.append(f"{_count(count)}left out: {one_line(reason, 40)}\n", dim)
        for what, count in report.lost.items():
            text.append(f"{_count(count)}lost {one_line(what, 30)}: this shape cannot hold it\n", warning)
        if report.altered:
            text.append(f"{report.altered:>8,} cells  altered: an apostrophe before formulas\n", warning)
        text.append(f"{'manifest':>14}  {one_line(short(report.manifest, self._workspace), 52)}\n\n", dim)
        for name, what in (("w", "train on it"), ("o", "open it"), ("enter", "back")):
            text.append(name, key).append(f" {what}   ", dim)
        return text


def _count(rows: int) -> str:
    return f"{rows:>9,} {'row' if rows == 1 else 'rows':<4}  "

"""Leaving the Data pane: an export, and what may be done with its files next."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ftui.core.errors import FtuiError
from ftui.core.text import one_line
from ftui.ui.screens.data_lengths import Measuring

if TYPE_CHECKING:
    from ftui.data.export import Report


class Exporting(Measuring):
    """The part of the Data pane that exports."""

    async def action_export(self) -> None:
        from ftui.ui.modals.export_rows import ExportRows

        if self.desk is not None and self.desk.dataset is not None:
            await self.app.push_screen(ExportRows(self.desk, self.app.workspace), self._show_exported)

    def _show_exported(self, report: Report | None) -> None:
        from ftui.ui.modals.export_done import ExportDone

        if report is None:
            return

        def answered(wish: str | None) -> None:
            if wish == "recipe":
                self._train_on(report)
            elif wish == "open":
                self.open_dataset(report.files[0].path)

        self.app.push_screen(ExportDone(report, self.app.workspace), answered)

    def _train_on(self, report: Report) -> None:
        """Into the recipe that is open in the Recipe pane; there it is saved, or taken back."""
        from ftui.ui.export_words import short
        from ftui.ui.token_settings import recipe_pane

        names = [short(file.path, self.app.workspace) for file in report.files]
        pane = recipe_pane(self.app)
        if pane is None or pane.key is None:
            hint = f"2 opens one; set data.train to {one_line(names[0], 60)}"
            self.say_error(FtuiError("no recipe is open to write it into", hint))
        elif pane.change(dict(zip(("data.train", "data.validation"), names, strict=False))):
            self.say(f"{pane.title_words()} trains on {one_line(names[0], 60)}; not saved yet, 2 shows it")

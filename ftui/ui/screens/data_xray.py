"""The token X-ray in the place of the example: it follows the cursor, and asks the encoder process."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from textual import on

from ftui.core.text import one_line
from ftui.ui.dataset_messages import RowRead
from ftui.ui.screens.data_checking import Checking

if TYPE_CHECKING:
    from textual.timer import Timer

    from ftui.data.rows import Row
    from ftui.ui.encoder_desk import Preparing, XrayMade
    from ftui.ui.widgets.token_text import TokenText
    from ftui.ui.widgets.token_view import TokenView

_PAUSE_SECONDS = 0.08  # the cursor rests on a row


class Xraying(Checking):
    """The part of the Data pane that shows tokens."""

    def __init__(self) -> None:
        super().__init__()
        self._resting: Timer | None = None

    @property
    def xray(self) -> TokenView | None:
        """The panel, where it is open."""
        return self.panel if self.panel is not None and self.panel.id == "xray" else None  # type: ignore[return-value]

    async def action_xray(self) -> None:
        from ftui.ui.widgets.token_view import TokenView

        if self.xray is not None:
            await self.close_panel()
            return
        view = TokenView()
        await self.open_panel(view, focus=False)
        if self.focused is not self.rows:
            self.set_focus(self.rows)
        view.wait("looking for the recipe in use …")
        self.look_for_settings()

    def settings_known(self) -> None:
        super().settings_known()
        if self.xray is not None:
            self._look_through(self.example.row)

    @on(RowRead)
    def follow_the_cursor(self, message: RowRead) -> None:
        """The row under the cursor was read (again): its tokens, once the cursor rests."""
        if self.xray is None or not self._mine(message) or message.row.number != self.rows.cursor:
            return
        if self._resting is not None:
            self._resting.stop()
        self._resting = self.set_timer(_PAUSE_SECONDS, lambda: self._look_through(message.row))

    def _look_through(self, row: Row | None) -> None:
        if self.xray is None or self.settings is None or self.desk is None or row is None:
            return
        if self.xray.number not in (0, row.number):
            self.xray.wait(f"row {row.number:,} …")
        self.encoder().xray(row, self.desk.path, self.settings)

    def on_preparing(self, message: Preparing) -> None:
        if self.xray is not None:
            self.xray.wait(message.words)

    def on_xray_made(self, message: XrayMade) -> None:
        view = self.xray
        if view is None or message.number != self.rows.cursor or message.settings != self.settings:
            return
        if message.xray is not None:
            view.show(message.number, message.xray, message.settings)
        elif message.error is not None:
            words = "; ".join(filter(None, (message.error.message, message.error.hint)))
            view.fail(message.number, one_line(words, 200))

    async def on_token_text_asked(self, message: TokenText.Asked) -> None:
        if message.what == "leave":
            await self.close_panel()
        elif message.what == "model":
            await self.ask_settings()
        elif self.settings is not None:
            from ftui.ui.token_settings import TRAIN_ON

            at = TRAIN_ON.index(self.settings.train_on)
            train_on = TRAIN_ON[(at + 1) % len(TRAIN_ON)]
            self.settings = replace(self.settings, train_on=train_on, origin="set here")
            self.settings_known()

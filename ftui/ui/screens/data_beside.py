"""What can be looked at in the place of the example: one panel at a time, over it, until it is closed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from textual import on
from textual.message import Message

from ftui.core.errors import FtuiError
from ftui.core.text import sanitize
from ftui.ui.dataset_messages import Opened
from ftui.ui.screens.data_opening import Opening

if TYPE_CHECKING:
    from textual.widget import Widget

    from ftui.ui.dataset_desk import DatasetDesk
    from ftui.ui.encoder_desk import EncoderDesk
    from ftui.ui.token_settings import TokenSettings
    from ftui.ui.widgets.field_editor import FieldEditor


_ON_EXAMPLE = {"merge_turns", "split_turn", "new_turn", "remove_turn", "turn_role", "map_fields"}
_ALWAYS = {"checks", "xray", "lengths", "open", "undo", "redo", "other_side"}


class Settled(Message):
    """Whose tokens are meant, for the dataset on `desk`."""

    def __init__(self, desk: DatasetDesk | None, settings: TokenSettings) -> None:
        super().__init__()
        self.desk, self.settings = desk, settings


class Beside(Opening):
    """The part of the Data pane that shows a panel over the example, and whose tokens the panels count."""

    def __init__(self) -> None:
        super().__init__()
        self.panel: Any = None  # the open one; every one has `restyle`
        self.settings: TokenSettings | None = None  # None until looked for
        self._encoder: EncoderDesk | None = None

    async def open_panel(self, panel: Widget, *, focus: bool) -> None:
        """Shows `panel` over the example; one that is open is closed.

        focus: it takes the keyboard, and in a narrow terminal the room of the rows too.
        """
        await self._drop_panel()
        self.query_one("#data").set_class(focus, "-panel")
        panel.styles.layer = "above"
        panel.styles.width = panel.styles.height = "100%"
        self.panel = panel
        await self.query_one("#reading").mount(panel)
        if focus:
            self.set_focus(_first_to_focus(panel), scroll_visible=False)
        self.refresh_bindings()

    async def close_panel(self) -> None:
        """Shows the example again; the keyboard goes to the rows."""
        if self.panel is not None:
            inside = self._in_panel()
            self.query_one("#data").remove_class("-panel")
            await self._drop_panel()
            if inside:
                self.set_focus(self.rows)
            self.refresh_bindings()

    async def _drop_panel(self) -> None:
        if self.panel is not None:
            panel, self.panel = self.panel, None
            self.panel_closed(panel)
            await panel.remove()

    def panel_closed(self, panel: Widget) -> None:
        """Told when a panel is about to go."""

    def _in_panel(self) -> bool:
        focused = self.focused
        return focused is not None and self.panel is not None and self.panel in focused.ancestors_with_self

    def taken(self, action: str) -> bool:
        """Whether an action of the pane must wait while a panel is open.

        What acts on a part of the example needs it in sight; what acts on a row needs the rows in sight; and a
        panel that has the keyboard has its keys for itself.
        """
        if self.panel is None:
            return False
        if action in _ON_EXAMPLE:
            return True
        focused = self.focused
        if focused is None or not self._in_panel():
            return False
        if self.query_one("#data").has_class("-panel") and action not in _ALWAYS:
            return True
        keys = {key for node in {focused, self.panel} if node for key in node._bindings.key_to_bindings}
        mine = (binding.action for key in keys for binding in self._bindings.key_to_bindings.get(key, ()))
        return any(name.partition("(")[0] == action for name in mine)

    def other_side(self) -> Widget:
        """What `tab` goes to from the rows."""
        return self.example if self.panel is None else _first_to_focus(self.panel)

    async def _make_room(self) -> FieldEditor:
        await self.close_panel()
        return await super()._make_room()

    @on(Opened)
    async def forget_panel(self, message: Opened) -> None:
        """Another dataset: what was shown is of no use any more."""
        if not self._mine(message):
            return
        await self.close_panel()
        if self.settings is not None and self.settings.origin != "set here":
            self.settings = None

    # -- whose tokens ------------------------------------------------------------------------------

    def encoder(self) -> EncoderDesk:
        """The encoder process; started with the first question to it."""
        if self._encoder is None:
            from ftui.ui.encoder_desk import EncoderDesk

            self._encoder = EncoderDesk(self.post_message)
        return self._encoder

    async def on_unmount(self) -> None:
        if self._encoder is not None:
            self._encoder.close()

    def look_for_settings(self) -> None:
        """Looks for the recipe in use, every time, for it may have been changed; then `settings_known`."""
        if self.settings is not None and self.settings.origin == "set here":
            self.settings_known()
            return
        from ftui.ui.token_settings import find_settings, recipe_pane

        pane, desk, workspace = recipe_pane(self.app), self.desk, self.app.workspace
        recipe = pane.draft.recipe if pane is not None and pane.key is not None else None
        path = desk.path if desk is not None else workspace.root
        self._in_a_thread(lambda: self.post_message(Settled(desk, find_settings(workspace, path, recipe))))

    @on(Settled)
    def take_settings(self, message: Settled) -> None:
        if not self._mine(message):
            return
        if self.settings is None or self.settings.origin != "set here":
            self.settings = message.settings
        self.settings_known()

    def settings_known(self) -> None:
        """Told when it is known whose tokens are meant, and whenever the user sets others."""

    async def ask_settings(self) -> None:
        """Asks for the model and the longest length."""
        from ftui.ui.widgets.prompt_line import PromptLine

        if (settings := self.settings) is None:
            return
        await self.ask(
            PromptLine(
                "model and max_length",
                self._take_settings,
                value=sanitize(f"{settings.model} {settings.max_length}", lines=False),
                placeholder="a folder, a GGUF file, a hub id or demo; then tokens",
            )
        )

    def _take_settings(self, text: str) -> None:
        if self.settings is None:
            return
        try:
            changed = self.settings.with_answer(text)
        except FtuiError as error:
            self.say_error(error)
            return
        if changed != self.settings:
            self.settings = changed
            self.settings_known()


def _first_to_focus(panel: Widget) -> Widget:
    if panel.can_focus:
        return panel
    return next(widget for widget in panel.walk_children() if widget.can_focus)  # type: ignore[attr-defined]

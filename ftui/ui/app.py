"""The screen: four panes, one key each, and a strip that never leaves.

The app owns the workspace, the themes and the pulse (what runs and GPUs are doing, once a second). Panes are
screens in MODES, imported when first shown, so that the first paint costs no more than the pane on it.
"""

from __future__ import annotations

from time import sleep
from typing import TYPE_CHECKING, Any, ClassVar

from textual.app import App, SystemCommand

from ftui.core.errors import FtuiError
from ftui.core.text import sanitize
from ftui.ui.bindings import ordered
from ftui.ui.notifier import Notifier
from ftui.ui.pulse import EMPTY_PULSE, Pulse, PulseMessage, pulse_loop
from ftui.ui.settings import Settings, load_settings, save_theme
from ftui.ui.themes import DEFAULT, load_themes

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from textual.binding import Binding
    from textual.command import Provider
    from textual.screen import Screen
    from textual.theme import Theme

    from ftui.runs.workspace import Workspace
    from ftui.ui.demo_guide import DemoGuide
    from ftui.ui.screens.base import PaneScreen
    from ftui.ui.screens.chat import ChatRequest

_PULSE_AFTER_SECONDS = 0.25
_SPOKEN = {"⏎": "enter", "⌫": "backspace"}
PREFIXES = ("app", "pane", "data", "recipe", "train", "chat")


def _data() -> Screen[Any]:
    from ftui.ui.screens.data import DataScreen

    return DataScreen()


def _recipe() -> Screen[Any]:
    from ftui.ui.screens.recipe import RecipeScreen

    return RecipeScreen()


def _train() -> Screen[Any]:
    from ftui.ui.screens.train import TrainScreen

    return TrainScreen()


def _chat() -> Screen[Any]:
    from ftui.ui.screens.chat import ChatScreen

    return ChatScreen()


def _commands() -> type[Provider]:
    from ftui.ui.commands import Commands

    return Commands


class FtuiApp(App[None]):
    """ftui on one workspace.

    mode: the pane to open on; "" is Data. dataset: the file to open in it; None is the one last worked on.
    chat: opens on the Chat pane with these sides.
    demo_steps: opens with the demo's welcome; optimizer steps of its run, 0 the recipe's. None is no demo.
    """

    TITLE = "ftui"
    CSS_PATH = "app.tcss"
    COMMANDS = {_commands}  # noqa: RUF012
    MODES: ClassVar[dict[str, Any]] = {"data": _data, "recipe": _recipe, "train": _train, "chat": _chat}
    DEFAULT_MODE = "data"
    BINDINGS: ClassVar[list[Any]] = [
        ordered("1", "pane('data')", "Data", id="pane.data"),
        ordered("2", "pane('recipe')", "Recipe", id="pane.recipe"),
        ordered("3", "pane('train')", "Train", id="pane.train"),
        ordered("4", "pane('chat')", "Chat", id="pane.chat"),
        ordered("question_mark", "keys", "keys of where you are", id="app.keys", key_display="?"),
        ordered("ctrl+p", "command_palette", "all commands", id="app.palette"),
        ordered("ctrl+q", "quit", "quit; runs go on", id="app.quit"),
    ]

    def __init__(
        self,
        workspace: Workspace,
        *,
        mode: str = "",
        dataset: Path | None = None,
        settings: Settings | None = None,
        demo_steps: int | None = None,
        chat: ChatRequest | None = None,
    ) -> None:
        self.workspace = workspace
        self.dataset_to_open = dataset
        self.pulse: Pulse = EMPTY_PULSE
        self.run_to_show = ""  # what was started elsewhere, for the Train pane to choose
        self.settings = settings or load_settings()
        self.guide: DemoGuide | None = None
        self._notifier = Notifier(self)
        self._told: set[str] = set()
        self._quitting = False
        self._demo_steps = demo_steps
        self._chat = chat
        if mode or chat:
            self.DEFAULT_MODE = mode or "chat"  # the first screen is mounted by it, and no other
        super().__init__()
        themes, self.theme_problems = load_themes(self.settings.theme_folders)
        self._install_themes(themes)
        if self.settings.keys:
            self.set_keymap(self.settings.keys)

    def _install_themes(self, themes: list[Theme]) -> None:
        """Ours and the user's only: the names in our CSS exist in no other."""
        for theme in themes:
            self.register_theme(theme)
        wanted = self.settings.theme
        if wanted not in {theme.name for theme in themes}:
            self.theme_problems.append(f"no theme is called {wanted!r}; using {DEFAULT}")
            wanted = DEFAULT
        self.theme = wanted
        for name in set(self.available_themes) - {theme.name for theme in themes}:
            self.unregister_theme(name)

    def on_mount(self) -> None:
        self.theme_changed_signal.subscribe(self, self._remember_theme)
        for problem in [*self.settings.problems, *self.theme_problems]:
            self.warn(problem)
        if self.settings.keys:
            self._check_keymap()
        self.run_worker(self._follow_pulse, thread=True, group="pulse", exit_on_error=False)
        if self._demo_steps is not None:
            self._guide(self._demo_steps).welcome()
        if self._chat is not None:
            self.open_chat(self._chat)

    def _follow_pulse(self) -> None:
        """After the first paint: reading the GPU's driver and the runs must not delay it."""
        sleep(_PULSE_AFTER_SECONDS)
        pulse_loop(self)

    def on_pulse_message(self, message: PulseMessage) -> None:
        """Hands the newest snapshot to whatever pane is showing."""
        self.pulse = message.pulse
        if not self.screen_stack:
            return  # closing: a last pulse was on its way
        pane = self.screen_stack[0]
        receive = getattr(pane, "receive_pulse", None)
        if receive is not None and pane.is_mounted:  # one that is coming up takes it when it is there
            receive(message.pulse)
        self._notifier.receive_pulse(message.pulse)
        if self.guide is not None:
            self.guide.receive_pulse(message.pulse)

    # -- going places ------------------------------------------------------------------------------

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """No going elsewhere from under an open dialog."""
        return not (action in ("pane", "keys") and self.screen.is_modal)

    async def action_pane(self, mode: str) -> None:
        """Shows a pane; the keys typed behind this one wait until it is there."""
        if mode != self.current_mode:
            await self.switch_mode(mode)

    def pane(self, mode: str) -> Any:
        """Shows a pane and returns its screen, which may still be coming up."""
        if mode != self.current_mode:
            self.switch_mode(mode)
        return self.screen_stack[0]

    def open_dataset(self, path: Path) -> None:
        """Shows `path` in the Data pane."""
        self.pane("data").open_dataset(path)

    def open_recipe(self, path: Path) -> None:
        """Shows `path` in the Recipe pane."""
        self.pane("recipe").open_recipe(path)

    def open_chat(self, request: Any) -> None:
        """Shows the Chat pane with a base, adapters and a prompt (`screens.chat.ChatRequest`)."""
        self.pane("chat").open_chat(request)

    async def action_open_dataset(self) -> None:
        from ftui.ui.modals.open_file import OpenDataset

        await self.push_screen(OpenDataset(self.workspace), lambda path: path and self.open_dataset(path))

    async def action_open_recipe(self) -> None:
        from ftui.ui.modals.open_file import OpenRecipe

        await self.push_screen(OpenRecipe(self.workspace), lambda path: path and self.open_recipe(path))

    async def action_export(self) -> None:
        """Exports the dataset that is open in the Data pane."""
        pane = self.pane("data")
        if pane.check_action("export", ()):
            await pane.action_export()
        else:
            self.say_error(FtuiError("nothing to export now", "open a dataset, and leave the editor first"))

    def action_demo(self) -> None:
        """Puts the demo's files into this workspace and starts its run."""
        self._guide().make()

    def _guide(self, steps: int = 0) -> DemoGuide:
        """The demo's guide; one for as long as the app runs."""
        if self.guide is None:
            from ftui.ui.demo_guide import DemoGuide

            self.guide = DemoGuide(self, steps)
        return self.guide

    def say_error(self, error: FtuiError) -> None:
        """What is wrong, where, and what to do, over whatever pane is showing."""
        self.notify(sanitize(str(error)), severity="error", markup=False, timeout=15)

    async def action_keys(self) -> None:
        from ftui.ui.modals.keys import KeysModal

        await self.push_screen(KeysModal(self.screen))

    def get_key_display(self, binding: Binding) -> str:
        """Keys as a person says them: `ctrl+s`, `enter`, and `↑` only where arrows are meant."""
        shown = super().get_key_display(binding)
        return _SPOKEN.get(shown, f"ctrl+{shown[1:]}" if len(shown) > 1 and shown[0] == "^" else shown)

    def get_system_commands(self, screen: Screen[Any]) -> Iterable[SystemCommand]:
        """What ctrl+p offers wherever it is pressed; `commands.Commands` adds what the pane can do."""
        if not screen.is_modal:  # no going elsewhere from under an open dialog
            yield from self._ways()
        yield SystemCommand("Theme", "Change the colours; remembered", self.action_change_theme)
        yield SystemCommand(
            "Screenshot", "Save this screen as SVG", lambda: self.set_timer(0.1, self._screenshot)
        )
        yield SystemCommand("Quit", "Runs in the background go on", self.action_quit)

    def _ways(self) -> Iterable[SystemCommand]:
        yield SystemCommand(
            "Open a dataset", "A file of examples, opened where it lies", self.action_open_dataset
        )
        yield SystemCommand("Export", "The open dataset as a clean file, with a manifest", self.action_export)
        yield SystemCommand("Open a recipe", "A recipe of this workspace", self.action_open_recipe)
        yield SystemCommand("Go to Data", "Read, decide and mend examples", lambda: self.action_pane("data"))
        yield SystemCommand("Go to Recipe", "What decides a run", lambda: self.action_pane("recipe"))
        yield SystemCommand("Go to Train", "Runs, live", lambda: self.action_pane("train"))
        yield SystemCommand("Go to Chat", "Base and adapters side by side", lambda: self.action_pane("chat"))
        yield SystemCommand("Keys", "What can be pressed here", self.action_keys)

    def _screenshot(self) -> None:
        from ftui.ui.settings import downloads_folder

        path = self.save_screenshot(path=str(downloads_folder()))
        self.notify(sanitize(f"saved {path}"), markup=False)

    # -- what the user set -------------------------------------------------------------------------

    def _remember_theme(self, theme: Theme) -> None:
        try:
            self.settings = save_theme(self.settings, theme.name)
        except FtuiError as error:
            self.warn(str(error))

    def _check_keymap(self) -> None:
        from ftui.ui.keymap import problems_of, strangers, unusable_keys

        keys = self.settings.keys
        lines = [
            *unusable_keys(keys),
            *strangers(keys, PREFIXES),
            *problems_of([self], keys, ("app", "pane")),
        ]
        for line in lines:
            self.warn(line)

    def check_pane_keys(self, pane: PaneScreen) -> None:
        """Reports what is wrong with the user's keys for a pane, when it is first shown."""
        from ftui.ui.keymap import problems_of

        owners = [pane, *pane.walk_children(), *pane.key_owners()]
        for line in problems_of(owners, self.settings.keys, (pane.PANE,)):
            self.warn(line)

    def warn(self, text: str) -> None:
        """Says once what could not be used."""
        if text not in self._told:
            self._told.add(text)
            self.notify(sanitize(text), severity="warning", markup=False, timeout=10)

    def _fatal_error(self) -> None:
        """Textual's hook for an unhandled exception; its own prints a traceback with the user's data in it."""
        from ftui.ui.crash import report

        assert self._exception is not None
        self.bell()
        self.panic(report(self._exception))

    # -- leaving -----------------------------------------------------------------------------------

    async def action_quit(self) -> None:
        """Quits at once. Typed text that is not saved anywhere is asked about, once."""
        unsaved = "" if self._quitting else self._unsaved()
        if unsaved:
            self._quitting = True
            self.notify(
                sanitize(f"{unsaved}; ctrl+q again quits without it"), severity="warning", markup=False
            )
            return
        self.exit()

    def _unsaved(self) -> str:
        for stack in self._screen_stacks.values():
            for screen in stack:
                if text := getattr(screen, "unsaved", lambda: "")():
                    return str(text)
        return ""

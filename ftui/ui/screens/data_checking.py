"""The checks: what would hurt the model, its rows, and the fixes that are safe; run in a thread."""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import TYPE_CHECKING

from textual import on
from textual.message import Message

from ftui.core.errors import FtuiError
from ftui.ui.checks_run import CheckMoved, ChecksRun
from ftui.ui.dataset_messages import Changed, Opened, Written
from ftui.ui.screens.data_beside import Beside

if TYPE_CHECKING:
    from pathlib import Path

    from textual.widget import Widget

    from ftui.data.actions import Action
    from ftui.data.checks.finding import Finding
    from ftui.ui.dataset_desk import DatasetDesk
    from ftui.ui.widgets.checks_panel import ChecksPanel
    from ftui.ui.widgets.checks_text import Checked

_HARMLESS = {"flag", "rate", "note"}  # actions that no check looks at


class FixPlanned(Message):
    """What a fix would do. changes: (row number, action) each."""

    def __init__(self, desk: DatasetDesk, finding: Finding, changes: list[tuple[int, Action]]) -> None:
        super().__init__()
        self.desk, self.finding, self.changes = desk, finding, changes


class Checking(Beside):
    """The part of the Data pane that checks. findings: the latest of the open dataset."""

    def __init__(self) -> None:
        super().__init__()
        self.findings: tuple[Finding, ...] = ()
        self._checked: dict[Path, Checked] = {}
        self._against: dict[Path, Path] = {}
        self._run: object = None  # the key of the check that is running
        self._stop = threading.Event()
        self._harmless: set[int] = set()  # tickets of writes that change nothing a check looks at
        self._check_cursor = 0
        self._stepping: tuple[Finding, int] | None = None  # a finding's groups, and which one is shown

    @property
    def checks(self) -> ChecksPanel | None:
        """The panel, where it is open."""
        return self.panel if self.panel is not None and self.panel.id == "checks" else None

    @property
    def stepping(self) -> bool:
        """Whether there are groups of duplicates to step through."""
        return self._stepping is not None

    # -- the panel ---------------------------------------------------------------------------------

    async def action_checks(self) -> None:
        from ftui.ui.widgets.checks_panel import ChecksPanel
        from ftui.ui.widgets.checks_text import Checked

        if self.checks is not None:
            await self.close_panel()
        elif self.desk is not None:
            known = self._checked.get(self.desk.path)
            await self.open_panel(ChecksPanel(known or Checked(share=0.0), self._check_cursor), focus=True)
            if known is None and self._run is None:
                self._check()

    def panel_closed(self, panel: Widget) -> None:
        super().panel_closed(panel)
        self._check_cursor = getattr(panel, "cursor", 0) if panel.id == "checks" else self._check_cursor

    def _remember(self, state: Checked) -> None:
        if self.desk is not None:
            self._checked[self.desk.path] = state
            self.findings = state.findings
            if self.checks is not None:
                self.checks.show(state)

    @on(Opened)
    def take_findings(self, message: Opened) -> None:
        """Findings are kept for each dataset; what happened to its rows meanwhile is not known."""
        if not self._mine(message):
            return
        self._stop.set()
        self._run = self._stepping = None
        self._check_cursor = 0
        known = self._checked.get(self.desk.path) if self.desk is not None else None
        if known is not None and self.desk is not None:
            known = self._checked[self.desk.path] = replace(known, share=None, stale=True)
        self.findings = known.findings if known is not None else ()

    # -- running -----------------------------------------------------------------------------------

    def _check(self) -> None:
        """Looks for the recipe in use, then checks; see `settings_known`."""
        from ftui.ui.widgets.checks_text import Checked

        if self.desk is None or self.desk.dataset is None:
            return
        self._stop.set()
        self._stop, self._run = threading.Event(), object()
        if self.checks is not None:
            self.checks.show(Checked(share=0.0, doing="reading the rows"))
        self.look_for_settings()

    def settings_known(self) -> None:
        super().settings_known()
        if self._run is not None and not self._stop.is_set() and self.settings is not None:
            desk, key, stop, settings = self.desk, self._run, self._stop, self.settings
            if desk is not None and not getattr(key, "begun", False):
                self._run = run = ChecksRun(desk, self._against.get(desk.path), settings, stop, self)
                self.run_worker(run.work, thread=True, group="checks", exit_on_error=False)

    @on(CheckMoved)
    def show_checks(self, message: CheckMoved) -> None:
        if message.key is not self._run or message.key.desk is not self.desk:
            return
        if message.state.share is None:
            self._run = None
            self._remember(message.state)
        elif self.checks is not None:
            self.checks.show(message.state)

    @on(Changed)
    def note_change(self, message: Changed) -> None:
        if self._mine(message):
            self._outdate()

    @on(Written)
    def note_writing(self, message: Written) -> None:
        if not self._mine(message):
            return
        if message.ticket in self._harmless:
            self._harmless.discard(message.ticket)
        else:
            self._outdate()

    def _outdate(self) -> None:
        known = self._checked.get(self.desk.path) if self.desk is not None else None
        if known is not None and not known.stale:
            self._remember(replace(known, stale=True))
        if isinstance(self._run, ChecksRun):
            self._run.outdated = True

    def _write(self, number: int, action: Action, what: str = "") -> int:
        summary = self.rows.row(number)
        ticket = super()._write(number, action, what)
        only = self.settings.only if self.settings is not None else ""
        kept = action.kind == "status" and action.value != "rejected" and only != "accepted"
        if action.kind in _HARMLESS or (kept and summary is not None and summary.status != "rejected"):
            self._harmless.add(ticket)
        return ticket

    # -- what the panel asks for -------------------------------------------------------------------

    async def on_checks_panel_asked(self, message: ChecksPanel.Asked) -> None:
        match message.what:
            case "again":
                self._check()
            case "leave" if isinstance(self._run, ChecksRun):
                self._stop.set()
            case "leave":
                self._run = None  # it had not begun
                await self.close_panel()
            case "against":
                await self._ask_against()
            case "model":
                if self.settings is None:
                    self.look_for_settings()
                await self.ask_settings()

    async def _ask_against(self) -> None:
        from ftui.ui.modals.open_file import OpenUnseen

        await self.app.push_screen(OpenUnseen(self.app.workspace), self._take_against)

    def _take_against(self, path: Path | None) -> None:
        if path is not None and self.desk is not None:
            self._against[self.desk.path] = path
            self._check()

    def _take_settings(self, text: str) -> None:
        before = self.settings
        super()._take_settings(text)
        if self.settings != before and self.checks is not None:
            self._check()

    async def on_checks_panel_jump(self, message: ChecksPanel.Jump) -> None:
        if not message.finding.rows:
            self.say("this is about the file as a whole")
            return
        self._stepping = (message.finding, -1) if message.finding.groups else None
        await self._go_to_rows(message.finding.rows, message.finding.check)

    async def _go_to_rows(self, rows: tuple[int, ...], label: str) -> None:
        await self.close_panel()
        self.show_only(rows, label)
        self.set_focus(self.rows)

    async def on_checks_panel_group(self, message: ChecksPanel.Group) -> None:
        if self._stepping is None or self._stepping[0] != message.finding:
            self._stepping = (message.finding, -1)  # before the first
        await self.action_group(message.step)

    async def action_group(self, step: int) -> None:
        """The next group of duplicates, around the end."""
        if self._stepping is None:
            return
        finding, at = self._stepping
        at = (max(at, 0) + step if at >= 0 or step < 0 else 0) % len(finding.groups)
        self._stepping = (finding, at)
        await self._go_to_rows(finding.groups[at], f"{finding.check} {at + 1}/{len(finding.groups)}")
        self.refresh_bindings()

    # -- fixing ------------------------------------------------------------------------------------

    def on_checks_panel_fix(self, message: ChecksPanel.Fix) -> None:
        """Plans in a thread: every row is read."""
        message.stop()
        desk, finding = self.desk, message.finding
        if desk is None or desk.dataset is None:
            return
        dataset = desk.dataset

        def plan_all() -> None:
            from ftui.data.checks.fixes import plan

            try:
                changes = [
                    (number, action)
                    for number in finding.rows
                    for action in plan(finding.fix, dataset.row(number))
                ]
            except (FtuiError, OSError) as error:
                problem = error if isinstance(error, FtuiError) else FtuiError(f"cannot be read: {error}")
                self.app.call_from_thread(self.say_error, problem)
            else:
                self.post_message(FixPlanned(desk, finding, changes))

        self.run_worker(plan_all, thread=True, exclusive=True, group="fix", exit_on_error=False)

    @on(FixPlanned)
    async def ask_before_fixing(self, message: FixPlanned) -> None:
        from ftui.data.checks.fixes import LABELS
        from ftui.ui.widgets.prompt_line import KeyLine

        desk, changes = message.desk, message.changes
        if desk is not self.desk:
            return
        if not changes:
            self.say(f"nothing left to do for {message.finding.check}")
            return
        count = len({number for number, _ in changes})
        label = LABELS[message.finding.fix]
        what = f"{label}: {count:,} row{'s' if count != 1 else ''}"

        def answered(_key: str) -> None:
            if desk is self.desk:
                desk.write_each(changes, f"{what}; u takes it back")

        await self.ask(KeyLine(what, [("y", "do it, one undo")], answered))

"""Leaving: the rows as a file others can read. Says what will be written before it is, and asks before it replaces."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from textual import on
from textual.binding import Binding
from textual.containers import Horizontal, Vertical
from textual.widgets import Static

from ftui.core.errors import FtuiError
from ftui.core.shapes_back import TARGETS
from ftui.core.text import one_line, sanitize
from ftui.data.export import Plan, Report, container_of, files_of, manifest_of
from ftui.ui import export_desk
from ftui.ui import export_words as words
from ftui.ui.bindings import ordered, typed
from ftui.ui.modals.dialog import Dialog
from ftui.ui.modals.replace_files import Replace
from ftui.ui.themes import palette
from ftui.ui.widgets.captions import set_subtitle, set_title
from ftui.ui.widgets.choice_line import ChoiceLine
from ftui.ui.widgets.safe_input import SafeInput

if TYPE_CHECKING:
    from textual.app import ComposeResult
    from textual.widget import Widget

    from ftui.data.export import Only
    from ftui.data.export_preview import Preview
    from ftui.runs.workspace import Workspace
    from ftui.ui.dataset_desk import DatasetDesk

_KEYS = "enter exports · ↑↓ fields · ←→ choose · esc back"


class ExportRows(Dialog[Report | None]):
    """Returns what was written, or None. Looking and writing go on in threads; esc stops the writing."""

    DEFAULT_CSS = """
    ExportRows > Vertical { width: 76; max-width: 96%; height: auto; padding: 1 1 0 1; }
    ExportRows Horizontal { height: 1; }
    ExportRows .name { width: 12; color: $foreground; }
    ExportRows .why { width: 1fr; padding-left: 1; color: $dim; }
    ExportRows SafeInput, ExportRows ChoiceLine { width: 21; }
    ExportRows #file { width: 1fr; }
    ExportRows #said { height: 5; margin-top: 1; }
    """
    BINDINGS: ClassVar[list[Any]] = [
        ordered("enter", "go", "export", id="data.export_go"),
        ordered("escape", "leave", "stop, or back", id="data.export_leave"),
        ordered("down,tab", "move(1)", "next field", id="data.export_down"),
        ordered("up,shift+tab", "move(-1)", "field before", id="data.export_up"),
        Binding("q", "leave", "back", show=False),
    ]

    def __init__(self, desk: DatasetDesk, workspace: Workspace) -> None:
        super().__init__()
        self._desk, self._workspace = desk, workspace
        self._stop: threading.Event | None = None  # while it is being written
        self._key: object = None  # what was looked for last
        self._found: Preview | None = None
        self._problem: FtuiError | None = None
        self._refused: tuple[list[str], FtuiError | None] = (
            [],
            None,
        )  # what the fields said, and what came of it

    def compose(self) -> ComposeResult:
        name = words.file_name(self._desk.path, self._workspace)
        with Vertical(classes="panel"):
            yield from _field(
                "file", SafeInput(sanitize(name, lines=False), id="file", select_on_focus=False)
            )
            yield from _field("shape", ChoiceLine(("same", *TARGETS), id="shape"))
            yield from _field("rows", ChoiceLine(tuple(words.ONLY), words.ONLY_LABELS, id="only"))
            yield from _field("unfit rows", ChoiceLine(("", "skip"), ("stop there", "leave out"), id="unfit"))
            yield from _field("validation", SafeInput("0", id="split"))
            yield from _field("seed", SafeInput("0", id="seed"))
            yield from _field(
                "spreadsheet", ChoiceLine(("", "safe"), ("exact text", "safe to open"), id="safe")
            )
            yield Static(id="said", markup=False)

    def on_mount(self) -> None:
        panel = self.query_one(Vertical)
        set_title(panel, f"export {one_line(self._desk.path.name, 50)}")
        set_subtitle(panel, _KEYS)
        self.query_one("#file", SafeInput).focus()
        self._changed()

    # -- the fields --------------------------------------------------------------------------------

    def action_move(self, by: int) -> None:
        if self._stop is None:
            (self.focus_next if by > 0 else self.focus_previous)()

    def _text(self, name: str) -> str:
        return self.query_one(f"#{name}", SafeInput).value.strip()

    def _chosen(self, name: str) -> str:
        return self.query_one(f"#{name}", ChoiceLine).value

    def out(self) -> Path:
        """The file that is named. Raises FtuiError where that is none to write."""
        return words.named_file(self._text("file"), self._workspace)

    def plan(self, overwrite: bool = False) -> Plan:
        """What the fields say. Raises FtuiError where they say nothing that can be done."""
        only: Only = self._chosen("only")  # type: ignore[assignment]
        return Plan(
            shape=self._chosen("shape"),
            only=only,
            split=words.share(self._text("split")),
            seed=words.whole_number(self._text("seed")),
            spreadsheet_safe=bool(self._chosen("safe")) and self._container() == "csv",
            skip_unfit=bool(self._chosen("unfit")),
            overwrite=overwrite,
        )

    def _values(self) -> list[str]:
        """What every field says."""
        texts, choices = ("file", "split", "seed"), ("shape", "only", "unfit", "safe")
        return [*map(self._text, texts), *map(self._chosen, choices)]

    def _container(self) -> str:
        return container_of(Path(self._text("file")))

    def on_input_changed(self) -> None:
        self._changed()

    def on_choice_line_changed(self) -> None:
        self._changed()

    def _changed(self) -> None:
        """Brings what follows from the fields up to date, and looks again where the rows may be others."""
        container, shape = self._container(), self._chosen("shape")
        split = self._text("split") not in ("", "0")
        self.query_one("#seed").disabled = not split
        self.query_one("#safe").disabled = container != "csv"
        self.query_one("#unfit").disabled = all_fit = shape == "same" and container != "csv"
        same = self._desk.dataset is not None and self._desk.dataset.container == container
        for name, why in {
            "shape": words.about_shape(shape, container, same),
            "only": words.ONLY[self._chosen("only")],
            "split": words.SPLIT if split else words.NO_SPLIT,
            "seed": words.SEED if split else "",
            "unfit": words.ALL_FIT if all_fit else words.UNFIT[self._chosen("unfit")],
            "safe": words.about_safe(container, bool(self._chosen("safe"))),
        }.items():
            self.query_one(f"#{name}-why", Static).update(why)
        key = (shape, self._chosen("only"), self._chosen("unfit"), container)
        if key != self._key:
            self._key, self._found, self._problem = key, None, None
            self._look(key)
        self._say()

    # -- what would be written ---------------------------------------------------------------------

    def _look(self, key: tuple[str, str, str, str]) -> None:
        shape, only, skip, container = key
        plan = Plan(shape=shape, only=only, skip_unfit=bool(skip))  # type: ignore[arg-type]
        dataset = self._desk.dataset
        assert dataset is not None

        def gone() -> bool:
            return key != self._key or not self.is_attached

        self.run_worker(
            lambda: self.post_message(export_desk.look(key, self._desk, dataset, plan, container, gone)),
            thread=True, exclusive=True, group="look", exit_on_error=False,
        )  # fmt: skip

    @on(export_desk.Looked)
    def show_looked(self, message: export_desk.Looked) -> None:
        if message.key == self._key:
            self._found, self._problem = message.found, message.problem
            self._say()

    def _refuse(self, error: FtuiError | None) -> None:
        """Says why nothing was written, until a field says something else."""
        self._refused = (self._values(), error)
        self._say()

    def _say(self) -> None:
        """What would be written; and what is wrong."""
        if self._stop is not None:
            return
        values, error = self._refused
        error = error if values == self._values() else None
        try:
            out, plan = self.out(), self.plan()
        except FtuiError as wrong:
            self._show(words.wrong(error or wrong, palette(self.app)))
            return
        assert self._desk.dataset is not None
        self._show(
            words.would_write(
                plan,
                [words.short(path, self._workspace) for path in files_of(out, plan)],
                self._desk.dataset.counts(),
                self._found,
                error or self._problem,
                palette(self.app),
            )
        )

    def _show(self, text: Any) -> None:
        self.query_one("#said", Static).update(text)

    # -- writing -----------------------------------------------------------------------------------

    async def action_go(self) -> None:
        await typed(self.focused)
        if self._stop is not None:
            return
        try:
            out, plan = self.out(), self.plan()
            there = words.already_there((*files_of(out, plan), manifest_of(out)), self._desk.path)
        except FtuiError as error:
            self._refuse(error)
            return
        if there:
            plan = self.plan(overwrite=True)

            def answered(yes: bool | None) -> None:
                if yes:
                    self._export(out, plan)

            self.app.push_screen(Replace(there), answered)
        else:
            self._export(out, plan)

    def _export(self, out: Path, plan: Plan) -> None:
        self._stop = stop = threading.Event()
        self._hold(True)
        self._show(words.progress(0, 0, palette(self.app)))

        def stopped() -> bool:
            return stop.is_set() or not self.is_attached

        self.run_worker(
            lambda: self.post_message(export_desk.write(self._desk, out, plan, self.post_message, stopped)),
            thread=True, group="export", exit_on_error=False,
        )  # fmt: skip

    def _hold(self, held: bool) -> None:
        """The fields stand still while their rows are written."""
        panel = self.query_one(Vertical)
        for line in panel.query(Horizontal):
            line.disabled = held
        set_subtitle(panel, "esc cancels" if held else _KEYS)

    @on(export_desk.Moved)
    def show_progress(self, message: export_desk.Moved) -> None:
        if self._stop is not None and not self._stop.is_set():
            self._show(words.progress(message.done, message.total, palette(self.app)))

    @on(export_desk.Ended)
    def show_ended(self, message: export_desk.Ended) -> None:
        if message.report is not None:
            self.dismiss(message.report)
            return
        cancelled = self._stop is not None and self._stop.is_set()
        self._stop = None
        self._hold(False)
        self.query_one("#file", SafeInput).focus()
        self._refuse(FtuiError("cancelled: nothing was written") if cancelled else message.problem)

    def action_leave(self) -> None:
        if self._stop is None:
            self.dismiss(None)
        elif not self._stop.is_set():
            self._stop.set()
            self._show(words.progress(-1, 0, palette(self.app)))


def _field(label: str, widget: Widget) -> ComposeResult:
    with Horizontal():
        yield Static(label, classes="name", markup=False)
        yield widget
        if widget.id != "file":
            yield Static(id=f"{widget.id}-why", classes="why", markup=False)

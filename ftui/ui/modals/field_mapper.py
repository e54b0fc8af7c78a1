"""Says what the fields of a file's rows mean: each assigned with one key, and seen at once in a row."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from textual.containers import Horizontal, Vertical
from textual.content import Content

from ftui.core.errors import FtuiError
from ftui.core.text import one_line, sanitize
from ftui.ui.bindings import ordered
from ftui.ui.field_mapping import AS_THEY_LOOK, KEYS
from ftui.ui.modals.dialog import Dialog
from ftui.ui.widgets.captions import set_subtitle, set_title
from ftui.ui.widgets.example_view import ExampleView
from ftui.ui.widgets.found_fields import FoundFields
from ftui.ui.widgets.mapping_targets import MappingTargets

if TYPE_CHECKING:
    from textual.app import ComposeResult

    from ftui.ui.field_mapping import Draft

_NAMED = {"+": "plus", "-": "minus"}


class FieldMapper(Dialog[Any]):
    """Returns what was decided, a FieldMap in a tuple (None in it: rows are read as they look); None for nothing.

    Opens at once; `fill` brings what there is to map.
    """

    CSS = """
    FieldMapper > Horizontal { width: 100%; max-width: 140; height: 100%; max-height: 44; }
    FieldMapper .panel { background: $background; }
    FieldMapper #found-side { width: 1fr; }
    FieldMapper FoundFields { height: 2fr; }
    FieldMapper ExampleView { height: 3fr; }
    FieldMapper MappingTargets { width: 34; height: 100%; }
    """
    BINDINGS: ClassVar[list[Any]] = [
        *(
            ordered(_NAMED.get(key, key), f"assign('{target}')", target, id=f"data.map_{target}")
            for target, key in KEYS.items()
        ),
        ordered("right", "way(1)", "next way to read rows", id="data.map_next_way"),
        ordered("left", "way(-1)", "way before", id="data.map_way_before"),
        ordered("r", "swap", "swap who asks and who answers", id="data.map_swap"),
        ordered("enter", "save", "save", id="data.map_save"),
        ordered("escape,q", "leave", "back", id="data.map_leave"),
    ]

    def __init__(self, name: str) -> None:
        super().__init__()
        self._name = one_line(name, 40)
        self._draft: Draft | None = None

    def compose(self) -> ComposeResult:
        with Horizontal():
            with Vertical(id="found-side"):
                yield FoundFields(classes="panel")
                preview = ExampleView(classes="panel")
                preview.can_focus = False
                yield preview
            yield MappingTargets(classes="panel")

    def on_mount(self) -> None:
        set_title(self.query_one(FoundFields), f"{self._name}: reading its rows …")
        set_title(self.query_one(MappingTargets), "read its rows")
        set_subtitle(self.query_one(MappingTargets), "←→ · enter save · esc back")
        self.query_one(FoundFields).focus()

    def fill(self, draft: Draft) -> None:
        """Shows what was found, with a guess at what it means."""
        self._draft = draft
        found = self.query_one(FoundFields)
        set_title(found, f"{self._name}: fields of {len(draft.looked.rows):,} rows")
        set_subtitle(found, "a letter from the right assigns")
        self._show()
        if draft.targets:
            found.go_to(next(iter(draft.targets.values())))

    def on_resize(self) -> None:
        self.call_after_refresh(self._show)

    def _show(self) -> None:
        draft = self._draft
        if draft is None:
            return
        marks = {pointer: KEYS[target] for target, pointer in draft.targets.items()}
        rows = len(draft.looked.rows)
        self.query_one(FoundFields).show(draft.found, rows, marks)
        self.query_one(MappingTargets).show(draft)
        preview = self.query_one(ExampleView)
        preview.show_row(draft.preview(), [])
        set_title(preview, f"row {draft.looked.row.number:,} as it would be read")
        if complaint := draft.complaint():
            words = Content.styled(sanitize(complaint, lines=False), "$warning")
        else:
            count = draft.count()
            verb = "reads" if draft.way == AS_THEY_LOOK else "maps"
            color = "$good" if count == rows else "$warning" if count else "$bad"
            words = Content.styled(f"{verb} {count:,} of {rows:,} rows looked at", color)
        set_subtitle(preview, words)

    def action_assign(self, target: str) -> None:
        field = self.query_one(FoundFields).field()
        if self._draft is not None and field is not None:
            self._draft.assign(target, field.pointer)
            self._show()

    def on_mapping_targets_target_picked(self, message: MappingTargets.TargetPicked) -> None:
        self.action_assign(message.target)

    def on_mapping_targets_way_picked(self, message: MappingTargets.WayPicked) -> None:
        if self._draft is not None:
            self._draft.way = message.way
            self._show()

    def action_way(self, step: int) -> None:
        if self._draft is not None:
            self._draft.step(step)
            self._show()

    def action_swap(self) -> None:
        if self._draft is not None:
            self._draft.swap_roles()
            self._show()

    def action_save(self) -> None:
        if self._draft is None:
            return
        try:
            self.dismiss((self._draft.mapping(),))
        except FtuiError as error:
            self.notify(sanitize(f"{error.message}\n{error.hint}"), severity="error", markup=False)

    def action_leave(self) -> None:
        self.dismiss(None)

"""What two annotators disagree about: who decided what and when, and both edits of a field they both edited."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rich.style import Style
from rich.text import Text
from textual.widget import Widget

from ftui.core.duration import ago
from ftui.core.text import one_line
from ftui.data import pointers
from ftui.data.annotations import RowState
from ftui.ui.json_text import to_json
from ftui.ui.themes import palette

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ftui.data.operation import Op

_LONGEST = 240  # characters shown of an edit
_MARKS = {"accepted": ("✓", "good"), "rejected": ("✗", "bad"), "undecided": ("·", "dim")}


@dataclass(frozen=True, slots=True)
class Conflict:
    """decisions: each annotator's own. edits: by JSON pointer ("" the whole row), each annotator's latest."""

    decisions: tuple[Op, ...]
    edits: dict[str, tuple[Op, ...]]


def conflict_in(ops: Sequence[Op]) -> Conflict | None:
    """The conflict in a row's operations (not undone, oldest first), None where there is none."""
    state = RowState(("", 0), 0, list(ops))
    state.fold()
    if not state.conflict:
        return None
    latest: dict[str, dict[str, Op]] = {}
    for op in state.edits:
        latest.setdefault(op.path, {})[op.who] = op
    edits = {
        path: tuple(by_who.values())
        for path, by_who in latest.items()
        if len(by_who) > 1 and len({_text(op) for op in by_who.values()}) > 1
    }
    return Conflict(tuple(state.decisions.values()), edits)


class ConflictNote(Widget):
    """Shown above the example while annotators disagree about it."""

    DEFAULT_CSS = """
    ConflictNote { height: auto; max-height: 60%; padding: 0 1; overflow-y: hidden; }
    """

    def __init__(self) -> None:
        super().__init__(classes="panel")
        self._conflict: Conflict | None = None
        self.border_title = "conflict"
        self.border_subtitle = "a or x settles it for all"

    def show(self, conflict: Conflict | None) -> None:
        """Shows a conflict, or nothing at all."""
        self._conflict = conflict
        self.display = conflict is not None
        self.refresh(layout=True)

    def render(self) -> Text:
        conflict = self._conflict
        if conflict is None:
            return Text()
        colors, now = palette(self.app), time.time()
        dim = Style(color=colors.dim)
        text = Text(end="")
        for number, op in enumerate(conflict.decisions):
            mark, color = _MARKS[op.after]
            text.append("\n" if number else "")
            text.append(f"{mark} {op.after:<10}", Style(color=getattr(colors, color)))
            text.append(f"{one_line(op.who, 20)}, {ago(now - op.ts)}", dim)
        for path, ops in conflict.edits.items():
            text.append(f"\nboth edited {one_line(path, 60) or 'the whole row'}", dim)
            for op in ops:
                text.append(f"\n{one_line(op.who, 20)}: ", Style(color=colors.accent))
                text.append(one_line(_text(op), _LONGEST), Style(color=colors.foreground))
        return text


def _text(op: Op) -> str:
    value = "" if op.after is pointers.MISSING else op.after
    return value if isinstance(value, str) else to_json(value)

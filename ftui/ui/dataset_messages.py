"""What the desk of a dataset tells the Data pane: frozen snapshots, each with the desk it came from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from textual.message import Message

if TYPE_CHECKING:
    from pathlib import Path

    from ftui.core.errors import FtuiError
    from ftui.data.operation import Op
    from ftui.data.rows import Counts, Row, RowSummary
    from ftui.ui.dataset_desk import DatasetDesk


@dataclass(frozen=True, slots=True)
class Facts:
    """What the borders say of a dataset. rows: known so far; complete: whether that is all of them."""

    path: Path
    rows: int
    complete: bool
    checked: bool
    counts: Counts
    shape: str
    notices: tuple[str, ...] = ()


class DeskMessage(Message):
    """Something the desk has done. desk: which one, since another dataset may have been opened meanwhile."""

    def __init__(self, desk: DatasetDesk) -> None:
        super().__init__()
        self.desk = desk


class Opened(DeskMessage):
    def __init__(self, desk: DatasetDesk, facts: Facts, page: list[RowSummary]) -> None:
        super().__init__(desk)
        self.facts, self.page = facts, page


class PageRead(DeskMessage):
    def __init__(self, desk: DatasetDesk, page: list[RowSummary]) -> None:
        super().__init__(desk)
        self.page = page


class RowRead(DeskMessage):
    def __init__(self, desk: DatasetDesk, row: Row, ops: list[Op]) -> None:
        super().__init__(desk)
        self.row, self.ops = row, ops


class Building(DeskMessage):
    """The index grows: share is 0 to 1."""

    def __init__(self, desk: DatasetDesk, facts: Facts, share: float) -> None:
        super().__init__(desk)
        self.facts, self.share = facts, share


class Written(DeskMessage):
    """Operations are on the disk.

    numbers: the rows they changed; page: those rows as they are now, empty when they are many; what: words to
    say; ticket: as `write` gave it, 0 for an undo.
    """

    def __init__(
        self,
        desk: DatasetDesk,
        facts: Facts,
        numbers: list[int],
        page: list[RowSummary],
        what: str,
        ticket: int,
    ) -> None:
        super().__init__(desk)
        self.facts, self.numbers, self.page = facts, numbers, page
        self.what, self.ticket = what, ticket


class Refused(DeskMessage):
    """Nothing was written. number: the row it was meant for; ticket: as in Written; 0 for an undo."""

    def __init__(self, desk: DatasetDesk, error: FtuiError, number: int = 0, ticket: int = 0) -> None:
        super().__init__(desk)
        self.error, self.number, self.ticket = error, number, ticket


class Failed(DeskMessage):
    """Reading went wrong: the file is gone, or was changed."""

    def __init__(self, desk: DatasetDesk, error: FtuiError) -> None:
        super().__init__(desk)
        self.error = error


class Changed(DeskMessage):
    """Somebody else annotated, or the file was replaced: everything shown is to be read again."""

    def __init__(self, desk: DatasetDesk, facts: Facts) -> None:
        super().__init__(desk)
        self.facts = facts

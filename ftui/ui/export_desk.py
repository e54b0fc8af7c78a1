"""What exporting has done off the screen's thread: looking at what would be written, and writing it."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from textual.message import Message

from ftui.core.errors import FtuiError
from ftui.data.export import export
from ftui.data.export_preview import preview

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from ftui.data.dataset import Dataset
    from ftui.data.export import Plan, Report
    from ftui.data.export_preview import Preview
    from ftui.ui.dataset_desk import DatasetDesk

_TELL_SECONDS = 0.1


class Looked(Message):
    """What an export would hold, or what is wrong. key: of what was looked for."""

    def __init__(self, key: object, found: Preview | None, problem: FtuiError | None) -> None:
        super().__init__()
        self.key, self.found, self.problem = key, found, problem


class Moved(Message):
    """So many of the rows are written."""

    def __init__(self, done: int, total: int) -> None:
        super().__init__()
        self.done, self.total = done, total


class Ended(Message):
    """What was written, or why nothing was."""

    def __init__(self, report: Report | None, problem: FtuiError | None) -> None:
        super().__init__()
        self.report, self.problem = report, problem


def look(
    key: object, desk: DatasetDesk, dataset: Dataset, plan: Plan, container: str, gone: Callable[[], bool]
) -> Looked:
    """Counts what `plan` would write as `container`; stops when `gone`."""
    found, problem = None, None
    try:
        desk.wait_written()
        found = preview(dataset, plan, container, gone)
    except FtuiError as error:
        problem = error
    except OSError as error:
        problem = FtuiError(f"cannot be read: {error.strerror or error}", "", str(desk.path))
    return Looked(key, found, problem)


def write(
    desk: DatasetDesk, out: Path, plan: Plan, tell: Callable[[Moved], object], stopped: Callable[[], bool]
) -> Ended:
    """Carries `plan` out and tells how far it is; nothing is written once `stopped`."""
    report, problem, told = None, None, 0.0

    def moved(done: int, total: int) -> None:
        nonlocal told
        if time.monotonic() - told >= _TELL_SECONDS:
            told = time.monotonic()
            tell(Moved(done, total))

    try:
        desk.wait_written()
        report = export(desk.path, out, plan, moved, stopped)
    except FtuiError as error:
        problem = error
    except (OSError, ValueError) as error:
        problem = FtuiError(f"not exported: {getattr(error, 'strerror', '') or error}", "", str(out))
    return Ended(report, problem)

"""One dataset on the desk: what is read and written for the Data pane, off the screen's thread.

Two threads. Writes go through one queue, so that no key press overtakes another, and are reported only after
the disk has them; reads go through another, so that a slow disk under the journal does not stop the reading.
Results come back as messages (`dataset_messages`) with frozen snapshots in them.
"""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from ftui.core.errors import FtuiError
from ftui.ui.dataset_messages import (
    Building,
    Changed,
    Facts,
    Failed,
    Opened,
    PageRead,
    Refused,
    RowRead,
    Written,
)
from ftui.ui.pace import Pace, describe

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from concurrent.futures import Future
    from pathlib import Path

    from textual.message import Message

    from ftui.core.shapes_mapping import FieldMap
    from ftui.data.actions import Action
    from ftui.data.dataset import Dataset
    from ftui.data.operation import Op

_PROGRESS_SECONDS = 0.25
_TOLD = 100  # changed rows whose summaries are sent along; beyond, the list reads what is in sight


class DatasetDesk:
    """A dataset and its two threads. Every method returns at once; `post` gets the messages.

    dataset is set once `Opened` was posted.
    """

    def __init__(self, path: Path, post: Callable[[Message], Any]) -> None:
        self.path = path
        self.dataset: Dataset | None = None
        self._post = post
        self._reads = ThreadPoolExecutor(1, "ftui-read")
        self._writes = ThreadPoolExecutor(1, "ftui-write")
        self._background = ThreadPoolExecutor(1, "ftui-index")
        self._wanted_row = 0
        self._wanted_page: Sequence[int] = ()
        self._looking = False
        self._tickets = 0
        self._closed = False
        self.pace = Pace()

    def open(self, rows: int) -> None:
        """Opens the file and reads its first `rows` rows; then builds the index."""
        self._submit(self._reads, self._guard, self._open, rows)

    def want_page(self, numbers: Sequence[int]) -> None:
        """Rows for the list, by number, ascending; only the latest wish is read."""
        self._wanted_page = numbers
        self._submit(self._reads, self._guard, self._read_page, numbers)

    def want_row(self, number: int) -> None:
        """A row to read; only the latest wish is read."""
        self._wanted_row = number
        self._submit(self._reads, self._guard, self._read_row, number)

    def write(self, number: int, action: Action, what: str = "") -> int:
        """Queues one action on one row; its ticket. what: the words to say when it is done."""
        return self.write_each([(number, action)], what)

    def write_each(self, changes: Sequence[tuple[int, Action]], what: str = "") -> int:
        """Queues (row number, action) each as one operation that one undo takes back; its ticket."""
        self._tickets += 1
        seen = self.dataset.times_replaced if self.dataset is not None else 0
        self._submit(self._writes, self._write, changes, what, self._tickets, seen)
        return self._tickets

    def map_fields(self, mapping: FieldMap | None) -> None:
        """Queues saying how the file's rows are to be read; None: as they look."""
        self._submit(self._writes, self._map_fields, mapping)

    def undo(self) -> None:
        """Queues taking back the latest action."""
        self._submit(self._writes, self._undo)

    def redo(self) -> None:
        """Queues doing again what was undone last."""
        self._submit(self._writes, self._redo)

    def wait_written(self) -> None:
        """Returns once the disk has what was queued so far; not for the screen's thread."""
        with suppress(RuntimeError):  # closed meanwhile, which waits as well
            self._writes.submit(lambda: None).result()

    def look_again(self) -> None:
        """Looks for other annotators' work and a changed file, unless a look is under way."""
        if not self._looking and self.dataset is not None:
            self._looking = True
            self._submit(self._background, self._guard, self._look)

    def close(self) -> None:
        """Stops reading and waits until what was decided is written."""
        self._closed = True
        self._reads.shutdown(wait=False, cancel_futures=True)
        self._background.shutdown(wait=True, cancel_futures=True)
        self._writes.shutdown(wait=True)
        if self.dataset is not None:
            self.dataset.close()

    # -- on the threads ----------------------------------------------------------------------------

    def _submit(self, threads: ThreadPoolExecutor, work: Callable[..., None], *arguments: Any) -> None:
        if not self._closed:
            threads.submit(work, *arguments).add_done_callback(self._report_a_bug)

    def _report_a_bug(self, future: Future[None]) -> None:
        """A fault of ours must not vanish in a thread."""
        if not future.cancelled() and (error := future.exception()) is not None:
            hint = "this is a fault in ftui: please report it"
            self._post(Failed(self, FtuiError(f"{type(error).__name__}: {error}", hint, str(self.path))))

    def _guard(self, work: Callable[..., None], *arguments: Any) -> None:
        if self._closed:
            return
        try:
            work(*arguments)
        except FtuiError as error:
            self._explain(error)
        except OSError as error:
            self._explain(FtuiError(f"cannot be read: {error.strerror or error}", "", str(self.path)))

    def _explain(self, error: FtuiError) -> None:
        """A file that was replaced under our hands is read again rather than complained about."""
        try:
            if self.dataset is not None and self.dataset.refresh():
                self._tell_changed()
                return
        except (FtuiError, OSError) as second:
            error = second if isinstance(second, FtuiError) else error
        self._post(Failed(self, error))

    def _open(self, rows: int) -> None:
        from ftui.data.dataset import Dataset

        dataset = Dataset.open(self.path)
        page = dataset.summaries(1, rows)
        self.dataset = dataset
        self._post(Opened(self, self._facts(), page))
        self._submit(self._background, self._guard, self._build)

    def _build(self) -> None:
        dataset, told = self._open_dataset(), 0.0

        def progress(done: int, total: int) -> None:
            nonlocal told
            now = time.monotonic()
            if now - told >= _PROGRESS_SECONDS:
                told = now
                self._post(Building(self, self._facts(), done / max(1, total)))

        dataset.build(progress, lambda: self._closed)
        if not self._closed:
            self._post(Building(self, self._facts(), 1.0))

    def _read_page(self, wish: Sequence[int]) -> None:
        if wish is self._wanted_page:
            self._post(PageRead(self, self._open_dataset().summaries_of(wish)))

    def _read_row(self, number: int) -> None:
        if number == self._wanted_row:
            dataset = self._open_dataset()
            self._post(RowRead(self, dataset.row(number), dataset.annotations(number)))

    def _write(self, changes: Sequence[tuple[int, Action]], what: str, ticket: int, seen: int) -> None:
        """seen: how often the file had been replaced when this was decided: of another one it says nothing."""
        first, dataset = changes[0][0], self._open_dataset()
        try:
            if dataset.times_replaced != seen:
                raise _file_changed()
            dataset.annotate_each(changes)
            if len(changes) == 1:  # a bulk action says nothing about the pace of a person
                self.pace.decided(changes[0][1])
            self._tell_written([number for number, _ in changes], what, ticket)
        except FtuiError as error:
            self._post(Refused(self, _file_changed() if self._was_replaced(seen) else error, first, ticket))
        except OSError as error:
            self._post(Refused(self, _disk_error(error, self.path), first, ticket))

    def _was_replaced(self, seen: int) -> bool:
        """Whether the file is another one than was decided on; it is read again by then, here or by a reader."""
        with suppress(FtuiError, OSError):
            if self._open_dataset().refresh():
                self._tell_changed()
        return self._open_dataset().times_replaced != seen

    def _undo(self) -> None:
        undone = self._go_back(self._open_dataset().undo, "nothing to undo", "undid {}")
        self.pace.undone(undone)

    def _redo(self) -> None:
        self._go_back(self._open_dataset().redo, "nothing to redo", "did {} again")

    def _go_back(self, step: Callable[[], list[Op]], nothing: str, words: str) -> list[Op]:
        """One step of undo or redo; the operations it was about."""
        try:
            ops = step()
            if not ops:
                self._post(Refused(self, FtuiError(nothing)))
            elif any(op.op == "map" for op in ops):
                self._tell_mapped(words.format(describe(ops[0])))
            else:
                numbers = [op.n for op in ops]
                where = f"row {numbers[0]:,}" if len(set(numbers)) == 1 else f"{len(set(numbers)):,} rows"
                self._tell_written(numbers, words.format(f"{describe(ops[0])} on {where}"))
        except FtuiError as error:
            self._post(Refused(self, error))
        except OSError as error:
            self._post(Refused(self, _disk_error(error, self.path)))
        else:
            return ops
        return []

    def _map_fields(self, mapping: FieldMap | None) -> None:
        try:
            self._open_dataset().map_fields(mapping)
            self._tell_mapped("rows are read anew; u takes it back")
        except FtuiError as error:
            self._post(Refused(self, error))
        except OSError as error:
            self._post(Refused(self, _disk_error(error, self.path)))

    def _tell_mapped(self, what: str) -> None:
        """Every row may be another one now."""
        self._tell_changed()
        self._post(Written(self, self._facts(), [], [], what, 0))

    def _tell_written(self, numbers: list[int], what: str, ticket: int = 0) -> None:
        dataset = self._open_dataset()
        few = numbers if len(numbers) <= _TOLD else []
        page = [summary for number in few for summary in dataset.summaries(number, 1)]
        self._post(Written(self, self._facts(), numbers, page, what, ticket))

    def _look(self) -> None:
        try:
            if self._open_dataset().refresh():
                self._tell_changed()
        finally:
            self._looking = False

    def _tell_changed(self) -> None:
        self._post(Changed(self, self._facts()))
        if not self._open_dataset().checked:
            self._submit(self._background, self._guard, self._build)

    def _facts(self) -> Facts:
        dataset = self._open_dataset()
        return Facts(
            self.path,
            dataset.rows_known,
            dataset.complete,
            dataset.checked,
            dataset.counts(),
            dataset.shape,
            dataset.notices,
        )

    def _open_dataset(self) -> Dataset:
        assert self.dataset is not None, "a dataset is read only after it was opened"
        return self.dataset


def _file_changed() -> FtuiError:
    return FtuiError("not saved: the file had changed on the disk", "look at the row and press it again")


def _disk_error(error: OSError, path: Path) -> FtuiError:
    return FtuiError(f"not saved: {error.strerror or error}", "do it again when the disk is back", str(path))

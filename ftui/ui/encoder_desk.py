"""The encoder process behind the Data pane: one, started when first asked, its answers as messages.

An X-ray is answered beside a running count of lengths. Of the X-rays wished for only the latest is made.
"""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any

from textual.message import Message

from ftui.core.errors import FtuiError
from ftui.runs.encoder import Encoder, example_in

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from ftui.data.rows import Row
    from ftui.runs.encoder import Xray
    from ftui.ui.token_settings import TokenSettings

_TELL_SECONDS = 0.2
_CLOSE_SECONDS = 0.2  # an encoder has nothing to save
MOST_CHARACTERS = 200_000  # of a row that is X-rayed; a longer one would only be scrolled past
_STAGES = {
    "start": "starting the tokenizer",
    "convert": "converting the model",
    "download": "downloading",
    "encode": "counting tokens",
}


class Preparing(Message):
    """The encoder is getting ready. words: what it does, with how far it is."""

    def __init__(self, desk: EncoderDesk, words: str) -> None:
        super().__init__()
        self.desk, self.words = desk, words


class XrayMade(Message):
    """A row's tokens, or why there are none (error)."""

    def __init__(
        self,
        desk: EncoderDesk,
        number: int,
        settings: TokenSettings,
        xray: Xray | None,
        error: FtuiError | None = None,
    ) -> None:
        super().__init__()
        self.desk, self.number, self.settings = desk, number, settings
        self.xray, self.error = xray, error


class Counting(Message):
    """Lengths of further rows. refused: rows that give no tokens. over: the last of them; stopped: too soon.

    key: what was given to `count`.
    """

    def __init__(
        self,
        desk: EncoderDesk,
        key: object,
        rows: list[tuple[int, int]],
        refused: dict[int, str],
        *,
        over: bool = False,
        stopped: bool = False,
        error: FtuiError | None = None,
    ) -> None:
        super().__init__()
        self.desk, self.key, self.rows, self.refused = desk, key, rows, refused
        self.over, self.stopped, self.error = over, stopped, error


class EncoderDesk:
    """Every method but `lengths` returns at once; `post` gets the messages."""

    def __init__(self, post: Callable[[Message], Any]) -> None:
        self._post = post
        self._encoder: Encoder | None = None
        self._starting = threading.Lock()
        self._wishes = threading.Condition()
        self._wish: tuple[Row, Path, TokenSettings] | None = None
        self._looker: threading.Thread | None = None
        self._count_key: object = None
        self._closed = False

    def xray(self, row: Row, path: Path, settings: TokenSettings) -> None:
        """Wishes for the tokens of `row` of the dataset at `path`."""
        with self._wishes:
            self._wish = (row, path, settings)
            if self._looker is None or not self._looker.is_alive():
                self._looker = threading.Thread(target=self._look, name="ftui-xray", daemon=True)
                self._looker.start()
            self._wishes.notify()

    def count(self, key: object, path: Path, settings: TokenSettings) -> None:
        """Counts the tokens of every row that trains. A count under way is given up."""
        self._count_key = key
        counter = threading.Thread(
            target=self._count, args=(key, path, settings), name="ftui-lengths", daemon=True
        )
        counter.start()

    def stop_counting(self) -> None:
        self._count_key = None

    def lengths(
        self, path: Path, settings: TokenSettings, cancelled: Callable[[], bool]
    ) -> list[tuple[int, int]]:
        """(row number, tokens) of every row that trains; those so far when cancelled. For a thread.

        Raises FtuiError.
        """
        return list(
            self._ready().row_lengths(
                path, settings.model, self._preparing, cancelled, only=settings.only, **settings.options
            )
        )

    def close(self) -> None:
        """Ends the process; whoever waits for it is woken."""
        with self._wishes:
            self._closed, self._count_key = True, None
            self._wishes.notify()
        if self._encoder is not None:
            self._encoder.close(_CLOSE_SECONDS)

    # -- on threads --------------------------------------------------------------------------------

    def _ready(self) -> Encoder:
        """The process, started where there is none (any more)."""
        with self._starting:
            if self._closed:
                raise FtuiError("the tokenizer was closed")
            if self._encoder is None or not self._encoder.alive:
                self._preparing("start", 0, 0)
                if self._encoder is not None:
                    self._encoder.close(_CLOSE_SECONDS)
                try:
                    self._encoder = Encoder()
                except OSError as error:
                    raise FtuiError(f"the tokenizer cannot be started: {error.strerror}") from None
            return self._encoder

    def _preparing(self, stage: str, done: int, total: int) -> None:
        share = f" {done / total:.0%}" if total else ""
        if stage != "encode":
            self._post(Preparing(self, f"{_STAGES.get(stage, stage)}{share} …"))

    def _look(self) -> None:
        while True:
            with self._wishes:
                self._wishes.wait_for(lambda: self._wish is not None or self._closed)
                if self._closed or self._wish is None:
                    return
                row, path, settings = self._wish
                self._wish = None
            try:
                seen, error = self._see(row, path, settings), None
            except FtuiError as problem:
                seen, error = None, problem
            except OSError as problem:
                seen, error = None, FtuiError(f"cannot be read: {problem.strerror}", "", str(path))
            if self._closed:
                return
            if self._wish is None or self._wish[0].number == row.number:
                self._post(XrayMade(self, row.number, settings, seen, error))

    def _see(self, row: Row, path: Path, settings: TokenSettings) -> Xray:
        if len(row.raw) > 4 * MOST_CHARACTERS:
            raise FtuiError(f"row {row.number:,} is too long to be looked at token by token")
        example = example_in(row, path)
        return self._ready().xray(
            example,
            settings.model,
            train_on=settings.train_on,  # type: ignore[arg-type]
            max_length=settings.max_length,
            overlong=settings.overlong,  # type: ignore[arg-type]
            progress=self._preparing,
            **settings.options,
        )

    def _count(self, key: object, path: Path, settings: TokenSettings) -> None:
        rows: list[tuple[int, int]] = []
        refused: dict[int, str] = {}
        told = time.monotonic()

        def gone() -> bool:
            return self._count_key is not key

        def tell(**how: Any) -> None:
            nonlocal rows, refused, told
            self._post(Counting(self, key, rows, refused, **how))
            rows, refused, told = [], {}, time.monotonic()

        try:
            without: dict[int, str] = {}
            counted = self._ready().row_lengths(
                path,
                settings.model,
                self._preparing,
                gone,
                only=settings.only,  # type: ignore[arg-type]
                refused=without,
                **settings.options,
            )
            for row in counted:
                rows.append(row)
                if time.monotonic() - told > _TELL_SECONDS:
                    tell()
            refused = without
            tell(over=True, stopped=gone())
        except FtuiError as error:
            if not self._closed:
                tell(over=True, stopped=True, error=error)

"""A terminal that remembers: every byte an app would have sent is kept, so that tests can look for what must not be there.

app = capture(FtuiApp(workspace))
async with app.run_test(headless=False, size=(120, 36)) as pilot:
    ...
assert_harmless(output_of(app))
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from textual.drivers.headless_driver import HeadlessDriver

if TYPE_CHECKING:
    from textual.app import App

# What Textual itself sends while drawing: colours, cursor positions, synchronised-update marks, the mouse
# pointer's shape. Anything else that a terminal obeys came from displayed text.
_OWN_SEQUENCES = re.compile(r"\x1b\[[0-9;]*[mH]|\x1b\[\?2026[hl]|\x1b\]22;[a-z-]*\x07")
_CONTROL = re.compile(
    "[\x00-\x09\x0b-\x1f\x7f-\x9f\xad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ud800-\udfff]"
)

# One of each kind, every one of them visible when shown well: markup that crashes or vanishes, a colour no
# theme has, clear screen, write the clipboard, a link, C1, bidi, zero width, NUL, separators, a lone surrogate.
HOSTILE = (
    "[/INST] [bold]<s>[INST] \x1b[5;35;9mESC \x1b[2J \x1b]52;c;aGVsbG8=\x07 \x1b]8;;http://x\x1b\\link\x1b]8;;\x1b\\ "
    "\x9b31m \x85 \u202eRTL\u202c \u2066iso\u2069 a\u200bb \x00NUL \x7f \r \x0b \u2028 \ufeff \U000e0041 \ud800 end"
)


class CapturingDriver(HeadlessDriver):
    """Renders as for a real terminal and keeps what would have been written, in order."""

    def __init__(self, *args: object, **kwargs: object) -> None:
        super().__init__(*args, **kwargs)
        self.chunks: list[str] = []

    @property
    def is_headless(self) -> bool:
        return False

    def write(self, data: str) -> None:
        self.chunks.append(data)

    def flush(self) -> None:
        """Nothing is buffered."""


def capture(app: App[object]) -> App[object]:
    """Makes `app` write into a CapturingDriver; call it before `run_test(headless=False)`."""
    app.driver_class = CapturingDriver
    return app


def output_of(app: App[object]) -> str:
    """Everything the app has sent to its terminal so far."""
    driver = app._driver
    assert isinstance(driver, CapturingDriver)
    return "".join(driver.chunks)


def control_characters(output: str) -> list[str]:
    """What a terminal would obey or hide in `output` beyond Textual's own styling, cursor and mode sequences."""
    return _CONTROL.findall(_OWN_SEQUENCES.sub("", output))


def assert_harmless(output: str) -> None:
    """Fails when text from outside reached the terminal as a control sequence."""
    assert output, "nothing was drawn"
    found = control_characters(output)
    assert not found, f"control characters reached the terminal: {sorted(set(map(ascii, found)))}"
    assert "\x1b[5;35;9m" not in output, "a colour sequence from the data reached the terminal"

"""Key presses in the Data pane over a large file: milliseconds until frames have been handed to the terminal."""

from __future__ import annotations

import asyncio
import os
import tempfile
import time
from pathlib import Path
from typing import Any

os.environ.setdefault("TERM", "xterm-256color")

from textual import events
from textual.drivers.headless_driver import HeadlessDriver

from ftui.runs.workspace import Workspace
from ftui.ui.app import FtuiApp
from ftui.ui.settings import Settings

SIZE = (120, 36)
PRESSES = 60
QUIET = 0.08  # seconds without a frame: the answer is complete
# What a person does most, from wherever they are in the file.
KEYS = {
    "down": "down",
    "page down": "pagedown",
    "accept": "a",
    "flag": "f",
    "last row": "end",
    "first row": "home",
}


class ClockDriver(HeadlessDriver):
    """Renders as for a real terminal and notes when."""

    frames: list[float]

    @property
    def is_headless(self) -> bool:
        return False

    def write(self, data: str) -> None:
        if "\x1b[" in data and len(data) > 40:  # cursor and mode sequences alone are no picture
            ClockDriver.frames.append(time.perf_counter())

    def flush(self) -> None:
        """Nothing is buffered."""


async def press(path: Path) -> dict[str, Any]:
    """{"keys": {name: p50, p95 of the first frame after a press, p95 of the last}}, once the file is indexed."""
    ClockDriver.frames = []
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        root = Path(folder)
        (root / "datasets").mkdir()
        (root / "ftui.toml").write_text("schema = 1\n")
        (root / "datasets" / "chat.jsonl").symlink_to(path)
        app = FtuiApp(Workspace(root), mode="data", settings=Settings())
        app.driver_class = ClockDriver
        async with app.run_test(headless=False, size=SIZE):
            await _indexed(app)
            keys = {name: await _times(app, key) for name, key in KEYS.items()}
    return {"keys": keys, "presses": PRESSES, "size": list(SIZE)}


async def _indexed(app: FtuiApp) -> None:
    while (desk := getattr(app.screen, "desk", None)) is None or not (desk.dataset and desk.dataset.checked):
        await asyncio.sleep(0.1)
    await asyncio.sleep(1)


async def _times(app: FtuiApp, key: str) -> dict[str, float]:
    firsts, lasts = [], []
    for number in range(PRESSES):
        if key in ("end", "home"):  # far away first, or there is nothing to repaint
            await _answer(app, "home" if key == "end" else "end")
        elif number % 10 == 0:  # on with pages nobody has read yet
            app.screen.rows.cursor = 1 + (number + 7) * (app.screen.rows.total // (PRESSES + 20))
            await _quiet()
        first, last = await _answer(app, key)
        firsts.append(1000 * first)
        lasts.append(1000 * last)
    firsts.sort()
    lasts.sort()
    at = int(PRESSES * 0.95)
    return {"p50_ms": firsts[PRESSES // 2], "p95_ms": firsts[at], "settled_p95_ms": lasts[at]}


async def _answer(app: FtuiApp, key: str) -> tuple[float, float]:
    """Seconds from a key press to its first frame and to its last."""
    del ClockDriver.frames[:]
    pressed = time.perf_counter()
    app.post_message(events.Key(key, key if len(key) == 1 else None))
    await _quiet()
    frames = [moment for moment in ClockDriver.frames if moment > pressed]
    return (frames[0] - pressed, frames[-1] - pressed) if frames else (QUIET, QUIET)


async def _quiet() -> None:
    since = time.perf_counter()
    while time.perf_counter() - max([since, *ClockDriver.frames[-1:]]) < QUIET:
        await asyncio.sleep(0.004)

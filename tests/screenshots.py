"""Makes screenshots/*.svg from the real app: `python -m tests.screenshots [WORKSPACE]`.

Runs the demo first (training included) unless WORKSPACE already holds a finished demo run. Nothing on the
pictures is made up: the rows, the curves and the replies are that run's.
"""

from __future__ import annotations

import asyncio
import os
import re
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

os.environ.setdefault("COLORTERM", "truecolor")
os.environ.setdefault("TERM", "xterm-256color")

from ftui.demo.headless import start_demo_run
from ftui.demo.workspace import held_out, make_demo_workspace
from ftui.runs.follow import follow
from ftui.runs.state import list_runs
from ftui.runs.workspace import Workspace
from ftui.ui.app import FtuiApp
from ftui.ui.screens.chat import ChatRequest
from ftui.ui.settings import Settings

if TYPE_CHECKING:
    from textual.pilot import Pilot

OUT = Path(__file__).parent.parent / "screenshots"
SIZE = (120, 36)


def workspace_with_a_run(path: Path) -> Workspace:
    workspace = Workspace(path)
    make_demo_workspace(workspace)
    if not any(run.state == "finished" for run in list_runs(workspace)):
        for event in follow(start_demo_run(workspace)):
            if event["type"] == "step":
                print(f"step {event['step']}/{event['steps']} loss {event['loss']:.2f}", file=sys.stderr)
    return workspace


async def until(pilot: Pilot[None], condition, seconds: float = 180.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError("the pane did not get there")
        await pilot.pause(0.1)


def save(app: FtuiApp, name: str) -> None:
    """The screen as SVG, with fonts of the reader's machine only: a picture must not call home."""
    svg = re.sub(r',?\s*url\("https?://[^"]*"\)\s*format\("[^"]*"\)', "", app.export_screenshot(title="ftui"))
    (OUT / f"{name}.svg").write_text(svg, encoding="utf-8")
    print(f"screenshots/{name}.svg")


async def take(workspace: Workspace) -> None:
    run = next(run for run in list_runs(workspace) if run.state == "finished")
    settings = Settings(folder=Path(tempfile.mkdtemp()))
    app = FtuiApp(workspace, dataset=workspace.datasets / "tickets.jsonl", settings=settings)
    async with app.run_test(size=SIZE) as pilot:
        await until(pilot, lambda: app.pulse.host is not None)
        for key in ("a", "a", "a", "x", "a", "f"):
            await pilot.press(key)
            await pilot.pause(0.3)
        save(app, "data")
        await pilot.press("2")
        await pilot.pause(3)
        save(app, "recipe")
        await pilot.press("3")
        await pilot.pause(3)
        await pilot.press("m")
        await pilot.pause(1)
        save(app, "train")
        question = held_out(workspace)[1].question
        app.open_chat(ChatRequest("demo", (str(run.path / "adapter"),), question))
        await pilot.pause(1)
        sides = list(app.screen.query("ReplySide"))
        await until(pilot, lambda: all("tok/s" in str(side.border_subtitle) for side in sides))
        await pilot.pause(2)
        save(app, "chat")
    flawed = FtuiApp(workspace, dataset=workspace.datasets / "tickets-flawed.jsonl", settings=settings)
    async with flawed.run_test(size=SIZE) as pilot:
        await until(pilot, lambda: flawed.pulse.host is not None)
        await pilot.press("c")
        await until(pilot, lambda: flawed.screen.findings)
        await pilot.pause(1)
        save(flawed, "checks")
        await pilot.press("escape", "i")
        await until(pilot, lambda: flawed.screen.query_one("TokenView").seen is not None)
        await pilot.press("down")
        await pilot.pause(3)
        save(flawed, "tokens")


def main() -> None:
    OUT.mkdir(exist_ok=True)
    path = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(tempfile.mkdtemp()) / "orbit-outfitters"
    asyncio.run(take(workspace_with_a_run(path)))


if __name__ == "__main__":
    main()

"""First paint of ftui against an empty Textual app, alternating in fresh processes.

    python -m tests.bench.startup [--runs 9] [--rows 300000]

Both sides count from the start of the interpreter to the moment their first frame is handed to the terminal;
ftui's counts only once it shows the rows of the dataset. Prints milliseconds and the ratio of the medians.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

SIZE = (120, 36)
_MARK = "first ticket of the benchmark"


def main() -> None:
    """Parses the command line, runs both sides alternately and prints the result."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--runs", type=int, default=9)
    parser.add_argument("--rows", type=int, default=2_000)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--side", choices=["empty", "ftui"], help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.side:
        asyncio.run(_empty() if options.side == "empty" else _ftui())
        return
    result = measure(options.runs, options.rows)
    if options.json:
        print(json.dumps(result))
        return
    for side in ("empty", "frame", "rows"):
        print(f"{_NAMES[side]:<28}{result[side]['median']:7.0f} ms   ({result[side]['best']:.0f} best)")
    print(f"{'ratio, first frame':<28}{result['ratio_frame']:7.2f}")
    print(f"{'ratio, rows on the screen':<28}{result['ratio']:7.2f}   (at most 2.5, aim 2)")


_NAMES = {"empty": "empty Textual app", "frame": "ftui, first frame", "rows": "ftui, rows on the screen"}


def measure(runs: int, rows: int) -> dict[str, object]:
    """Milliseconds from process start to first paint, and ratios of medians."""
    times: dict[str, list[float]] = {"empty": [], "frame": [], "rows": []}
    with tempfile.TemporaryDirectory() as folder:
        _make_workspace(Path(folder), rows)
        for run in range(runs + 1):
            for side in ("empty", "ftui"):
                started = time.monotonic()
                environment = {
                    **os.environ,
                    "FTUI_CONFIG": f"{folder}/config",
                    "FTUI_CACHE": f"{folder}/cache",
                    "FTUI_BENCH_WORKSPACE": f"{folder}/workspace",
                    "COLORTERM": "truecolor",
                    # An installed package has its bytecode; a checkout must not pay for compiling.
                    "PYTHONPYCACHEPREFIX": f"{folder}/bytecode",
                    "PYTHONDONTWRITEBYTECODE": "",
                }
                ended = subprocess.run(
                    [sys.executable, "-m", "tests.bench.startup", "--side", side],
                    env=environment, capture_output=True, text=True, check=True, timeout=120,
                )  # fmt: skip
                if run == 0:
                    continue  # warms the disk and the bytecode for both
                for name, moment in json.loads(ended.stdout.splitlines()[-1]).items():
                    times[name].append(1000 * (moment - started))
    medians = {name: statistics.median(values) for name, values in times.items()}
    return {
        **{name: {"median": medians[name], "best": min(values)} for name, values in times.items()},
        "ratio_frame": medians["frame"] / medians["empty"],
        "ratio": medians["rows"] / medians["empty"],
    }


def _make_workspace(folder: Path, rows: int) -> None:
    datasets = folder / "workspace" / "datasets"
    datasets.mkdir(parents=True)
    (folder / "workspace" / "ftui.toml").write_text("schema = 1\n")
    with (datasets / "tickets.jsonl").open("w", encoding="utf-8") as file:
        for number in range(rows):
            turns = [
                {"role": "user", "content": f"{_MARK}, number {number}. The zip broke after two days."},
                {
                    "role": "assistant",
                    "content": "Issue: zip\nItem: tent\nOrder: none\nAction: repair\nPriority: low",
                },
            ]
            file.write(json.dumps({"messages": turns}) + "\n")


async def _empty() -> None:
    from textual.app import App

    class Empty(App[None]):
        """Nothing at all."""

    await _run_until(Empty, lambda painted: {"empty": painted[0][0]} if painted else None)


async def _ftui() -> None:
    from ftui.runs.workspace import Workspace
    from ftui.ui.app import FtuiApp

    workspace = Workspace(Path(os.environ["FTUI_BENCH_WORKSPACE"]))

    def found(painted: list[tuple[float, str]]) -> dict[str, float] | None:
        rows = next((moment for moment, text in painted if _MARK in text), None)
        return {"frame": painted[0][0], "rows": rows} if rows else None

    await _run_until(lambda: FtuiApp(workspace), found)


async def _run_until(make: object, found: object) -> None:
    from tests.ui.capture import capture

    app = capture(make())
    painted: list[tuple[float, str]] = []

    def after_display() -> None:
        chunks = app._driver.chunks if app._driver is not None else []
        text = "".join(chunks)
        if "\x1b[1;1H" not in text:
            return  # modes and queries are no picture yet
        painted.append((time.monotonic(), text))
        result = found(painted)
        if result is not None:
            sys.__stdout__.write(json.dumps(result) + "\n")
            sys.__stdout__.flush()
            os._exit(0)

    app.post_display_hook = after_display
    await app.run_async(headless=False, size=SIZE)


if __name__ == "__main__":
    main()

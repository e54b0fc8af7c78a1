"""What watching a run costs: bytes to the terminal, lag of the screen, processor time when nothing happens.

    python -m tests.bench.monitor [--seconds 20] [--rate 4] [--events 100000] [--json]

Bytes are counted at the driver, as a terminal would receive them; the run is synthetic, written step by step
through the real EventWriter while the Train pane follows it at 120 x 36. Limits: 20 KB/s, 15 ms at the 95th
percentile, 3% of a core. Exits 1 when one is missed.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

os.environ.setdefault("TERM", "xterm-256color")

from textual.drivers.headless_driver import HeadlessDriver

from ftui.runs.rundir import EventWriter, RunDir
from ftui.ui.app import FtuiApp
from ftui.ui.run_reader import RunReader
from ftui.ui.settings import Settings
from tests.ui.run_builder import finish, make_run, make_workspace, write_steps

LIMITS = {"bytes_per_second": 20_000, "lag_p95_ms": 15.0, "idle_cpu_percent": 3.0}
STEPS = 2000


class CountingDriver(HeadlessDriver):
    """Renders as for a real terminal and counts what would have been sent."""

    sent = 0

    @property
    def is_headless(self) -> bool:
        return False

    def write(self, data: str) -> None:
        CountingDriver.sent += len(data.encode("utf-8", "replace"))

    def flush(self) -> None:
        """Nothing is buffered."""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=20.0, help="how long each part is watched")
    parser.add_argument("--rate", type=float, default=4.0, help="steps a second of the run being followed")
    parser.add_argument(
        "--events", type=int, default=100_000, help="step events of the long run that is opened"
    )
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        figures = {
            **asyncio.run(follow(Path(folder) / "live", options.seconds, options.rate)),
            **asyncio.run(idle(Path(folder) / "idle", options.seconds)),
            **open_long(Path(folder) / "long", options.events),
        }
    missed = [name for name, limit in LIMITS.items() if figures[name] > limit]
    if options.json:
        print(json.dumps({**figures, "limits": LIMITS, "missed": missed}))
    else:
        for name, value in figures.items():
            limit = f"  (limit {LIMITS[name]:g})" if name in LIMITS else ""
            print(f"{name:24} {value:12,.2f}{limit}{'  MISSED' if name in missed else ''}")
    return 1 if missed else 0


async def follow(root: Path, seconds: float, rate: float) -> dict[str, float]:
    """The Train pane on a run that takes `rate` steps a second."""
    workspace = make_workspace(root)
    rundir = make_run(workspace, "live", age=600)
    with EventWriter(rundir, 1) as writer:
        write_steps(writer, 1, 200, STEPS)
        app, stop = _app(workspace), threading.Event()
        async with app.run_test(headless=False, size=(120, 36)):
            await asyncio.sleep(3)
            train = threading.Thread(target=_train, args=(rundir, writer, rate, stop))
            train.start()
            before, cpu = CountingDriver.sent, time.process_time()
            lags = await _lags(seconds)
            sent, cpu = CountingDriver.sent - before, time.process_time() - cpu
            stop.set()
            train.join()
    lags.sort()
    return {
        "bytes_per_second": sent / seconds,
        "lag_p50_ms": lags[len(lags) // 2] * 1000,
        "lag_p95_ms": lags[int(len(lags) * 0.95)] * 1000,
        "lag_max_ms": lags[-1] * 1000,
        "follow_cpu_percent": 100 * cpu / seconds,
    }


async def idle(root: Path, seconds: float) -> dict[str, float]:
    """The Train pane on runs that are over."""
    workspace = make_workspace(root)
    for number in range(5):
        rundir = make_run(workspace, f"run {number}", age=90_000 + number, alive=False)
        with EventWriter(rundir, 1) as writer:
            write_steps(writer, 1, 600, 600, seed=number)
        finish(rundir, "finished", ago=80_000)
    app = _app(workspace)
    async with app.run_test(headless=False, size=(120, 36)):
        await asyncio.sleep(3)
        before, cpu = CountingDriver.sent, time.process_time()
        await asyncio.sleep(seconds)
        sent, cpu = CountingDriver.sent - before, time.process_time() - cpu
    return {"idle_cpu_percent": 100 * cpu / seconds, "idle_bytes_per_second": sent / seconds}


def open_long(root: Path, events: int) -> dict[str, float]:
    """From a run's directory to its first whole view."""
    rundir = make_run(make_workspace(root), "long", age=9000, alive=False)
    with EventWriter(rundir, 1) as writer:
        write_steps(writer, 1, events, events)
    reader, began = RunReader(rundir.path), time.perf_counter()
    view = reader.read(smoothing=0.6)
    while reader.more:
        view = reader.read(smoothing=0.6) or view
    assert view is not None
    assert view.run.step == events
    return {f"open_{events}_events_seconds": time.perf_counter() - began}


def _app(workspace: Any) -> FtuiApp:
    app = FtuiApp(workspace, mode="train", settings=Settings())
    app.driver_class = CountingDriver
    return app


def _train(rundir: RunDir, writer: EventWriter, rate: float, stop: threading.Event) -> None:
    step = 201
    with rundir.log_path.open("a", encoding="utf-8") as log:
        while not stop.wait(1 / rate) and step <= STEPS:
            write_steps(writer, step, step, STEPS)
            log.write(f"step {step} of {STEPS}\n")
            log.flush()
            step += 1


async def _lags(seconds: float, period: float = 0.005) -> list[float]:
    """How late each of many short sleeps ends: what a key press would wait."""
    lags, end = [], time.perf_counter() + seconds
    while (now := time.perf_counter()) < end:
        await asyncio.sleep(period)
        lags.append(time.perf_counter() - now - period)
    return lags


if __name__ == "__main__":
    raise SystemExit(main())

"""What watching a run costs: bytes to the terminal, lag of the screen, processor time, and opening a long one.

    pip install pandas tensorboard       # the peers; a missing one is left out
    python -m tests.bench.monitor [--seconds 20] [--rate 4] [--events 1000000] [--sides ftui,...] [--json OUT]

Bytes are counted at the driver, as a terminal would receive them; the run is synthetic, written step by step
through the real EventWriter while the Train pane follows it at 120 x 36. The long run is opened by the pane's
reader and, in the same minutes, by others (`long_run`). Limits: 20 KB/s, 15 ms at the 95th percentile, 3% of a
core, the first complete picture of the long run in a second, cold or again. Exits 1 when one is missed.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import resource
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

os.environ.setdefault("TERM", "xterm-256color")

from textual.drivers.headless_driver import HeadlessDriver

from ftui.runs.rundir import EventWriter, RunDir
from ftui.runs.workspace import Workspace
from ftui.ui.app import FtuiApp
from ftui.ui.settings import Settings
from tests.bench import long_run
from tests.bench.data import machine
from tests.bench.long_run import SIDES
from tests.ui.run_builder import finish, make_run, make_workspace, write_steps

LIMITS = {
    "bytes_per_second": 20_000,
    "lag_p95_ms": 15.0,
    "long_bytes_per_second": 20_000,
    "long_lag_p95_ms": 15.0,
    "idle_cpu_percent": 3.0,
    "open_seconds": 1.0,
    "open_again_seconds": 1.0,
}
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
    parser.add_argument("--events", type=int, default=1_000_000, help="step events of the long run")
    parser.add_argument(
        "--sides", default=",".join(SIDES[:-1]), help="who opens the long run; tensorboard takes minutes"
    )
    parser.add_argument("--json", type=Path, metavar="OUT", help="also write everything to this file")
    options = parser.parse_args()
    facts, sides = machine(), tuple(side for side in SIDES if side in options.sides.split(","))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        run = long_run.make(folder / "long", options.events)
        opened = long_run.race(run, sides)
        followed = long_run.make(folder / "followed", options.events, alive=True)
        figures = {
            **asyncio.run(follow(folder / "live", options.seconds, options.rate)),
            **asyncio.run(follow_long(RunDir(followed), options)),
            **asyncio.run(idle(folder / "idle", options.seconds)),
        }
        size = (run / "events.jsonl").stat().st_size
    if "ftui" in opened:
        figures["open_seconds"] = opened["ftui"]["complete"]
    if "ftui again" in opened:
        figures["open_again_seconds"] = opened["ftui again"]["exact"]
    missed = [name for name, limit in LIMITS.items() if figures.get(name, 0) > limit]
    report = {
        "machine": facts, "events": options.events, "bytes": size, "figures": figures, "opened": opened,
        "limits": LIMITS, "missed": missed,
    }  # fmt: skip
    print(table(report))
    if options.json:
        options.json.parent.mkdir(parents=True, exist_ok=True)
        options.json.write_text(json.dumps(report, indent=1) + "\n")
    return 1 if missed else 0


def table(report: dict[str, Any]) -> str:
    """Everything for a person."""
    facts = report["machine"]
    lines = [
        f"{facts['cpu']}, {facts['cores']} cores, {facts['memory_gb']} GB, load {facts['load_before']:.1f}",
        "",
    ]
    for name, value in report["figures"].items():
        limit = f"  (limit {LIMITS[name]:g})" if name in LIMITS else ""
        lines.append(f"{name:26}{value:12,.2f}{limit}{'  MISSED' if name in report['missed'] else ''}")
    lines += ["", f"{report['events']:,} step events, {report['bytes'] / 1e6:,.0f} MB, not in the page cache"]
    lines.append(f"{'':14}{'first picture':>15}{'all but steps':>15}{'every step':>13}{'peak memory':>14}")
    for side, took in report["opened"].items():
        times = f"{took['first']:13.2f} s{took['complete']:13.2f} s{took['exact']:11.2f} s"
        lines.append(f"{side:14}{times}{took['peak_mb']:11,.0f} MB")
    return "\n".join(lines)


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
    return _followed(sent, lags, cpu, seconds)


async def follow_long(rundir: RunDir, options: argparse.Namespace) -> dict[str, float]:
    """The same on a run that takes a step a second, with all the steps of the long one behind it."""
    stop, first = threading.Event(), options.events + 1
    app = _app(Workspace(rundir.path.parent.parent))
    with EventWriter(rundir, 1) as writer:
        async with app.run_test(headless=False, size=(120, 36)):
            while not (view := getattr(app.screen, "_view", None)) or view.share < 1:
                await asyncio.sleep(0.1)
            await asyncio.sleep(3)  # what was read is kept for the next time
            train = threading.Thread(target=_train, args=(rundir, writer, 1.0, stop, first, 2 * first))
            train.start()
            before, cpu = CountingDriver.sent, time.process_time()
            lags = await _lags(options.seconds)
            sent, cpu = CountingDriver.sent - before, time.process_time() - cpu
            stop.set()
            train.join()
    figures = _followed(sent, lags, cpu, options.seconds)
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {f"long_{name}": value for name, value in figures.items()} | {"long_peak_mb": memory}


def _followed(sent: int, lags: list[float], cpu: float, seconds: float) -> dict[str, float]:
    lags = sorted(lags)
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


def _app(workspace: Any) -> FtuiApp:
    app = FtuiApp(workspace, mode="train", settings=Settings())
    app.driver_class = CountingDriver
    return app


def _train(
    rundir: RunDir,
    writer: EventWriter,
    rate: float,
    stop: threading.Event,
    step: int = 201,
    steps: int = STEPS,
) -> None:
    with rundir.log_path.open("a", encoding="utf-8") as log:
        while not stop.wait(1 / rate) and step <= steps:
            write_steps(writer, step, step, steps)
            log.write(f"step {step} of {steps}\n")
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

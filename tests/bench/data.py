"""ftui on a file of a million chats, against duckdb, polars and datasets doing the same.

    pip install duckdb polars datasets        # only for this comparison; what is missing is said
    python -m tests.bench.data [--rows 1000000] [--sides ftui,polars] [--json OUT]

Every side runs alone in a fresh process and reads the same file from a warm disk cache. Cold start counts from
the start of the interpreter to the first row, imports and all. Pages are 50 rows at 300 random places, made
into the lines of a list (turns, characters, preview); searches answer with the numbers of all rows found; the median of three counts. Peak
memory is the kernel's high-water mark, mapped files included. Refuses when two sides disagree on an answer.
Then a key press in ftui's Data pane over the same file, until the next frame has been handed to the terminal;
and what takes ftui seconds, on 100,000 rows (`data_jobs`).
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import importlib.util
import json
import os
import platform
import random
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from array import array
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.bench import chat_file, data_jobs
from tests.bench.data_sides import PAGE, SIDES

PAGES = 300
# What is compared: (key, words, unit). ftui's limit is a multiple of the best peer.
ROWS = (
    ("import", "import of the library", "s"),
    ("cold_start", "cold start to the first row", "s"),
    ("first_row", "first row, library imported", "s"),
    ("load", "every row found / loaded", "s"),
    ("page_p50", f"page of {PAGE}, median", "ms"),
    ("page_p95", f"page of {PAGE}, 95th percentile", "ms"),
    ("exact", "search, exact", "s"),
    ("any_case", "search, any case", "s"),
    ("common", "search, a word in most rows", "s"),
    ("filter", "filter by a fact (shape)", "s"),
    ("memory", "peak memory", "MB"),
)
LIMITS = {"first_row": 1.0, "page_p50": 1.0, "page_p95": 1.0, "memory": 1.0, "exact": 1.5, "any_case": 1.5}
FRAME_MS = 33.0


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--sides", default=",".join(SIDES), help="which of them, ftui first")
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()) / "ftui-bench")
    parser.add_argument("--json", type=Path, metavar="OUT", help="also write everything to this file")
    parser.add_argument("--side", choices=[*SIDES, "pane", "jobs"], help=argparse.SUPPRESS)
    options = parser.parse_args()
    path = chat_file.make(options.folder, options.rows)
    if options.side:
        print(json.dumps(_inside(options.side, path)))
        return 0
    sides = [side for side in options.sides.split(",") if side in SIDES]
    missing = [side for side in sides if importlib.util.find_spec(side) is None]
    results = {side: _alone(side, options) for side in sides if side not in missing}
    pane, jobs = _alone("pane", options), _alone("jobs", options)
    report = {
        "machine": machine(),
        "rows": options.rows,
        "bytes": path.stat().st_size,
        "missing": missing,
        "sides": results,
        "pane": pane,
        "jobs": jobs,
        "missed": missed(results, pane, jobs),
    }
    print(table(report))
    if options.json:
        options.json.parent.mkdir(parents=True, exist_ok=True)
        options.json.write_text(json.dumps(report, indent=1) + "\n")
    differing = {key for result in results.values() for key, answer in result["answers"].items()
                 if answer != next(iter(results.values()))["answers"].get(key)}  # fmt: skip
    if differing:
        print(f"the sides disagree on {', '.join(sorted(differing))}: nothing here can be compared")
        return 2
    return 1 if report["missed"] else 0


def machine() -> dict[str, Any]:
    """What the figures were taken on."""
    cpu = next(
        (line.partition(":")[2].strip() for line in Path("/proc/cpuinfo").read_text().splitlines()
         if line.startswith("model name")), platform.processor(),
    )  # fmt: skip
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return {
        "cpu": cpu,
        "cores": len(os.sched_getaffinity(0)),
        "memory_gb": round(memory, 1),
        "load_before": os.getloadavg()[0],
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
    }


def _inside(side: str, path: Path) -> dict[str, Any]:
    if side == "pane":
        return asyncio.run(press_keys(path))
    if side == "jobs":
        return data_jobs.measure(chat_file.make(path.parent, data_jobs.ROWS))
    return measure(side, path)


def _alone(side: str, options: argparse.Namespace) -> dict[str, Any]:
    """What a side prints, run in a process and a cache of its own."""
    with tempfile.TemporaryDirectory(dir=options.folder) as scratch:
        places = {
            name: f"{scratch}/{name.lower()}" for name in ("XDG_CACHE_HOME", "FTUI_CONFIG", "FTUI_CACHE")
        }
        command = [sys.executable, "-m", "tests.bench.data", "--side", side, "--rows", str(options.rows)]
        started = time.monotonic()
        ended = subprocess.run(
            [*command, "--folder", str(options.folder)],
            env={**os.environ, **places}, stdout=subprocess.PIPE, text=True, check=True,
        )  # fmt: skip
    done: dict[str, Any] = json.loads(ended.stdout.splitlines()[-1])
    if "first_row_at" in done:
        done["cold_start"] = done.pop("first_row_at") - started
    return done


def measure(name: str, path: Path) -> dict[str, Any]:
    """Times every job of one side, in this process."""
    found: dict[str, Any] = {}
    answers: dict[str, str] = {}
    side, found["import"] = _timed(lambda: SIDES[name](path))
    _, found["first_row"] = _timed(side.first)
    found["first_row_at"] = time.monotonic()
    rows, found["load"] = _timed(side.load)
    answers["rows"] = str(rows)
    if name == "ftui":
        _, found["learn"] = _timed(side.learn)
        _, found["open_again"] = _timed(side.again)
    dice = random.Random(1)
    shown, pages = hashlib.sha256(), []
    for _ in range(PAGES):
        start = dice.randrange(rows - PAGE)
        page, seconds = _timed(lambda at=start: side.page(at))
        shown.update(repr(page).encode())
        pages.append(1000 * seconds)
    answers["pages"] = shown.hexdigest()[:12]
    pages.sort()
    found["page_p50"], found["page_p95"] = pages[PAGES // 2], pages[int(PAGES * 0.95)]
    jobs: dict[str, Callable[[], Any]] = {
        "exact": lambda: side.search(chat_file.EXACT, False),
        "any_case": lambda: side.search(chat_file.ANY_CASE, True),
        "common": lambda: side.search(chat_file.COMMON, False),
        "filter": side.by_shape,
    }
    for key, job in jobs.items():
        numbers, _ = _timed(job)
        found[key] = statistics.median(_timed(job)[1] for _ in range(3))
        digest = hashlib.sha256(array("Q", numbers).tobytes()).hexdigest()[:12]
        answers[key] = f"{len(numbers)} rows {digest}"
    found["memory"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"version": side.version, **found, "answers": answers}


def _timed(job: Callable[[], Any]) -> tuple[Any, float]:
    began = time.perf_counter()
    result = job()
    return result, time.perf_counter() - began


async def press_keys(path: Path) -> dict[str, Any]:
    """Milliseconds from a key press in the Data pane to the frame that answers it, once the file is indexed."""
    from tests.bench.key_presses import press

    return await press(path)


def missed(results: dict[str, Any], pane: dict[str, Any], jobs: dict[str, float]) -> list[str]:
    """The limits ftui does not keep."""
    out = [f"key press {key}" for key, times in pane["keys"].items() if times["p95_ms"] > FRAME_MS]
    out += [key for key, _, limit in data_jobs.JOBS if limit is not None and jobs[key] > limit]
    peers = [result for side, result in results.items() if side != "ftui"]
    if "ftui" in results and peers:
        ours = results["ftui"]
        out += [key for key, limit in LIMITS.items() if ours[key] > limit * min(peer[key] for peer in peers)]
    return out


def table(report: dict[str, Any]) -> str:
    """Everything for a person; in brackets the ratio to the fastest (or smallest)."""
    facts, results = report["machine"], report["sides"]
    lines = [
        f"{facts['cpu']}, {facts['cores']} cores, {facts['memory_gb']} GB, {facts['system']}, "
        f"Python {facts['python']}, load {facts['load_before']:.1f}",
        f"{report['rows']:,} rows, {report['bytes'] / 1e6:,.0f} MB",
        "",
        " " * 34 + "".join(f"{name + ' ' + result['version']:>22}" for name, result in results.items()),
    ]
    for key, words, unit in ROWS:
        best = min(result[key] for result in results.values())
        cells = [f"{_figure(result[key], unit)} ({result[key] / best:,.1f}x)" for result in results.values()]
        lines.append(f"{words:<34}" + "".join(f"{cell:>22}" for cell in cells))
    if ours := results.get("ftui"):
        lines += [
            "",
            f"ftui: every row's shape known {ours['learn']:.1f} s after that, in the background; "
            f"opened again in {1000 * ours['open_again']:.0f} ms",
        ]
    lines += [f"{name}: not installed" for name in report["missing"]]
    for key, times in report["pane"]["keys"].items():
        lines.append(
            f"key {key:<12} p50 {times['p50_ms']:5.1f} ms   p95 {times['p95_ms']:5.1f} ms   (limit {FRAME_MS:.0f})"
        )
    lines += ["", f"ftui on {data_jobs.ROWS:,} of the rows:"]
    for key, words, limit in data_jobs.JOBS:
        limited = f"   (limit {limit:.0f})" if limit else ""
        lines.append(f"{words:<34}{report['jobs'][key]:7.2f} s{limited}")
    if report["missed"]:
        lines.append(f"MISSED: {', '.join(report['missed'])}")
    return "\n".join(lines)


def _figure(value: float, unit: str) -> str:
    digits = 0 if value >= 100 else 1 if value >= 10 else 2 if value >= 1 else 4 if unit == "s" else 2
    return f"{value:,.{digits}f} {unit}"


if __name__ == "__main__":
    raise SystemExit(main())

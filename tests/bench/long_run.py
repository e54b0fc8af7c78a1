"""A run of a million steps as the trainer writes them, and what opening it costs: ours, and readers of the same file.

Each side works in a process of its own, so that its peak memory is its own. Cold: the file is not in the page
cache. The sides must agree on the number of steps and on the lowest and the highest loss.
"""

from __future__ import annotations

import importlib.util
import json
import math
import os
import random
import resource
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from tests.ui.run_builder import finish, make_run, make_workspace

# ftui cold, ftui with what it kept from the last time, and three ways to read the same figures.
SIDES = ("ftui", "ftui again", "json", "pandas", "tensorboard")
_NEEDS = {"pandas": "pandas", "tensorboard": "tensorboard"}


def make(folder: Path, events: int, *, alive: bool = False) -> Path:
    """A run directory with `events` step events, and an evaluation every hundredth of them."""
    rundir = make_run(make_workspace(folder), "long", age=9000, alive=alive)
    draw, when, seq = random.Random(4), 1.75e9, 0
    with rundir.events_path.open("w", encoding="utf-8") as file:
        for kind, fields in (("attempt", '"step":0,"device":"cpu"'), ("plan", f'"steps":{events}')):
            seq += 1
            file.write(f'{{"v":1,"seq":{seq},"t":{when},"attempt":1,"type":"{kind}",{fields}}}\n')
        for step in range(1, events + 1):
            when, seq, noise = when + 0.4, seq + 1, draw.random()
            loss = (0.6 + 2.8 * math.exp(-8 * step / events)) * (0.9 + 0.2 * noise)
            file.write(
                f'{{"v":1,"seq":{seq},"t":{when:.3f},"attempt":1,"type":"step","step":{step},"steps":{events},'
                f'"loss":{loss},"learning_rate":{2e-4 * (1 - step / events)},"grad_norm":{1 + noise},'
                f'"epoch":{3 * step / events},"num_tokens":{step * 5800},"trained_tokens":{step * 2000},'
                f'"tokens_per_second":{1900 + 70 * noise},"samples_per_second":{1 + noise},'
                f'"step_time":{0.4 + noise / 100},"mean_token_accuracy":{noise},"entropy":{1 - noise},'
                f'"padding_fraction":0.0,"mfu":null,"memory_allocated":null,"memory_reserved":null,'
                f'"memory_peak":null,"memory_rss":{2_000_000_000 + step}}}\n'
            )
            if step % max(1, events // 100) == 0:
                seq += 1
                file.write(
                    f'{{"v":1,"seq":{seq},"t":{when:.3f},"attempt":1,"type":"eval","step":{step},'
                    f'"eval_loss":{loss},"eval_perplexity":{math.exp(loss)}}}\n'
                )
    if not alive:
        finish(rundir, "finished", ago=60)
    return rundir.path


def race(run: Path, sides: tuple[str, ...]) -> dict[str, Any]:
    """What every side took; one that is not installed is left out. Raises SystemExit where they disagree."""
    results = {}
    for side in sides:
        if side in _NEEDS and importlib.util.find_spec(_NEEDS[side]) is None:
            print(f"{side}: not installed")
            continue
        if side == "ftui":
            shutil.rmtree(run / ".cache", ignore_errors=True)
        elif side == "tensorboard":
            _export(run)
        command = [sys.executable, "-m", "tests.bench.long_run", side, str(run)]
        results[side] = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
    answers = {side: result.pop("answer") for side, result in results.items()}
    first = next(iter(answers.values()))
    for side, answer in answers.items():
        same = all(math.isclose(one, other, rel_tol=1e-6) for one, other in zip(answer, first, strict=True))
        if not same:  # TensorBoard keeps floats of 32 bits
            raise SystemExit(f"{side} read {answer}, not {first}: nothing here can be compared")
    return results


def _export(run: Path) -> None:
    from ftui.runs.rundir import RunDir
    from ftui.runs.tensorboard import export

    export(RunDir(run), run / "tensorboard")


def _forget(path: Path) -> None:
    """Takes a file out of the page cache."""
    with path.open("rb") as file:
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def measure(side: str, run: Path) -> dict[str, Any]:
    """Seconds to the first picture, to one with everything that is no step, and to the exact one; peak bytes."""
    for path in (run / "events.jsonl", *(run / "tensorboard").glob("events.*")):
        _forget(path)
    if side == "ftui again":
        _forget(run / ".cache" / "columns-v1")
    found = {
        "ftui": _ftui,
        "ftui again": _ftui,
        "json": _json,
        "pandas": _pandas,
        "tensorboard": _tensorboard,
    }
    result = found[side](run)
    return {**result, "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}


def _ftui(run: Path) -> dict[str, Any]:
    from ftui.ui.run_reader import RunReader

    began = time.perf_counter()
    reader = RunReader(run)
    view = reader.read()
    assert view is not None
    first = complete = time.perf_counter() - began
    evals = len(view.curves.evals.xs)
    while reader.more:
        view = reader.read() or view
        if len(view.curves.evals.xs) > evals:
            evals, complete = len(view.curves.evals.xs), time.perf_counter() - began
    exact = time.perf_counter() - began
    reader.read()  # leaves what it read for the next time
    losses = view.series["loss"].ys
    answer = [view.series["loss"].xs[-1], min(losses), max(losses)]
    return {"first": first, "complete": complete, "exact": exact, "answer": answer}


def _json(run: Path) -> dict[str, Any]:
    began = time.perf_counter()
    steps, losses = [], []
    with (run / "events.jsonl").open("rb") as file:
        for line in file:
            event = json.loads(line)
            if event["type"] == "step":
                steps.append(event["step"])
                losses.append(event["loss"])
    return _whole(began, [steps[-1], min(losses), max(losses)])


def _pandas(run: Path) -> dict[str, Any]:
    import pandas

    began = time.perf_counter()
    table = pandas.read_json(run / "events.jsonl", lines=True)
    table = table[table["type"] == "step"]
    return _whole(
        began, [float(table["step"].iloc[-1]), float(table["loss"].min()), float(table["loss"].max())]
    )


def _tensorboard(run: Path) -> dict[str, Any]:
    """TensorBoard's own reader, on the same run exported to its own format; all steps kept."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    began = time.perf_counter()
    events = EventAccumulator(str(run / "tensorboard"), size_guidance={"scalars": 0})
    events.Reload()
    points = events.Scalars("train/loss")
    losses = [point.value for point in points]
    return _whole(began, [float(points[-1].step), min(losses), max(losses)])


def _whole(began: float, answer: list[float]) -> dict[str, Any]:
    took = time.perf_counter() - began
    return {"first": took, "complete": took, "exact": took, "answer": answer}


if __name__ == "__main__":
    print(json.dumps(measure(sys.argv[1], Path(sys.argv[2]))))

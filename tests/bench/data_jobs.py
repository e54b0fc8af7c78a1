"""What takes ftui a while on 100,000 rows: checks, one decision on every row, opening with a long journal."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROWS = 100_000
# (key, words, limit in seconds)
JOBS = (
    ("near_duplicates", "near-duplicates", 30.0),
    ("personal_data", "personal data and secrets", 5.0),
    ("all_checks", "all checks, reading included", None),
    ("bulk", "one decision on every row", None),
    ("undo_bulk", "its undo", None),
    ("open_journal", f"opening with {ROWS:,} decisions", None),
)


def measure(path: Path) -> dict[str, float]:
    """Seconds for each job, on a copy of `path`, which has ROWS rows."""
    from ftui.data import actions
    from ftui.data.checks.duplicates import NearCheck
    from ftui.data.checks.privacy import PrivacyCheck
    from ftui.data.checks.run import run_checks
    from ftui.data.dataset import Dataset

    found: dict[str, float] = {}
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        copy = Path(folder) / "rows.jsonl"
        shutil.copyfile(path, copy)
        with Dataset.open(copy, "bench") as dataset:
            dataset.build()
            rows = list(dataset.rows())
            found["near_duplicates"] = _seconds(lambda: _run(NearCheck(), rows))
            found["personal_data"] = _seconds(lambda: _run(PrivacyCheck(), rows))
            rows.clear()
            found["all_checks"] = _seconds(lambda: run_checks(dataset.rows(), ROWS))
            everything = range(1, dataset.rows_known + 1)
            found["bulk"] = _seconds(lambda: dataset.annotate_many(everything, actions.accept()))
            found["undo_bulk"] = _seconds(dataset.undo)
        shutil.rmtree(copy.with_name("rows.jsonl.ftui"))
        with Dataset.open(copy, "bench") as dataset:
            dataset.build()
            dataset.annotate_many(everything, actions.accept())
        found["open_journal"] = _seconds(lambda: Dataset.open(copy, "other").close())
    return found


def _run(check: Any, rows: list[Any]) -> None:
    for row in rows:
        check.look(row)
    list(check.findings())


def _seconds(job: Callable[[], Any]) -> float:
    began = time.perf_counter()
    job()
    return time.perf_counter() - began

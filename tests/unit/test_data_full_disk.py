"""A disk that is full: the operation that does not fit is said, nothing earlier is harmed, and work goes on after."""

from __future__ import annotations

import contextlib
import json
import resource
import signal
import subprocess
import sys

import pytest

from ftui.core.errors import FtuiError
from ftui.data import actions
from ftui.data.dataset import Dataset
from ftui.data.export import Plan, export
from ftui.data.journal import sidecar

ROWS = 200


@pytest.fixture
def path(tmp_path):
    file = tmp_path / "rows.jsonl"
    file.write_text("".join(json.dumps({"text": f"row {n}"}) + "\n" for n in range(1, ROWS + 1)))
    return file


@pytest.fixture
def small_files():
    """No file may grow beyond so many bytes: writes are cut short there, then fail, as on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)

    def limit(size: int) -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))

    yield limit
    resource.setrlimit(resource.RLIMIT_FSIZE, before)
    signal.signal(signal.SIGXFSZ, handler)


def accept_from(dataset: Dataset, first: int, words: str) -> int:
    """Accepts row after row until one is refused, in these words; how many were accepted."""
    for number in range(first, ROWS + 1):
        try:
            dataset.annotate(number, actions.accept())
        except FtuiError as error:
            if words in error.message:
                return number - first
            raise
    raise AssertionError("everything fitted")


def fill(ballast) -> None:
    """Writes until there is no space left."""
    with ballast.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(b"x" * 4096)


def statuses(path) -> list[str]:
    with Dataset.open(path, "bert") as dataset:
        assert dataset.bad_journal_lines == 0
        return [row.status for row in dataset.rows()]


@pytest.mark.parametrize("size", [1, 700, 1000, 1001, 1234])
def test_the_decision_that_does_not_fit_is_refused_and_those_before_stay(path, small_files, size):
    with Dataset.open(path, "anna") as dataset:
        small_files(size)
        done = accept_from(dataset, 1, "not saved")
        with pytest.raises(FtuiError, match="not saved"):
            dataset.annotate(ROWS, actions.note("still full"))
        assert dataset.counts().accepted == done
        assert statuses(path) == ["accepted"] * done + ["undecided"] * (ROWS - done)
        small_files(1 << 20)
        dataset.annotate(ROWS, actions.reject())
        assert (dataset.counts().accepted, dataset.counts().rejected) == (done, 1)
    assert statuses(path)[-1] == "rejected"
    assert statuses(path).count("accepted") == done


def test_a_bulk_action_that_does_not_fit_changes_no_row(path, small_files):
    with Dataset.open(path, "anna") as dataset:
        dataset.annotate(1, actions.accept())
        [journal] = sidecar(path).glob("journal-*")
        before = journal.read_bytes()
        small_files(10_000)
        with pytest.raises(FtuiError, match="not saved"):
            dataset.annotate_many(range(1, ROWS + 1), actions.reject())
        assert journal.read_bytes() == before
        assert dataset.counts().rejected == 0
        small_files(1 << 20)
        dataset.annotate_many(range(1, ROWS + 1), actions.reject())
    assert statuses(path) == ["rejected"] * ROWS


def test_an_export_that_does_not_fit_leaves_the_earlier_one(path, small_files, tmp_path):
    out = tmp_path / "out.jsonl"
    export(path, out, Plan())
    earlier = {file: file.read_bytes() for file in tmp_path.iterdir() if file.is_file()}
    with Dataset.open(path, "anna") as dataset:
        dataset.annotate(1, actions.set_value("/text", "longer " * 50))
    small_files(1000)
    with pytest.raises(FtuiError, match="cannot write"):
        export(path, out, Plan(overwrite=True))
    assert {file: file.read_bytes() for file in tmp_path.iterdir() if file.is_file()} == earlier
    small_files(1 << 20)
    export(path, out, Plan(overwrite=True))
    assert out.read_bytes() != earlier[out]


@pytest.fixture
def small_disk(tmp_path):
    """A file system of its own with room for little."""
    place = tmp_path / "disk"
    place.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=96k", "tmpfs", str(place)], capture_output=True, check=False
    )
    if mounted.returncode or sys.platform != "linux":
        pytest.skip("cannot mount a file system here")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


def test_on_a_real_full_disk_work_goes_on_once_there_is_space(small_disk):
    path = small_disk / "rows.jsonl"
    path.write_text("".join(json.dumps({"text": f"row {n}"}) + "\n" for n in range(1, ROWS + 1)))
    ballast = small_disk / "ballast"
    with Dataset.open(path, "anna") as dataset:
        dataset.annotate(1, actions.accept())
        fill(ballast)
        done = 1 + accept_from(dataset, 2, "not saved: No space left")
        assert dataset.counts().accepted == done
        assert statuses(path).count("accepted") == done
        ballast.unlink()
        dataset.annotate(ROWS, actions.reject())
    assert statuses(path).count("accepted") == done
    assert statuses(path)[-1] == "rejected"

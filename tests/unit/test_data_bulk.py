"""A bulk action is one: on the disk whole or not at all, however its writing ended."""

from __future__ import annotations

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ftui.data import actions
from ftui.data.dataset import Dataset
from ftui.data.journal import sidecar

ROWS = 12


@pytest.fixture
def bulk(tmp_path):
    """A dataset with a single note, then one bulk action on every row: (path, journal, where the bulk begins)."""
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps({"text": f"row {n}"}) + "\n" for n in range(1, ROWS + 1)))
    with Dataset.open(path, "anna") as dataset:
        dataset.annotate(1, actions.note("first"))
        [journal] = sidecar(path).glob("journal-*")
        start = journal.stat().st_size
        assert len(dataset.annotate_many(range(1, ROWS + 1), actions.accept())) == ROWS
    return path, journal, start


def accepted(path) -> int:
    with Dataset.open(path, "bert") as dataset:
        assert dataset.row(1).note == "first"
        statuses = [row.status for row in dataset.rows()]
        assert dataset.counts().accepted == statuses.count("accepted")
        assert [op.op for op in dataset.log()].count("status") == statuses.count("accepted")
        return statuses.count("accepted")


def test_cut_at_any_byte_it_counts_whole_or_not_at_all(bulk):
    path, journal, start = bulk
    whole = journal.read_bytes()
    seen = []
    for end in range(start, len(whole) + 1):
        journal.write_bytes(whole[:end])
        seen.append(accepted(path))
    assert set(seen) == {0, ROWS}
    assert seen == sorted(seen)  # from some byte on everything is there


def test_after_a_torn_one_work_goes_on_and_it_stays_dropped(bulk):
    path, journal, start = bulk
    whole = journal.read_bytes()
    journal.write_bytes(whole[: (start + len(whole)) // 2])
    with Dataset.open(path, "anna") as dataset:
        assert dataset.counts().accepted == 0
        dataset.annotate(5, actions.reject())
        dataset.annotate_many([6, 7], actions.accept())
    with Dataset.open(path, "anna") as dataset:
        assert (dataset.counts().accepted, dataset.counts().rejected) == (2, 1)
        assert [op.op for op in dataset.undo(9)] == ["status", "status", "status", "note"]
        assert dataset.counts().undecided == ROWS


def test_a_reader_sees_it_only_once_it_is_written_whole(bulk):
    path, journal, start = bulk
    whole = journal.read_bytes()
    lines = whole[start:].splitlines(keepends=True)
    journal.write_bytes(whole[:start])
    with Dataset.open(path, "bert") as dataset:
        seen = []
        for line in lines:
            with journal.open("ab") as file:
                file.write(line)
            dataset.refresh()
            seen.append(dataset.counts().accepted)
    assert seen == [0] * (ROWS - 1) + [ROWS] * 2


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(0, 10**6), st.integers(0, 255))
def test_one_damaged_byte_drops_nothing_of_it(bulk, at, byte):
    path, journal, start = bulk
    whole = journal.read_bytes()
    damaged = bytearray(whole)
    damaged[start + at % (len(whole) - start)] = byte
    journal.write_bytes(damaged)
    assert accepted(path) == ROWS
    journal.write_bytes(whole)


def test_a_line_damaged_beyond_repair_costs_one_row(bulk):
    path, journal, start = bulk
    whole = journal.read_bytes()
    lines = whole[start:].splitlines(keepends=True)
    for at in range(len(lines)):
        torn = lines.copy()
        torn[at] = b"#" * (len(lines[at]) - 1) + b"\n"
        journal.write_bytes(whole[:start] + b"".join(torn))
        assert accepted(path) == (ROWS - 1 if at < ROWS else ROWS)


def test_several_edits_of_a_row_are_one_bulk_action(bulk):
    path, _, _ = bulk
    with Dataset.open(path, "anna") as dataset:
        edits = [
            (2, actions.set_value("/a", 1)),
            (2, actions.set_value("/b", 2**70)),
            (3, actions.set_value("/a", 3)),
        ]
        assert [op.n for op in dataset.annotate_each(edits)] == [2, 2, 3]
    with Dataset.open(path, "anna") as dataset:
        assert dataset.row(2).value == {"text": "row 2", "a": 1, "b": 2**70}
        assert len(dataset.undo()) == 3
        assert dataset.row(2).value == {"text": "row 2"}

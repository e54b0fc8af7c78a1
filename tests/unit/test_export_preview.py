"""What is said of an export before it is written is what is then written."""

from __future__ import annotations

import itertools
import json

import pytest

from ftui.core.errors import FtuiError
from ftui.data import actions
from ftui.data.dataset import Dataset
from ftui.data.export import Plan, export
from ftui.data.export_preview import expected_rows, preview

ROWS = [
    {"messages": [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a", "weight": 0}]},
    {"instruction": "do", "input": "", "output": "done"},
    {"sku": 12},
    {"prompt": "p", "chosen": "good", "rejected": "bad"},
    {"messages": [{"role": "user", "content": "never answered"}]},
]


@pytest.fixture
def source(tmp_path):
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in ROWS) + '{"cut\n')
    with Dataset.open(path, "mira") as dataset:
        dataset.annotate(1, actions.accept())
        dataset.annotate(2, actions.reject())
    return path


@pytest.mark.parametrize(
    ("shape", "only", "suffix"),
    itertools.product(
        ("same", "messages", "alpaca", "preference"), ("not-rejected", "accepted", "all"), ("jsonl", "csv")
    ),
)
def test_the_preview_of_a_small_file_is_what_is_written(tmp_path, source, shape, only, suffix):
    plan = Plan(shape=shape, only=only)
    with Dataset.open(source) as dataset:
        said = preview(dataset, plan, suffix, lambda: False)
    assert said is not None
    assert said.whole
    out = tmp_path / f"out.{suffix}"
    if said.refused:
        with pytest.raises(FtuiError):
            export(source, out, plan)
        assert not out.exists()
    else:
        report = export(source, out, plan)
        assert (report.files[0].rows, report.skipped, report.lost) == (said.rows, said.skipped, said.lost)


def test_a_large_file_is_only_looked_into(source):
    with Dataset.open(source) as dataset:
        said = preview(dataset, Plan(), "jsonl", lambda: False, most=2)
    assert said is not None
    assert (said.looked, said.whole) == (2, False)


def test_a_look_that_is_no_longer_wanted_ends(source):
    with Dataset.open(source) as dataset:
        assert preview(dataset, Plan(), "jsonl", lambda: True) is None


@pytest.mark.parametrize(("only", "rows"), [("not-rejected", 4), ("accepted", 1), ("all", 5)])
def test_running_totals_tell_the_rows_without_reading(source, only, rows):
    with Dataset.open(source) as dataset:
        dataset.build()
        assert expected_rows(dataset.counts(), Plan(only=only)) == rows

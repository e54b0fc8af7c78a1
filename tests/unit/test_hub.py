"""Datasets of the hub become files: whole or not at all, and what is not text is said."""

from __future__ import annotations

import datetime
import json

import pytest
from click.testing import CliRunner

from ftui.cli.data_get import get
from ftui.core.errors import FtuiError
from ftui.data.hub import save_as_jsonl

datasets = pytest.importorskip("datasets")
ROWS = [
    {"prompt": f"question {n}", "completion": "\u2028[/INST]", "when": datetime.date(2026, 1, 2)}
    for n in range(7)
]


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    folder = tmp_path_factory.mktemp("hub") / "tickets"
    table = datasets.Dataset.from_list(ROWS)
    datasets.DatasetDict({"train": table, "test": table.select([0])}).save_to_disk(folder)
    return folder


def lines(path):
    return [json.loads(line) for line in path.read_bytes().split(b"\n") if line]


def test_a_saved_dataset_becomes_one_object_a_line(saved, tmp_path):
    out = tmp_path / "new" / "tickets.jsonl"
    assert save_as_jsonl(str(saved), out) == 7
    assert lines(out)[6] == {"prompt": "question 6", "completion": "\u2028[/INST]", "when": "2026-01-02"}


def test_a_folder_of_files_is_read_like_a_hub_dataset(tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "train.jsonl").write_text('{"text": "one"}\n{"text": "two"}\n')
    assert save_as_jsonl(str(tmp_path / "folder"), tmp_path / "out.jsonl") == 2
    assert lines(tmp_path / "out.jsonl") == [{"text": "one"}, {"text": "two"}]


def test_only_the_first_rows_and_another_split(saved, tmp_path):
    assert save_as_jsonl(str(saved), tmp_path / "a.jsonl", limit=3) == 3
    assert save_as_jsonl(str(saved), tmp_path / "b.jsonl", split="test") == 1


def test_a_file_that_is_there_is_not_written_over(saved, tmp_path):
    out = tmp_path / "tickets.jsonl"
    out.write_text("mine")
    with pytest.raises(FtuiError, match="already there"):
        save_as_jsonl(str(saved), out)
    assert out.read_text() == "mine"
    assert save_as_jsonl(str(saved), out, overwrite=True) == 7


def test_what_is_not_text_leaves_no_half_file(tmp_path):
    folder = tmp_path / "pictures"
    datasets.Dataset.from_list(
        [{"text": "a", "image": None}, {"text": "b", "image": b"\x89PNG"}]
    ).save_to_disk(folder)
    with pytest.raises(FtuiError, match="image"):
        save_as_jsonl(str(folder), tmp_path / "out.jsonl")
    assert [path.name for path in tmp_path.iterdir()] == ["pictures"]


@pytest.mark.parametrize(
    ("source", "split", "words"), [("nowhere", "train", "cannot be opened"), (None, "dev", "split")]
)
def test_what_cannot_be_had_is_one_line(saved, tmp_path, source, split, words):
    with pytest.raises(FtuiError, match=words) as caught:
        save_as_jsonl(source or str(saved), tmp_path / "out.jsonl", split=split)
    assert caught.value.hint
    assert "\n" not in str(caught.value)


def test_the_command_puts_it_into_the_workspace(saved, tmp_path):
    (tmp_path / "datasets").mkdir()
    result = CliRunner().invoke(get, [str(saved), "--split", "test", "--workspace", str(tmp_path), "--json"])
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout) == {"path": str(tmp_path / "datasets" / "tickets-test.jsonl"), "rows": 1}

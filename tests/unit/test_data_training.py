"""What training reads: decisions and edits applied, every row left out named, splits that never move."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ftui.core.errors import FtuiError
from ftui.core.example import Example, Message
from ftui.data import actions
from ftui.data.dataset import Dataset
from ftui.data.split import content_key, is_validation
from ftui.data.training import Skipped, fingerprint, read_examples


@pytest.fixture
def path(tmp_path):
    file = tmp_path / "rows.jsonl"
    rows = [{"prompt": f"q{n}", "completion": f"a{n}"} for n in range(1, 7)]
    lines = [
        *map(json.dumps, rows),
        "{broken",
        '{"odd": 1}',
        '{"prompt": "q", "completion": " "}',
        '{"messages": []}',
    ]
    file.write_text("\n".join(lines))
    with Dataset.open(file, "anna") as dataset:
        dataset.annotate(1, actions.accept())
        dataset.annotate(2, actions.reject())
        dataset.annotate(3, actions.delete())
        dataset.annotate(4, actions.set_value("/completion", "edited"))
    return file


@pytest.mark.parametrize(
    ("only", "rows", "reasons"),
    [
        ("not-rejected", [1, 4, 5, 6], {2: "rejected", 3: "deleted", 7: "broken", 8: "unknown shape", 9: "empty", 10: "empty"}),
        ("accepted", [1], {2: "rejected", 3: "deleted", **dict.fromkeys(range(4, 11), "not accepted")}),
        ("all", [1, 2, 4, 5, 6], {3: "deleted", 7: "broken", 8: "unknown shape", 9: "empty", 10: "empty"}),
    ],
)  # fmt: skip
def test_rows_are_taken_by_decision_and_every_other_is_named(path, only, rows, reasons):
    skipped = []
    taken = dict(read_examples(path, only, skipped))
    assert list(taken) == rows
    assert {skip.row: skip.reason for skip in skipped} == reasons
    if 4 in taken:
        assert taken[4] == Example((Message("user", "q4"), Message("assistant", "edited")))


def test_posts_of_a_thread_are_joined(tmp_path):
    path = tmp_path / "posts.csv"
    path.write_text("id,parent_id,role,text\n1,,user,q\n2,1,assistant,a\n3,1,assistant,b\n")
    assert [(row, [turn.content for turn in example.messages]) for row, example in read_examples(path)] == [
        (2, ["q", "a"]),
        (3, ["q", "b"]),
    ]


def test_a_missing_file_is_one_clear_error(tmp_path):
    with pytest.raises(FtuiError, match="no such file"):
        list(read_examples(tmp_path / "none.jsonl"))
    with pytest.raises(FtuiError, match="no such file"):
        fingerprint(tmp_path / "none.jsonl")


def test_a_fingerprint_changes_with_the_file_and_with_the_journal(path):
    first = fingerprint(path)
    assert first["rows"] == 10
    assert first["bytes"] == path.stat().st_size
    assert first == fingerprint(path)
    with Dataset.open(path, "anna") as dataset:
        dataset.annotate(5, actions.reject())
    second = fingerprint(path)
    assert second["sha256"] == first["sha256"]
    assert second["journal_sha256"] != first["journal_sha256"]
    path.write_text(path.read_text() + "\n{}")
    assert fingerprint(path)["sha256"] != first["sha256"]


@given(st.sets(st.binary(max_size=20), min_size=1), st.floats(0, 1), st.integers(0, 2**31))
def test_adding_rows_never_moves_one(keys, share, seed):
    before = {key: is_validation(key, share, seed) for key in keys}
    assert {key: is_validation(key, share, seed) for key in before} == before


def test_a_split_has_the_share_that_was_asked_for_and_depends_on_the_seed():
    keys = [str(n).encode() for n in range(20_000)]
    for share in (0.0, 0.05, 0.5, 1.0):
        held = sum(is_validation(key, share, 7) for key in keys)
        assert abs(held - share * len(keys)) <= 5 * (share * (1 - share) * len(keys)) ** 0.5
    assert [is_validation(key, 0.5, 1) for key in keys[:100]] != [
        is_validation(key, 0.5, 2) for key in keys[:100]
    ]
    smaller = {key for key in keys if is_validation(key, 0.1, 3)}
    assert smaller <= {key for key in keys if is_validation(key, 0.2, 3)}


def test_equal_examples_have_one_key_however_they_were_written():
    one = Example((Message("user", "q"), Message("assistant", "a")))
    assert content_key(one) == content_key(Example((Message("user", "q"), Message("assistant", "a"))))
    assert content_key(one) != content_key(Example((Message("user", "q"), Message("assistant", "b"))))
    content_key(Example(text="\ud800"))


def test_half_a_character_is_left_out_and_said(tmp_path):
    path = tmp_path / "rows.jsonl"
    turns = '{"messages":[{"role":"user","content":"%s"},{"role":"assistant","content":"ok"}]}\n'
    path.write_text(turns % "half \\ud800" + turns % "whole \\ud83d\\ude00")
    skipped: list[Skipped] = []
    assert [number for number, _ in read_examples(path, skipped=skipped)] == [2]
    assert [(item.row, item.reason) for item in skipped] == [(1, "not text")]

"""A dataset as people work on it: decisions follow their rows, counts add up, a changed file is noticed."""

from __future__ import annotations

import gzip
import json
import os
import subprocess
import sys
import threading

import pytest

from ftui.core.errors import FtuiError
from ftui.data import actions
from ftui.data.dataset import Dataset
from ftui.data.rows import Counts

ROWS = [{"messages": [{"role": "user", "content": f"question {n}"}, {"role": "assistant", "content": f"answer {n}"}]} for n in range(1, 21)]  # fmt: skip


def write(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.fixture
def path(tmp_path):
    return write(tmp_path / "rows.jsonl", ROWS)


@pytest.fixture
def dataset(path):
    with Dataset.open(path, "anna") as opened:
        opened.build()
        yield opened


def test_every_action_is_seen_in_the_row_its_summary_and_the_counts(dataset):
    for action in (actions.accept(), actions.flag(), actions.rate(4), actions.tag("billing"), actions.tag("urgent"),
                   actions.untag("billing"), actions.note("look"), actions.set_value("/messages/1/content", "better")):  # fmt: skip
        dataset.annotate(2, action)
    dataset.annotate(3, actions.reject())
    dataset.annotate(4, actions.delete())
    row = dataset.row(2)
    assert (row.status, row.flagged, row.rating, row.tags, row.note) == (
        "accepted",
        True,
        4,
        ("urgent",),
        "look",
    )
    assert (row.edited, row.edited_by) == (True, "anna")
    assert row.edited_at > 0
    assert row.example is not None
    assert row.example.messages[1].content == "better"
    assert row.raw == json.dumps(ROWS[1]).encode()
    summary = dataset.summaries(2, 1)[0]
    assert (summary.status, summary.flagged, summary.edited, summary.turns) == ("accepted", True, True, 2)
    assert summary.preview == "question 2"
    assert summary.chars == len("question 2better")
    assert dataset.row(4).deleted
    assert dataset.counts() == Counts(17, 1, 1, 1, 1, 1, 0)
    assert [op.op for op in dataset.annotations(3)] == ["status"]
    dataset.annotate(4, actions.restore())
    dataset.annotate(2, actions.rate(None))
    assert dataset.row(2).rating is None
    assert dataset.counts() == Counts(18, 1, 1, 1, 1, 0, 0)


def test_operations_record_what_was_there_before(dataset):
    ops = [
        dataset.annotate(1, actions.set_value("/messages/0/content", "new")),
        dataset.annotate(1, actions.set_value("/extra", 1)),
        dataset.annotate(1, actions.accept()),
        dataset.annotate(1, actions.reject()),
    ]
    assert [op.to_dict().get("before", "nothing") for op in ops] == [
        "question 1",
        "nothing",
        "undecided",
        "accepted",
    ]


@pytest.mark.parametrize(
    ("number", "action", "says"),
    [(0, actions.accept(), "no row 0"), (21, actions.accept(), "no row 21"), (-1, actions.accept(), "no row -1"),
     (1, actions.set_value("/nowhere/0", 1), "no such place"), (1, actions.set_value("/messages/9", 1), "no such place")],
)  # fmt: skip
def test_an_action_that_cannot_be_changes_nothing(dataset, path, number, action, says):
    with pytest.raises(FtuiError, match=says):
        dataset.annotate(number, action)
    assert list(dataset.log()) == []
    assert not path.with_name("rows.jsonl.ftui").exists()


@pytest.mark.parametrize(
    "make",
    [
        lambda: actions.rate(6),
        lambda: actions.rate(0),
        lambda: actions.tag(" "),
        lambda: actions.set_value("x", 1),
    ],
)
def test_an_action_that_makes_no_sense_is_refused(make):
    with pytest.raises(FtuiError):
        make()


def test_a_broken_row_is_mended_as_text(tmp_path):
    path = tmp_path / "rows.jsonl"
    path.write_text('{"text": "ok"}\n{"text": "broken}\n')
    with Dataset.open(path, "anna") as dataset:
        dataset.build()
        assert dataset.counts().broken == 1
        assert dataset.row(2).text == '{"text": "broken}'
        with pytest.raises(FtuiError, match="broken"):
            dataset.annotate(2, actions.set_value("/text", "x"))
        dataset.annotate(2, actions.replace_raw('{"text": "mended}'))
        assert dataset.row(2).broken
        assert dataset.row(2).text == '{"text": "mended}'
        dataset.annotate(2, actions.replace_raw('{"text": "mended"}'))
        row = dataset.row(2)
        assert (row.broken, row.value, row.shape) == ("", {"text": "mended"}, "text")
        assert dataset.counts().broken == 0
        dataset.annotate(2, actions.set_value("/text", "and edited"))
        assert dataset.row(2).value == {"text": "and edited"}
        dataset.undo(3)
        assert dataset.row(2).broken
        assert dataset.counts().broken == 1


def test_edited_rows_keep_their_containers_format(tmp_path):
    path = tmp_path / "rows.csv"
    path.write_text('instruction,output\n"a, b",c\nd,e\n')
    with Dataset.open(path, "anna") as dataset:
        dataset.annotate(1, actions.set_value("/output", 'say "x"'))
        assert dataset.row(1).text == '"a, b","say ""x"""'
        assert dataset.row(1).value == {"instruction": "a, b", "output": 'say "x"'}
        for text in ("two\nlines", "old\rmac"):
            dataset.annotate(2, actions.set_value("/output", text))
            assert dataset.row(2).text == f'd,"{text}"'


def test_annotations_follow_rows_that_moved_and_are_kept_when_theirs_is_gone(dataset, path):
    for number in (3, 7, 20):
        dataset.annotate(number, actions.note(f"for {number}"))
    moved = [ROWS[19], {"text": "new"}, *ROWS[:6], *ROWS[7:19]]  # row 7 is gone
    write(path, moved)
    with Dataset.open(path, "bert") as later:
        later.build()
        notes = {row.number: row.note for row in later.rows() if row.note}
        assert notes == {1: "for 20", 5: "for 3"}
        assert [[op.after for op in ops] for ops in later.orphans()] == [["for 7"]]
    write(path, ROWS)
    with Dataset.open(path, "bert") as back:
        back.build()
        assert {row.number: row.note for row in back.rows() if row.note} == {
            n: f"for {n}" for n in (3, 7, 20)
        }
        assert back.orphans() == []


def test_identical_rows_are_annotated_apart(tmp_path):
    path = write(tmp_path / "rows.jsonl", [{"text": "same"}] * 5 + [{"text": "other"}])
    with Dataset.open(path, "anna") as dataset:
        dataset.annotate(4, actions.accept())
        dataset.annotate(2, actions.reject())
        assert [row.status for row in dataset.rows()] == [
            "undecided",
            "rejected",
            "undecided",
            "accepted",
            "undecided",
            "undecided",
        ]
        assert [op.occ for op in dataset.log()] == [3, 1]
    write(path, [{"text": "other"}, {"text": "same"}, {"text": "same"}])
    with Dataset.open(path, "anna") as dataset:
        dataset.build()
        assert sorted(row.status for row in dataset.rows()) == ["accepted", "rejected", "undecided"]
        dataset.annotate(1, actions.accept())
        assert dataset.counts().accepted == 2


def test_many_rows_are_one_operation_to_undo(tmp_path):
    path = write(tmp_path / "rows.jsonl", [{"text": f"row {n % 40}"} for n in range(200)])
    with Dataset.open(path, "anna") as dataset:
        dataset.find_all()
        dataset.annotate_many(range(1, 201), actions.accept())
        assert dataset.counts().accepted == 200
    with Dataset.open(path, "anna") as dataset:
        dataset.find_all()
        assert dataset.counts().accepted == 200
        assert len({(op.sha, op.occ) for op in dataset.log()}) == 200
        assert len(dataset.undo()) == 200
        assert dataset.counts() == Counts(undecided=200)
        assert dataset.annotate_many([], actions.accept()) == []


@pytest.mark.parametrize("change", ["replaced", "truncated", "appended", "deleted"])
def test_a_file_that_changes_while_open_is_noticed_and_said(dataset, path, change):
    dataset.annotate(2, actions.accept())
    if change == "replaced":
        other = write(path.with_name("other"), list(reversed(ROWS)))
        other.rename(path)
    elif change == "truncated":
        os.truncate(path, 100)
    elif change == "appended":
        with path.open("a") as file:
            file.write(json.dumps({"text": "one more"}) + "\n")
    else:
        path.unlink()
    for look in (
        lambda: dataset.row(1),
        lambda: dataset.summaries(1, 5),
        lambda: dataset.annotate(1, actions.accept()),
    ):
        with pytest.raises(FtuiError, match="while it was open"):
            look()
    if change == "deleted":
        with pytest.raises(FtuiError, match="no such file"):
            dataset.refresh()
        return
    assert dataset.refresh()
    assert dataset.notices
    dataset.build()
    assert dataset.rows_known == {"replaced": 20, "truncated": 1, "appended": 21}[change]
    assert [row.number for row in dataset.rows() if row.status == "accepted"] == {
        "replaced": [19],
        "truncated": [],
        "appended": [2],
    }[change]
    assert not dataset.refresh()


def test_a_packed_dataset_is_annotated_like_any_other(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    path = tmp_path / "rows.jsonl.gz"
    path.write_bytes(gzip.compress("".join(json.dumps(row) + "\n" for row in ROWS).encode()))
    with Dataset.open(path, "anna") as dataset:
        dataset.annotate(20, actions.accept())
    with Dataset.open(path, "anna") as dataset:
        dataset.build()
        assert dataset.row(20).status == "accepted"


def test_unannotated_files_leave_nothing_behind(path):
    with Dataset.open(path, "anna") as dataset:
        dataset.build()
        list(dataset.rows())
        dataset.undo()
        dataset.refresh()
    assert [file.name for file in path.parent.iterdir()] == ["rows.jsonl"]


def test_the_shape_is_voted_and_known_at_once(tmp_path):
    path = write(tmp_path / "rows.jsonl", [{"text": "x"}, *ROWS, {"odd": 1}])
    with Dataset.open(path, "anna") as dataset:
        assert dataset.shape == "messages"
        dataset.build()
        assert dataset.shapes == {"messages": 20, "text": 1, "unknown": 1}


def test_building_and_annotating_at_once_is_safe(tmp_path):
    path = write(tmp_path / "rows.jsonl", [{"text": f"row {n}", "more": "x" * 200} for n in range(30_000)])
    with Dataset.open(path, "anna") as dataset:
        failures: list[BaseException] = []

        def build() -> None:
            try:
                dataset.build()
            except BaseException as error:  # noqa: BLE001 - handed to the test
                failures.append(error)

        thread = threading.Thread(target=build)
        thread.start()
        for number in range(1, 3000, 100):
            dataset.annotate(number, actions.accept())
            assert dataset.summaries(number, 20)[0].status == "accepted"
        thread.join(180)
        assert not failures
        assert dataset.checked
        assert dataset.counts() == Counts(undecided=30_000 - 30, accepted=30)


def test_search_finds_rows_as_they_lie_and_as_they_were_edited(tmp_path):
    rows = [
        {"text": text}
        for text in ("a plain Word", 'say "hi"\nthere', "Grüße, ÉCOLE", "nothing", "WORD again", "path/to")
    ]
    for ascii_ in (True, False):
        path = tmp_path / f"rows-{ascii_}.jsonl"
        path.write_text("".join(json.dumps(row, ensure_ascii=ascii_) + "\n" for row in rows))
        with Dataset.open(path, "anna") as dataset:
            assert dataset.search("Word") == [1]
            assert dataset.search("word", ignore_case=True) == [1, 5]
            assert dataset.search('"hi"\n') == [2]
            assert dataset.search("Grüße") == [3]
            assert dataset.search("école", ignore_case=True) == [3]
            assert dataset.search("école") == []
            assert dataset.search("path/to") == [6]
            assert dataset.search("t", limit=2) == [1, 2]
            dataset.annotate(4, actions.set_value("/text", "a word too"))
            dataset.annotate(1, actions.set_value("/text", "gone"))
            assert dataset.search("word", ignore_case=True) == [4, 5]
            with pytest.raises(FtuiError):
                dataset.search("")


def test_any_case_is_the_case_of_letters_alone(tmp_path):
    texts = [
        "array[12] of @home",
        "ARRAY[12] OF @HOME",
        "array{12} of @home",
        "array[12] of `home",
        "ab",
        "AB",
    ]
    path = write(tmp_path / "rows.jsonl", [{"text": text} for text in texts] * 2)
    with Dataset.open(path, "anna") as dataset:
        assert dataset.search("Array[12] of @home", ignore_case=True) == [1, 2, 7, 8]
        assert dataset.search("aB", ignore_case=True) == [5, 6, 11, 12]
        assert dataset.search("array[12] of @home") == [1, 7]
        assert dataset.search("x" * 5000, ignore_case=True) == []


def test_search_finds_the_same_rows_whether_they_are_few_or_many(tmp_path):
    rows = [
        {"text": ("Needle " if n % 3 == 0 else "needle " if n % 3 == 1 else "hay ") + str(n)}
        for n in range(500)
    ]
    path = write(tmp_path / "rows.jsonl", [*rows, *({"text": "hay"} for _ in range(500)), {"text": "Needle"}])
    with Dataset.open(path, "anna") as dataset:
        plain = [number for number in range(1, 501) if (number - 1) % 3 == 0]
        assert dataset.search("Needle") == [*plain, 1001]
        assert dataset.search("needle", ignore_case=True) == [n for n in range(1, 501) if (n - 1) % 3 < 2] + [
            1001
        ]
        assert dataset.search("eedle", ignore_case=True, limit=3) == [1, 2, 4]


def test_search_finds_what_straddles_two_chunks(tmp_path, monkeypatch):
    from ftui.data import search

    monkeypatch.setattr(search, "_CHUNK", 64)
    path = write(tmp_path / "rows.jsonl", [{"text": f"needle {n:04d} hay"} for n in range(300)])
    with Dataset.open(path, "anna") as dataset:
        assert dataset.search("needle") == list(range(1, 301))
        assert dataset.search("NEEDLE 01", ignore_case=True) == list(range(101, 201))
        assert dataset.search("needle 0299 hay") == [300]
        seen: list[tuple[int, int]] = []
        assert dataset.search("needle", progress=lambda done, total: seen.append((done, total))) != []
        assert seen[-1][0] == seen[-1][1]
        assert dataset.search("needle", cancelled=lambda: True) == []


def test_opening_a_dataset_imports_nothing_heavy():
    code = (
        "import sys; import ftui.data.dataset, ftui.data.training; "
        "heavy = {'torch', 'transformers', 'datasets', 'pyarrow', 'pydantic', 'numpy', 'zstandard', 'textual'};"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"

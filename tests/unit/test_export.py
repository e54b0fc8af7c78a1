"""An export holds exactly what the screen showed, byte for byte where nothing was edited."""

from __future__ import annotations

import csv
import hashlib
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ftui.core.errors import FtuiError
from ftui.core.example import Example, Message
from ftui.data import actions
from ftui.data.dataset import Dataset
from ftui.data.export import Plan, export
from ftui.data.grouped_split import GroupedSplit
from ftui.data.split import content_key, is_validation

ODD_SPACING = (
    b'{ "messages":[{"role":"user","content":"caf\\u00e9 %d"} , {"role":"assistant","content":"yes"}]}'
)


@pytest.fixture
def source(tmp_path):
    path = tmp_path / "rows.jsonl"
    path.write_bytes(b"\n".join(ODD_SPACING % n for n in range(1, 6)) + b'\n{"broken": \n')
    return path


def annotate(path, *changes):
    with Dataset.open(path) as dataset:
        for number, action in changes:
            dataset.annotate(number, action)


def test_unedited_rows_keep_their_bytes_and_the_source_is_untouched(source, tmp_path):
    before = source.read_bytes()
    annotate(source, (2, actions.set_value("/messages/1/content", "no")), (3, actions.reject()))
    report = export(source, tmp_path / "out.jsonl", Plan())
    lines = (tmp_path / "out.jsonl").read_bytes().splitlines()
    assert lines[0] == ODD_SPACING % 1
    assert json.loads(lines[1])["messages"][1]["content"] == "no"
    assert lines[2] == ODD_SPACING % 4
    assert report.skipped == {"rejected": 1, "broken": 1}
    assert source.read_bytes() == before


def test_the_manifest_names_every_file_by_its_hash(source, tmp_path):
    report = export(source, tmp_path / "out.jsonl", Plan())
    manifest = json.loads(report.manifest.read_text())
    assert manifest["source"]["sha256"] == hashlib.sha256(source.read_bytes()).hexdigest()
    written = manifest["files"][0]
    assert written["sha256"] == hashlib.sha256((tmp_path / "out.jsonl").read_bytes()).hexdigest()
    assert written["rows"] == 5


def test_only_accepted_takes_only_accepted(source, tmp_path):
    annotate(source, (4, actions.accept()))
    report = export(source, tmp_path / "out.jsonl", Plan(only="accepted"))
    assert report.files[0].rows == 1


@pytest.mark.parametrize("shape", ["sharegpt", "alpaca", "prompt_completion", "messages"])
def test_another_shape_says_the_same(source, tmp_path, shape):
    export(source, tmp_path / "out.jsonl", Plan(shape=shape))
    with Dataset.open(source) as one, Dataset.open(tmp_path / "out.jsonl") as two:
        assert [m.content for m in one.row(1).example.messages] == [
            m.content for m in two.row(1).example.messages
        ]


def test_rows_that_do_not_fit_are_left_out_and_counted_when_asked(source, tmp_path):
    source.write_bytes(
        b'{"messages":[{"role":"user","content":"no answer"}]}\n'
        + source.read_bytes().split(b"\n")[0]
        + b"\n"
    )
    with pytest.raises(FtuiError, match="row 1"):
        export(source, tmp_path / "out.jsonl", Plan(shape="alpaca"))
    assert not (tmp_path / "out.jsonl").exists()
    report = export(source, tmp_path / "out.jsonl", Plan(shape="alpaca", skip_unfit=True))
    assert report.files[0].rows == 1
    assert report.skipped == {"do not fit alpaca": 1}


def test_a_csv_leaves_out_rows_with_other_columns_when_asked(tmp_path):
    source = tmp_path / "rows.jsonl"
    source.write_text('{"a": "1"}\n{"a": "2", "b": "3"}\n["no", "fields"]\n{"a": "4"}\n')
    report = export(source, tmp_path / "out.csv", Plan(skip_unfit=True))
    assert (tmp_path / "out.csv").read_text().split() == ["a", "1", "4"]
    assert report.skipped == {"do not fit CSV": 2}


def test_the_source_and_strangers_files_are_not_overwritten(source, tmp_path):
    with pytest.raises(FtuiError, match="dataset itself"):
        export(source, source, Plan(overwrite=True))
    other = tmp_path / "precious.jsonl"
    other.write_text("mine\n")
    with pytest.raises(FtuiError, match="exists already"):
        export(source, other, Plan())
    assert other.read_text() == "mine\n"


def test_an_earlier_export_is_replaced(source, tmp_path):
    export(source, tmp_path / "out.jsonl", Plan())
    annotate(source, (1, actions.reject()))
    assert export(source, tmp_path / "out.jsonl", Plan()).files[0].rows == 4


def test_a_row_the_shape_cannot_hold_stops_the_export_and_leaves_nothing(source, tmp_path):
    with pytest.raises(FtuiError, match="row 1"):
        export(source, tmp_path / "out.jsonl", Plan(shape="preference"))
    assert [path.name for path in tmp_path.iterdir() if "out" in path.name] == []


def test_cancelling_leaves_nothing(source, tmp_path):
    with pytest.raises(FtuiError, match="cancelled"):
        export(source, tmp_path / "out.jsonl", Plan(), cancelled=lambda: True)
    assert [path.name for path in tmp_path.iterdir() if "out" in path.name] == []


def test_spreadsheet_safe_is_an_opt_in_that_defuses_formulas(tmp_path):
    source = tmp_path / "rows.csv"
    source.write_text("prompt,completion\nhi,=1+1\n")
    export(source, tmp_path / "plain.csv", Plan())
    export(source, tmp_path / "safe.csv", Plan(spreadsheet_safe=True))
    assert (tmp_path / "plain.csv").read_text() == source.read_text()
    assert "'=1+1" in (tmp_path / "safe.csv").read_text()


def test_spreadsheet_safe_defuses_every_beginning_of_a_formula_and_says_how_many_cells_it_altered(tmp_path):
    source = tmp_path / "rows.jsonl"
    texts = ["=1", "+1", "-1", "@sum", "\t=1", "\r=1", "1=1", " =1", ""]
    source.write_text("".join(json.dumps({"prompt": text, "=completion": "fine"}) + "\n" for text in texts))
    report = export(source, tmp_path / "safe.csv", Plan(spreadsheet_safe=True))
    with (tmp_path / "safe.csv").open(newline="") as file:
        header, *rows = csv.reader(file)
    assert header == ["prompt", "'=completion"]
    assert [row[0] for row in rows] == [*(f"'{text}" for text in texts[:6]), *texts[6:]]
    assert report.altered == report.to_dict()["altered"] == 7
    assert json.loads(report.manifest.read_text())["altered"] == 7
    assert export(source, tmp_path / "plain.csv", Plan()).altered == 0
    with pytest.raises(FtuiError, match="only a CSV"):
        export(source, tmp_path / "safe.jsonl", Plan(spreadsheet_safe=True))


def example(seed: int, change: int = -1) -> Example:
    words = [f"word{seed}x{at}" for at in range(200)]
    if change >= 0:
        words[change] = "changed"
    return Example((Message("user", " ".join(words)), Message("assistant", "ok")))


def sides(examples, share=0.3, seed=1):
    split = GroupedSplit(share, seed)
    return [split.side(item) for item in examples]


@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 30), st.integers(-1, 59)), min_size=1, max_size=30))
def test_near_duplicates_never_straddle_and_old_rows_never_move(picks):
    examples = [example(seed, change) for seed, change in picks]
    decided = sides(examples)
    assert sides([*examples, example(99)])[: len(decided)] == decided
    for seed in {seed for seed, _ in picks}:
        group = {side for side, (other, _) in zip(decided, picks, strict=True) if other == seed}
        assert len(group - {"between"}) <= 1


@pytest.mark.parametrize("share", [0.01, 0.2, 0.5, 0.99])
@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("picks", [[0] * 21, [0] * 20 + [1] * 4, [0, 1], list(range(8)) * 6, list(range(40))])
def test_no_side_is_left_empty_and_groups_stay_whole(picks, share, seed):
    examples = [example(pick, at % 3) for at, pick in enumerate(picks)]
    split = GroupedSplit(share, seed)
    first = [split.side(item) for item in examples]
    mended = split.mended()
    decided = [mended.side(item) for item in examples] if mended else first
    assert (mended is None) or mended.mended() is None
    if len(set(first)) == 2:
        assert mended is None  # what both sides got is left as it is
    assert set(decided) == ({"train", "validation"} if len(set(picks)) > 1 else {"train"})
    assert (mended or split).alike == (len(picks) if len(set(picks)) == 1 else 0)
    for pick in set(picks):
        assert len({side for side, other in zip(decided, picks, strict=True) if other == pick}) == 1


@pytest.mark.parametrize("different", [1, 3])
def test_neither_file_of_a_split_is_empty_where_there_are_two_groups(tmp_path, different):
    source = tmp_path / "rows.jsonl"
    texts = [f"a question that is number {n % different} of this kind" for n in range(21)]
    source.write_text("".join(json.dumps({"prompt": text, "completion": "fine"}) + "\n" for text in texts))
    for seed in range(6):
        for share in (0.02, 0.98):
            report = export(source, tmp_path / "out.jsonl", Plan(split=share, seed=seed, overwrite=True))
            rows = [file.rows for file in report.files]
            assert sum(rows) == 21 == sum(file.path.read_bytes().count(b"\n") for file in report.files)
            assert rows == [21, 0] if different == 1 else all(rows)


def test_groups_joined_by_a_later_row_go_over_together():
    both, left, right = ([f"word{at}" for at in range(200)] for _ in range(3))
    left[:11] = [f"left{at}" for at in range(11)]  # each is near to `both`, and too far from the other
    right[100:111] = [f"right{at}" for at in range(11)]
    rows = [*(Example((Message("user", " ".join(words)),)) for words in (left, right, both)), example(9)]
    seen = set()
    for seed in range(40):
        split = GroupedSplit(0.5, seed)
        before = [split.side(item) for item in rows]
        if mended := split.mended():
            seen.add(tuple(mended.side(item) for item in rows))
        else:
            assert "between" in before or len(set(before)) == 2
    assert seen == {("train",) * 3 + ("validation",), ("validation",) * 3 + ("train",)}


def test_a_row_that_gives_nothing_to_train_on_fills_no_side():
    split = GroupedSplit(0.5, 0)
    examples = [example(number) for number in range(30)]
    for item in examples:
        split.side(item, used=is_validation(content_key(item), 0.5, 0))
    mended = split.mended()
    assert mended is not None
    used = [item for item in examples if is_validation(content_key(item), 0.5, 0)]
    assert {mended.side(item) for item in used} == {"train", "validation"}


def test_the_split_holds_back_about_its_share():
    decided = sides([example(n) for n in range(300)], share=0.2)
    assert 35 <= decided.count("validation") <= 85

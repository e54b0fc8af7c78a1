"""Hostile input: any JSON row survives annotating and undoing; damage to files and journals costs what it hit."""

from __future__ import annotations

import itertools
import json
import tempfile
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ftui.core import shapes
from ftui.data import actions
from ftui.data.dataset import Dataset
from ftui.data.journal import sidecar
from ftui.data.pointers import get

SETTINGS = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])

texts = st.text(max_size=40)
scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | texts
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=12,
)
turn = st.fixed_dictionaries(
    {"role": st.sampled_from(["user", "assistant", "system", "tool"]), "content": texts},
    optional={"weight": st.floats(0, 1), "tool_calls": values},
)
share_turn = st.fixed_dictionaries(
    {"from": st.sampled_from(["human", "gpt", "function_call", "observation"]), "value": texts}
)
rows = st.one_of(
    st.fixed_dictionaries({"messages": st.lists(turn, min_size=1, max_size=4)}),
    st.fixed_dictionaries({"conversations": st.lists(share_turn, min_size=1, max_size=4)}, optional={"system": texts, "tools": texts}),
    st.fixed_dictionaries({"instruction": texts, "input": texts, "output": texts}),
    st.fixed_dictionaries({"prompt": texts, "completion": texts}, optional={"label": st.booleans()}),
    st.fixed_dictionaries({"prompt": texts, "chosen": texts, "rejected": texts}),
    st.fixed_dictionaries({"conversations": st.lists(share_turn, min_size=1, max_size=2), "chosen": share_turn, "rejected": share_turn}),
    st.fixed_dictionaries({"text": texts}),
    values,
)  # fmt: skip
containers = st.sampled_from(["jsonl", "crlf", "array", "pretty array", "object"])


def written(rows_: list[object], container: str) -> bytes:
    ascii_ = len(rows_) % 2 == 0
    lines = [json.dumps(row, ensure_ascii=ascii_) for row in rows_]
    if container in ("jsonl", "crlf"):
        return "".join(line + ("\r\n" if container == "crlf" else "\n") for line in lines).encode()
    if container == "object":
        return json.dumps({"rows": rows_, "about": "x"}, ensure_ascii=ascii_).encode()
    return json.dumps(rows_, ensure_ascii=ascii_, indent=2 if container == "pretty array" else None).encode()


def place() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory()


@SETTINGS
@given(st.lists(rows, min_size=1, max_size=6), containers, st.data())
def test_rows_of_any_shape_survive_annotating_and_undoing_byte_for_byte(rows_, container, data):
    if container == "jsonl" and len(rows_) == 1:
        rows_ = [rows_[0], {"text": "a second line makes it JSON lines"}]
    if container in ("jsonl", "crlf"):
        rows_ = [{"text": "the first row is an object"}, *rows_]
    with place() as folder:
        path = Path(folder) / "rows.json"
        path.write_bytes(written(rows_, container))
        with Dataset.open(path, "anna") as dataset:
            before = list(dataset.rows())
            assert [row.value for row in before] == rows_
            number = data.draw(st.integers(1, len(rows_)))
            new = data.draw(values)
            dataset.annotate(number, actions.set_value("", new))
            dataset.annotate(number, actions.tag("seen"))
            assert dataset.row(number).value == new
            assert json.loads(dataset.row(number).text) == new
        with Dataset.open(path, "anna") as dataset:
            assert dataset.row(number).value == new
            assert len(dataset.undo(2)) == 2
            assert list(dataset.rows()) == before
        assert path.read_bytes() == written(rows_, container)


@SETTINGS
@given(rows)
def test_any_value_has_a_shape_and_an_example_or_none(value):
    shape = shapes.recognise(value)
    assert shape in shapes.SHAPES
    for name in shapes.SHAPES:
        shapes.to_example(value, name)
    if shape != "unknown":
        assert shapes.to_example(value) is not None


damage = st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 255)), min_size=1, max_size=8)


def damaged(data: bytes, wounds: list[tuple[int, int]]) -> bytes:
    out = bytearray(data)
    for at, byte in wounds:
        out[at % len(out)] = byte
    return bytes(out)


GOOD = [{"instruction": f"question {n}", "output": f"the answer, {n}"} for n in range(12)]


@SETTINGS
@given(damage, containers)
def test_a_damaged_file_never_raises_and_loses_only_what_was_hit(wounds, container):
    whole = written(GOOD, container)
    with place() as folder:
        path = Path(folder) / "rows.json"
        path.write_bytes(damaged(whole, wounds))
        with Dataset.open(path, "anna") as dataset:
            dataset.build()
            seen = list(dataset.rows())
            dataset.summaries(1, 100)
            values_ = [row.value for row in seen if not row.broken]
            # One wound spoils at most its own row and the one before it (a separator may be hit).
            intact = sum(row in values_ for row in GOOD)
            if container in ("jsonl", "crlf"):
                assert intact >= len(GOOD) - 2 * len(wounds)
            for row in seen:
                dataset.annotate(row.number, actions.accept())
            assert dataset.counts().accepted == len(seen)


TALKS = [
    {
        "messages": [
            {"role": "user", "content": f'q {n}, "quoted" {{braces}}'},
            {"role": "assistant", "content": f"a {n}"},
        ]
    }
    for n in range(12)
]


@SETTINGS
@given(
    st.integers(0, 10**6),
    st.integers(0, 255) | st.sampled_from(list(b'"{}[],:\\\n')),
    st.sampled_from([GOOD, TALKS]),
    st.booleans(),
)
def test_one_damaged_byte_in_an_array_costs_one_row(at, byte, rows_, pretty):
    whole = written(rows_, "pretty array" if pretty else "array")
    with place() as folder:
        path = Path(folder) / "rows.json"
        path.write_bytes(damaged(whole, [(at, byte)]))
        with Dataset.open(path, "anna") as dataset:
            seen = [row.value for row in dataset.rows() if not row.broken]
            assert sum(row in seen for row in rows_) >= len(rows_) - 1


def annotated(path: Path) -> list[str]:
    path.write_bytes(written(GOOD, "jsonl"))
    with Dataset.open(path, "anna") as dataset:
        for number in range(1, 13):
            dataset.annotate(number, actions.note(f"a note for row {number}"))
    return [f"a note for row {number}" for number in range(1, 13)]


@SETTINGS
@given(st.integers(0, 10**6), st.integers(0, 255))
def test_one_damaged_byte_in_a_journal_drops_no_annotation(at, byte):
    with place() as folder:
        path = Path(folder) / "rows.jsonl"
        notes = annotated(path)
        [journal] = sidecar(path).glob("journal-*")
        journal.write_bytes(damaged(journal.read_bytes(), [(at, byte)]))
        with Dataset.open(path, "anna") as dataset:
            assert [row.note for row in dataset.rows()] == notes


def test_a_damaged_byte_at_the_edge_of_a_journals_line_drops_no_annotation():
    with place() as folder:
        path = Path(folder) / "rows.jsonl"
        notes = annotated(path)
        [journal] = sidecar(path).glob("journal-*")
        whole = journal.read_bytes()
        ends = [at for at, byte in enumerate(whole) if byte == ord("\n")]
        edges = [0, *(at + by for at in ends for by in (-1, 0, 1))][:-1]
        for at, byte in itertools.product(edges, b"\n }0"):
            journal.write_bytes(damaged(whole, [(at, byte)]))
            with Dataset.open(path, "anna") as dataset:
                assert [row.note for row in dataset.rows()] == notes, (at, byte)
                assert dataset.bad_journal_lines == 0, (at, byte)


@SETTINGS
@given(damage)
def test_a_damaged_journal_never_raises_and_keeps_every_line_that_was_not_hit(wounds):
    with place() as folder:
        path = Path(folder) / "rows.jsonl"
        notes = annotated(path)
        [journal] = sidecar(path).glob("journal-*")
        whole = journal.read_bytes()
        broken = damaged(whole, wounds)
        journal.write_bytes(broken)
        kept = [note for note, old, new in zip(notes, whole.split(b"\n"), range(12), strict=False)
                if broken.split(b"\n").count(old) and new >= 0]  # fmt: skip
        with Dataset.open(path, "anna") as dataset:
            seen = {row.note for row in dataset.rows()}
            assert set(kept) <= seen
            dataset.annotate(1, actions.accept())
            dataset.undo(20)
        with Dataset.open(path, "anna") as dataset:
            assert all(not row.note for row in dataset.rows())


def test_set_reaches_any_place_a_pointer_names(tmp_path):
    path = tmp_path / "rows.jsonl"
    path.write_text(json.dumps({"a/b": {"~": [1, {"x": "y"}]}}) + "\n{}\n")
    with Dataset.open(path, "anna") as dataset:
        dataset.annotate(1, actions.set_value("/a~1b/~0/1/x", 2**70))
        dataset.annotate(1, actions.set_value("/a~1b/~0/-", "added"))
        value = dataset.row(1).value
        assert value == {"a/b": {"~": [1, {"x": 2**70}, "added"]}}
        assert get(value, "/a~1b/~0/2") == "added"
        assert json.loads(dataset.row(1).text) == value

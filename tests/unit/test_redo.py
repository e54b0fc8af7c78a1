"""Redo: an undo is an operation like any other, and can be taken back."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ftui.cli.main import _exit_code
from ftui.data import actions
from ftui.data.dataset import Dataset
from ftui.data.journal import sidecar


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps({"text": f"row {number}"}) + "\n" for number in range(1, 6)))
    return path


def test_what_was_undone_is_done_again(path):
    with Dataset.open(path, "anna") as dataset:
        dataset.annotate(2, actions.accept())
        dataset.annotate(2, actions.set_value("/text", "new"))
        dataset.undo()
        dataset.undo()
        assert [op.op for op in dataset.redo()] == ["status"]
        assert dataset.row(2).status == "accepted"
        assert [op.op for op in dataset.redo()] == ["set"]
        assert dataset.row(2).value == {"text": "new"}
        assert dataset.redo() == []


def test_redo_reaches_over_a_restart_and_can_be_undone_again(path):
    with Dataset.open(path, "anna") as dataset:
        dataset.annotate(2, actions.accept())
        dataset.undo()
    with Dataset.open(path, "anna") as dataset:
        assert dataset.redo()
    with Dataset.open(path, "anna") as dataset:
        assert dataset.row(2).status == "accepted"
        assert dataset.undo()
        assert dataset.row(2).status == "undecided"
        assert dataset.redo()
        assert dataset.row(2).status == "accepted"


def test_going_on_ends_what_can_be_redone(path):
    with Dataset.open(path, "anna") as dataset:
        dataset.annotate(2, actions.accept())
        dataset.undo()
        dataset.annotate(3, actions.reject())
        assert dataset.redo() == []
        assert dataset.row(2).status == "undecided"


def test_a_bulk_action_comes_back_whole(path):
    with Dataset.open(path, "anna") as dataset:
        dataset.annotate_many([1, 3, 5], actions.reject())
        dataset.undo()
        assert sorted(op.n for op in dataset.redo()) == [1, 3, 5]
        assert dataset.counts().rejected == 3


def test_nobody_redoes_what_another_took_back(path):
    with Dataset.open(path, "anna") as dataset:
        dataset.annotate(2, actions.accept())
        dataset.undo()
    with Dataset.open(path, "bert") as dataset:
        assert dataset.redo() == []


def test_redo_from_the_command_line(path, capsys, monkeypatch):
    monkeypatch.setenv("FTUI_USER", "anna")
    with Dataset.open(path, "anna") as dataset:
        dataset.annotate(2, actions.accept())
        dataset.undo()
    assert _exit_code(["data", "redo", str(path), "--json"]) == 0
    assert [op["row"]["n"] for op in json.loads(capsys.readouterr().out)["redone"]] == [2]
    assert _exit_code(["data", "redo", str(path)]) == 0
    assert "nothing to redo" in capsys.readouterr().out


@settings(deadline=None, max_examples=60)
@given(st.lists(st.sampled_from("accept reject tag undo redo".split()), max_size=25), st.randoms())
def test_undo_and_redo_walk_through_the_history_however_the_journal_is_read(tmp_path_factory, steps, random):
    path = tmp_path_factory.mktemp("rows") / "rows.jsonl"
    path.write_text('{"text": "one"}\n')
    done: list[tuple[str, tuple[str, ...]]] = [("undecided", ())]
    at = 0
    with Dataset.open(path, "anna") as dataset:
        for number, step in enumerate(steps):
            status, tags = done[at]
            if step == "undo":
                assert bool(dataset.undo()) == (at > 0)
                at = max(0, at - 1)
            elif step == "redo":
                assert bool(dataset.redo()) == (at + 1 < len(done))
                at = min(at + 1, len(done) - 1)
            else:
                tag = actions.tag(f"t{number}")
                dataset.annotate(
                    1, {"accept": actions.accept(), "reject": actions.reject(), "tag": tag}[step]
                )
                after = (status, (*tags, f"t{number}")) if step == "tag" else (f"{step}ed", tags)
                done[at + 1 :] = [after]
                at += 1
            row = dataset.row(1)
            assert (row.status, row.tags) == done[at]
    for journal in sidecar(path).glob("journal-*") if sidecar(path).exists() else ():
        lines = journal.read_bytes().splitlines(keepends=True)
        random.shuffle(lines)
        journal.write_bytes(b"".join(lines))
    with Dataset.open(path, "bert") as dataset:
        row = dataset.row(1)
        assert (row.status, row.tags) == done[at]

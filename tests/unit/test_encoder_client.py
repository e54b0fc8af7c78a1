"""The encoder's client: every length goes to its own row, and nothing is made up when the file changes."""

from __future__ import annotations

import json

import pytest

from ftui.core.errors import FtuiError, ModelError
from ftui.core.example import Example, Message
from ftui.data import actions
from ftui.data.dataset import Dataset
from ftui.runs import encoder as module
from ftui.runs.encoder import Encoder, Token, example_of, row_lengths

EXAMPLE = Example((Message("user", "q"), Message("assistant", "a")))


class Answering:
    """Stands in for the process: counts words, gives no tokens for labelled-undesirable rows."""

    def __init__(self, name, log_path=None):
        assert name == "ftui.engine.encode"
        self.asked, self.closed, self.over = [], False, False
        made.append(self)

    def call(self, op, **fields):
        try:
            yield from self.events(op, **fields)
        finally:
            self.over = True

    def events(self, op, **fields):
        self.asked.append((op, fields))
        yield {"event": "progress", "stage": "encode", "done": 1, "total": 0}
        if op == "xray":
            total = count(fields["example"])
            yield {**VIEW, "total": total}
        else:
            from pathlib import Path

            from ftui.data.training import read_examples

            examples = read_examples(Path(fields["path"]), fields.get("only", "all"))
            totals = [(number, count(example.to_dict())) for number, example in examples]
            kept = [[number, total] for number, total in totals if total]
            refused = [[number, "labelled undesirable"] for number, total in totals if not total]
            if fields.get("rows"):
                for at in range(0, max(1, len(kept)), 2):
                    yield {
                        "event": "lengths",
                        "rows": kept[at : at + 2],
                        "refused": refused if not at else [],
                    }
            yield {
                "event": "finished", "count": len(kept), "mean": 2.5, "p50": 1, "p90": 2, "p95": 3, "p99": 4,
                "max": 5, "over": {"256": 1, "8": 2}, "refused": len(refused),
            }  # fmt: skip

    def close(self):
        self.closed = True


VIEW = {
    "event": "finished", "trained": 1, "total": 2, "truncated": 0, "eos_trained": True, "dropped": "",
    "warnings": ["careful"],
    "tokens": [
        {"id": 7, "text": "q", "trained": False, "role": "user", "special": False, "truncated": False, "weight": 0.0},
        {"id": 8, "text": "a", "trained": True, "role": "assistant", "special": True, "truncated": False, "weight": 0.5},
    ],
}  # fmt: skip
made: list[Answering] = []


def count(example):
    if example["label"] is False:
        return 0
    return sum(len(turn["content"].split()) for turn in example["messages"] + (example["chosen"] or []))


@pytest.fixture(autouse=True)
def _stand_in(monkeypatch):
    monkeypatch.setattr(module, "EngineClient", Answering)
    made.clear()


@pytest.fixture
def write(tmp_path):
    def call(*rows):
        file = tmp_path / "rows.jsonl"
        file.write_text("".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows))
        return file

    return call


def reply(words, label=None):
    row = {"prompt": "q", "completion": " ".join(["w"] * (words - 1))}
    return row if label is None else {**row, "label": label}


def test_an_xray_comes_back_as_frozen_values():
    with Encoder() as encoder:
        seen = encoder.xray(EXAMPLE, "m", train_on="last", max_length=9, revision="abc")
    assert seen.tokens == (
        Token(7, "q", False, "user", False, False, 0.0),
        Token(8, "a", True, "assistant", True, False, 0.5),
    )
    assert (seen.trained, seen.total, seen.truncated, seen.eos_trained) == (1, 2, 0, True)
    assert seen.warnings == ("careful",)
    ((op, asked),) = made[0].asked
    assert op == "xray"
    assert asked == {
        "example": EXAMPLE.to_dict(), "model": "m", "train_on": "last", "max_length": 9, "overlong": "truncate",
        "revision": "abc",
    }  # fmt: skip
    assert made[0].closed


def test_without_a_longest_length_nothing_is_cut():
    with Encoder() as encoder:
        encoder.xray(EXAMPLE, "m")
    assert made[0].asked[0][1]["max_length"] > 10**9


def test_lengths_are_a_report_with_numbers_for_keys(write):
    told = []
    with Encoder() as encoder:
        found = encoder.lengths(write(reply(3)), "m", max_length=8, progress=lambda *step: told.append(step))
    assert (found.count, found.max, found.over) == (1, 5, {256: 1, 8: 2})
    assert told == [("encode", 1, 0)]


def test_every_length_goes_to_its_own_row_around_broken_ones(write):
    file = write(reply(3), '{"prompt": "bro', reply(5), reply(2))
    assert list(row_lengths(file, "m")) == [(1, 3), (3, 5), (4, 2)]
    assert made[0].closed


@pytest.mark.parametrize("refused", [[0], [1], [3], [0, 1], [2, 3], [0, 3], [0, 1, 2, 3]])
def test_rows_that_give_no_tokens_shift_no_other_row(write, refused):
    file = write(*(reply(n + 2, label=n not in refused) for n in range(4)))
    assert list(row_lengths(file, "m")) == [(n + 1, n + 2) for n in range(4) if n not in refused]


def test_rows_that_give_no_tokens_are_told_with_the_reason(write):
    refused = {}
    with Encoder() as encoder:
        file = write(reply(3, label=True), reply(4, label=False))
        assert list(encoder.row_lengths(file, "m", refused=refused)) == [(1, 3)]
    assert refused == {2: "labelled undesirable"}


def test_whoever_has_seen_enough_ends_the_counting(write):
    with Encoder() as encoder:
        rows = encoder.row_lengths(write(*(reply(n + 2) for n in range(6))), "m")
        assert next(rows) == (1, 2)
        rows.close()
        assert made[0].over


def test_what_was_counted_before_cancelling_is_kept(write):
    counted = []
    for row in row_lengths(write(*(reply(n + 2) for n in range(6))), "m", cancelled=lambda: bool(counted)):
        counted.append(row)
    assert counted == [(1, 2), (2, 3)]
    assert made[0].closed


def test_rejected_rows_are_left_out_where_they_do_not_train(write):
    file = write(reply(3), reply(5))
    with Dataset.open(file) as dataset:
        dataset.annotate(1, actions.reject())
    assert list(row_lengths(file, "m", only="not-rejected")) == [(2, 5)]


def test_a_cancelled_count_yields_nothing_and_ends_the_process(write):
    assert list(row_lengths(write(reply(3)), "m", cancelled=lambda: True)) == []
    assert made[0].closed


def test_the_process_is_ended_when_it_fails(write, monkeypatch):
    def fail(self, op, **fields):
        raise ModelError("the engine stopped unexpectedly")

    monkeypatch.setattr(Answering, "call", fail)
    with pytest.raises(ModelError):
        list(row_lengths(write(reply(3)), "m"))
    assert made[0].closed


def test_rows_that_cannot_be_looked_at_say_why_and_where(write):
    file = write(reply(3), '{"prompt": "bro', {"strange": 1}, {"prompt": "q", "completion": "\ud800"})
    assert example_of(file, 1).messages
    for number, why in ((2, "row 2 is broken"), (3, "no shape"), (4, "half a character"), (9, "no row 9")):
        with pytest.raises(FtuiError, match=why) as caught:
            example_of(file, number)
        assert str(file) in caught.value.where


def test_a_post_that_ends_a_thread_is_seen_as_its_conversation(write):
    file = write(
        {"message_id": "a", "parent_id": None, "text": "q", "role": "prompter"},
        {"message_id": "b", "parent_id": "a", "text": "answer", "role": "assistant"},
    )
    assert [turn.content for turn in example_of(file, 2).messages] == ["q", "answer"]
    with pytest.raises(FtuiError, match="answered by a later post"):
        example_of(file, 1)

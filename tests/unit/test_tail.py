"""Reading events as they grow, and the history made of them."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ftui.core.events import decode, encode
from ftui.runs import tail as tail_module
from ftui.runs.history import SECONDS, History
from ftui.runs.live import LiveHistory
from ftui.runs.tail import EventTail


def event(**fields):
    return {"v": 1, "seq": 1, "t": 0.0, "attempt": 1, "type": "step", **fields}


@pytest.fixture
def path(tmp_path):
    return tmp_path / "events.jsonl"


def append(path, data):
    with path.open("ab") as file:
        file.write(data)


def test_a_file_that_is_not_there_yet_has_no_events(path):
    assert EventTail(path).read() == []


def test_only_whole_lines_are_read_and_none_twice(path):
    tail = EventTail(path)
    first, second = encode(event(step=1)), encode(event(step=2))
    append(path, first + second[:9])
    assert [item["step"] for item in tail.read()] == [1]
    assert tail.read() == []
    append(path, second[9:])
    assert [item["step"] for item in tail.read()] == [2]
    assert (tail.bad, tail.more) == (0, False)


def test_a_torn_line_taken_back_by_its_writer_is_not_seen(path):
    tail = EventTail(path)
    first = encode(event(step=1))
    append(path, first + b'{"type":"torn')
    assert len(tail.read()) == 1
    with path.open("r+b") as file:
        file.truncate(len(first))
    append(path, encode(event(step=2)))
    assert [item["step"] for item in tail.read()] == [2]
    assert (tail.bad, tail.resets) == (0, 0)


def test_reads_are_bounded(path):
    append(path, b"".join(encode(event(step=step)) for step in range(10)))
    tail = EventTail(path)
    assert [len(tail.read(4)) for _ in range(4)] == [4, 4, 2, 0]


def test_bad_lines_are_counted_and_skipped(path):
    append(path, b"\0\0\0\n{}\n[1]\n\n" + encode(event(step=1)) + b"\xff\xfe\n" + b'{"type":"step"\n')
    tail = EventTail(path)
    assert [item["step"] for item in tail.read()] == [1]
    assert tail.bad == 5


def test_a_line_longer_than_any_event_is_one_bad_line(path, monkeypatch):
    monkeypatch.setattr(tail_module, "_BLOCK_BYTES", 64)
    monkeypatch.setattr(tail_module, "_LINE_BYTES", 256)
    append(path, b"x" * 5000 + b"\n" + encode(event(step=1)) + encode(event(step=2, note="y" * 150)))
    tail = EventTail(path)
    assert [item["step"] for item in tail.read()] == [1, 2]
    assert tail.bad == 1


def test_a_replaced_or_shortened_file_is_read_from_its_beginning(path):
    append(path, encode(event(step=1)) * 3)
    tail = EventTail(path)
    assert len(tail.read()) == 3
    path.write_bytes(encode(event(step=9)))
    assert [item["step"] for item in tail.read()] == [9]
    assert tail.resets == 1


def test_a_diverged_loss_comes_back_as_what_it_was(path):
    append(path, encode(event(step=1, loss=math.nan, grad_norm=math.inf)))
    (item,) = EventTail(path).read()
    assert math.isnan(item["loss"])
    assert item["grad_norm"] == math.inf


@given(
    st.lists(st.one_of(st.binary(max_size=40), st.just(encode(event(step=1)))), max_size=12),
    st.integers(1, 9),
)
def test_any_bytes_are_read_as_the_line_by_line_decoder_reads_them(tmp_path_factory, pieces, size):
    path = tmp_path_factory.mktemp("any") / "events.jsonl"
    path.touch()
    content, tail, found = b"".join(pieces) + b"\n", EventTail(path), []
    for start in range(0, len(content), size):
        append(path, content[start : start + size])
        found += tail.read(2)
    while events := tail.read(2):
        found += events
    lines = content.split(b"\n")
    assert found == [item for line in lines if (item := decode(line)) is not None]
    assert tail.bad == sum(1 for line in lines if line and decode(line) is None)


@pytest.mark.parametrize("number", ["1" + "0" * 400, "-1" + "0" * 400, "1e999", "9" * 30])
def test_a_number_larger_than_any_figure_breaks_nothing(path, number):
    line = f'{{"v":1,"seq":1,"t":{number},"attempt":1,"type":"step","step":3,"loss":{number}}}\n'
    append(path, line.encode() + encode(event(step=4, loss=1.0)))
    live = LiveHistory(path)
    assert live.refresh()
    assert list(live.history.steps.column("step")) == [3, 4]
    assert abs(live.history.steps.column("loss")[0]) > 1e20


def test_fields_that_are_null_throughout_make_no_column_and_no_delay():
    rows = [event(step=step, loss=1.0, mfu=None, late=None if step < 3 else 2.0) for step in range(1, 5)]
    history = fed(*rows)
    assert "mfu" not in history.steps.names
    assert list(map(repr, history.steps.column("late"))) == ["nan", "nan", "2.0", "2.0"]


def fed(*events):
    history = History()
    history.feed(events)
    return history


def test_columns_hold_every_number_and_nan_where_none_was_told():
    history = fed(event(step=1, loss=2.0), event(step=2, loss=1.0, grad_norm=0.5), event(step=3))
    assert list(history.steps.column("step")) == [1, 2, 3]
    assert list(history.steps.column("loss"))[:2] == [2.0, 1.0]
    assert math.isnan(history.steps.column("loss")[2])
    assert math.isnan(history.steps.column("grad_norm")[0])
    assert len(history.steps.column("never told")) == 3
    assert history.steps.last("loss") == 1.0
    assert history.steps.last("never told") is None


def test_evaluations_have_a_table_of_their_own():
    history = fed(event(step=1, loss=1.0), event(type="eval", step=1, eval_loss=3.0))
    assert (len(history.steps), len(history.evals)) == (1, 1)
    assert history.evals.last("eval_loss") == 3.0


def test_a_resumed_attempt_replaces_the_steps_it_does_again():
    history = fed(
        *(event(step=step, loss=1.0) for step in range(1, 8)),
        event(type="end", outcome="stopped"),
        event(type="attempt", attempt=2, step=5),
        event(attempt=2, step=6, loss=9.0),
    )
    assert list(history.steps.column("step")) == [1, 2, 3, 4, 5, 6]
    assert history.steps.column("loss")[-1] == 9.0
    assert (history.attempts, history.end) == (1, None)


def test_time_trained_leaves_out_pauses_and_clock_jumps():
    history = fed(
        event(type="attempt", t=100.0, step=0),
        event(step=1, t=110.0),
        event(step=2, t=50.0),
        event(type="attempt", t=9000.0, step=2),
        event(step=3, t=9005.0),
    )
    assert list(history.steps.column(SECONDS)) == [10.0, 10.0, 15.0]


@pytest.mark.parametrize("step", [None, "3", math.nan, True])
def test_a_step_without_a_number_does_not_break_the_axis(step):
    history = fed(event(step=1, loss=1.0), event(step=step, loss=2.0))
    assert len(history.steps) <= 1


def test_a_live_history_starts_over_with_a_replaced_file(path):
    append(path, encode(event(step=1)) * 4)
    live = LiveHistory(path)
    assert live.refresh()
    assert not live.refresh()
    path.write_bytes(encode(event(step=9)))
    assert live.refresh()
    assert list(live.history.steps.column("step")) == [9]


_VALUES = st.one_of(st.none(), st.booleans(), st.integers(-5, 9), st.floats(), st.text(max_size=3))
_EVENTS = st.lists(
    st.fixed_dictionaries(
        {"type": st.sampled_from(["step", "eval", "attempt"]), "step": st.one_of(st.integers(0, 9), _VALUES)},
        optional={"loss": _VALUES, "grad_norm": _VALUES, "t": st.floats(0, 100)},
    ),
    max_size=15,
)


@given(_EVENTS)
def test_events_taken_in_together_or_one_by_one_give_the_same_history(events):
    together, single = fed(*events), History()
    for item in events:
        single.feed([item])
    for ours, theirs in ((together.steps, single.steps), (together.evals, single.evals)):
        assert sorted(ours.names) == sorted(theirs.names)
        for name in ours.names:
            assert list(map(repr, ours.column(name))) == list(map(repr, theirs.column(name)))
        steps = list(ours.column("step"))
        assert steps == sorted(set(steps))

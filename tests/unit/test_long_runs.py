"""Opening a long run: what was read of it is kept beside it, and before that it is shown at a glance."""

from __future__ import annotations

import itertools
import math
import os

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ftui.core.events import encode
from ftui.runs import column_cache, glance, live
from ftui.runs.glance import Glance
from ftui.runs.history import History
from ftui.runs.live import LiveHistory, read_history


@pytest.fixture(autouse=True)
def _every_run_is_long(monkeypatch):
    monkeypatch.setattr(live, "WORTH_KEEPING", 1000)


def event(step, kind="step", **fields):
    return {"v": 1, "seq": step, "t": 1000.0 + step, "attempt": 1, "type": kind, "step": step, **fields}


def write(path, events, mode="wb"):
    with path.open(mode) as file:
        file.writelines(encode(one) for one in events)


def told(history: History):
    """Everything a history holds, in a form that compares NaN with NaN."""
    tables = [
        {name: list(map(repr, table.column(name))) for name in table.names}
        for table in (history.steps, history.evals)
    ]
    words = [list(history.samples), list(history.checkpoints), list(history.notices), history.stages]
    rest = [history.newest, history.attempts, history.last_time, history.clock, history.since]
    return repr((tables, words, rest))


def kept(path):
    """Leaves the cache of all that is in the file now."""
    reader = LiveHistory(path)
    while reader.refresh() and reader.more:
        pass
    assert reader.keep()
    return reader


RUN = [
    event(0, "attempt", versions={"torch": "2"}),
    event(0, "progress", stage="load", done=1, total=2, unit="files", note=""),
    *(event(step, loss=1.0 / step, padding=0.0, mfu=None, grad=math.nan) for step in range(1, 60)),
    event(60, "eval", eval_loss=0.5),
    event(60, "sample", prompt="p", reply="r"),
    event(60, "checkpoint", bytes=5),
    event(60, "notice", level="info", message="m"),
    *(event(step, loss=1.0 / step, late=float(step)) for step in range(60, 90)),
]


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "events.jsonl"
    write(path, RUN)
    return path


def test_a_kept_run_opens_as_it_was_read_and_only_the_rest_is_read(path):
    kept(path)
    assert told(column_cache.load(path).history) == told(read_history(path))
    write(path, [event(step, loss=0.1) for step in range(90, 95)], "ab")
    again = LiveHistory(path)
    again.begin()
    assert list(again.history.steps.column("step"))[-1] == 89
    assert again.behind > 0
    assert again.refresh()
    reference = History()
    reference.feed([*RUN, *(event(step, loss=0.1) for step in range(90, 95))])
    assert told(again.history) == told(reference)


def test_an_attempt_that_goes_back_before_what_was_kept_replaces_it(path):
    kept(path)
    more = [event(50, "attempt", attempt=2), *(event(step, loss=9.0, attempt=2) for step in range(51, 56))]
    write(path, more, "ab")
    reference = History()
    reference.feed([*RUN, *more])
    found = read_history(path)
    assert told(found) == told(reference)
    assert list(found.steps.column("step"))[-1] == 55
    assert len(found.evals) == 0


def test_bad_lines_are_still_counted_by_who_opens_it_next(path):
    with path.open("ab") as file:
        file.write(b"\0\0\n{}\n" + encode(event(95, loss=1.0)))
    kept(path)
    again = LiveHistory(path)
    again.refresh()
    assert again.bad == 2


@pytest.mark.parametrize("change", ["replaced", "shortened", "first bytes", "last bytes"])
def test_what_was_kept_of_another_file_is_not_believed(path, change):
    kept(path)
    content = path.read_bytes()
    if change == "replaced":
        path.write_bytes(b"".join(encode(event(step, loss=2.0)) for step in range(1, 200)))
    elif change == "shortened":
        path.write_bytes(content[: len(content) // 2])
    else:
        at = 20 if change == "first bytes" else len(content) - 20
        path.write_bytes(content[:at] + b"7" + content[at + 1 :])
    assert column_cache.load(path) is None
    LiveHistory(path).refresh()


@given(st.data())
@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=150)
def test_a_torn_or_damaged_cache_is_as_if_it_were_not_there(path, data):
    cache = path.parent / column_cache.FOLDER / column_cache.NAME
    if not cache.exists():
        kept(path)
        (path.parent / "whole").write_bytes(cache.read_bytes())
    whole = (path.parent / "whole").read_bytes()
    at = data.draw(st.integers(0, len(whole) - 1))
    damaged = data.draw(
        st.sampled_from([whole[:at], whole[:at] + bytes([whole[at] ^ 0x41]) + whole[at + 1 :], whole + b"x"])
    )
    cache.write_bytes(damaged)
    reference = History()
    reference.feed(RUN)
    found = column_cache.load(path)
    assert found is None or told(found.history) == told(reference)
    assert told(read_history(path)) == told(reference)


def test_a_directory_that_cannot_be_written_is_no_error(path, monkeypatch):
    (path.parent / column_cache.FOLDER).write_text("in the way")
    reader = LiveHistory(path)
    reader.refresh()
    assert not reader.keep()


def test_nothing_is_kept_on_a_disk_with_little_room(path, monkeypatch):
    monkeypatch.setattr(column_cache, "disk_free", lambda path: 1000)
    reader = LiveHistory(path)
    reader.refresh()
    assert not reader.keep()
    assert not (path.parent / column_cache.FOLDER).exists()


def test_it_is_written_again_only_when_the_run_has_grown_by_much(path):
    reader = kept(path)
    write(path, [event(95, loss=1.0)], "ab")
    reader.refresh()
    assert not reader.keep()


def test_leftovers_of_a_killed_reader_are_taken_away(path):
    folder = path.parent / column_cache.FOLDER
    folder.mkdir()
    old, new = folder / f"{column_cache.NAME}.1.part", folder / f"{column_cache.NAME}.2.part"
    old.touch()
    new.touch()
    os.utime(old, (1, 1))
    kept(path)
    assert not old.exists()
    assert new.exists()


def numbered(events):
    return [{**one, "seq": seq} for seq, one in enumerate(events, 1)]


def test_a_glance_has_steps_from_everywhere_and_then_everything_else(tmp_path, monkeypatch):
    monkeypatch.setattr(glance, "_PIECES", 16)
    monkeypatch.setattr(glance, "_DRAWN_BYTES", 1000)
    monkeypatch.setattr(glance, "_TAIL_BYTES", 2000)
    monkeypatch.setattr(glance, "_GAP_BYTES", 2000)
    path, events = tmp_path / "events.jsonl", [event(0, "attempt")]
    for step in range(1, 6001):
        events.append(event(step, loss=2.0 - step / 6000, text="x" * 60))
        if step % 500 == 0:
            events += [event(step, "eval", eval_loss=1.0), event(step, "notice", level="info", message="é")]
    write(path, numbered(events))
    seen = Glance(path)
    steps = list(seen.history.steps.column("step"))
    assert steps == sorted(set(steps))
    assert len(steps) < 600
    assert max(b - a for a, b in itertools.pairwise(steps)) < 6000 / 16 * 1.1
    assert steps[0] == 1
    assert steps[-1] == 6000
    assert not seen.complete
    seen.search(60)
    assert seen.complete
    assert list(seen.history.evals.column("step")) == list(range(500, 6001, 500))
    assert len(seen.history.notices) == 12
    assert seen.history.attempts == 1
    assert len(seen.history.steps) < 2000  # without reading everything
    write(path, [event(6001, loss=1.0)], "ab")
    seen.follow()
    assert seen.history.steps.last("step") == 6001
    assert not seen.over


@given(
    st.lists(
        st.one_of(
            st.just("step"),
            st.just("step"),
            st.just("step"),
            st.integers(1, 300),
            st.binary(max_size=30),
            st.just("attempt"),
        ),
        max_size=120,
    ),
    st.integers(1, 3), st.integers(1, 20), st.integers(40, 400),
)  # fmt: skip
@settings(deadline=None)
def test_a_glance_at_anything_misses_nothing_and_makes_nothing_up(
    tmp_path_factory, said, stride, pieces, size
):
    path, lines, step, seq = tmp_path_factory.mktemp("any") / "events.jsonl", [], 0, 0
    for one in said:
        seq += 1
        if one == "step":
            step += stride
            lines.append(encode({**event(step, loss=1.0), "seq": seq}))
        elif one == "attempt":
            step = step // 2 // stride * stride
            lines.append(encode({**event(step, "attempt"), "seq": seq}))
        elif isinstance(one, int):
            lines.append(encode({**event(step, "eval", eval_loss=1.0, note="y" * one), "seq": seq}))
        else:
            seq -= 1
            lines.append(one.replace(b"\n", b"") + b"\n")
    path.write_bytes(b"".join(lines))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(glance, "_PIECES", pieces)
        patch.setattr(glance, "_DRAWN_BYTES", size)
        patch.setattr(glance, "_SMALL_BYTES", size)
        patch.setattr(glance, "_GAP_BYTES", size)
        patch.setattr(glance, "_TAIL_BYTES", 600)
        seen = Glance(path)
        seen.search(60)
    whole = read_history(path)
    assert set(seen.history.steps.column("step")) <= set(whole.steps.column("step"))
    assert list(seen.history.evals.column("step")) == list(whole.evals.column("step"))
    assert seen.history.attempts == whole.attempts

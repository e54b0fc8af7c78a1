"""A run's curves through a lens: which part is in sight, over what, and where the cursor goes."""

from __future__ import annotations

import math
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ftui.runs.history import History
from ftui.ui import run_curves
from ftui.ui.lens import Lens, panned, window, zoomed_by
from ftui.ui.run_curves import Curves, Reach, Reduced, curves_of, reach_of
from ftui.ui.widgets.cursor import moved, place_of, step_near


def history_of(steps: int, *, tokens=lambda step: 100.0 * step, loss=lambda step: 5.0 / step) -> History:
    history = History()
    history.feed(
        {"type": "step", "t": 1000.0 + 2 * step, "step": step, "loss": loss(step), "num_tokens": tokens(step)}
        for step in range(1, steps + 1)
    )
    history.feed(
        {"type": "eval", "t": 1000.0 + 2 * step, "step": step, "eval_loss": 1.0}
        for step in range(10, steps + 1, 10)
    )
    return history


def seen(history: History, lens: Lens, *, planned: float = 0, ended: bool = True) -> Curves:
    return curves_of(history, lens, reach_of(history, lens, planned, ended=ended))


def test_over_tokens_and_time_the_same_points_lie_elsewhere():
    history = history_of(50)
    steps, tokens, time = (seen(history, Lens(x_axis=axis)) for axis in ("step", "tokens", "time"))
    assert steps.series["loss"].ys == tokens.series["loss"].ys == time.series["loss"].ys
    assert tokens.series["loss"].xs == tuple(100.0 * step for step in range(1, 51))
    assert time.window == (0.0, 98.0)
    assert list(tokens.evals.xs) == [1000.0, 2000.0, 3000.0, 4000.0, 5000.0]


def test_a_plan_in_steps_reaches_as_far_in_tokens():
    history, lens = history_of(50), Lens(x_axis="tokens")
    assert reach_of(history, lens, 200, ended=False).planned == 20_000


@pytest.mark.parametrize("tokens", [lambda step: None, lambda step: math.nan, lambda step: -step])
@pytest.mark.parametrize("count", [30, 9000])
def test_an_axis_that_is_not_told_or_goes_back_does_not_break_the_chart(tokens, count):
    curves = seen(history_of(count, tokens=tokens), Lens(x_axis="tokens", zoom=1))
    xs = curves.series["loss"].xs
    assert list(xs) == sorted(xs)


def test_zooming_into_a_long_run_shows_its_single_steps():
    history = history_of(100_000, loss=lambda step: 9.0 if step == 77_777 else 1.0)
    whole = seen(history, Lens())
    assert len(whole.series["loss"].xs) <= 3 * run_curves._STRETCHES + 2
    assert max(whole.series["loss"].ys) == 9.0
    lens = zoomed_by(Lens(), 6, whole.window, 100_000, 77_777)
    close = seen(history, lens)
    start, end = close.window
    assert start < 77_777 < end
    shown = [x for x in close.series["loss"].xs if start <= x <= end]
    assert shown == list(map(float, range(math.ceil(start), math.floor(end) + 1)))


def test_a_long_run_followed_step_by_step_shows_what_one_read_at_once_shows(monkeypatch):
    monkeypatch.setattr(run_curves, "_STRETCHES", 8)
    history, followed = History(), Reduced()
    draw = random.Random(3)
    for step in range(1, 400):
        loss = math.nan if draw.random() < 0.02 else draw.random()
        history.feed(
            [{"type": "step", "t": 1000.0 + step, "step": step, "loss": loss, "num_tokens": step * 10}]
        )
        if step == 200:
            history.feed([{"type": "attempt", "t": 1300.0, "step": 150}])
        if step % 7 == 0:
            lens = Lens(x_axis="tokens" if step > 300 else "step")
            reach = reach_of(history, lens, 0, ended=True)
            now, afresh = curves_of(history, lens, reach, followed), curves_of(history, lens, reach)
            assert repr(now) == repr(afresh)
            assert now.series["loss"].xs[-1] == reach.latest


def test_the_smoothed_curve_does_not_change_with_the_window():
    history = history_of(2000, loss=math.sin)
    whole, part = seen(history, Lens(smoothing=0.9)), seen(history, Lens(smoothing=0.9, zoom=3))
    known = dict(zip(whole.smoothed.xs, whole.smoothed.ys, strict=True))
    for x, y in zip(part.smoothed.xs, part.smoothed.ys, strict=True):
        assert y == pytest.approx(known[x], abs=0.005)


@given(st.integers(1, 10**6), st.lists(st.integers(-3, 3), max_size=30), st.booleans())
@settings(deadline=None)
def test_zooming_and_panning_never_leave_the_run(latest, presses, ended):
    lens, reach = Lens(), Reach(latest, 0, ended)
    whole = reach.window(lens)
    for press in presses:
        shown = reach.window(lens)
        if press % 2:
            lens = zoomed_by(lens, 1 if press > 0 else -1, shown, latest, None)
        else:
            lens = panned(lens, 1 if press > 0 else -1, shown, reach.window(Lens(zoom=lens.zoom)))
        start, end = reach.window(lens)
        assert whole[0] <= start < end
        assert start <= latest
        assert end <= whole[1] * 1.26


def test_panning_to_the_right_end_follows_the_newest_steps_again():
    lens = Lens(zoom=2, at=0.0)
    for _ in range(20):
        shown = window(lens, 400, ended=True)
        lens = panned(lens, 1, shown, window(Lens(zoom=2), 400, ended=True))
    assert lens.at is None


def test_the_cursor_goes_by_single_steps_in_a_short_run_and_by_cells_in_a_long_one():
    short, long = seen(history_of(20), Lens()), seen(history_of(5000), Lens())
    assert moved(short, None, -1, 100) == 20
    assert moved(short, 20, -1, 100) == 19
    assert moved(short, 1, -1, 100) == 1
    assert moved(short, 19, 1, 100) == 20
    assert moved(long, 5000, -1, 100) == 4950
    assert moved(long, 4950, 1, 100) == 5000


@pytest.mark.parametrize("axis", ["step", "tokens", "time"])
def test_the_cursor_stays_on_its_step_on_every_axis(axis):
    curves = seen(history_of(200), Lens(x_axis=axis))
    assert step_near(curves, place_of(curves, 120)) == 120


def test_a_run_without_a_step_has_no_cursor():
    curves = seen(History(), Lens())
    assert moved(curves, None, -1, 100) is None
    assert step_near(curves, 3.0) is None

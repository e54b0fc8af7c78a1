"""Charts show every spike, say what they show, and cost the terminal only what changed."""

from __future__ import annotations

import math

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from textual.app import App

from ftui.assets import asset_dir
from ftui.core.series import buckets
from ftui.ui.themes import load_theme
from ftui.ui.widgets import figures
from ftui.ui.widgets.braille import Axis, Canvas, axis, domain, zoomed
from ftui.ui.widgets.captions import shortened
from ftui.ui.widgets.chart import Chart, ChartData, Curve
from tests.ui.capture import capture, output_of


def drawn(canvas: Canvas) -> list[str]:
    return ["".join(character for character, _ in row) for row in canvas.cells()]


def plot(
    ys: list[float], columns: int = 10, rows: int = 4, *, plain: bool = False, log: bool = False
) -> list[str]:
    canvas = Canvas(columns, rows, plain=plain)
    xs = list(map(float, range(len(ys))))
    canvas.curve(buckets(xs, ys, canvas.width, 0, max(1, len(ys) - 1)), axis(ys, log=log), 1, 2)
    return drawn(canvas)


def test_a_rising_line_goes_from_the_lower_left_to_the_upper_right():
    rows = plot([float(n) for n in range(20)])
    assert rows[-1][0] != " "
    assert rows[0][-1] != " "
    assert rows[0][0] == " "
    assert rows[-1][-1] == " "


def test_one_spike_in_a_hundred_thousand_steps_is_seen():
    ys = [1.0] * 100_000
    ys[54_321] = 9.0
    assert any(character != " " for character in plot(ys, columns=60)[0])


def test_a_constant_curve_is_a_line_in_the_middle():
    rows = plot([5.0] * 30, rows=5)
    assert rows[2].strip()
    assert not rows[0].strip()
    assert not rows[-1].strip()


def test_a_single_point_is_drawn():
    assert "".join(plot([3.0])).strip()


def test_values_that_are_not_numbers_are_a_gap_with_a_mark_at_the_foot():
    rows = plot([1.0, 2.0, math.nan, math.nan, 2.0, 1.0], columns=3)
    assert "×" in rows[-1]
    assert not plot([math.nan, math.nan])[0].strip()


def test_a_single_value_between_holes_is_a_dot_of_its_own():
    rows = plot([1.0, math.nan, 2.0, math.nan, 1.0])
    assert sum(character not in " ×" for row in rows for character in row) == 3


def test_a_hairline_stands_behind_the_curve_and_a_marker_keeps_its_colour():
    canvas = Canvas(5, 3)
    scale = Axis(0.0, 4.0)
    canvas.markers(buckets([2.0], [2.0], canvas.width, 0, 4), scale, "●", 7)
    canvas.curve(buckets([0.0, 4.0], [2.0, 2.0], canvas.width, 0, 4), scale, 1, 2)
    canvas.hairline(2, "│", 3)
    column = [row[2] for row in canvas.cells()]
    assert column == [("│", 3), ("●", 7), ("│", 3)]


def test_ascii_mode_uses_no_glyph_beyond_ascii():
    text = "".join(plot([math.sin(n / 3) for n in range(60)], plain=True))
    assert text.strip()
    assert text.isascii()


def test_a_logarithmic_axis_spreads_what_a_linear_one_squeezes():
    ys = [10.0**-n for n in range(8)]
    linear, log = plot(ys, rows=8), plot(ys, rows=8, log=True)
    assert sum(bool(row.strip()) for row in log[1:-1]) > sum(bool(row.strip()) for row in linear[1:-1][:3])


@pytest.mark.parametrize(
    ("values", "low", "high"),
    [([0.17, 3.7], 0.0, 4.0), ([1500.0, 2100.0], 1400.0, 2200.0), ([0.0, 2e-4], 0.0, 2e-4)],
)
def test_axis_ends_are_round(values, low, high):
    found = axis(values)
    assert found.low == pytest.approx(low, abs=201 if high > 100 else 1e-9)
    assert found.high == pytest.approx(high, abs=201 if high > 100 else 1e-9)
    assert found.low <= min(values)
    assert found.high >= max(values)


@given(
    st.lists(st.floats(allow_nan=True, allow_infinity=True), max_size=60),
    st.integers(1, 40), st.integers(1, 12), st.booleans(), st.booleans(),
)  # fmt: skip
@example([1.7976931348623157e308, -2e290], 1, 1, False, False)  # farther apart than the largest float
@settings(max_examples=200, deadline=None)
def test_no_series_whatsoever_breaks_a_chart(ys, columns, rows, log, plain):
    canvas = Canvas(columns, rows, plain=plain)
    xs = list(map(float, range(len(ys))))
    scale = axis(ys, log=log)
    points = buckets(xs, ys, canvas.width, 0, max(1, len(ys)))
    canvas.curve([p if p is None or p.empty or not log or p.low > 0 else None for p in points], scale, 1, 2)
    assert all(len(row) == columns for row in drawn(canvas))


@given(st.floats(0, 1e7), st.integers(0, 10**7))
def test_the_step_axis_holds_the_latest_step_and_never_leaves_the_plan(latest, planned):
    start, end = domain(0, latest, planned)
    assert start <= latest <= end
    if planned:
        assert end <= max(planned, latest, 1)


@given(st.floats(1, 1e6), st.integers(1, 6))
def test_zooming_keeps_the_newest_step_in_sight(latest, times):
    start, end = domain(0, latest)
    left, right = zoomed(start, end, latest, times)
    assert left <= latest <= right * (1 + 1e-9)
    assert right - left == pytest.approx((end - start) / 2**times)


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.834, "0.83"), (3.41, "3.41"), (14.23, "14.2"), (212.4, "212"), (0.0123, "0.0123"), (2.1e-05, "2.1e-5"),
     (None, "–"), (math.nan, "NaN"), (math.inf, "∞"), (0.0, "0")],
)  # fmt: skip
def test_figures_are_short(value, text):
    assert figures.number(value) == text


def test_durations_read_as_a_person_says_them():
    assert [figures.duration(seconds) for seconds in (42, 372, 11_100, 187_200, math.inf)] == [
        "42s", "6m12s", "3h05m", "2d04h", "–",
    ]  # fmt: skip


class OneChart(App[None]):
    def __init__(self, data: ChartData) -> None:
        super().__init__()
        self._first = data
        theme = load_theme(asset_dir("themes") / "night.toml")
        self.register_theme(theme)
        self.theme = theme.name

    CSS = ".panel { border: round $border; padding: 0 1; }"

    def compose(self):
        yield Chart(id="loss", x_axis=True)

    def on_mount(self) -> None:
        self.query_one(Chart).show(self._first)


def data_of(count: int, **words) -> ChartData:
    xs = [float(n) for n in range(count)]
    return ChartData((Curve(xs, [3.0 / (1 + n / 9) for n in range(count)], "accent"),), 0, 300, **words)


async def test_the_same_data_again_sends_nothing():
    app = capture(OneChart(data_of(200)))
    async with app.run_test(headless=False, size=(80, 20)) as pilot:
        await pilot.pause()
        before = len(output_of(app))
        app.query_one(Chart).show(data_of(200))
        await pilot.pause()
        assert len(output_of(app)) == before


async def test_one_more_step_sends_a_small_part_of_the_chart():
    app = capture(OneChart(data_of(200)))
    async with app.run_test(headless=False, size=(120, 30)) as pilot:
        await pilot.pause()
        app.query_one(Chart).refresh()
        before = len(output_of(app))
        await pilot.pause()
        whole = len(output_of(app)) - before
        app.query_one(Chart).show(data_of(203, subtitle="step 203"))
        await pilot.pause()
        assert len(output_of(app)) - before - whole < whole / 4


async def test_labels_titles_and_current_values_are_shown():
    app = OneChart(data_of(200, title="loss", subtitle="step 199"))
    async with app.run_test(size=(80, 20)) as pilot:
        await pilot.pause()
        rows = [strip.text for strip in app.screen._compositor.render_strips()]
        assert "loss" in rows[0]
        assert "step 199" in rows[-1]
        assert rows[1].strip("│ ").startswith("3")
        assert rows[-3].strip("│ ").startswith("0")
        assert rows[-2].strip("│ ").split() == ["0", "150", "300"]


async def test_a_chart_without_data_says_so():
    app = OneChart(ChartData(empty="no step yet"))
    async with app.run_test(size=(60, 12)) as pilot:
        await pilot.pause()
        assert any("no step yet" in strip.text for strip in app.screen._compositor.render_strips())


def test_an_axis_places_its_ends_at_the_first_and_last_row():
    scale = Axis(0.0, 4.0)
    assert (scale.place(0.0, 40), scale.place(4.0, 40), scale.place(99.0, 40)) == (39, 0, 0)


def test_a_logarithmic_axis_is_close_to_values_within_a_decade():
    scale = axis([5.0, 5.3, 5.6], log=True)
    assert scale.log
    assert scale.place(5.0, 68) - scale.place(5.6, 68) >= 40
    assert axis([0.2, 30.0], log=True) == Axis(0.2, 50.0, log=True)
    constant = axis([5.0], log=True)
    assert constant.place(5.0, 41) == 20


async def test_a_caption_without_room_loses_what_is_worth_least_and_never_its_middle():
    titles = shortened([("loss", 0), ("smooth 0.6", 3), ("last 1/4", 1), ("over tokens", 1)], "  ")
    app = OneChart(
        data_of(200, title=titles, subtitle=shortened([("step 199", 0), ("ppl 2.44" * 9, 1)], " · "))
    )
    async with app.run_test(size=(60, 20)) as pilot:
        await pilot.pause()
        rows = [strip.text for strip in app.screen._compositor.render_strips()]
        assert "loss  smooth 0.6  last 1/4  over tokens" in rows[0]
        assert "step 199 ─" in rows[-1]
        await pilot.resize_terminal(36, 20)
        await pilot.pause()
        rows = [strip.text for strip in app.screen._compositor.render_strips()]
        assert "loss  last 1/4  over tokens ─" in rows[0]

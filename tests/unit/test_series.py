import math
from array import array

from hypothesis import given, settings
from hypothesis import strategies as st

from ftui.core.series import buckets, extremes, means, smooth


def test_one_spike_in_a_million_points_is_seen():
    ys = array("d", [1.0]) * 1_000_000
    ys[123_456] = 50.0
    assert max(bucket.high for bucket in buckets(range(1_000_000), ys, 80)) == 50.0


@given(
    st.lists(st.tuples(st.floats(0, 1e6), st.floats(allow_nan=True, allow_infinity=True)), max_size=60),
    st.integers(0, 20),
)
def test_every_extreme_survives_and_every_point_is_in_one_column(points, columns):
    xs, ys = [x for x, _ in sorted(points)], [y for _, y in sorted(points, key=lambda point: point[0])]
    found = [bucket for bucket in buckets(xs, ys, columns) if bucket]
    if columns == 0:
        assert found == []
        return
    finite = [y for y in ys if math.isfinite(y)]
    assert sum(bucket.holes for bucket in found) == len(ys) - len(finite)
    drawn = [bucket for bucket in found if not bucket.empty]
    if finite:
        assert min(bucket.low for bucket in drawn) == min(finite)
        assert max(bucket.high for bucket in drawn) == max(finite)
    else:
        assert drawn == []


def test_a_window_shows_only_what_lies_in_it():
    xs, ys = list(range(10)), [float(x) for x in range(10)]
    found = buckets(xs, ys, 4, 2, 5)
    assert [bucket.low for bucket in found if bucket] == [2, 3, 4, 5]
    assert buckets(xs, ys, 3, 100, 200) == [None, None, None]


def test_one_point_fills_one_column():
    found = buckets([5], [2.0], 3)
    assert sum(bucket is not None for bucket in found) == 1


def test_smoothing_starts_at_the_first_value_and_passes_over_nan():
    assert smooth([4.0, 4.0, 4.0], 0.9) == [4.0, 4.0, 4.0]
    assert smooth([1.0, 3.0], 0) == [1.0, 3.0]
    smoothed = smooth([1.0, math.nan, 2.0], 0.5)
    assert smoothed[1] == smoothed[0]
    assert 1 < smoothed[2] < 2
    assert math.isnan(smooth([math.nan], 0.5)[0])


@given(
    st.lists(st.one_of(st.floats(-1e6, 1e6), st.sampled_from([math.nan, math.inf, -math.inf])), max_size=80),
    st.integers(0, 80), st.integers(0, 80), st.integers(1, 30), st.booleans(),
)  # fmt: skip
@settings(deadline=None)  # numpy is imported on the way
def test_what_is_kept_of_a_long_curve_has_the_extremes_and_holes_of_every_stretch(
    ys, one, other, width, packed
):
    start, stop = min(one, other, len(ys)), min(max(one, other), len(ys))
    kept = extremes(array("d", ys) if packed else tuple(ys), start, stop, width)
    assert kept == sorted(set(kept))
    assert all(start <= index < stop for index in kept)
    for begin in range(start, stop, width):
        places = range(begin, min(begin + width, stop))
        part, seen = [ys[place] for place in places], [ys[place] for place in kept if place in places]
        assert len(seen) <= 3
        finite = [y for y in part if math.isfinite(y)]
        if finite:
            assert min(y for y in seen if math.isfinite(y)) == min(finite)
            assert max(y for y in seen if math.isfinite(y)) == max(finite)
        assert all(map(math.isfinite, part)) == all(map(math.isfinite, seen))


def test_means_of_stretches_leave_holes_out():
    ys = [1.0, 3.0, math.nan, 5.0, math.nan, math.inf, 7.0, 7.0]
    middles, averages = means(ys, 0, 8, 4)
    assert middles == [1, 3, 5, 7]
    assert averages[:2] == [2.0, 5.0]
    assert math.isnan(averages[2])
    assert averages[3] == 7.0


def test_a_growing_array_can_go_on_growing_after_it_was_looked_at():
    ys = array("d", range(100))
    extremes(ys, 0, 100, 25)
    means(ys, 0, 100, 4)
    ys.append(1.0)
    assert len(ys) == 101

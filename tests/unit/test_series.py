import math
from array import array

from hypothesis import given
from hypothesis import strategies as st

from ftui.core.series import buckets, smooth


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

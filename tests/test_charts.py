"""Charts: every mark stands where its figure says, and nothing is drawn that is not known."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from app.insights import charts
from app.insights.report import Bucket
from app.insights.statistics import Rate


def bucket(traces: int = 0, up: int = 0, thumbs: int = 0) -> Bucket:
    return Bucket(0, traces, Rate.of(up, thumbs))


def test_columns_are_as_high_as_their_counts() -> None:
    first, second = charts.columns([bucket(5), bucket(10)], 20)
    assert (first.top, first.height) == (75, 25)
    assert (second.top, second.height) == (50, 50)
    assert first.left + first.width < 50 < second.left
    assert second.left + second.width < 100


def test_a_point_stands_at_its_share_between_the_ends_of_its_interval() -> None:
    [point] = charts.points([bucket(4, 3, 4)])
    assert (point.x, point.top) == (50, 25)
    assert point.high_top < point.top < point.low_top


def test_a_bucket_without_thumbs_has_no_point_and_no_line_bridges_it() -> None:
    placed = charts.points([bucket(4, 3, 4), bucket(9), bucket(4, 1, 4), bucket(4, 2, 4)])
    assert [point.number for point in placed] == [0, 2, 3]
    [line] = charts.lines(placed)
    assert (line.top1, line.top2) == (75, 50)


@given(st.lists(st.integers(0, 10_000), max_size=8))
def test_the_parts_of_a_bar_fill_it_without_overlap(counts: list[int]) -> None:
    placed = charts.segments(counts)
    if not sum(counts):
        assert placed == []
        return
    assert [part.count for part in placed] == counts
    end = 0.0
    for part in placed:
        assert abs(part.left - end) < 0.05
        end = part.left + part.width
    assert abs(end - 100) < 0.1


@given(st.integers(0, 10**9))
def test_an_axis_has_room_and_a_whole_middle(most: int) -> None:
    height = charts.round_up(most)
    assert most <= height <= max(2, 2 * most)
    assert height % 2 == 0


def test_the_interval_of_nothing_is_not_drawn() -> None:
    assert charts.interval(Rate.of(0, 0)) is None
    assert charts.interval(Rate.of(1, 1)) == (100, 20.65, 100)

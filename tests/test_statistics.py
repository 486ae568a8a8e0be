"""Rates and differences: known values, and what must hold for any counts."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.insights.statistics import Rate, difference

counts = st.integers(0, 500).flatmap(lambda total: st.tuples(st.integers(0, total), st.just(total)))


def test_a_rate_of_nothing_is_unknown() -> None:
    assert Rate.of(0, 0) == Rate(0, 0, None, None, None)
    assert difference(Rate.of(0, 0), Rate.of(1, 2)) is None
    assert difference(Rate.of(1, 2), Rate.of(0, 0)) is None


def test_wilsons_interval_has_the_published_values() -> None:
    # Newcombe 1998, "Two-sided confidence intervals for the single proportion", table I, method 3.
    for hits, total, low, high in ((81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605)):
        rate = Rate.of(hits, total)
        assert (rate.low, rate.high) == pytest.approx((low, high), abs=5e-5)
    assert Rate.of(0, 20).high == pytest.approx(0.1611, abs=5e-5)


def test_newcombes_interval_has_the_published_values() -> None:
    # Newcombe 1998, "Interval estimation for the difference …", table II, method 10.
    for one, other, low, high in (
        ((56, 70), (48, 80), 0.0524, 0.3339),
        ((9, 10), (3, 10), 0.1705, 0.8090),
        ((6, 7), (2, 7), 0.0582, 0.8062),
    ):
        found = difference(Rate.of(*one), Rate.of(*other))
        assert found is not None
        assert (found.low, found.high) == pytest.approx((low, high), abs=5e-5)


def test_three_of_four_is_not_told_from_eighty_of_a_hundred() -> None:
    found = difference(Rate.of(3, 4), Rate.of(80, 100))
    assert found is not None
    assert found.low < 0 < found.high


@given(counts)
def test_a_share_lies_within_its_interval(count: tuple[int, int]) -> None:
    rate = Rate.of(*count)
    if rate.share is not None and rate.low is not None and rate.high is not None:
        assert 0 <= rate.low <= rate.share <= rate.high <= 1


@given(counts, counts)
def test_a_difference_turned_round_is_its_negative(
    one: tuple[int, int], other: tuple[int, int]
) -> None:
    there, back = (
        difference(Rate.of(*one), Rate.of(*other)),
        difference(Rate.of(*other), Rate.of(*one)),
    )
    if there is None or back is None:
        assert 0 in (one[1], other[1])
        return
    assert there.value == pytest.approx(-back.value)
    assert there.low == pytest.approx(-back.high)
    assert -1 - 1e-9 <= there.low <= there.value <= there.high <= 1 + 1e-9

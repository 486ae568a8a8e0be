"""Rate limits: counted by all processes together through Redis, by each alone while it is away."""

from __future__ import annotations

import pytest

from app.errors import TooManyRequests
from app.web.limits import GuessLimiter, RateLimiter
from tests.engines import RedisServer


def test_a_person_is_counted_by_each_process_alone_without_redis() -> None:
    one, other = RateLimiter("2/hour", "1/hour"), RateLimiter("2/hour", "1/hour")
    for _ in range(2):
        one.count_message("ann")
    with pytest.raises(TooManyRequests) as refused:
        one.count_message("ann")
    assert 3500 < refused.value.retry_after_s <= 3601
    one.count_message("bob")
    one.count_feedback("ann")
    other.count_message("ann")


def test_a_person_is_counted_by_all_processes_together_with_redis(redis: RedisServer) -> None:
    one, other = (RateLimiter("2/hour", "1/hour", redis.url) for _ in range(2))
    one.count_message("ann")
    other.count_message("ann")
    for limiter in (one, other):
        with pytest.raises(TooManyRequests) as refused:
            limiter.count_message("ann")
        assert 3500 < refused.value.retry_after_s <= 3601
    other.count_message("bob")


def test_guesses_at_the_password_are_counted_together_too(redis: RedisServer) -> None:
    one, other = GuessLimiter(redis.url), GuessLimiter(redis.url)
    for _ in range(5):
        one.count("192.0.2.1")
        other.count("192.0.2.1")
    with pytest.raises(TooManyRequests):
        other.check("192.0.2.1")


def test_while_redis_is_away_each_process_counts_for_itself(redis: RedisServer) -> None:
    one, other = (RateLimiter("1/hour", "1/hour", redis.url) for _ in range(2))
    one.count_message("ann")
    redis.kill9()
    one.count_message("ann")
    other.count_message("ann")
    with pytest.raises(TooManyRequests):
        other.count_message("ann")
    redis.start()
    one.count_message("ann")  # an emptied Redis has forgotten
    with pytest.raises(TooManyRequests):
        other.count_message("ann")

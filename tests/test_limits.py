"""Rate limits: counted by all processes together through Redis, by each alone while it is away."""

from __future__ import annotations

import pytest

from app.errors import TooManyRequests
from app.web.limits import GuessLimiter, RateLimiter
from tests.engines import RedisServer

PLENTY = "1000/hour"


def test_a_person_is_counted_by_each_process_alone_without_redis() -> None:
    one, other = RateLimiter("2/hour", PLENTY, "1/hour"), RateLimiter("2/hour", PLENTY, "1/hour")
    for _ in range(2):
        one.count_message("ann", "192.0.2.1")
    with pytest.raises(TooManyRequests) as refused:
        one.count_message("ann", "192.0.2.1")
    assert 3500 < refused.value.retry_after_s <= 3601
    one.count_message("bob", "192.0.2.1")
    one.count_feedback("ann")
    other.count_message("ann", "192.0.2.1")


def test_a_person_is_counted_by_all_processes_together_with_redis(redis: RedisServer) -> None:
    one, other = (RateLimiter("2/hour", PLENTY, "1/hour", redis.url) for _ in range(2))
    one.count_message("ann", "192.0.2.1")
    other.count_message("ann", "192.0.2.1")
    for limiter in (one, other):
        with pytest.raises(TooManyRequests) as refused:
            limiter.count_message("ann", "192.0.2.1")
        assert 3500 < refused.value.retry_after_s <= 3601
    other.count_message("bob", "192.0.2.1")


def test_an_address_is_counted_whoever_asks_from_it(redis: RedisServer) -> None:
    for limiter in (
        RateLimiter(PLENTY, "3/hour", PLENTY),
        RateLimiter(PLENTY, "3/hour", PLENTY, redis.url),
    ):
        for name in ("ann", "bob", "cem"):
            limiter.count_message(name, "192.0.2.1")
        with pytest.raises(TooManyRequests) as refused:
            limiter.count_message("dan", "192.0.2.1")
        assert 1 <= refused.value.retry_after_s <= 7200
        limiter.count_message("dan", "192.0.2.2")


def test_guesses_at_the_password_are_counted_together_too(redis: RedisServer) -> None:
    one, other = GuessLimiter(redis.url), GuessLimiter(redis.url)
    for _ in range(5):
        one.count("192.0.2.1")
        other.count("192.0.2.1")
    with pytest.raises(TooManyRequests):
        other.check("192.0.2.1")


def test_while_redis_is_away_each_process_counts_for_itself(redis: RedisServer) -> None:
    one, other = (RateLimiter("1/hour", PLENTY, "1/hour", redis.url) for _ in range(2))
    one.count_message("ann", "192.0.2.1")
    redis.kill9()
    one.count_message("ann", "192.0.2.1")
    other.count_message("ann", "192.0.2.1")
    with pytest.raises(TooManyRequests):
        other.count_message("ann", "192.0.2.1")
    redis.start()
    one.count_message("ann", "192.0.2.1")  # an emptied Redis has forgotten
    with pytest.raises(TooManyRequests):
        other.count_message("ann", "192.0.2.1")

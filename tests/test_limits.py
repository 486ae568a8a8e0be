"""Rate limits: counted by all processes together through Redis, by each alone while it is away."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from functools import partial

import pytest
from limits import parse
from limits.strategies import MovingWindowRateLimiter, SlidingWindowCounterRateLimiter

from app.errors import TooManyRequests
from app.web.limits import SWEEP_EVERY_S, GuessLimiter, RateLimiter, SweptMemory
from tests.engines import RedisServer
from tests.waiting import eventually

PLENTY = "1000/hour"


def wait_s(count: Callable[[], None]) -> float:
    """How long somebody who is too fast is told to wait.

    An error that is kept keeps the limiter, whose connections are then collected in any order.
    """
    try:
        count()
    except TooManyRequests as refusal:
        return refusal.retry_after_s
    raise AssertionError("that was not too fast")


def test_a_person_is_counted_by_each_process_alone_without_redis() -> None:
    one, other = RateLimiter("2/hour", PLENTY, "1/hour"), RateLimiter("2/hour", PLENTY, "1/hour")
    for _ in range(2):
        one.count_message("ann", "192.0.2.1")
    assert 3500 < wait_s(lambda: one.count_message("ann", "192.0.2.1")) <= 3601
    one.count_message("bob", "192.0.2.1")
    one.count_feedback("ann")
    other.count_message("ann", "192.0.2.1")


def test_a_person_is_counted_by_all_processes_together_with_redis(redis: RedisServer) -> None:
    one, other = (RateLimiter("2/hour", PLENTY, "1/hour", redis.url) for _ in range(2))
    one.count_message("ann", "192.0.2.1")
    other.count_message("ann", "192.0.2.1")
    for limiter in (one, other):
        assert 3500 < wait_s(partial(limiter.count_message, "ann", "192.0.2.1")) <= 3601
    other.count_message("bob", "192.0.2.1")


def test_an_address_is_counted_whoever_asks_from_it(redis: RedisServer) -> None:
    for limiter in (
        RateLimiter(PLENTY, "3/hour", PLENTY),
        RateLimiter(PLENTY, "3/hour", PLENTY, redis.url),
    ):
        for name in ("ann", "bob", "cem"):
            limiter.count_message(name, "192.0.2.1")
        assert 1 <= wait_s(partial(limiter.count_message, "dan", "192.0.2.1")) <= 7200
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


def test_whoever_stays_away_is_forgotten() -> None:
    minutes = itertools.count(0, SWEEP_EVERY_S)  # each look at the clock is a minute later
    memory = SweptMemory(monotonic=lambda: float(next(minutes)))
    limit = parse("1000/second")
    people, addresses = MovingWindowRateLimiter(memory), SlidingWindowCounterRateLimiter(memory)
    people.hit(limit, "ann")
    addresses.hit(limit, "192.0.2.1")

    def are_gone() -> bool:
        people.hit(limit, "bob")
        known = " ".join([*memory.events, *memory.storage, *memory.expirations, *memory.locks])
        assert "bob" in known
        return "ann" not in known and "192.0.2.1" not in known

    eventually(are_gone)


def test_a_clock_that_jumps_back_makes_nobody_wait_for_it() -> None:
    memory = SweptMemory()
    people = MovingWindowRateLimiter(memory)
    assert people.hit(parse("1/minute"), "ann")
    ((entry,),) = memory.events.values()
    entry.atime += 3600  # as it is seen after a jump of an hour
    assert people.hit(parse("1/minute"), "ann")
    assert not people.hit(parse("1/minute"), "ann")


def test_counting_starts_no_timer_and_sweeps_nothing_before_its_time() -> None:
    memory = SweptMemory(monotonic=lambda: 0.0)
    timer = memory.timer
    eventually(lambda: not timer.is_alive())  # the one that `limits` starts with
    people = MovingWindowRateLimiter(memory)
    assert people.hit(parse("1/hour"), "ann")
    assert not people.hit(parse("1/hour"), "ann")
    assert memory.timer is timer

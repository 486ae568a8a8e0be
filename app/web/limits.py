"""Limits how often one person may do a thing, whichever transport it comes by.

With REDIS_URL all processes count together. While Redis is away each counts for itself: a person
may then do as much at every process, which is better than nothing at any.
"""

import logging
import math
import time
from collections.abc import Callable
from typing import TypeVar

from limits import RateLimitItem, parse
from limits.errors import StorageError
from limits.storage import MemoryStorage, RedisStorage
from limits.strategies import MovingWindowRateLimiter

from app.errors import TooManyRequests

log = logging.getLogger(__name__)

Answer = TypeVar("Answer")

# Whoever sends a message waits for this.
REDIS_TIMEOUT_S = 0.5


class RateLimiter:
    """Counts messages and verdicts per user in a moving window."""

    def __init__(self, messages: str, feedback: str, redis_url: str | None = None) -> None:
        """Rates are written as `30/minute`."""
        self._windows = _Windows(redis_url)
        self._messages = parse(messages)
        self._feedback = parse(feedback)

    def count_message(self, user_id: str) -> None:
        """Count one message. Raises `TooManyRequests`."""
        self._count(self._messages, "message", user_id)

    def count_feedback(self, user_id: str) -> None:
        """Count one verdict. Raises `TooManyRequests`."""
        self._count(self._feedback, "feedback", user_id)

    def _count(self, limit: RateLimitItem, what: str, user_id: str) -> None:
        if not self._windows.hit(limit, what, user_id):
            raise _too_fast(self._windows, limit, what, user_id)


class _Windows:
    """Moving windows, in Redis when there is one that answers, else in this process."""

    def __init__(self, redis_url: str | None) -> None:
        self._own = MovingWindowRateLimiter(MemoryStorage())
        self._shared = MovingWindowRateLimiter(_connect(redis_url)) if redis_url else None

    def hit(self, limit: RateLimitItem, *whose: str) -> bool:
        """Count one, unless that is too many."""
        return self._ask(lambda windows: windows.hit(limit, *whose))

    def test(self, limit: RateLimitItem, *whose: str) -> bool:
        """Whether one more would be counted."""
        return self._ask(lambda windows: windows.test(limit, *whose))

    def reset_time(self, limit: RateLimitItem, *whose: str) -> float:
        """When there is room again, in seconds since the epoch."""
        return self._ask(lambda windows: windows.get_window_stats(limit, *whose).reset_time)

    def _ask(self, question: Callable[[MovingWindowRateLimiter], Answer]) -> Answer:
        if self._shared:
            try:
                return question(self._shared)
            except StorageError as error:
                log.warning("rate limits are counted by this process alone: %s", error)
        return question(self._own)


def _connect(redis_url: str) -> RedisStorage:
    return RedisStorage(
        redis_url,
        key_prefix="thumbprint:limits",
        wrap_exceptions=True,
        socket_timeout=REDIS_TIMEOUT_S,
        socket_connect_timeout=REDIS_TIMEOUT_S,
        protocol=2,
    )


class GuessLimiter:
    """Counts guesses at the operator's password, by address and in all, in a moving window."""

    def __init__(self, redis_url: str | None = None) -> None:
        self._windows = _Windows(redis_url)

    def check(self, address: str) -> None:
        """Raise `TooManyRequests` when this address, or all together, have guessed enough."""
        for limit, who in _guess_limits(address):
            if not self._windows.test(limit, who):
                raise _too_fast(self._windows, limit, who)

    def count(self, address: str) -> None:
        """Count one guess. Raises `TooManyRequests`."""
        for limit, who in _guess_limits(address):
            if not self._windows.hit(limit, who):
                raise _too_fast(self._windows, limit, who)


def _guess_limits(address: str) -> tuple[tuple[RateLimitItem, str], ...]:
    # The second bounds those who vary their address, which a careless proxy lets them.
    return (parse("10/minute"), f"from {address}"), (parse("60/minute"), "from anywhere")


def _too_fast(windows: _Windows, limit: RateLimitItem, *counted: str) -> TooManyRequests:
    wait_s = max(1, math.ceil(windows.reset_time(limit, *counted) - time.time()))
    return TooManyRequests(f"That was too fast: at most {limit}. Try again in {wait_s} s.", wait_s)

"""Limits how often one person or one address may do a thing, whichever transport it comes by.

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
from limits.strategies import (
    MovingWindowRateLimiter,
    SlidingWindowCounterRateLimiter,
)
from limits.strategies import RateLimiter as Strategy

from app.errors import TooManyRequests

log = logging.getLogger(__name__)

Answer = TypeVar("Answer")

# Whoever sends a message waits for this.
REDIS_TIMEOUT_S = 0.5
# Who has not been counted for that long after their window is over may still be remembered.
SWEEP_EVERY_S = 60.0


class RateLimiter:
    """Counts messages and verdicts of each person, and messages from each address."""

    def __init__(
        self, messages: str, per_address: str, feedback: str, redis_url: str | None = None
    ) -> None:
        """Rates are written as `30/minute`; `per_address` is one of messages too."""
        self._people = _Windows(MovingWindowRateLimiter, redis_url)
        # So many may come from one address that only their number is kept, not each one's time.
        self._addresses = _Windows(SlidingWindowCounterRateLimiter, redis_url)
        self._messages = parse(messages)
        self._per_address = parse(per_address)
        self._feedback = parse(feedback)

    def count_message(self, user_id: str, address: str) -> None:
        """Count one message of this person from this address. Raises `TooManyRequests`."""
        self._people.count(self._messages, "message", user_id)
        self._addresses.count(self._per_address, "message from", address)

    def count_feedback(self, user_id: str) -> None:
        """Count one verdict. Raises `TooManyRequests`."""
        self._people.count(self._feedback, "feedback", user_id)


class _Windows:
    """Windows that move with time, in Redis when one answers, else in this process."""

    def __init__(self, kind: type[Strategy], redis_url: str | None) -> None:
        self._own = kind(SweptMemory())
        self._shared = kind(_connect(redis_url)) if redis_url else None

    def count(self, limit: RateLimitItem, *whose: str) -> None:
        """Count one. Raises `TooManyRequests` when that is too many."""
        if not self._ask(lambda windows: windows.hit(limit, *whose)):
            raise self._too_fast(limit, *whose)

    def check(self, limit: RateLimitItem, *whose: str) -> None:
        """Raise `TooManyRequests` when one more would be too many; count nothing."""
        if not self._ask(lambda windows: windows.test(limit, *whose)):
            raise self._too_fast(limit, *whose)

    def _too_fast(self, limit: RateLimitItem, *whose: str) -> TooManyRequests:
        stats = self._ask(lambda windows: windows.get_window_stats(limit, *whose))
        wait_s = max(1, math.ceil(stats.reset_time - time.time()))
        return TooManyRequests(
            f"That was too fast: at most {limit}. Try again in {wait_s} s.", wait_s
        )

    def _ask(self, question: Callable[[Strategy], Answer]) -> Answer:
        if self._shared:
            try:
                return question(self._shared)
            except StorageError as error:
                log.warning("rate limits are counted by this process alone: %s", error)
        return question(self._own)


class SweptMemory(MemoryStorage):
    """Counts in this process; what has expired is swept out once a minute.

    `limits` itself would start a timer after every message, look at everybody who ever wrote, and
    keep an empty list of each.
    """

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._monotonic = monotonic
        self._swept_at = monotonic()

    def acquire_entry(self, key: str, limit: int, expiry: int, amount: int = 1) -> bool:
        """Count unless that is too many. What lies ahead, as the clock has jumped back, is not."""
        if (entries := self.events.get(key)) and entries[0].atime > (now := time.time()):
            with self.locks[key]:
                self.events[key] = [entry for entry in entries if entry.atime <= now]
        return super().acquire_entry(key, limit, expiry, amount)

    def _MemoryStorage__schedule_expiry(self) -> None:  # noqa: N802 (it is called at every count)
        if self._monotonic() - self._swept_at < SWEEP_EVERY_S:
            return
        self._swept_at = self._monotonic()
        now = time.time()
        for key in list(self.events):
            with self.locks[key]:
                if fresh := [entry for entry in self.events.get(key, ()) if entry.expiry > now]:
                    self.events[key] = fresh
                else:
                    self.clear(key)
        for key, expires_at in list(self.expirations.items()):
            if expires_at <= now:
                self.clear(key)


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
        self._windows = _Windows(MovingWindowRateLimiter, redis_url)

    def check(self, address: str) -> None:
        """Raise `TooManyRequests` when this address, or all together, have guessed enough."""
        for limit, who in _guess_limits(address):
            self._windows.check(limit, who)

    def count(self, address: str) -> None:
        """Count one guess. Raises `TooManyRequests`."""
        for limit, who in _guess_limits(address):
            self._windows.count(limit, who)


def _guess_limits(address: str) -> tuple[tuple[RateLimitItem, str], ...]:
    # The second bounds those who have many addresses.
    return (parse("10/minute"), f"from {address}"), (parse("60/minute"), "from anywhere")

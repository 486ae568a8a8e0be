"""Limits how often one person may do a thing, whichever transport it comes by."""

import math
import time

from limits import RateLimitItem, parse
from limits.storage import MemoryStorage
from limits.strategies import MovingWindowRateLimiter

from app.errors import TooManyRequests


class RateLimiter:
    """Counts messages and verdicts per user in a moving window."""

    def __init__(self, messages: str, feedback: str) -> None:
        """Rates are written as `30/minute`."""
        self._windows = MovingWindowRateLimiter(MemoryStorage())
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


class GuessLimiter:
    """Counts guesses at the operator's password, by address and in all, in a moving window."""

    def __init__(self) -> None:
        self._windows = MovingWindowRateLimiter(MemoryStorage())

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


def _too_fast(
    windows: MovingWindowRateLimiter, limit: RateLimitItem, *counted: str
) -> TooManyRequests:
    reset_at = windows.get_window_stats(limit, *counted).reset_time
    wait_s = max(1, math.ceil(reset_at - time.time()))
    return TooManyRequests(f"That was too fast: at most {limit}. Try again in {wait_s} s.", wait_s)

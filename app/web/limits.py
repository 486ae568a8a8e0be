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
            reset_at = self._windows.get_window_stats(limit, what, user_id).reset_time
            wait_s = max(1, math.ceil(reset_at - time.time()))
            raise TooManyRequests(
                f"That was too fast: at most {limit}. Try again in {wait_s} s.", wait_s
            )

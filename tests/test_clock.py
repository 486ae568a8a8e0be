"""Time as the app says it."""

from __future__ import annotations

import time

from app.clock import iso, now_ms


def test_now_is_milliseconds_since_the_epoch() -> None:
    before = time.time()
    assert before * 1000 - 1 <= now_ms() <= time.time() * 1000


def test_iso_is_utc_with_milliseconds_and_a_z() -> None:
    assert iso(0) == "1970-01-01T00:00:00.000Z"
    assert iso(1_795_478_400_123) == "2026-11-24T00:00:00.123Z"

"""Waiting for a condition instead of for a time: the one place where tests sleep."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def eventually(condition: Callable[[], T], timeout: float = 10.0, every: float = 0.02) -> T:
    """Return the first truthy result of `condition`.

    After `timeout` seconds the last falsy result, or the last exception `condition` raised, is
    named in an AssertionError.
    """
    deadline = time.monotonic() + timeout
    while True:
        failure: Exception | None = None
        result: object = None
        try:
            value = condition()
            if value:
                return value
            result = value
        except Exception as error:  # noqa: BLE001 (whatever it is, the caller is told)
            failure = error
        if time.monotonic() >= deadline:
            seen = repr(failure) if failure else repr(result)
            raise AssertionError(f"not so within {timeout} s; last seen: {seen[:500]}") from failure
        time.sleep(every)

"""Runs calls that would hold up a gevent worker: all of its streams wait while one call blocks."""

import threading
from collections.abc import Callable
from typing import TypeVar, cast

import gevent.monkey
import gevent.threadpool
from gevent.lock import Semaphore

Result = TypeVar("Result")


def is_needed() -> bool:
    """Whether this process runs on greenlets, which share the one thread."""
    return gevent.monkey.is_module_patched("threading")


def cheap_lock() -> "Semaphore | threading.Lock":
    """A lock for what is taken at every frame.

    Under gevent a semaphore: the lock that it puts in `threading` is one in several times the cost.
    It is not for native threads, where whoever waits needs the event loop of another thread.
    """
    return Semaphore() if is_needed() else threading.Lock()


class NativeThread:
    """One thread of the system's under gevent, where calls wait for each other; else the caller's.

    The thread is started by the first call, so one may be made before gunicorn forks.
    """

    def __init__(self) -> None:
        self._pool = gevent.threadpool.ThreadPool(1) if is_needed() else None

    def run(self, call: Callable[[], Result]) -> Result:
        """Return what `call` returns, or raise what it raises, while other greenlets go on."""
        # Not `if self._pool`: an idle pool is falsy.
        if self._pool is None:
            return call()
        result, error = self._pool.apply(_attempt, (call,))
        if error is not None:
            raise error
        return cast("Result", result)


def _attempt(call: Callable[[], Result]) -> tuple[Result | None, Exception | None]:
    # gevent prints what leaves its thread, a "no such turn" too, before the caller gets it.
    try:
        return call(), None
    except Exception as error:  # noqa: BLE001 (the caller raises it)
        return None, error

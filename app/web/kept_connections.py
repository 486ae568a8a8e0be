"""Connections that wait for a request, and how they are closed when the process leaves.

HTTP keeps connections open between requests; each would hold the process for its whole timeout.
"""

from collections.abc import Iterator
from collections.abc import Set as AbstractSet
from contextlib import contextmanager
from typing import TypeAlias, cast

import gevent

Handler: TypeAlias = "gevent.Greenlet[..., None]"


class KeptConnections:
    """Knows which connections' handlers (greenlets) wait for a request."""

    def __init__(self) -> None:
        self._waiting: set[Handler] = set()
        self._fresh: set[Handler] = set()

    @contextmanager
    def opened(self) -> Iterator[None]:
        """Around the handling of a connection."""
        handler = cast(Handler, gevent.getcurrent())
        self._fresh.add(handler)
        try:
            yield
        finally:
            self._fresh.discard(handler)

    @contextmanager
    def waiting(self, patience_s: float) -> Iterator[None]:
        """Around the reading of a request; given up, without an error, after `patience_s`."""
        handler = cast(Handler, gevent.getcurrent())
        self._waiting.add(handler)
        try:
            with gevent.Timeout(patience_s, False):  # type: ignore[arg-type]  # False: no error
                yield
        finally:
            self._waiting.discard(handler)
            self._fresh.discard(handler)

    def close(self, grace_s: float) -> None:
        """Close those that wait: at once, or after `grace_s` if they have asked nothing yet.

        Who has just connected is about to ask something; but browsers also connect in advance.
        Returns at once, so a signal handler may call it.
        """
        loop = gevent.get_hub().loop
        loop.run_callback(lambda: self._close(self._waiting - self._fresh))
        self._last_call = loop.timer(grace_s)
        self._last_call.start(self._close, frozenset(self._fresh))

    def _close(self, handlers: AbstractSet[Handler]) -> None:
        # Only while the hub runs is who waits certain to be reading. Thrown from anywhere else, the
        # exception would come a moment later: in the middle of answering the next request.
        for handler in handlers & self._waiting:
            handler.throw(StopIteration)  # gunicorn's word for "close it"

"""What a connection goes on with once its request is over.

A socket lasts for hours, the request that became one for a moment. Served inside of that request it
would keep all of it: the headers in three forms, two contexts, and a stack thirty calls deep.
"""

from collections.abc import Callable
from contextvars import ContextVar
from typing import TypeAlias

Act: TypeAlias = Callable[[], None]

_later: ContextVar[list[Act] | None] = ContextVar("later", default=None)


def expect_more() -> list[Act]:
    """What is to be done once the connection's requests are over: whoever asks will do it then."""
    later: list[Act] = []
    _later.set(later)
    return later


def do_afterwards(act: Act) -> None:
    """Do this once the current request is over; at once where nobody waits for that.

    gunicorn's worker does. Other servers, like Flask's own, serve a socket inside of its request.
    """
    later = _later.get()
    if later is None:
        act()
    else:
        later.append(act)

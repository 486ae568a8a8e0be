"""Takes room and descriptors from running processes, and gives them back.

Anybody may move the soft limits of a process of the same user (prlimit(2)). So this needs no
rights, works where no disk may be mounted, and is undone while the process runs.
"""

from __future__ import annotations

import resource
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager

from tests.process_figures import family


def no_room_to_write(pid: int) -> AbstractContextManager[None]:
    """Let writes to files fail, as on a full disk, in a process and its children."""
    return _soft_limit(family(pid), resource.RLIMIT_FSIZE, 1)


def no_new_descriptors(pid: int) -> AbstractContextManager[None]:
    """Let whatever opens a file or a connection fail, in a process and its children."""
    return _soft_limit(family(pid), resource.RLIMIT_NOFILE, 0)


@contextmanager
def _soft_limit(pids: list[int], which: int, limit: int) -> Iterator[None]:
    before = {pid: resource.prlimit(pid, which) for pid in pids}
    for pid, (_, hard) in before.items():
        resource.prlimit(pid, which, (limit, hard))
    try:
        yield
    finally:
        for pid, limits in before.items():
            resource.prlimit(pid, which, limits)

"""Commits together what many greenlets write at the same moment.

A commit waits for the disk, and SQLite has one writer: a hundred commits a second are a lot. So
whoever comes while a commit is under way shares the next one with all others who came. Each write
stays all or nothing by itself, and returns once it would survive a crash.
"""

from collections import deque
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar, cast

import gevent.threadpool
from sqlalchemy import Connection

Result = TypeVar("Result")
Work = Callable[[Connection], Result]


class GroupCommit:
    """Writes in one native thread, so that no greenlet waits for a lock or for the disk."""

    def __init__(self, transact: Callable[[Work[None]], None]) -> None:
        """`transact` runs its argument in a transaction and commits that."""
        self._transact = transact
        self._native_thread = gevent.threadpool.ThreadPool(1)
        self._waiting: deque[_Write[object]] = deque()

    def write(self, work: Work[Result]) -> Result:
        """Run `work` in a transaction, perhaps with others; raises what it or the commit raises."""
        write = _Write(work)
        self._waiting.append(cast("_Write[object]", write))
        self._native_thread.apply(self._commit_with, (write,))
        return write.outcome()

    def _commit_with(self, write: "_Write[object]") -> None:
        if write.done:
            return  # One that came before has taken it along.
        together = []
        while self._waiting:
            together.append(self._waiting.popleft())
        try:
            self._transact(lambda connection: _run(connection, together))
        except Exception as error:  # noqa: BLE001 (each writer raises it)
            for one in together:
                one.error = one.error or error
        for one in together:
            one.done = True


class _Write(Generic[Result]):
    def __init__(self, work: Work[Result]) -> None:
        self.work = work
        self.result: Result | None = None
        self.error: Exception | None = None
        self.done = False

    def attempt(self, connection: Connection) -> None:
        """Do the work. What it raises is kept: an error that follows from it would hide it."""
        try:
            self.result = self.work(connection)
        except Exception as error:
            self.error = error
            raise

    def outcome(self) -> Result:
        if self.error:
            raise self.error
        return cast("Result", self.result)


def _run(connection: Connection, together: "Sequence[_Write[object]]") -> None:
    if len(together) == 1:
        together[0].result = together[0].work(connection)
        return
    for one in together:
        try:
            with connection.begin_nested():
                one.attempt(connection)
        except Exception as error:  # noqa: BLE001 (kept, and raised by its writer)
            one.error = one.error or error  # The others go on.
            if not _is_open(connection):
                # A full disk makes SQLite undo the whole transaction, what came before included,
                # and then a commit of nothing would succeed.
                raise one.error from None


def _is_open(connection: Connection) -> bool:
    """Whether SQLite still has the transaction (https://www.sqlite.org/lang_transaction.html)."""
    return bool(connection.connection.dbapi_connection.in_transaction)  # type: ignore[union-attr]

"""Writes of many greenlets in one commit: fewer waits for the disk, and each still by itself."""

from __future__ import annotations

import threading
from collections.abc import Callable

import gevent
import pytest
from sqlalchemy import Connection, insert, select

from app.store.database import Database
from app.store.group_commit import GroupCommit
from app.store.tables import conversations


class CountedDatabase:
    """Commits on a real database, counted; `hold` keeps the first one waiting."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.commits = 0
        self.hold = threading.Event()
        self.failure: Exception | None = None

    def transact(self, work: Callable[[Connection], None]) -> None:
        self.commits += 1
        if self.commits == 1:
            self.hold.wait(10)

        def fail_last(connection: Connection) -> None:
            work(connection)
            if self.failure:
                raise self.failure

        self.database.write(fail_last)


@pytest.fixture
def counted(sqlite: Database) -> CountedDatabase:
    return CountedDatabase(sqlite)


@pytest.fixture
def group(counted: CountedDatabase) -> GroupCommit:
    return GroupCommit(counted.transact)


def add(name: str, title: str = "t") -> Callable[[Connection], str]:
    def work(connection: Connection) -> str:
        values = {"id": name, "user_id": "u", "title": title, "created_at": 1, "updated_at": 1}
        connection.execute(insert(conversations).values(values))
        return name

    return work


def fail_after(work: Callable[[Connection], str]) -> Callable[[Connection], str]:
    def both(connection: Connection) -> str:
        work(connection)
        raise ZeroDivisionError

    return both


def kept(database: Database) -> set[str]:
    return set(database.read(lambda c: c.execute(select(conversations.c.id)).scalars().all()))


def write_together(
    group: GroupCommit, counted: CountedDatabase, *works: Callable[[Connection], str]
) -> list[gevent.Greenlet[..., str]]:
    """Write all of them while a first commit is still under way."""
    first = gevent.spawn(group.write, add("first"))
    gevent.sleep(0)
    writing = [gevent.spawn(group.write, work) for work in works]
    gevent.sleep(0)
    counted.hold.set()
    gevent.joinall([first, *writing], timeout=20)
    return writing


def test_what_comes_while_a_commit_is_under_way_shares_the_next_one(
    group: GroupCommit, counted: CountedDatabase
) -> None:
    names = [f"c{number}" for number in range(40)]
    writing = write_together(group, counted, *map(add, names))
    assert [one.value for one in writing] == names
    assert kept(counted.database) == {"first", *names}
    assert counted.commits <= 3


def test_one_that_fails_takes_nothing_of_the_others_along(
    group: GroupCommit, counted: CountedDatabase
) -> None:
    good, bad, same, last = write_together(
        group, counted, add("good"), fail_after(add("bad")), add("good"), add("last")
    )
    assert (good.value, last.value) == ("good", "last")
    assert isinstance(bad.exception, ZeroDivisionError)
    assert same.exception is not None
    assert "UNIQUE" in str(same.exception)
    assert kept(counted.database) == {"first", "good", "last"}


def test_a_commit_that_fails_is_everyones_failure(
    group: GroupCommit, counted: CountedDatabase
) -> None:
    counted.failure = OSError("disk full")
    writing = write_together(group, counted, add("a"), add("b"))
    assert all(isinstance(one.exception, OSError) for one in writing)
    assert kept(counted.database) == set()


def test_when_the_disk_is_full_in_the_middle_nobody_is_told_of_what_was_undone(
    group: GroupCommit, counted: CountedDatabase
) -> None:
    def leave_little_room(connection: Connection) -> None:
        pages = connection.exec_driver_sql("PRAGMA page_count").scalar_one()
        connection.exec_driver_sql(f"PRAGMA max_page_count={pages + 2}")

    counted.database.read(leave_little_room)  # the pool hands out this one connection again
    writing = write_together(group, counted, add("before"), add("big", "x" * 100_000), add("after"))
    assert "disk is full" in str(writing[1].exception)
    told = {one.value for one in writing if one.exception is None}
    assert kept(counted.database) - {"first"} == told
    assert told <= {"before"}, "that is, if it had a commit of its own"
    assert group.write(add("later")) == "later"


def test_a_write_alone_is_a_transaction_of_its_own(
    group: GroupCommit, counted: CountedDatabase
) -> None:
    counted.hold.set()
    assert group.write(add("one")) == "one"
    with pytest.raises(ZeroDivisionError):
        group.write(fail_after(add("two")))
    assert group.write(add("three")) == "three"
    assert kept(counted.database) == {"one", "three"}
    assert counted.commits == 3


def test_a_write_returns_when_it_is_committed_and_not_before(
    group: GroupCommit, counted: CountedDatabase
) -> None:
    seen = []

    def write(name: str) -> None:
        group.write(add(name))
        seen.append(name in kept(counted.database))

    counted.hold.set()
    gevent.joinall([gevent.spawn(write, f"c{number}") for number in range(20)], timeout=20)
    assert seen == [True] * 20

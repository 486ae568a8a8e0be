"""Opens the app database and runs transactions on it: SQLite in WAL mode, or PostgreSQL.

A transaction is a function that takes a connection. Under gevent, SQLite work runs in native
threads, because a lock wait there would freeze every stream of the worker.
"""

import fcntl
import logging
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.util import CommandError
from sqlalchemy import Connection, Engine, create_engine, event, make_url, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from app import native_thread
from app.errors import Unavailable
from app.native_thread import NativeThread
from app.store.faults import BUSY, DAMAGED, find_words
from app.store.group_commit import GroupCommit, Result, Work
from app.store.kept_connection import KeptConnection

log = logging.getLogger(__name__)

_MIGRATION_LOCK = 7368277  # any number that nothing else locks in this PostgreSQL database


class Database:
    """The app database of one process."""

    def __init__(self, url: str, *, durable: bool = True) -> None:
        """`url` is an SQLAlchemy URL; see `Settings.database`. Opens no connection yet.

        Without `durable`, a power cut may undo the last commits (never a part of one, and none
        that a durable one followed): for a process that would only do the same work again.
        """
        self.url = url
        self._sqlite_path = make_url(url).database if url.startswith("sqlite") else None
        make_engine = _sqlite_engine if self._sqlite_path else _postgresql_engine
        self._engine = make_engine(url, durable)
        # By whether they write; both take their connections from the one pool.
        self._engines = {
            writes: self._engine.execution_options(thumbprint_writes=writes)
            for writes in (False, True)
        }
        self._kept = {writes: KeptConnection(engine) for writes, engine in self._engines.items()}
        self._readers: NativeThread | None = None
        self._writers: GroupCommit | None = None
        if self._sqlite_path and native_thread.is_needed():
            self._readers = NativeThread()
            self._writers = GroupCommit(self._kept[True].transact)

    def read(self, work: Work[Result]) -> Result:
        """Run `work` in a transaction that changes nothing."""
        with self._explained():
            if self._readers is None:
                return self._transact(work, writes=False)
            return self._readers.run(lambda: self._kept[False].transact(work))

    def write(self, work: Work[Result]) -> Result:
        """Run `work` in a transaction; when this returns, its changes survive a crash.

        Raises `Unavailable`, which says why, when the database cannot take it: nothing is written.
        """
        with self._explained():
            if self._writers is None:
                return self._transact(work, writes=True)
            return self._writers.write(work)

    def migrate(self) -> None:
        """Bring the schema up to date; safe when several processes start at once.

        Raises `Unavailable` when the database cannot be used. Its message is for a terminal: it
        says where the database is.
        """
        config = Config()
        config.set_main_option("script_location", "app:store/migrations")
        try:
            with (
                self._explained(),
                self._one_migration_at_a_time(),
                self._engine.connect() as connection,
            ):
                self._check_pages(connection)
                config.attributes["connection"] = connection
                command.upgrade(config, "head")
                connection.commit()
        except (Unavailable, OSError, CommandError) as error:
            raise Unavailable(f"Cannot use {self._place()}: {_reason(error)}") from error

    def _check_pages(self, connection: Connection) -> None:
        """Raise `Unavailable` when the file is damaged: writing to it would make that worse.

        Reads all of it, a gigabyte in about two seconds. PostgreSQL sees to its own.
        """
        if self._sqlite_path:
            found = connection.exec_driver_sql("PRAGMA quick_check(1)").scalar()
            if found != "ok":
                raise Unavailable(f"{DAMAGED} ({' '.join(str(found).split())})")

    def _place(self) -> str:
        where = self._sqlite_path or make_url(self.url).render_as_string(hide_password=True)
        return f"the app database {where}"

    def close(self) -> None:
        """Close every connection."""
        for kept in self._kept.values():
            kept.close()
        self._engine.dispose()

    def _transact(self, work: Work[Result], *, writes: bool) -> Result:
        with self._engines[writes].begin() as connection:
            return work(connection)

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """Turn the failure of a database that cannot be reached into `Unavailable`."""
        try:
            yield
        except PoolTimeout as error:
            raise Unavailable(BUSY) from error
        except (DBAPIError, sqlite3.Error) as error:
            cause = error.orig if isinstance(error, DBAPIError) else error
            words = find_words(self._engine, cause)
            if words is None:
                raise
            log.error("the app database failed: %s", cause)
            raise Unavailable(words) from error

    @contextmanager
    def _one_migration_at_a_time(self) -> Iterator[None]:
        if self._sqlite_path:
            folder = Path(self._sqlite_path).parent
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            with (folder / "migration.lock").open("w") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
                yield
        else:
            with self._engine.connect() as connection:
                # Of the transaction, not the session: the pool would keep that one locked.
                waiting = text("SELECT pg_advisory_xact_lock(:key)")
                connection.execute(waiting, {"key": _MIGRATION_LOCK})
                yield


def _reason(error: Unavailable | OSError | CommandError) -> str:
    match error:
        case Unavailable():
            return error.message
        case OSError():
            return f"{error.strerror}."
        case _:
            return f"{error}. A newer release has changed its tables; start that one."


def _postgresql_engine(url: str, durable: bool) -> Engine:
    # pre_ping: a connection that died with a restarted server is replaced, not handed out.
    engine = create_engine(
        url,
        pool_size=10,
        max_overflow=20,
        pool_timeout=5,
        pool_pre_ping=True,
        hide_parameters=True,
        # A server that has vanished is an error within seconds, not a frozen request.
        connect_args={"connect_timeout": 5, "tcp_user_timeout": 10_000},
    )

    @event.listens_for(engine, "connect")
    def _configure(connection, _record):  # type: ignore[no-untyped-def]
        if not durable:
            connection.execute("SET synchronous_commit TO off")
            connection.commit()

    return engine


def _sqlite_engine(url: str, durable: bool) -> Engine:
    # Parameters are what people wrote; they have no business in an error message.
    engine = create_engine(url, connect_args={"check_same_thread": False}, hide_parameters=True)

    @event.listens_for(engine, "connect")
    def _configure(connection, _record):  # type: ignore[no-untyped-def]
        # SQLAlchemy's recipe: the driver must not begin transactions on its own.
        connection.isolation_level = None
        connection.execute("PRAGMA journal_mode=WAL")
        # FULL: what was committed survives a power cut, which is what "saved" says.
        connection.execute(f"PRAGMA synchronous={'FULL' if durable else 'NORMAL'}")
        connection.execute("PRAGMA foreign_keys=ON")
        connection.execute("PRAGMA busy_timeout=5000")

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        # A writer takes the lock at once: upgrading a read lock fails instead of waiting.
        writes = connection.get_execution_options().get("thumbprint_writes", True)
        # Not through SQLAlchemy, to which that is a statement with a result like any other.
        driver: sqlite3.Connection = connection.connection.driver_connection  # type: ignore[assignment]
        driver.execute("BEGIN IMMEDIATE" if writes else "BEGIN")

    return engine

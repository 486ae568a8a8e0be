"""The app database: transactions, migrations, and what happens when it cannot be reached."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Connection, create_engine, insert, inspect, select, text

from app.errors import Unavailable
from app.store.database import Database
from app.store.kept_connection import KeptConnection
from app.store.tables import conversations, metadata


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    database = Database(f"sqlite:///{tmp_path / 'app.db'}")
    database.migrate()
    yield database
    database.close()


def add_conversation(connection: Connection, conversation_id: str) -> None:
    connection.execute(
        insert(conversations).values(
            id=conversation_id, user_id="u", title="t", created_at=1, updated_at=1
        )
    )


def count(database: Database) -> int:
    return len(database.read(lambda c: c.execute(select(conversations)).all()))


def test_the_migrations_lead_to_the_tables_the_code_uses(database: Database) -> None:
    def differences(connection: Connection) -> list[object]:
        context = MigrationContext.configure(
            connection, opts={"compare_type": True, "compare_server_default": True}
        )
        return list(compare_metadata(context, metadata))

    assert database.read(differences) == []


def test_constraints_of_the_migrations_are_those_of_the_tables(
    database: Database, tmp_path: Path
) -> None:
    other = Database(f"sqlite:///{tmp_path / 'created.db'}")
    other.write(metadata.create_all)

    def shape(connection: Connection) -> dict[str, object]:
        found = inspect(connection)
        return {
            table: (
                found.get_pk_constraint(table),
                sorted(map(str, found.get_foreign_keys(table))),
                sorted(map(str, found.get_unique_constraints(table))),
                sorted(map(str, found.get_indexes(table))),
                sorted((c["name"], c["nullable"]) for c in found.get_columns(table)),
            )
            for table in metadata.tables
        }

    assert database.read(shape) == other.read(shape)
    other.close()


def test_tables_of_a_newer_release_are_left_alone_in_words(database: Database) -> None:
    database.write(lambda c: c.execute(text("UPDATE alembic_version SET version_num = '9999'")))
    with pytest.raises(Unavailable, match=r"'9999'\. A newer release has changed its tables"):
        database.migrate()


def test_migrating_again_changes_nothing(database: Database) -> None:
    database.write(lambda c: add_conversation(c, "kept"))
    database.migrate()
    assert count(database) == 1


def test_the_folder_of_a_new_database_is_its_owners_alone(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path / 'new' / 'app.db'}")
    database.migrate()
    database.close()
    assert (tmp_path / "new").stat().st_mode & 0o777 == 0o700


def test_migrations_that_fail_leave_nothing_half_made(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path / 'app.db'}")
    database.write(lambda c: c.execute(text("CREATE TABLE departed_traces (in_the_way TEXT)")))
    with pytest.raises(Unavailable):
        database.migrate()
    assert database.read(lambda c: inspect(c).get_table_names()) == ["departed_traces"]
    database.write(lambda c: c.execute(text("DROP TABLE departed_traces")))
    database.migrate()
    assert count(database) == 0
    database.close()


def test_whoever_starts_together_migrates_once(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'new' / 'app.db'}"

    def start(_: int) -> int:
        database = Database(url)
        database.migrate()
        found = count(database)
        database.close()
        return found

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(start, range(4))) == [0] * 4


def test_a_transaction_that_fails_leaves_nothing_behind(database: Database) -> None:
    def work(connection: Connection) -> None:
        add_conversation(connection, "half")
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        database.write(work)
    assert count(database) == 0


def test_writers_in_many_threads_wait_for_each_other(database: Database) -> None:
    def write(number: int) -> None:
        database.write(lambda c: add_conversation(c, f"c{number}"))

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(write, range(80)))
    assert count(database) == 80


def test_a_reader_does_not_wait_for_a_writer(database: Database) -> None:
    def work(connection: Connection) -> int:
        add_conversation(connection, "unseen")
        return count(database)

    assert database.write(work) == 0


def test_deleting_a_conversation_takes_its_rows_along(database: Database) -> None:
    assert database.read(lambda c: c.execute(text("PRAGMA foreign_keys")).scalar()) == 1


def test_what_was_committed_survives_a_power_cut(database: Database) -> None:
    assert database.read(lambda c: c.execute(text("PRAGMA journal_mode")).scalar()) == "wal"
    assert database.read(lambda c: c.execute(text("PRAGMA synchronous")).scalar()) == 2


def test_who_would_only_do_it_again_does_not_wait_for_the_disk(
    database: Database, postgresql: Database
) -> None:
    for real, setting, hasty in (
        (database, "PRAGMA synchronous", 1),
        (postgresql, "SHOW synchronous_commit", "off"),
    ):
        relays = Database(real.url, durable=False)
        assert relays.read(lambda c, q=setting: c.execute(text(q)).scalar()) == hasty  # type: ignore[misc]
        assert real.read(lambda c, q=setting: c.execute(text(q)).scalar()) != hasty  # type: ignore[misc]
        relays.close()


def test_a_database_that_stays_locked_is_unavailable_and_nothing_is_written(
    database: Database, tmp_path: Path
) -> None:
    def impatient(connection: Connection) -> None:
        connection.exec_driver_sql("PRAGMA busy_timeout=20")

    database.read(impatient)  # the pool hands out this one connection again
    blocker = sqlite3.connect(tmp_path / "app.db", isolation_level=None)
    blocker.execute("BEGIN IMMEDIATE")
    with pytest.raises(Unavailable) as caught:
        database.write(lambda c: add_conversation(c, "late"))
    assert caught.value.retryable
    assert str(tmp_path) not in caught.value.message
    blocker.execute("ROLLBACK")
    blocker.close()
    assert count(database) == 0


def test_a_folder_that_cannot_be_used_is_unavailable(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    database = Database(f"sqlite:///{tmp_path / 'file' / 'app.db'}")
    with pytest.raises(Unavailable):
        database.read(lambda c: c.execute(text("SELECT 1")))
    database.close()


def test_a_kept_connection_serves_every_transaction_until_one_fails(tmp_path: Path) -> None:
    engine = create_engine(f"sqlite:///{tmp_path / 'kept.db'}")
    kept = KeptConnection(engine)

    def mark(connection: Connection) -> None:
        connection.execute(text("INSERT INTO marks VALUES (1)"))

    def fail(connection: Connection) -> None:
        mark(connection)
        raise ZeroDivisionError

    def marks(connection: Connection) -> tuple[Connection, list[int]]:
        return connection, list(connection.execute(text("SELECT * FROM marks")).scalars())

    kept.transact(lambda c: c.execute(text("CREATE TABLE marks (mark INTEGER)")).close())
    kept.transact(mark)
    first, found = kept.transact(marks)
    assert found == [1]
    assert kept.transact(marks)[0] is first
    with pytest.raises(ZeroDivisionError):
        kept.transact(fail)
    assert first.closed
    assert kept.transact(marks)[1] == [1]
    kept.close()
    assert kept.transact(marks)[1] == [1]
    kept.close()
    engine.dispose()

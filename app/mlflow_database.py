"""`make run`'s own MLflow database: made ready before MLflow opens it.

MLflow makes its tables in seconds of migrations. SQLite does not undo them when MLflow is stopped
meanwhile, and what is left of them is in the way of every later start. And MLflow leaves SQLite its
oldest way of writing, in which whoever reads a report holds up every trace that is to be written.
"""

import sqlite3
from contextlib import closing, suppress
from pathlib import Path

FILE_NAME = "mlflow.db"  # as in the Procfile
# Migrations copy a table into one of these and rename it; either may be there, neither or both.
EXPERIMENTS = {"experiments", "_alembic_tmp_experiments"}


def prepare(folder: Path) -> Path | None:
    """Let the database in `folder` be read while it is written; make it if there is none.

    One that MLflow never finished is renamed first; returns where it is now. MLflow must not be
    running. One that cannot be read or changed is left to MLflow, which says what is wrong with it.
    """
    database = folder / FILE_NAME
    unfinished = None
    with suppress(sqlite3.Error):
        if database.exists() and _is_unfinished(database):
            unfinished = _set_aside(database)
        with closing(sqlite3.connect(database)) as connection:
            # The file keeps it: https://www.sqlite.org/wal.html
            connection.execute("PRAGMA journal_mode=WAL")
    return unfinished


def _is_unfinished(database: Path) -> bool:
    """Whether it has tables and no experiment: the first is added when all tables are made."""
    with closing(sqlite3.connect(database)) as connection:
        rows = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
        tables = {name for (name,) in rows.fetchall()}
        return bool(tables) and not any(
            connection.execute(f"SELECT 1 FROM {name} LIMIT 1").fetchone()  # noqa: S608
            for name in EXPERIMENTS & tables
        )


def _set_aside(database: Path) -> Path:
    # It was read above, so SQLite has taken back what these told of, if anything.
    for suffix in ("-journal", "-wal", "-shm"):
        database.with_name(f"{FILE_NAME}{suffix}").unlink(missing_ok=True)
    return database.replace(database.with_name(f"{FILE_NAME}.unfinished"))

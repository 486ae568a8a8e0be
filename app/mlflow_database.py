"""`make run`'s own MLflow database: one whose making was interrupted is set aside.

MLflow makes its tables in seconds of migrations. SQLite does not undo them when MLflow is stopped
meanwhile, and what is left of them is in the way of every later start.
"""

import sqlite3
from contextlib import closing
from pathlib import Path

FILE_NAME = "mlflow.db"  # as in the Procfile
# Migrations copy a table into one of these and rename it; either may be there, neither or both.
EXPERIMENTS = {"experiments", "_alembic_tmp_experiments"}


def set_aside_if_unfinished(folder: Path) -> Path | None:
    """Rename the database in `folder` if MLflow never finished it.

    Returns where it is now, or None when there was nothing to do. MLflow must not be running.
    """
    database = folder / FILE_NAME
    if not database.exists() or not _is_unfinished(database):
        return None
    # Read above, so SQLite has taken back what it told of, if anything.
    database.with_name(f"{FILE_NAME}-journal").unlink(missing_ok=True)
    return database.replace(database.with_name(f"{FILE_NAME}.unfinished"))


def _is_unfinished(database: Path) -> bool:
    """Whether it has no experiment: MLflow adds its first, "Default", when all tables are made.

    One that cannot be read is left to MLflow, which says what is wrong with it.
    """
    try:
        with closing(sqlite3.connect(database)) as connection:
            tables = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
            found = EXPERIMENTS.intersection(name for (name,) in tables.fetchall())
            return not any(
                connection.execute(f"SELECT 1 FROM {name} LIMIT 1").fetchone()  # noqa: S608
                for name in found
            )
    except sqlite3.Error:
        return False

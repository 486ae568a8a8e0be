"""Says in words what is wrong with the app database, for whoever waits for it.

The codes: https://www.sqlite.org/rescode.html and
https://www.postgresql.org/docs/current/errcodes-appendix.html
"""

import sqlite3

from sqlalchemy import Engine

BUSY = "The app database is too busy right now."
NO_ROOM = "Nothing can be saved right now: the disk of the app database is full or fails."
READ_ONLY = "Nothing can be saved right now: the app database is read-only."
DAMAGED = "The app database is damaged. Whoever runs this app has to restore it."
UNREACHABLE = "The app database cannot be reached right now."

_SQLITE = {
    sqlite3.SQLITE_BUSY: BUSY,
    sqlite3.SQLITE_LOCKED: BUSY,
    sqlite3.SQLITE_FULL: NO_ROOM,
    sqlite3.SQLITE_IOERR: NO_ROOM,
    sqlite3.SQLITE_READONLY: READ_ONLY,
    sqlite3.SQLITE_CORRUPT: DAMAGED,
    sqlite3.SQLITE_NOTADB: DAMAGED,
}
_POSTGRESQL = {
    "53100": NO_ROOM,  # disk_full
    "58030": NO_ROOM,  # io_error
    "25006": READ_ONLY,  # read_only_sql_transaction
    "XX001": DAMAGED,  # data_corrupted
    "XX002": DAMAGED,  # index_corrupted
}


def find_words(engine: Engine, cause: BaseException | None) -> str | None:
    """What people may be told of the driver's error; None when the fault is ours."""
    # The lower byte is the kind, the rest of it says more.
    kind = getattr(cause, "sqlite_errorcode", 0) & 0xFF
    state = getattr(cause, "sqlstate", None) or ""
    if words := _SQLITE.get(kind) or _POSTGRESQL.get(state):
        return words
    dbapi = engine.dialect.loaded_dbapi
    away = isinstance(cause, (dbapi.OperationalError, dbapi.InterfaceError))
    return UNREACHABLE if away else None

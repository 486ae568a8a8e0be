"""Runs the transactions of one thread on one connection.

To take one from the pool and to give it back costs as much as reading a row.
"""

from sqlalchemy import Connection, Engine

from app.store.group_commit import Result, Work


class KeptConnection:
    """A connection for one transaction after the other, opened by the first."""

    def __init__(self, engine: Engine) -> None:
        """`engine` is where the connection comes from."""
        self._engine = engine
        self._connection: Connection | None = None

    def transact(self, work: Work[Result]) -> Result:
        """Run `work` in a transaction and commit that. After a failure the connection is given up.

        By one thread at a time.
        """
        connection = self._connection or self._engine.connect()
        self._connection = None
        try:
            with connection.begin():
                result = work(connection)
        except BaseException:
            connection.close()
            raise
        self._connection = connection
        return result

    def close(self) -> None:
        """Give the connection back to the pool; the next transaction takes another."""
        connection, self._connection = self._connection, None
        if connection:
            connection.close()

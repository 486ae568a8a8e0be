"""The engines of a larger deployment, for real: Redis and PostgreSQL, each on a port of its own."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import uuid
from pathlib import Path

import psycopg
import redis

from tests.processes import ServerProcess, clean_environment, free_port

POSTGRESQL_BIN = sorted(Path("/usr/lib/postgresql").glob("*/bin"))[-1:]


class RedisServer(ServerProcess):
    """A `redis-server` that keeps nothing on disk: a restart empties it."""

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"
        super().__init__(
            [
                *("redis-server", "--port", str(self.port), "--bind", "127.0.0.1"),
                *("--save", "", "--appendonly", "no", "--dir", str(folder)),
            ],
            clean_environment(),
            folder,
            "redis",
            self._is_answering,
        )

    def client(self) -> redis.Redis:
        """A client of the test's own."""
        return redis.Redis.from_url(self.url, decode_responses=True, protocol=2)

    def _is_answering(self) -> bool:
        with self.client() as client:
            return bool(client.ping())


class PostgresqlServer(ServerProcess):
    """A PostgreSQL server with its data in a folder of its own."""

    def __init__(self) -> None:
        # Not below pytest's folder, which nobody but its owner may enter: as root the server runs
        # under another user.
        self._home = Path(tempfile.mkdtemp(prefix="thumbprint-postgresql-"))
        self._as_user: list[str] = []
        if os.geteuid() == 0:
            shutil.chown(self._home, "postgres", "postgres")
            self._as_user = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"]
        self.port = free_port()
        self._data = self._home / "data"
        super().__init__(
            [
                *(*self._as_user, str(_binary("postgres")), "-D", str(self._data)),
                *("-p", str(self.port), "-c", "listen_addresses=127.0.0.1"),
                *("-c", f"unix_socket_directories={self._home}", "-c", "max_connections=200"),
                # A killed process loses nothing without it, only a machine would.
                *("-c", "fsync=off"),
            ],
            clean_environment(),
            self._home,
            "postgresql",
            self._is_answering,
        )

    def launch(self) -> None:
        """Start; the first time, make the cluster."""
        if not self._data.exists():
            options = ["--auth=trust", "--username=postgres", "--no-sync", "--encoding=UTF8"]
            subprocess.run(
                [*self._as_user, str(_binary("initdb")), "-D", str(self._data), *options],
                check=True,
                capture_output=True,
                cwd=self._home,
            )
        super().launch()

    def create_database(self) -> str:
        """Make a new, empty database; returns its URL."""
        name = f"app_{uuid.uuid4().hex}"
        self._execute(f"CREATE DATABASE {name}")
        return self.url(name)

    def url(self, name: str) -> str:
        """The SQLAlchemy URL of a database."""
        return f"postgresql+psycopg://postgres@127.0.0.1:{self.port}/{name}"

    def remove(self) -> None:
        """End the server and delete its data."""
        self.terminate()
        shutil.rmtree(self._home, ignore_errors=True)

    def ask_to_end(self) -> None:
        """Ask for a fast shutdown, which waits for no client."""
        self._signal(signal.SIGINT, group=False)

    def _execute(self, statement: str) -> None:
        where = {"host": "127.0.0.1", "port": self.port, "user": "postgres", "dbname": "postgres"}
        with psycopg.connect(**where, autocommit=True) as connection:  # type: ignore[arg-type]
            connection.execute(statement)

    def _is_answering(self) -> bool:
        self._execute("SELECT 1")
        return True


def _binary(name: str) -> Path:
    assert POSTGRESQL_BIN, (
        "PostgreSQL is not installed (Debian, Ubuntu: apt-get install postgresql)"
    )
    return POSTGRESQL_BIN[0] / name

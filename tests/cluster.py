"""Two instances of the app as on two machines: one PostgreSQL, one Redis, no memory in common."""

from __future__ import annotations

from pathlib import Path

from tests.engines import PostgresqlServer, RedisServer
from tests.servers import AppServer, MlflowServer, Stack


class Cluster(Stack):
    """A stack with a second web server. Any of them serves anybody."""

    def __init__(
        self,
        folder: Path,
        mlflow: MlflowServer,
        postgresql: PostgresqlServer,
        redis: RedisServer,
        **settings: str,
    ) -> None:
        self.postgresql = postgresql
        self.redis = redis
        shared = {
            "DATABASE_URL": postgresql.create_database(),
            "REDIS_URL": redis.url,
            "SECRET_KEY": "the same everywhere",
            **settings,
        }
        super().__init__(folder, mlflow, **shared)
        second = folder / "second"
        own = {"HOST", "PORT", "DATA_DIR"}
        environment = {k: v for k, v in self.web.environment.items() if k not in own}
        self.second = AppServer(second, **environment)

    @property
    def webs(self) -> tuple[AppServer, AppServer]:
        """Both web servers."""
        return self.web, self.second

    def start(self) -> None:
        """Start everything side by side."""
        self.second.launch()
        super().start()
        self.second.wait_ready()

    def stop(self) -> None:
        """End everything this cluster started."""
        self.second.ask_to_end()
        super().stop()
        self.second.terminate()

"""Fixtures shared by `tests/` and `e2e/`: real servers, started once and only when asked for.

With CI=true a skipped test fails the run: nothing is left out in silence.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Playwright

from app.store.database import Database
from app.store.tables import metadata
from tests.chromium import launch_arguments
from tests.cluster import Cluster
from tests.engines import PostgresqlServer, RedisServer
from tests.scripted_model import ScriptedModel
from tests.servers import MlflowServer, Stack
from tests.turn_scene import TurnScene


@contextmanager
def restored_environment() -> Iterator[None]:
    """Undo what an app leaves in the environment: MLflow keeps its tracking URI there."""
    before = dict(os.environ)
    yield
    for name in os.environ.keys() - before.keys():
        del os.environ[name]


@pytest.fixture(scope="module", autouse=True)
def restored_after_module() -> Iterator[None]:
    """Leave nothing of a module's own apps to the modules after it."""
    with restored_environment():
        yield


@pytest.fixture(autouse=True)
def restored_after_test() -> Iterator[None]:
    """Leave nothing of a test's app to the tests after it."""
    with restored_environment():
        yield


@pytest.fixture(scope="session")
def mlflow_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MlflowServer]:
    """One MLflow server for the whole run; a test that kills it must start it again."""
    server = MlflowServer(tmp_path_factory.mktemp("mlflow"))
    server.start()
    yield server
    server.terminate()


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """One Redis server for the whole run. Ask for `redis` instead."""
    server = RedisServer(tmp_path_factory.mktemp("redis"))
    server.start()
    yield server
    server.terminate()


@pytest.fixture
def redis(redis_server: RedisServer) -> Iterator[RedisServer]:
    """An empty Redis server, which runs again when the test is over."""
    redis_server.client().flushall()
    yield redis_server
    if not redis_server.is_running:
        redis_server.start()


@pytest.fixture(scope="session")
def postgresql_server() -> Iterator[PostgresqlServer]:
    """One PostgreSQL server for the whole run; a test that ends it must start it again."""
    server = PostgresqlServer()
    try:
        server.start()
        yield server
    finally:
        server.remove()


@pytest.fixture(scope="session")
def postgresql_database(postgresql_server: PostgresqlServer) -> Iterator[Database]:
    """One migrated database on it. Ask for `postgresql` instead, which empties it first."""
    database = Database(postgresql_server.create_database())
    database.migrate()
    yield database
    database.close()


@pytest.fixture
def sqlite(tmp_path: Path) -> Iterator[Database]:
    """An empty app database on SQLite."""
    database = Database(f"sqlite:///{tmp_path / 'app.db'}")
    database.migrate()
    yield database
    database.close()


@pytest.fixture
def postgresql(postgresql_database: Database) -> Database:
    """An empty app database on PostgreSQL."""
    names = ", ".join(metadata.tables)
    postgresql_database.write(lambda c: c.exec_driver_sql(f"TRUNCATE {names} RESTART IDENTITY"))
    return postgresql_database


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest) -> Database:
    """An empty app database, on each engine in turn."""
    database: Database = request.getfixturevalue(request.param)
    return database


@pytest.fixture(params=["embedded", "production"])
def new_scene(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[..., TurnScene]:
    """Make processes that run turns and share a database: one is embedded, many need Redis too."""
    embedded = request.param == "embedded"
    database = request.getfixturevalue("sqlite" if embedded else "postgresql")
    redis_url = None if embedded else request.getfixturevalue("redis_server").url
    return partial(TurnScene, tmp_path, database=database, redis_url=redis_url)


@pytest.fixture(scope="session")
def shared_stack(
    tmp_path_factory: pytest.TempPathFactory, mlflow_server: MlflowServer
) -> Iterator[Stack]:
    """One stack for all tests that kill nothing. Ask for `stack` instead."""
    stack = Stack(tmp_path_factory.mktemp("shared-stack"), mlflow_server)
    try:
        stack.start()
        yield stack
    finally:
        stack.stop()


@pytest.fixture
def stack(shared_stack: Stack) -> Iterator[Stack]:
    """The shared stack, its scripted model knowing nothing of earlier tests."""
    shared_stack.model.clear()
    yield shared_stack
    shared_stack.model.clear()


@pytest.fixture
def stack_with(tmp_path: Path, mlflow_server: MlflowServer) -> Iterator[Callable[..., Stack]]:
    """Start stacks of this test's own: `stack_with(CHAT_TURN_TIMEOUT_S="2")`."""
    started: list[Stack] = []

    def start(**settings: str) -> Stack:
        folder = tmp_path / f"{tmp_path.name}-{len(started)}"
        stack = Stack(folder, mlflow_server, **settings)
        started.append(stack)
        stack.start()
        return stack

    try:
        yield start
    finally:
        if not mlflow_server.is_running:
            mlflow_server.start()
        for stack in started:
            stack.stop()


@pytest.fixture(scope="session")
def shared_cluster(
    tmp_path_factory: pytest.TempPathFactory,
    mlflow_server: MlflowServer,
    postgresql_server: PostgresqlServer,
    redis_server: RedisServer,
) -> Iterator[Cluster]:
    """One cluster for all tests that need two instances. Ask for `cluster` instead."""
    folder = tmp_path_factory.mktemp("cluster")
    cluster = Cluster(folder, mlflow_server, postgresql_server, redis_server)
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.stop()


@pytest.fixture
def cluster(shared_cluster: Cluster) -> Iterator[Cluster]:
    """The cluster, all of it running at the beginning and at the end."""
    shared_cluster.model.clear()
    yield shared_cluster
    shared_cluster.model.clear()
    for server in (shared_cluster.redis, shared_cluster.postgresql, *shared_cluster.webs):
        if not server.is_running:
            server.start()


@pytest.fixture
def scripted_model() -> Iterator[ScriptedModel]:
    """A scripted model alone, for tests of the code that reads models."""
    with ScriptedModel() as model:
        yield model


@pytest.fixture(scope="session")
def browser_type_launch_args(
    browser_type_launch_args: dict[str, Any], playwright: Playwright
) -> dict[str, Any]:
    """The browser of this machine."""
    return {**browser_type_launch_args, **launch_arguments(playwright)}


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """On CI, turn a skipped test into a failed one."""
    report = yield
    if report.skipped and not hasattr(report, "wasxfail") and os.environ.get("CI") == "true":
        report.outcome = "failed"
        report.longrepr = f"{item.nodeid} was skipped, which CI does not allow: {report.longrepr}"
    return report

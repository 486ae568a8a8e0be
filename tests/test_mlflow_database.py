"""What an interrupted MLflow left of its database is set aside; what holds anything stays."""

from __future__ import annotations

import shutil
import signal
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from honcho.environ import parse_procfile

from app.launcher import ROOT
from app.mlflow_database import prepare
from tests.processes import free_port
from tests.servers import MlflowServer
from tests.test_launcher import Run, launcher_process
from tests.waiting import eventually


def make_database(folder: Path, *statements: str) -> Path:
    """An `mlflow.db` in `folder` after `statements`."""
    path = folder / "mlflow.db"
    with closing(sqlite3.connect(path)) as connection, connection:
        for statement in statements:
            connection.execute(statement)
    return path


def has_begun(path: Path) -> bool:
    """Whether MLflow has made the first tables."""
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
        return bool(connection.execute("SELECT version_num FROM alembic_version").fetchone())


def test_ctrl_c_while_mlflow_makes_its_database_is_not_in_the_way_of_the_next_run(
    tmp_path: Path,
) -> None:
    port = free_port()
    real = parse_procfile((ROOT / "Procfile").read_text()).processes["mlflow"]
    path = tmp_path / "data" / "mlflow.db"
    with launcher_process(tmp_path, {"mlflow": real}, mlflow_port=port) as process:
        eventually(lambda: has_begun(path), timeout=60)
        process.send_signal(signal.SIGINT)
        output, _ = process.communicate(timeout=60)
    assert output.endswith("Stopped.\n")

    stand_in = {"mlflow": "exec python server.py $MLFLOW_PORT"}
    with Run(tmp_path, stand_in, mlflow_port=port) as run:
        eventually(lambda: run.said("MLflow is ready"), timeout=30)
    assert "stopped before MLflow had made its database" in run.output()
    assert f"{path}.unfinished" in run.output()
    begun_again = sorted(file.name for file in path.parent.glob("mlflow.db*"))
    assert begun_again == ["mlflow.db", "mlflow.db.unfinished"]


def test_the_database_of_a_running_mlflow_is_finished(
    tmp_path: Path, mlflow_server: MlflowServer
) -> None:
    shutil.copy(mlflow_server.database, tmp_path / "mlflow.db")
    assert prepare(tmp_path) is None
    assert (tmp_path / "mlflow.db").exists()


def test_before_the_first_run_there_is_an_empty_one_which_stays_until_mlflow_fills_it(
    tmp_path: Path,
) -> None:
    for _ in range(2):
        assert prepare(tmp_path) is None
        assert [file.name for file in tmp_path.iterdir()] == ["mlflow.db"]


@pytest.mark.parametrize("table", ["experiments", "_alembic_tmp_experiments"])
def test_one_that_holds_an_experiment_stays_even_in_the_middle_of_an_upgrade(
    tmp_path: Path, table: str
) -> None:
    path = make_database(tmp_path, f"CREATE TABLE {table} AS SELECT 'Default' AS name")
    assert prepare(tmp_path) is None
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute(f"SELECT * FROM {table}").fetchall() == [("Default",)]  # noqa: S608


def test_whoever_reads_it_holds_up_nobody_who_writes(tmp_path: Path) -> None:
    prepare(tmp_path)
    path = make_database(tmp_path, "CREATE TABLE traces (n)", "INSERT INTO traces VALUES (1)")
    with closing(sqlite3.connect(path)) as reader, closing(sqlite3.connect(path, 0)) as writer:
        reader.execute("BEGIN")
        assert reader.execute("SELECT count(*) FROM traces").fetchone() == (1,)
        with writer:
            writer.execute("INSERT INTO traces VALUES (2)")
        assert writer.execute("SELECT count(*) FROM traces").fetchone() == (2,)


@pytest.mark.parametrize("table", ["experiments", "alembic_version"])
def test_one_without_an_experiment_is_renamed_and_takes_an_earlier_ones_place(
    tmp_path: Path, table: str
) -> None:
    (tmp_path / "mlflow.db.unfinished").write_text("an earlier one")
    path = make_database(tmp_path, f"CREATE TABLE {table} (n)")
    content = path.read_bytes()
    (tmp_path / "mlflow.db-journal").write_bytes(b"\0" * 512)
    aside = prepare(tmp_path)
    assert aside == tmp_path / "mlflow.db.unfinished"
    assert aside.read_bytes() == content
    assert not (tmp_path / "mlflow.db-journal").exists()


def test_one_that_cannot_be_read_is_left_to_mlflow(tmp_path: Path) -> None:
    (tmp_path / "mlflow.db").write_text("no database at all")
    assert prepare(tmp_path) is None
    assert (tmp_path / "mlflow.db").read_text() == "no database at all"

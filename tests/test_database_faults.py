"""A database that is full, read-only or damaged: said in words, and nothing half-written."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from flask import Flask
from sqlalchemy import Connection, text

from app.errors import SettingsError, Unavailable
from app.settings import load_settings
from app.store import faults
from app.store.database import Database
from tests.processes import ROOT, clean_environment, free_port
from tests.web_client import app_with, ask, close, error_of

PAGE = 4096
# Root may write anywhere, unless it gives that right up.
BOUND_BY_PERMISSIONS = (
    ["setpriv", "--bounding-set=-dac_override", "--inh-caps=-dac_override", "--"]
    if os.geteuid() == 0
    else []
)


def overwrite_header(path: Path) -> None:
    with path.open("r+b") as file:
        file.write(b"garbage " * 16)


def overwrite_pages(path: Path) -> None:
    """Everything but the first page, which says what this is."""
    size = path.stat().st_size
    with path.open("r+b") as file:
        file.seek(PAGE)
        file.write(b"\xde\xad" * ((size - PAGE) // 2))


def overwrite_last_page(path: Path) -> None:
    """One that no start has a reason to look at."""
    with path.open("r+b") as file:
        file.seek(-PAGE, os.SEEK_END)
        file.write(b"\xde\xad" * (PAGE // 2))


def truncate(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2 + 100)


DAMAGES: list[Callable[[Path], None]] = [
    overwrite_header,
    overwrite_pages,
    overwrite_last_page,
    truncate,
]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """The file of a migrated database that nobody has open."""
    path = tmp_path / "thumbprint.db"
    database = Database(f"sqlite:///{path}")
    database.migrate()
    database.close()
    return path


def saved_bytes(path: Path) -> list[bytes]:
    return [one.read_bytes() for one in sorted(path.parent.glob("*.db*"))]


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_file_is_named_at_the_start_and_left_as_it_is(
    file: Path, damage: Callable[[Path], None]
) -> None:
    damage(file)
    before = file.read_bytes()
    database = Database(f"sqlite:///{file}")
    with pytest.raises(Unavailable) as caught:
        database.migrate()
    database.close()
    assert str(file) in caught.value.message
    assert faults.DAMAGED in caught.value.message
    assert "\n" not in caught.value.message
    assert file.read_bytes() == before


# What every process of the app begins with, without all that it imports besides.
MIGRATION = """
import sys
from app.errors import Unavailable
from app.store.database import Database
try:
    Database(f"sqlite:///{sys.argv[1]}").migrate()
except Unavailable as error:
    sys.exit(error.message)
"""
COMMANDS = {
    "web": ["-m", "gunicorn", "--config", str(ROOT / "gunicorn.conf.py"), "app:create_app()"],
    "relay": ["-m", "app.relay"],
}


def start(command: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run a process of the app that is to end by itself."""
    elsewhere = "http://127.0.0.1:9"
    return subprocess.run(
        [sys.executable, *COMMANDS[command]],
        env=clean_environment(
            DATA_DIR=str(folder),
            OPENAI_BASE_URL=elsewhere,
            MLFLOW_TRACKING_URI=elsewhere,
            PORT=str(free_port()),
        ),
        cwd=folder.parent,
        capture_output=True,
        text=True,
        timeout=60,
    )


@pytest.mark.parametrize("command", COMMANDS)
def test_no_process_starts_on_a_damaged_file_and_each_says_so_in_one_line(
    file: Path, command: str
) -> None:
    overwrite_header(file)
    ended = start(command, file.parent)
    assert ended.returncode != 0
    assert "Traceback" not in ended.stderr
    [line] = [line for line in ended.stderr.splitlines() if "Cannot use the app database" in line]
    assert str(file) in line
    assert faults.DAMAGED in line


@pytest.mark.parametrize(
    ("exists", "reason"),
    [(False, "Permission denied."), (True, faults.READ_ONLY)],
    ids=["new", "used before"],
)
def test_a_folder_that_cannot_be_written_to_is_named_in_one_line(
    file: Path, exists: bool, reason: str
) -> None:
    if not exists:
        for one in file.parent.iterdir():
            one.unlink()
    file.parent.chmod(0o555)
    try:
        ended = subprocess.run(
            [*BOUND_BY_PERMISSIONS, sys.executable, "-c", MIGRATION, str(file)],
            env=clean_environment(),
            capture_output=True,
            text=True,
        )
    finally:
        file.parent.chmod(0o755)
    assert ended.returncode != 0
    assert "Traceback" not in ended.stderr
    last = ended.stderr.splitlines()[-1]
    assert last == f"Cannot use the app database {file}: {reason}"


def test_a_key_that_cannot_be_kept_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    settings = load_settings(_env_file=None, data_dir=tmp_path / "file" / "data", secret_key=None)
    with pytest.raises(
        SettingsError, match=r"SECRET_KEY: unset, and .*: Not a directory"
    ) as caught:
        settings.signing_key()
    assert "\n" not in caught.value.message


@pytest.fixture
def app(tmp_path: Path) -> Iterator[Flask]:
    app = app_with(tmp_path / "data")
    yield app
    close(app)


@pytest.mark.parametrize("damage", [overwrite_header, overwrite_pages])
def test_damage_under_a_running_app_is_503_in_words(
    app: Flask, tmp_path: Path, damage: Callable[[Path], None]
) -> None:
    client = app.test_client()
    asked = ask(client)
    file = tmp_path / "data" / "thumbprint.db"
    with sqlite3.connect(file) as other:
        other.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    other.close()
    damage(file)
    answers = [
        client.get(f"/conversations/{asked['conversation_id']}"),
        client.post("/feedback", query_string={"trace_id": asked["trace_id"]}, json=THUMB),
        client.post("/chat", json={"message": "And now?"}),
    ]
    said = [(answer.status_code, error_of(answer)["message"]) for answer in answers]
    assert set(said) == {(503, faults.DAMAGED)}
    assert client.get("/readyz").status_code == 503


THUMB = {"is_correct": True}


def test_a_full_database_refuses_in_words_and_takes_everything_again_once_there_is_room(
    app: Flask,
) -> None:
    client = app.test_client()
    asked = ask(client)
    database = app.extensions["thumbprint"].database

    def limit(connection: Connection) -> None:
        connection.exec_driver_sql("PRAGMA max_page_count=1")

    def lift(connection: Connection) -> None:
        connection.exec_driver_sql("PRAGMA max_page_count=1000000")

    judge = {"query_string": {"trace_id": asked["trace_id"]}}
    long = {"is_correct": True, "comment": "x" * 4999}
    database.read(limit)  # the pool hands out this one connection again
    refused = []
    for _ in range(20):
        answer = client.post("/feedback", json=long | {"metadata": {"a": "b" * 200}}, **judge)
        refused.append(answer)
        client.post("/chat", json={"message": "y" * 7999})
    assert refused[-1].status_code == 503
    assert error_of(refused[-1]) == {
        "code": "unavailable",
        "message": faults.NO_ROOM,
        "retryable": True,
    }
    assert client.get("/conversations").status_code == 200
    database.read(lift)
    assert client.post("/feedback", json=THUMB, **judge).status_code == 200
    assert ask(client, message="And now?")["response"]


def test_a_read_only_postgresql_is_said_to_be_one(postgresql: Database) -> None:
    def refuse_writing(connection: Connection) -> None:
        connection.execute(text("SET TRANSACTION READ ONLY"))
        connection.execute(text("DELETE FROM outbox"))

    with pytest.raises(Unavailable) as caught:
        postgresql.write(refuse_writing)
    assert caught.value.message == faults.READ_ONLY


def test_a_mistake_of_ours_is_not_blamed_on_the_database(postgresql: Database) -> None:
    with pytest.raises(Exception, match=r"(?i)syntax") as caught:
        postgresql.read(lambda c: c.execute(text("SELEC 1")))
    assert not isinstance(caught.value, Unavailable)

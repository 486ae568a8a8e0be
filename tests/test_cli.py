"""The operator's commands: dead letters are seen with their reason, and revived."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from flask import Flask

from app import create_app, outbox
from app.settings import load_settings
from app.store import faults
from app.store.database import Database
from tests.doubles import ModelDouble

TRACE = "tr-" + "a" * 32


@pytest.fixture
def app(tmp_path: Path) -> Iterator[Flask]:
    settings = load_settings(
        _env_file=None, data_dir=tmp_path, openai_base_url="http://127.0.0.1:1"
    )
    app = create_app(settings, ModelDouble())
    yield app
    database_of(app).close()


def database_of(app: Flask) -> Database:
    database: Database = app.extensions["thumbprint"].database
    return database


def bury_one(app: Flask, reason: str = "400: no such experiment") -> None:
    database = database_of(app)
    database.write(lambda c: outbox.put(c, "trace", TRACE, {"trace": "{}"}, now=1))
    parcel = database.write(lambda c: outbox.claim(c, 2))
    assert parcel is not None
    database.write(lambda c: outbox.bury(c, parcel, reason))


def say(app: Flask, command: str) -> str:
    result = app.test_cli_runner().invoke(args=["outbox", command])
    assert result.exit_code == 0, result.output
    return result.output


def test_status_of_an_empty_outbox(app: Flask) -> None:
    lines = dict(line.split(maxsplit=1) for line in say(app, "status").splitlines()[:1])
    assert lines == {"waiting": "0"}
    assert "dead letters  0" in say(app, "status")


def test_a_dead_letter_is_shown_with_its_reason_and_revived(app: Flask) -> None:
    bury_one(app)
    shown = say(app, "status")
    assert "dead letters  1" in shown
    assert f"trace of {TRACE}: 400: no such experiment" in shown
    assert say(app, "retry") == "1 dead letters are due again\n"
    after = say(app, "status")
    assert "dead letters  0" in after
    assert "waiting       1" in after


def test_the_status_sends_nothing_of_an_error_to_the_terminal_but_text(app: Flask) -> None:
    bury_one(app, "400: \x1b[2J\x07no\nsuch experiment")
    shown = say(app, "status")
    assert "last error    400:  [2J no such experiment\n" in shown
    assert f"trace of {TRACE}: 400:  [2J no such experiment\n" in shown


@pytest.mark.parametrize("command", ["status", "retry"])
def test_a_database_that_fails_is_one_line(app: Flask, tmp_path: Path, command: str) -> None:
    database_of(app).close()
    (tmp_path / "thumbprint.db").write_bytes(b"garbage " * 1000)
    result = app.test_cli_runner().invoke(args=["outbox", command])
    assert result.exit_code == 1
    assert result.stderr == f"Error: {faults.DAMAGED}\n"


@pytest.mark.parametrize(
    "command",
    [
        "evaluate --dataset any --min-pass-rate nan",
        "evaluate --dataset any --min-similarity NaN",
        "dataset build --name any --hours nan",
        "insights report --hours nan",
    ],
)
def test_what_is_not_a_number_is_no_number(app: Flask, command: str) -> None:
    result = app.test_cli_runner().invoke(args=command)
    assert result.exit_code == 2, "an error of usage"
    assert "nan is not a number.\n" in result.stderr.lower()

"""The operator's commands: dead letters are seen with their reason, and revived."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from flask import Flask

from app import create_app, outbox
from app.settings import load_settings
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


def bury_one(app: Flask) -> None:
    database = database_of(app)
    database.write(lambda c: outbox.put(c, "trace", TRACE, {"trace": "{}"}, now=1))
    parcel = database.write(lambda c: outbox.claim(c, 2))
    assert parcel is not None
    database.write(lambda c: outbox.bury(c, parcel, "400: no such experiment"))


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

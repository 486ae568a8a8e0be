"""Log lines: one an event, readable by machines, with the IDs of what they are about."""

from __future__ import annotations

import io
import logging
import sqlite3
import sys
import threading
from collections.abc import Iterator

import pytest
import redis
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy.exc import ProgrammingError

from app.errors import ModelError
from app.llm.endpoint import EndpointError
from app.observability import LogfmtFormatter, about
from app.tracing.failures import NotDelivered
from tests.log_lines import fields_of


@pytest.fixture
def written() -> Iterator[io.StringIO]:
    """What the logger `kitchen` writes."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(LogfmtFormatter(user_text=True))
    log.addHandler(handler)
    yield stream
    log.removeHandler(handler)


log = logging.getLogger("kitchen")
log.propagate = False
log.setLevel(logging.INFO)


def line_of(stream: io.StringIO) -> dict[str, str]:
    [line] = stream.getvalue().splitlines()
    return fields_of(line)


def test_a_line_says_when_how_grave_and_what(written: io.StringIO) -> None:
    log.warning("the %s is off", "milk", extra={"age_s": 3.5})
    fields = line_of(written)
    assert fields.pop("time").endswith("Z")
    assert fields == {
        "level": "WARNING",
        "logger": "kitchen",
        "message": "the milk is off",
        "age_s": "3.5",
    }


def test_an_exception_stays_on_its_line(written: io.StringIO) -> None:
    try:
        raise ValueError("two\nlines")
    except ValueError:
        log.exception("it boiled over")
    fields = line_of(written)
    assert fields["error"] == "ValueError: two\nlines"
    assert "test_an_exception_stays_on_its_line" in fields["traceback"]


MARKER = "what somebody wrote"


def failure_of(error: Exception) -> logging.LogRecord:
    """The record of an error that came from another one, which both quote."""
    try:
        try:
            raise KeyError(MARKER)
        except KeyError as cause:
            raise error from cause
    except type(error):
        at = (log.name, logging.ERROR, __file__, 1)
        return log.makeRecord(*at, "%s", (error,), sys.exc_info(), extra={"reason": error})


@pytest.mark.parametrize(
    "error",
    [
        ValueError(MARKER),
        NotDelivered(MARKER, refused=True),
        EndpointError(MARKER),
        ProgrammingError(f"SELECT '{MARKER}'", {}, Exception(MARKER)),
    ],
)
def test_what_an_exception_quotes_is_logged_only_where_that_is_switched_on(
    error: Exception,
) -> None:
    line = LogfmtFormatter().format(failure_of(error))
    assert MARKER not in line
    fields = fields_of(line)
    assert type(error).__name__ in fields["error"]
    assert "in failure_of" in fields["traceback"]
    assert "KeyError" in fields["traceback"]
    told = fields_of(LogfmtFormatter(user_text=True).format(failure_of(error)))
    assert all(MARKER in told[name] for name in ("message", "reason", "error", "traceback"))


@pytest.mark.parametrize(
    "error",
    [
        ConnectionRefusedError(111, "Connection refused"),
        ModelError("The model cannot be reached."),
        sqlite3.OperationalError("database is locked"),
        redis.exceptions.ConnectionError("Error 111 connecting to redis:6379"),
    ],
)
def test_why_a_connection_failed_is_logged_all_the_same(error: Exception) -> None:
    assert str(error) in fields_of(LogfmtFormatter().format(failure_of(error)))["error"]


def test_ids_are_on_every_line_within_and_on_none_after(written: io.StringIO) -> None:
    with about(turn_id="t1"):
        with about(trace_id="tr-1"):
            log.info("both")
        log.info("one")
    log.info("none")
    lines = [fields_of(line) for line in written.getvalue().splitlines()]
    named = [{key: line[key] for key in ("turn_id", "trace_id") if key in line} for line in lines]
    assert named == [{"turn_id": "t1", "trace_id": "tr-1"}, {"turn_id": "t1"}, {}]


def test_one_threads_ids_are_not_anothers(written: io.StringIO) -> None:
    with about(turn_id="t1"):
        other = threading.Thread(target=log.info, args=("elsewhere",))
        other.start()
        other.join()
    assert "turn_id" not in line_of(written)


@given(st.text())
def test_any_text_is_one_line_that_reads_back(text: str) -> None:
    record = logging.makeLogRecord({"msg": "%s", "args": (text,), "levelname": "INFO"})
    line = LogfmtFormatter().format(record)
    assert line.isascii()
    assert line.isprintable()
    assert fields_of(line)["message"] == text

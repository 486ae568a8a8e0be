"""Log lines: one an event, readable by machines, with the IDs of what they are about."""

from __future__ import annotations

import io
import logging
import threading
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.observability import LogfmtFormatter, about
from tests.log_lines import fields_of


@pytest.fixture
def written() -> Iterator[io.StringIO]:
    """What the logger `kitchen` writes."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(LogfmtFormatter())
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

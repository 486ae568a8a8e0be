"""Fills an MLflow server with many judged traces, quickly.

A few dozen turns are written by the app's own code: traces, thumbs, stars, reasons, corrections,
signals. Their rows in MLflow's SQLite file are then copied under new IDs at other times, which
makes 10,000 traces in seconds instead of half an hour.
"""

from __future__ import annotations

import base64
import random
import sqlite3
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, insert

from app.protocol import Ending
from app.store.database import Database
from app.store.tables import conversations, turns
from app.tracing.spans import Recorder, TokenUsage
from app.tracing.tracking import TrackingServer, Verdict

ORIGINALS = 60
VERSIONS = ("1.0", "1.1", "1.2")
MODELS = ("small", "large")
REASONS = ("Incorrect", "Hard to understand", "Incomplete", "Harmful")
SEEDS = random.Random(20261124)


def write_originals(tracking: TrackingServer) -> list[str]:
    """Write the turns that are copied; returns their trace IDs."""
    recorder = Recorder({})
    return [_write_original(tracking, recorder, number) for number in range(ORIGINALS)]


def copy_traces(
    database: Path, trace_ids: list[str], count: int, start_ms: int, end_ms: int
) -> None:
    """Copy those traces in MLflow's SQLite file until there are `count`, between two times."""
    connection = sqlite3.connect(database, timeout=30)
    with connection:
        rows = {trace_id: list(_rows_of(connection, trace_id)) for trace_id in trace_ids}
        for number in range(len(trace_ids), count):
            original = trace_ids[number % len(trace_ids)]
            _copy(connection, original, rows[original], SEEDS.randint(start_ms, end_ms))
    connection.close()


def insert_turns(database: Database, count: int, start_ms: int, end_ms: int) -> None:
    """Give the app database as many turns of its own, by the same versions and models."""

    def work(connection: Connection) -> None:
        conversation = {"user_id": "bench", "title": "", "created_at": 0, "updated_at": 0}
        connection.execute(insert(conversations).values(id="bench", **conversation))
        connection.execute(insert(turns), [_turn(n, start_ms, end_ms) for n in range(count)])

    database.write(work)


def _turn(number: int, start_ms: int, end_ms: int) -> dict[str, Any]:
    at_ms = SEEDS.randint(start_ms, end_ms)
    return {
        "id": f"{number:032x}",
        "conversation_id": "bench",
        "user_id": "bench",
        "client_request_id": f"bench-{number}",
        "question": "Why is the sky blue?" * 5,
        "answer": "Because air scatters blue light more than red. " * 20,
        "ending": "complete",
        "trace_id": f"tr-{number:032x}",
        "created_at": at_ms,
        "first_token_at": at_ms + SEEDS.randint(80, 900),
        "ended_at": at_ms + SEEDS.randint(900, 9000),
        "heartbeat_at": at_ms,
        "app_version": VERSIONS[number % 3],
        "model": MODELS[number % 2],
    }


def _write_original(tracking: TrackingServer, recorder: Recorder, number: int) -> str:
    trace = recorder.start_turn()
    model = MODELS[number % 2]
    question = f"Question {number}: why is the sky blue, and how do we know?"
    answer = "Because air scatters blue light more than red. " * 6
    messages = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": question}]
    tags = {"thumbprint.version": VERSIONS[number % 3], "thumbprint.model": model}
    user, conversation = f"user-{number % 20}", f"conversation-{number // 2}"
    trace.describe(f"bench-{number}", user, conversation, messages, tags)
    trace.start_llm(model, messages)
    ending: Ending = "stopped" if number % 10 == 9 else "complete"
    tracking.write_trace(trace.end(ending, answer, usage=TokenUsage(40, 60)))
    for name, value in _opinions(number):
        tracking.write_verdict(
            Verdict(
                assessment_id=f"a-{uuid.uuid4()}",
                trace_id=trace.trace_id,
                kind="expectation" if name == "expected_response" else "feedback",
                name=name,
                value=value,
                source_type="HUMAN",
                source_id=user,
                rationale="It does not say how we know." if name == "user_feedback" else None,
                metadata={"client_request_id": f"bench-{number}"},
            )
        )
    return trace.trace_id


def _opinions(number: int) -> Iterator[tuple[str, Any]]:
    """Half of the turns have a thumb, some of those also stars, reasons or a correction."""
    if number % 2:
        return
    down = number % 6 == 0
    yield "user_feedback", not down
    if down:
        yield "user_reasons", SEEDS.sample(REASONS, 1 + number % 3)
        yield "expected_response", f"Rayleigh scattering; see measurement {number}."
    if number % 4 == 0:
        for dimension in ("accuracy", "helpfulness", "relevance"):
            yield f"user_{dimension}", SEEDS.randint(1, 5) / 5


# MLflow's tables about one trace, and the column with its ID.
_TABLES = {
    "trace_info": "request_id",
    "trace_tags": "request_id",
    "trace_request_metadata": "request_id",
    "trace_metrics": "request_id",
    "spans": "trace_id",
    "span_metrics": "trace_id",
    "assessments": "trace_id",
}

_Row = tuple[str, dict[str, Any]]


def _rows_of(connection: sqlite3.Connection, trace_id: str) -> Iterator[_Row]:
    for table, key in _TABLES.items():
        # `table_xinfo` names generated columns too, marked in its last field.
        described = connection.execute(f"PRAGMA table_xinfo({table})")
        columns = [column[1] for column in described if not column[6]]
        quoted = ", ".join(f'"{column}"' for column in columns)
        query = f"SELECT {quoted} FROM {table} WHERE {key} = ?"  # noqa: S608 (names of ours)
        found = connection.execute(query, (trace_id,))
        for row in found:
            yield table, dict(zip(columns, row, strict=True))


def _copy(connection: sqlite3.Connection, original: str, rows: list[_Row], at_ms: int) -> None:
    number = uuid.uuid4().int
    copy = f"tr-{number:032x}"
    was = base64.b64encode(bytes.fromhex(original[3:])).decode()
    now = base64.b64encode(number.to_bytes(16)).decode()
    moved_ms = at_ms - next(row["timestamp_ms"] for table, row in rows if table == "trace_info")
    for table, row in rows:
        values = {
            column: value.replace(original, copy).replace(was, now)
            if isinstance(value, str)
            else value
            for column, value in row.items()
        }
        if table == "trace_info":
            values["client_request_id"] = copy
            values["execution_time_ms"] = SEEDS.randint(300, 9000)
        if table == "assessments":
            values["assessment_id"] = f"a-{uuid.uuid4()}"
        for column in ("timestamp_ms", "trace_timestamp_ms"):
            if column in values:
                values[column] += moved_ms
        for column in ("start_time_unix_nano", "end_time_unix_nano"):
            if column in values:
                values[column] += moved_ms * 1_000_000
        marks = ", ".join("?" * len(values))
        columns = ", ".join(f'"{column}"' for column in values)
        connection.execute(
            f"INSERT INTO {table} ({columns}) VALUES ({marks})",  # noqa: S608
            list(values.values()),
        )

"""An experiment and an app database in which people have asked and judged, at times of our choice.

Everything goes the app's own way: Recorder, TrackingServer, FeedbackDesk, outbox and Relay.
"""

from __future__ import annotations

import itertools
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sqlalchemy import Connection

from app.clock import iso
from app.feedback import FeedbackDesk, Opinion, TurnKey, keep
from app.insights.assembly import Vocabulary
from app.insights.building import Insights
from app.protocol import Ending
from app.relay import IDLE_S, Relay
from app.store import turns
from app.store.database import Database
from app.store.turns import NewTurn, TurnEnd, TurnRow
from app.tracing.links import Links
from app.tracing.spans import Recorder, Trace
from app.tracing.tracking import TrackingServer, trace_from_json
from app.turns.ending import tags_of
from tests.doubles import NOON, MovableClock
from tests.mlflow_reader import MlflowReader

numbers = itertools.count()

VOCABULARY = Vocabulary(
    ("accuracy", "relevance"), {"up": ["Correct"], "down": ["Incorrect", "Incomplete"]}
)


@dataclass(frozen=True)
class Asked:
    """A turn to be: who asked, what answered, when it began (before NOON) and what was said.

    `said` are steps in time: a name and its value; the value None withdraws.
    """

    user: str = "ann"
    version: str = "1.0"
    model: str = "small"
    ending: Ending = "complete"
    minutes_ago: int = 5
    duration_ms: int = 900
    first_token_ms: int | None = 200
    question: str = "Why?"
    answer: str = "Because."
    said: tuple[tuple[str, Any], ...] = field(default=())


class InsightsScene:
    """One experiment and one app database."""

    def __init__(
        self,
        folder: Path,
        mlflow_url: str,
        recorder: Recorder,
        *,
        traced: bool = True,
        database: Database | None = None,
    ) -> None:
        """Without `traced` nothing is written to MLflow."""
        name = f"insights-{next(numbers)}"
        self.clock = MovableClock()
        self.database = database or Database(f"sqlite:///{folder / name}.db")
        self.database.migrate()
        # Long enough for a busy machine: nothing here is about time.
        self.tracking = TrackingServer(mlflow_url, name, timeout_s=60)
        self.reader = MlflowReader(mlflow_url, name)
        self.links = Links(mlflow_url, self.tracking)
        self.insights = self.insights_on(self.database)
        self._recorder = recorder
        self._traced = traced
        self._desk = FeedbackDesk(self.database, self.clock)
        self._relay = Relay(self.database, self.tracking, self.clock)

    def insights_on(self, database: Database, tracking: TrackingServer | None = None) -> Insights:
        """The report as made with these instead."""
        return Insights(
            database,
            tracking or self.tracking,
            Links(self.links.ui_url, tracking or self.tracking),
            VOCABULARY,
            self.clock,
        )

    def ask(self, asked: Asked) -> TurnRow:
        """Make the turn, its trace and its feedback, and deliver all of it."""
        at_ms = NOON - asked.minutes_ago * 60_000
        trace = self._recorder.start_turn()
        new = NewTurn(
            user_id=asked.user,
            client_request_id=f"req-{next(numbers)}",
            question=asked.question,
            conversation_id=None,
            replaces=None,
            trace_id=trace.trace_id,
            now=at_ms,
            app_version=asked.version,
            model=asked.model,
        )
        row = self.database.write(lambda c: turns.insert_turn(c, new))
        messages = [{"role": "user", "content": asked.question}]
        trace.describe(
            new.client_request_id, asked.user, row.conversation_id, messages, tags_of(row)
        )
        error = RuntimeError("It broke.") if asked.ending in ("failed", "interrupted") else None
        finished = trace.end(asked.ending, asked.answer, error=error)
        if self._traced:
            self.tracking.write_trace(_moved(finished, at_ms, asked.duration_ms))
        self.database.write(lambda c: _end(c, row, asked, at_ms))
        for name, value in asked.said:
            self._say(row, name, value)
        return row

    def deliver(self) -> None:
        """Let the relay deliver everything that is owed."""
        while self._relay.deliver_next() != IDLE_S:
            self.clock.advance(1)

    def close(self) -> None:
        """Close the database."""
        self.database.close()

    def _say(self, row: TurnRow, name: str, value: Any) -> None:
        self.clock.advance(1)
        if value is None:
            self._desk.withdraw(row.user_id, TurnKey(row.trace_id), name)
        elif name.startswith("implicit_"):
            signal = Opinion(name, value, source="CODE")
            self.database.write(lambda c: keep(c, row, signal, self.clock()))
        else:
            kind = "expectation" if name == "expected_response" else "feedback"
            said = f"I said {value}" if name == "user_feedback" else None
            opinion = Opinion(name, value, said, kind=kind)  # type: ignore[arg-type]
            self._desk.record(row.user_id, TurnKey(row.trace_id), [opinion])


def _end(connection: Connection, row: TurnRow, asked: Asked, at_ms: int) -> None:
    first = None if asked.first_token_ms is None else at_ms + asked.first_token_ms
    end = TurnEnd(row.id, asked.ending, asked.answer, "", "stored", first_token_at=first)
    turns.finish_turn(connection, end, at_ms + asked.duration_ms)


def _moved(finished: Trace, at_ms: int, duration_ms: int) -> Trace:
    """The trace as if it had begun and ended at other times."""
    trace = json.loads(finished.to_json())
    for span in trace["data"]["spans"]:
        span["start_time_unix_nano"] = at_ms * 1_000_000
        span["end_time_unix_nano"] = (at_ms + duration_ms) * 1_000_000
    trace["info"]["request_time"] = iso(at_ms)
    trace["info"]["execution_duration_ms"] = duration_ms
    return trace_from_json(json.dumps(trace))

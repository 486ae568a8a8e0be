"""Gathers a report's figures from the app database, for when MLflow cannot be read."""

from dataclasses import replace

from sqlalchemy import Connection

from app import outbox
from app.feedback import EXPECTED_RESPONSE, USER_FEEDBACK, USER_REASONS
from app.insights.figures import (
    MOST_NEGATIVES,
    SHARES,
    Figures,
    GroupFigures,
    OwnRecord,
    Question,
)
from app.insights.report import Negative, Outbox
from app.store import turn_figures as store
from app.store.filters import Filters
from app.store.turn_figures import By, JudgedTurn

PREVIEW_CHARS = 1000
MOST_VALUES = 2000


def read_own_record(connection: Connection, filters: Filters, now_ms: int) -> OwnRecord:
    """Read what only the app database knows."""
    owed = outbox.status(connection, now_ms)
    return OwnRecord(
        groups={
            "version": store.names_in_use(connection, filters, "version"),
            "model": store.names_in_use(connection, filters, "model"),
        },
        first_token=store.percentiles(connection, filters, "first_token_at", SHARES),
        outbox=Outbox(owed.waiting, owed.oldest_age_s, owed.dead),
    )


def gather_from_database(connection: Connection, question: Question) -> Figures:
    """Count everything the database can. Averages of other feedback are left out."""
    filters, interval_s = question.filters, question.interval_s
    values = {
        name: store.count_values(connection, filters, name, MOST_VALUES) for name in question.names
    }
    return Figures(
        over_time=store.count_turns(connection, filters, interval_s),
        thumbs=store.count_thumbs(connection, filters, interval_s),
        endings=store.count_endings(connection, filters),
        durations=store.percentiles(connection, filters, "ended_at", SHARES),
        names=store.count_names(connection, filters),
        values=values,
        averages={},
        groups={
            by: [_count_group(connection, question, by, name, first) for name, first in known]
            for by, known in (question.groups or {}).items()
        },
        negatives=[
            _as_negative(one) for one in store.latest_negatives(connection, filters, MOST_NEGATIVES)
        ],
        cut=[name for name, one in values.items() if len(one) >= MOST_VALUES],
    )


def _count_group(
    connection: Connection, question: Question, by: By, name: str, first_ms: int
) -> GroupFigures:
    filters = replace(
        question.filters,
        version=name if by == "version" else question.filters.version,
        model=name if by == "model" else question.filters.model,
    )
    turns = store.count_turns(connection, filters, question.interval_s)
    thumbs = store.count_values(connection, filters, USER_FEEDBACK, MOST_VALUES)
    return GroupFigures(name, first_ms, sum(turns.values()), thumbs)


def _as_negative(judged: JudgedTurn) -> Negative:
    turn = judged.turn
    said = {row.name: row for row in judged.feedback}
    reasons = said[USER_REASONS].value if USER_REASONS in said else []
    return Negative(
        trace_id=turn.trace_id,
        link=None,
        at_ms=turn.created_at,
        question=turn.question[:PREVIEW_CHARS],
        answer=turn.answer[:PREVIEW_CHARS],
        comment=said[USER_FEEDBACK].rationale or None,
        reasons=tuple(map(str, reasons)) if isinstance(reasons, list) else (),
        correction=said[EXPECTED_RESPONSE].value if EXPECTED_RESPONSE in said else None,
        version=turn.app_version,
        model=turn.model,
        user=turn.user_id,
        segment=turn.segment,
    )

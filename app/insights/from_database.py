"""Gathers a report's figures from the app database, for when MLflow cannot be read."""

from dataclasses import replace
from functools import partial

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
from app.store.database import Database
from app.store.filters import Filters
from app.store.turn_figures import By, JudgedTurn, Until

PREVIEW_CHARS = 1000
MOST_VALUES = 2000


def read_own_record(database: Database, filters: Filters, now_ms: int) -> OwnRecord:
    """Read what only the app database knows. Raises `Unavailable`."""
    # Each in a transaction of its own: turns that begin now must not wait for all of them.
    owed = database.read(lambda c: outbox.status(c, now_ms))
    return OwnRecord(
        groups={
            "version": database.read(lambda c: store.names_in_use(c, filters, "version")),
            "model": database.read(lambda c: store.names_in_use(c, filters, "model")),
        },
        first_token=_percentiles(database, filters, "first_token_at"),
        outbox=Outbox(owed.waiting, owed.oldest_age_s, owed.dead),
    )


def gather_from_database(database: Database, question: Question) -> Figures:
    """Count everything the database can, but no averages of other feedback.

    Raises `Unavailable`.
    """
    filters, interval_s = question.filters, question.interval_s
    read = database.read
    values = {name: _count_values(database, filters, name) for name in question.names}
    return Figures(
        over_time=read(lambda c: store.count_turns(c, filters, interval_s)),
        thumbs=read(lambda c: store.count_thumbs(c, filters, interval_s)),
        endings=read(lambda c: store.count_endings(c, filters)),
        durations=_percentiles(database, filters, "ended_at"),
        names=read(lambda c: store.count_names(c, filters)),
        values=values,
        averages={},
        groups=None
        if question.groups is None
        else {
            by: [_count_group(database, question, by, name, first) for name, first in known]
            for by, known in question.groups.items()
        },
        negatives=[
            _as_negative(one)
            for one in read(lambda c: store.latest_negatives(c, filters, MOST_NEGATIVES))
        ],
        cut=[name for name, one in values.items() if len(one) >= MOST_VALUES],
    )


def _percentiles(database: Database, filters: Filters, until: Until) -> list[float | None]:
    works = (partial(store.percentile, filters=filters, until=until, share=one) for one in SHARES)
    return [database.read(work) for work in works]


def _count_values(database: Database, filters: Filters, name: str) -> dict[str, int]:
    return database.read(lambda c: store.count_values(c, filters, name, MOST_VALUES))


def _count_group(
    database: Database, question: Question, by: By, name: str, first_ms: int
) -> GroupFigures:
    filters = replace(
        question.filters,
        version=name if by == "version" else question.filters.version,
        model=name if by == "model" else question.filters.model,
    )
    turns = database.read(lambda c: store.count_turns(c, filters, question.interval_s))
    thumbs = _count_values(database, filters, USER_FEEDBACK)
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

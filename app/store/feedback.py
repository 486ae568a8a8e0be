"""Reads and writes feedback rows: one per turn, person and name, holding the current value."""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import accumulate
from typing import Any, Literal

from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    Label,
    Row,
    String,
    Text,
    case,
    cast,
    func,
    insert,
    literal,
    select,
    tuple_,
    update,
)

from app.store.tables import feedback, turns

FeedbackRow = Row[Any]

# Where a list goes on: time of the newest change and ID of the last turn seen.
Place = tuple[int, str]

PAGE = 50
# As much of a question and of an answer as tells which one it was.
EXCERPT_CHARS = 300


@dataclass(frozen=True, slots=True)
class FeedbackValue:
    """What one person (or the app itself) says of one turn under one name."""

    id: str
    turn_id: str
    user_id: str
    name: str
    kind: Literal["feedback", "expectation"]
    source_type: Literal["HUMAN", "CODE"]
    value: Any
    rationale: str | None
    metadata: dict[str, str]


def find_feedback(connection: Connection, feedback_id: str) -> FeedbackRow | None:
    """The row with that ID, withdrawn or not."""
    return connection.execute(select(feedback).where(feedback.c.id == feedback_id)).first()


def feedback_of(connection: Connection, turn_ids: Iterable[str]) -> list[FeedbackRow]:
    """The feedback of these turns, without what was withdrawn, oldest first."""
    query = (
        select(feedback)
        .where(feedback.c.turn_id.in_(list(turn_ids)), ~feedback.c.withdrawn)
        .order_by(feedback.c.created_at, feedback.c.id)
    )
    return list(connection.execute(query))


def count_feedback(
    connection: Connection, names: Iterable[str]
) -> list[tuple[str, str | None, int]]:
    """How often each value (as JSON) stands under these names, and each other name at all."""
    value = case((feedback.c.name.in_(list(names)), cast(feedback.c.value, Text)))
    given = select(feedback.c.name, value.label("value")).where(~feedback.c.withdrawn).subquery()
    query = select(given, func.count()).group_by(given.c.name, given.c.value)
    return [(row[0], row[1], row[2]) for row in connection.execute(query)]


def feedback_by(connection: Connection, user_id: str, before: Place | None) -> list[FeedbackRow]:
    """What a person says, the newest change first: a page of whole turns after the place `before`.

    A page has at most `PAGE` rows, unless its only turn has more; so nobody changes a turn of which
    they have seen a part. Without what was withdrawn and without the app's own observations. Each
    row also has the IDs of its turn, the beginnings of `question` and `answer`, one character
    longer when cut, and in `next_at` and `next_turn` the place of the next page, if there is one.
    """

    def beginning(column: Column[str]) -> Label[str]:
        return func.substr(column, 1, EXCERPT_CHARS + 1).label(column.name)

    given = (
        feedback.c.user_id == user_id,
        feedback.c.source_type == "HUMAN",
        ~feedback.c.withdrawn,
    )
    newest = func.max(feedback.c.updated_at)
    judged = (
        select(feedback.c.turn_id, newest.label("newest"), func.count().label("said"))
        .where(*given)
        .group_by(feedback.c.turn_id)
        .order_by(newest.desc(), feedback.c.turn_id.desc())
        .limit(PAGE + 1)
    )
    if before is not None:
        judged = judged.having(tuple_(newest, feedback.c.turn_id) < before)
    found = connection.execute(judged).all()
    totals = accumulate(turn.said for turn in found)
    page = [turn for turn, total in zip(found, totals, strict=True) if total <= PAGE] or found[:1]
    last = page[-1] if len(page) < len(found) else None
    query = (
        select(
            feedback,
            turns.c.trace_id,
            turns.c.client_request_id,
            turns.c.conversation_id,
            beginning(turns.c.question),
            beginning(turns.c.answer),
            literal(last and last.newest, BigInteger).label("next_at"),
            literal(last and last.turn_id, String).label("next_turn"),
        )
        .join_from(feedback, turns)
        .where(feedback.c.turn_id.in_([turn.turn_id for turn in page]), *given)
        .order_by(feedback.c.updated_at.desc(), feedback.c.id.desc())
    )
    return list(connection.execute(query))


def save_feedback(connection: Connection, current: FeedbackValue, now: int) -> int:
    """Make this the current value; returns its revision, which counts the changes."""
    row = connection.execute(
        update(feedback)
        .where(feedback.c.id == current.id)
        .values(
            value=current.value,
            rationale=current.rationale,
            metadata=current.metadata,
            withdrawn=False,
            refused_reason=None,
            revision=feedback.c.revision + 1,
            updated_at=now,
        )
        .returning(feedback.c.revision)
    ).first()
    if row is not None:
        return int(row.revision)
    connection.execute(
        insert(feedback).values(
            id=current.id,
            turn_id=current.turn_id,
            user_id=current.user_id,
            name=current.name,
            kind=current.kind,
            source_type=current.source_type,
            value=current.value,
            rationale=current.rationale,
            metadata=current.metadata,
            withdrawn=False,
            revision=1,
            recorded_revision=0,
            created_at=now,
            updated_at=now,
        )
    )
    return 1


def withdraw_feedback(connection: Connection, feedback_id: str, now: int) -> int | None:
    """Mark a value as withdrawn; returns its new revision, or None when there was no value."""
    row = connection.execute(
        update(feedback)
        .where(feedback.c.id == feedback_id, ~feedback.c.withdrawn)
        .values(
            withdrawn=True,
            refused_reason=None,
            revision=feedback.c.revision + 1,
            updated_at=now,
        )
        .returning(feedback.c.revision)
    ).first()
    return int(row.revision) if row else None


def count_revision(connection: Connection, feedback_id: str) -> FeedbackRow:
    """Count a revision that changes nothing, so that the value is to be delivered anew."""
    return connection.execute(
        update(feedback)
        .where(feedback.c.id == feedback_id)
        .values(revision=feedback.c.revision + 1)
        .returning(feedback)
    ).one()


def mark_recorded(connection: Connection, feedback_id: str, revision: int) -> None:
    """Note that MLflow holds this revision."""
    connection.execute(
        update(feedback)
        .where(feedback.c.id == feedback_id, feedback.c.recorded_revision < revision)
        .values(recorded_revision=revision)
    )


def mark_refused(connection: Connection, feedback_id: str, revision: int, reason: str) -> None:
    """Note that MLflow refused this revision, unless it has been changed since."""
    connection.execute(
        update(feedback)
        .where(feedback.c.id == feedback_id, feedback.c.revision == revision)
        .values(refused_reason=reason)
    )

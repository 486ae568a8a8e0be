"""What many turns add up to, by the app's own record, counted by the database.

Every function takes the filters of the report; turns that are still running do not count. The
figures stay small however many turns there are: rows are counted, sorted and picked in SQL.
"""

from dataclasses import dataclass, replace
from typing import Any, Literal

from sqlalchemy import (
    Column,
    ColumnElement,
    Connection,
    Select,
    Text,
    and_,
    cast,
    false,
    func,
    select,
)

from app.store.feedback import FeedbackRow, feedback_of
from app.store.filters import Filters
from app.store.tables import feedback, turns
from app.store.turns import TurnRow

By = Literal["version", "model"]
Until = Literal["first_token_at", "ended_at"]

_BY: dict[By, Column[Any]] = {"version": turns.c.app_version, "model": turns.c.model}

USER_FEEDBACK = "user_feedback"


@dataclass(frozen=True, slots=True)
class JudgedTurn:
    """A turn and all that was said of it."""

    turn: TurnRow
    feedback: list[FeedbackRow]


def names_in_use(connection: Connection, filters: Filters, by: By) -> list[tuple[str, int]]:
    """The versions or models that answered, each with the time of its first turn ever.

    The filter by the same column does not count: one version alone has none to be compared with.
    """
    column = _BY[by]
    others = replace(filters, version=None) if by == "version" else replace(filters, model=None)
    named = select(column).where(_within(others), column.is_not(None)).distinct()
    first = (
        select(column, func.min(turns.c.created_at))
        .where(column.in_(named.scalar_subquery()))
        .group_by(column)
    )
    return sorted(((row[0], row[1]) for row in connection.execute(first)), key=lambda one: one[1])


def count_turns(connection: Connection, filters: Filters, interval_s: int) -> dict[int, int]:
    """Turns by the time their stretch of `interval_s` begins, in milliseconds."""
    query = _counted(_stretch(interval_s)).where(_within(filters))
    return {int(row[0]): row[1] for row in connection.execute(query)}


def count_thumbs(
    connection: Connection, filters: Filters, interval_s: int
) -> dict[tuple[int, str], int]:
    """Values of the thumb as JSON, by the stretch of time in which their turns began."""
    query = (
        _counted(_stretch(interval_s), _json_text())
        .join(feedback, feedback.c.turn_id == turns.c.id)
        .where(_within(filters), _current(), feedback.c.name == USER_FEEDBACK)
    )
    return {(int(row[0]), row[1]): row[2] for row in connection.execute(query)}


def count_endings(connection: Connection, filters: Filters) -> dict[str, int]:
    """Turns by how they ended."""
    query = _counted(turns.c.ending).where(_within(filters))
    return {row[0]: row[1] for row in connection.execute(query)}


def count_names(connection: Connection, filters: Filters) -> dict[str, int]:
    """Feedback by its name, corrections left out."""
    query = (
        _counted(feedback.c.name)
        .join(feedback, feedback.c.turn_id == turns.c.id)
        .where(_within(filters), _current())
    )
    return {row[0]: row[1] for row in connection.execute(query)}


def count_values(connection: Connection, filters: Filters, name: str, most: int) -> dict[str, int]:
    """Values under one name as JSON; of at most `most` different ones."""
    query = (
        _counted(_json_text())
        .join(feedback, feedback.c.turn_id == turns.c.id)
        .where(_within(filters), _current(), feedback.c.name == name)
        .limit(most)
    )
    return {row[0]: row[1] for row in connection.execute(query)}


def percentile(
    connection: Connection, filters: Filters, until: Until, share: float
) -> float | None:
    """How long `share` of the turns took at most until then, in milliseconds.

    Interpolated between two turns, as MLflow does; None when no turn has that time.
    """
    took = turns.c[until] - turns.c.created_at
    # Both times are set when a turn ends, so its ending need not be looked at.
    where = and_(_asked_in(filters), turns.c[until].is_not(None))
    count = connection.execute(select(func.count()).select_from(turns).where(where)).scalar_one()
    if count == 0:
        return None
    rank = (count - 1) * share
    query = select(took).where(where).order_by(took).limit(2).offset(int(rank))
    found = [float(row[0]) for row in connection.execute(query)]
    return found[0] + (found[-1] - found[0]) * (rank - int(rank))


def latest_negatives(connection: Connection, filters: Filters, limit: int) -> list[JudgedTurn]:
    """The latest turns with thumb down, newest first."""
    query = (
        select(turns)
        .join(feedback, feedback.c.turn_id == turns.c.id)
        .where(
            _within(filters),
            _current(),
            feedback.c.name == USER_FEEDBACK,
            _json_text() == "false",
        )
        .order_by(turns.c.created_at.desc(), turns.c.id)
        .limit(limit)
    )
    found = list(connection.execute(query))
    said: dict[str, list[FeedbackRow]] = {}
    for row in feedback_of(connection, [turn.id for turn in found]):
        said.setdefault(row.turn_id, []).append(row)
    return [JudgedTurn(turn, said.get(turn.id, [])) for turn in found]


def _within(filters: Filters) -> ColumnElement[bool]:
    return and_(_asked_in(filters), turns.c.ending != "running")


def _asked_in(filters: Filters) -> ColumnElement[bool]:
    wanted = {
        turns.c.app_version: filters.version,
        turns.c.model: filters.model,
        turns.c.user_id: filters.user,
        turns.c.segment: filters.segment,
    }
    return and_(
        turns.c.created_at.between(filters.start_ms, filters.end_ms),
        *(column == value for column, value in wanted.items() if value is not None),
    )


def _current() -> ColumnElement[bool]:
    return and_(feedback.c.withdrawn == false(), feedback.c.kind == "feedback")


def _json_text() -> ColumnElement[str]:
    return cast(feedback.c.value, Text)


def _stretch(interval_s: int) -> ColumnElement[int]:
    milliseconds = interval_s * 1000
    return turns.c.created_at - turns.c.created_at % milliseconds


def _counted(*columns: ColumnElement[Any]) -> Select[Any]:
    labelled = [column.label(f"by_{number}") for number, column in enumerate(columns)]
    # By position: PostgreSQL does not see that two expressions with parameters are the same.
    return select(*labelled, func.count()).select_from(turns).group_by(*labelled)

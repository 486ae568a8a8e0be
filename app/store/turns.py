"""Reads and writes turns and the conversations they belong to.

Every function takes an open connection, so that callers decide what belongs in one transaction.
"""

import uuid
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Row,
    Select,
    bindparam,
    case,
    func,
    insert,
    select,
    update,
)

from app.protocol import Ending, TraceState
from app.store.tables import conversations, turns

TITLE_CHARS = 80

# A row of the turns table; columns are its attributes.
TurnRow = Row[Any]


def _find_by(**columns: ColumnElement[Any]) -> Select[Any]:
    return select(turns).where(*(column == bindparam(name) for name, column in columns.items()))


# What every turn asks is put together once: that takes as long as asking.
_BY_REQUEST = _find_by(user=turns.c.user_id, request=turns.c.client_request_id)
_BY_TRACE = _find_by(trace=turns.c.trace_id)
_BY_ID = _find_by(turn=turns.c.id)
_FIRST_CONVERSATION = (
    select(conversations.c.id)
    .where(conversations.c.user_id == bindparam("user"))
    .order_by(conversations.c.created_at, conversations.c.id)
    .limit(1)
    .scalar_subquery()
)
_INSERT_CONVERSATION = insert(conversations)
_INSERT_TURN = (
    insert(turns)
    .values(
        answer="",
        ending="running",
        # `new` in the person's first conversation, of those not deleted.
        segment=case((bindparam("conversation") == _FIRST_CONVERSATION, "new"), else_="returning"),
    )
    .returning(turns)
)
_TOUCH_CONVERSATION = update(conversations).where(conversations.c.id == bindparam("conversation"))
_FINISH = (
    update(turns)
    .where(turns.c.id == bindparam("turn_id"), turns.c.ending == "running")
    .returning(turns)
)


@dataclass(frozen=True, slots=True)
class NewTurn:
    """A turn about to run."""

    user_id: str
    client_request_id: str
    question: str
    conversation_id: str | None
    replaces: str | None
    trace_id: str
    now: int
    app_version: str | None = None
    model: str | None = None
    id: str = field(default_factory=lambda: uuid.uuid4().hex)


@dataclass(frozen=True, slots=True)
class TurnEnd:
    """How a turn ended; becomes the row's final state."""

    turn_id: str
    ending: Ending
    answer: str
    html: str
    trace_state: TraceState
    finish_reason: str | None = None
    error_code: str | None = None
    error_message: str | None = None
    error_retryable: bool | None = None
    first_token_at: int | None = None


def _insert_conversation(connection: Connection, turn: NewTurn) -> str:
    title = " ".join(turn.question.split())
    if len(title) > TITLE_CHARS:
        title = title[: TITLE_CHARS - 1].rstrip() + "…"
    conversation_id = uuid.uuid4().hex
    connection.execute(
        _INSERT_CONVERSATION,
        {
            "id": conversation_id,
            "user_id": turn.user_id,
            "title": title,
            "created_at": turn.now,
            "updated_at": turn.now,
        },
    )
    return conversation_id


def owns_conversation(connection: Connection, user_id: str, conversation_id: str) -> bool:
    """Whether the conversation exists and is this user's."""
    query = select(conversations.c.id).where(
        conversations.c.id == conversation_id, conversations.c.user_id == user_id
    )
    return connection.execute(query).first() is not None


def insert_turn(connection: Connection, turn: NewTurn) -> TurnRow:
    """Insert a running turn, and its conversation when it has none yet; returns its row.

    Raises SQLAlchemy's IntegrityError when the user already has that client request ID.
    """
    conversation_id = turn.conversation_id or _insert_conversation(connection, turn)
    row = connection.execute(
        _INSERT_TURN,
        {
            "id": turn.id,
            "conversation_id": conversation_id,
            "user_id": turn.user_id,
            "client_request_id": turn.client_request_id,
            "replaces": turn.replaces,
            "question": turn.question,
            "trace_id": turn.trace_id,
            "created_at": turn.now,
            "heartbeat_at": turn.now,
            "app_version": turn.app_version,
            "model": turn.model,
            "user": turn.user_id,
            "conversation": conversation_id,
        },
    ).one()
    if turn.conversation_id:  # a new one has it already
        connection.execute(
            _TOUCH_CONVERSATION, {"conversation": conversation_id, "updated_at": turn.now}
        )
    return row


def ids_of(row: TurnRow) -> dict[str, str]:
    """By what the log names a turn."""
    return {
        "turn_id": row.id,
        "client_request_id": row.client_request_id,
        "conversation_id": row.conversation_id,
        "trace_id": row.trace_id,
    }


def find_turn(
    connection: Connection, user_id: str, client_request_id: str, *, lock: bool = False
) -> TurnRow | None:
    """The user's turn with that client request ID."""
    return _find(connection, _BY_REQUEST, lock=lock, user=user_id, request=client_request_id)


def find_turn_by_trace(
    connection: Connection, trace_id: str, *, lock: bool = False
) -> TurnRow | None:
    """The turn with that trace ID, whoever's it is: the caller checks `user_id`."""
    return _find(connection, _BY_TRACE, lock=lock, trace=trace_id)


def find_turn_by_id(connection: Connection, turn_id: str, *, lock: bool = False) -> TurnRow | None:
    """The turn with that ID, whoever's it is."""
    return _find(connection, _BY_ID, lock=lock, turn=turn_id)


def _find(
    connection: Connection, query: Select[Any], *, lock: bool, **whose: str
) -> TurnRow | None:
    """`lock`: others who lock it wait until this transaction ends (SQLite has one writer)."""
    return connection.execute(query.with_for_update() if lock else query, whose).first()


def finish_turn(connection: Connection, end: TurnEnd, ended_at: int) -> TurnRow | None:
    """Give a running turn its final state; its row, or None when it has ended already."""
    return connection.execute(_FINISH, {**asdict(end), "ended_at": ended_at}).first()


def count_endings(connection: Connection) -> dict[str, int]:
    """How many turns there are of each ending, `running` included."""
    query = select(turns.c.ending, func.count()).group_by(turns.c.ending)
    return {row[0]: row[1] for row in connection.execute(query)}


def has_ended_as(connection: Connection, end: TurnEnd) -> bool:
    """Whether the turn has ended, and exactly so."""
    query = select(turns.c.id).where(
        turns.c.id == end.turn_id,
        turns.c.ending == end.ending,
        turns.c.answer == end.answer,
        turns.c.trace_state == end.trace_state,
    )
    return connection.execute(query).first() is not None


def mark_trace_stored(connection: Connection, trace_id: str) -> None:
    """Note that MLflow holds the turn's trace."""
    connection.execute(
        update(turns).where(turns.c.trace_id == trace_id).values(trace_state="stored")
    )


def save_progress(connection: Connection, answers: Mapping[str, str], now: int) -> None:
    """Note that these turns are alive, and how far their answers have come."""
    connection.execute(
        update(turns)
        .where(turns.c.id == bindparam("turn_id"), turns.c.ending == "running")
        .values(answer=bindparam("so_far"), heartbeat_at=now),
        [{"turn_id": turn_id, "so_far": answer} for turn_id, answer in answers.items()],
    )


def running_notes(connection: Connection) -> dict[str, int]:
    """Every turn that is running, in whichever process, and when that last noted it is alive."""
    query = select(turns.c.id, turns.c.heartbeat_at).where(turns.c.ending == "running")
    return {row.id: row.heartbeat_at for row in connection.execute(query)}

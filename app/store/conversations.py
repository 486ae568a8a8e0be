"""Reads and writes conversations as a whole, for the person they belong to."""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, delete, select, update

from app.errors import Conflict
from app.store.departed_traces import note_departure
from app.store.feedback import FeedbackRow, feedback_of
from app.store.tables import conversations, turns
from app.store.turns import TurnRow

# More than anyone scrolls through; keeps one answer bounded.
MOST_LISTED = 500

ConversationRow = Row[Any]


@dataclass(frozen=True, slots=True)
class Conversation:
    """A conversation, its turns in the order asked, and the feedback on them."""

    row: ConversationRow
    turns: list[TurnRow]
    feedback: list[FeedbackRow]


def list_conversations(connection: Connection, user_id: str) -> list[ConversationRow]:
    """The user's conversations, the most recently used first."""
    query = (
        select(conversations)
        .where(conversations.c.user_id == user_id)
        .order_by(conversations.c.updated_at.desc(), conversations.c.id)
        .limit(MOST_LISTED)
    )
    return list(connection.execute(query))


def load_conversation(
    connection: Connection, user_id: str, conversation_id: str
) -> Conversation | None:
    """One conversation of the user's, or None."""
    row = connection.execute(select(conversations).where(*_own(user_id, conversation_id))).first()
    if row is None:
        return None
    query = (
        select(turns)
        .where(turns.c.conversation_id == conversation_id)
        .order_by(turns.c.created_at, turns.c.id)
    )
    found = list(connection.execute(query))
    return Conversation(row, found, feedback_of(connection, [turn.id for turn in found]))


def rename_conversation(
    connection: Connection, user_id: str, conversation_id: str, title: str
) -> ConversationRow | None:
    """Give a conversation a new title; its row, or None when it is not the user's."""
    return connection.execute(
        update(conversations)
        .where(*_own(user_id, conversation_id))
        .values(title=title)
        .returning(conversations)
    ).first()


def delete_conversation(connection: Connection, user_id: str, conversation_id: str) -> int | None:
    """Delete a conversation with its turns and feedback; how many traces it had, or None.

    Raises `Conflict` while one of its turns is running, whose trace would be lost.
    """
    own = _own(user_id, conversation_id)
    if not _lock(connection, *own):
        return None
    _refuse_while_running(connection, turns.c.conversation_id == conversation_id)
    traces = note_departure(connection, conversation_id, user_id)
    connection.execute(delete(conversations).where(*own))
    return traces


def delete_all_conversations(connection: Connection, user_id: str) -> tuple[int, list[str]]:
    """Delete everything of a person's; how many conversations there were, and their traces.

    Raises `Conflict` while one of their turns is running, whose trace would be lost.
    """
    own = conversations.c.user_id == user_id
    count = _lock(connection, own)
    _refuse_while_running(connection, turns.c.user_id == user_id)
    traces = (
        select(turns.c.trace_id)
        .where(turns.c.user_id == user_id)
        .order_by(turns.c.created_at, turns.c.id)
        # Feedback given at this moment is first finished, so that all that is owed is seen.
        .with_for_update()
    )
    found = list(connection.execute(traces).scalars())
    # One that began meanwhile could not be locked, and its turn runs.
    if connection.execute(delete(conversations).where(own)).rowcount != count:
        raise _still_running()
    return count, found


def _lock(connection: Connection, *whose: ColumnElement[bool]) -> int:
    """Let new turns wait until this transaction ends; returns how many conversations there are."""
    query = select(conversations.c.id).where(*whose).with_for_update()
    return len(connection.execute(query).all())


def _refuse_while_running(connection: Connection, where: ColumnElement[bool]) -> None:
    running = select(turns.c.id).where(where, turns.c.ending == "running")
    if connection.execute(running).first():
        raise _still_running()


def _still_running() -> Conflict:
    return Conflict("An answer is still running; stop it first.", code="turn_running")


def _own(user_id: str, conversation_id: str):  # type: ignore[no-untyped-def]
    return (conversations.c.id == conversation_id, conversations.c.user_id == user_id)

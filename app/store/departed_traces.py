"""Remembers the traces of deleted turns: whose they were, and which MLflow must not have again."""

from collections.abc import Iterable

from sqlalchemy import Connection, delete, insert, literal, select

from app.store.tables import departed_traces, turns


def note_departure(connection: Connection, conversation_id: str, user_id: str) -> int:
    """Remember the traces of a conversation about to be deleted; returns how many."""
    traces = select(turns.c.trace_id, literal(user_id)).where(
        turns.c.conversation_id == conversation_id
    )
    noted = insert(departed_traces).from_select(["trace_id", "user_id"], traces)
    # psycopg does not count the rows of such a statement.
    return len(connection.execute(noted.returning(departed_traces.c.trace_id)).all())


def take_departed(connection: Connection, user_id: str) -> list[str]:
    """The traces of a person's deleted conversations, no longer remembered as theirs."""
    mine = delete(departed_traces).where(departed_traces.c.user_id == user_id)
    return sorted(connection.execute(mine.returning(departed_traces.c.trace_id)).scalars())


def ban(connection: Connection, trace_ids: Iterable[str]) -> None:
    """Remember that MLflow must not have these traces; nothing says whose they were."""
    if rows := [{"trace_id": trace_id, "user_id": None} for trace_id in trace_ids]:
        connection.execute(insert(departed_traces), rows)


def is_banned(connection: Connection, trace_id: str) -> bool:
    """Whether MLflow must not have this trace."""
    query = select(departed_traces.c.trace_id).where(
        departed_traces.c.trace_id == trace_id, departed_traces.c.user_id.is_(None)
    )
    return connection.execute(query).first() is not None

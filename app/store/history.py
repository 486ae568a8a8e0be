"""Chooses the earlier turns of a conversation that a model is told of."""

from sqlalchemy import Connection, and_, select

from app.store.tables import turns
from app.store.turns import TurnRow


def history_of(
    connection: Connection, conversation_id: str, before: str | None, limit: int
) -> list[TurnRow]:
    """The latest turns that have an answer, oldest first, without replaced ones; at most `limit`.

    `before` is the client request ID of a turn asked again: it, its other versions and what
    followed are left out. The window moves in steps of half the limit, because a model answers a
    follow-up faster while the beginning of its prompt stays the same.
    """
    versions = _versions_of(connection, conversation_id)
    root_of_before = next((root for root, ids in versions.items() if before in ids), None)
    chosen = []
    for root, answered in versions.items():
        if root == root_of_before:
            break
        if turn_ids := [turn_id for turn_id in answered.values() if turn_id]:
            chosen.append(turn_ids[-1])
    step = max(1, limit // 2)
    skipped = -(-max(0, len(chosen) - limit) // step) * step
    window = chosen[skipped:][:limit]
    rows = connection.execute(select(turns).where(turns.c.id.in_(window)))
    return sorted(rows, key=lambda row: window.index(row.id))


def _versions_of(connection: Connection, conversation_id: str) -> dict[str, dict[str, str | None]]:
    """Each question's versions, oldest first: client request ID to turn ID, None unanswered."""
    query = (
        select(
            turns.c.id,
            turns.c.client_request_id,
            turns.c.replaces,
            and_(turns.c.answer != "", turns.c.ending != "running").label("answered"),
        )
        .where(turns.c.conversation_id == conversation_id)
        .order_by(turns.c.created_at, turns.c.id)
    )
    roots: dict[str, str] = {}
    versions: dict[str, dict[str, str | None]] = {}
    for row in connection.execute(query):
        root = roots.get(row.replaces, row.client_request_id)
        roots[row.client_request_id] = root
        versions.setdefault(root, {})[row.client_request_id] = row.id if row.answered else None
    return versions

"""Remembers which requests have changed a turn's feedback, so that a late copy changes nothing.

See https://datatracker.ietf.org/doc/draft-ietf-httpapi-idempotency-key-header/
"""

from sqlalchemy import Connection, insert, select, update

from app.store.tables import feedback_keys

# More changes than anyone makes to one turn while the copy of an earlier one is on its way.
MOST_KEPT = 50


def note_key(connection: Connection, turn_id: str, key: str) -> bool:
    """Note a request's key; false when it was noted before. The caller has locked the turn."""
    mine = feedback_keys.c.turn_id == turn_id
    known = connection.execute(select(feedback_keys.c["keys"]).where(mine)).scalar()
    if known is None:
        connection.execute(insert(feedback_keys).values(turn_id=turn_id, keys=[key]))
        return True
    if key in known:
        return False
    connection.execute(update(feedback_keys).where(mine).values(keys=[*known, key][-MOST_KEPT:]))
    return True

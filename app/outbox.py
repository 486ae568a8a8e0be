"""The outbox: what is durable here and still owed to MLflow.

A row is claimed under a lease by one relay at a time, delivered, and deleted. Rows of one trace
leave in the order they came, so a trace precedes its feedback; else the row leaves first that has
been due for longest, so that those which fail hold up no others. What MLflow refuses becomes a dead
letter that an operator can read and revive. Pattern: https://microservices.io/patterns/data/transactional-outbox.html
"""

import random
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from sqlalchemy import (
    ColumnElement,
    Connection,
    bindparam,
    delete,
    exists,
    func,
    insert,
    or_,
    select,
    update,
)

from app.store.tables import outbox

Kind = Literal["trace", "feedback", "deletion"]

# Longer than the requests of one delivery take, timeouts included, so that a lease rarely ends
# under a live delivery; if it does, the row is delivered twice, to the same effect.
LEASE_MS = 30_000
MAX_BACKOFF_MS = 60_000
# No row is ever to wait longer. One that is due later was written before the clock jumped back.
LONGEST_WAIT_MS = 2 * MAX_BACKOFF_MS

# What the relay asks all the time is put together once: that takes longer than asking.
_earlier = outbox.alias()
_BLOCKED = exists().where(
    _earlier.c.trace_id == outbox.c.trace_id,
    _earlier.c.id < outbox.c.id,
    _earlier.c.dead_reason.is_(None),
)
_IS_DUE = or_(
    outbox.c.available_at <= bindparam("now"), outbox.c.available_at > bindparam("too_far")
)
_DUE = select(outbox.c.id).where(outbox.c.dead_reason.is_(None), _IS_DUE).limit(1)
_FIRST_DUE = (
    _DUE.where(~_BLOCKED)
    .order_by(outbox.c.available_at, outbox.c.id)
    .with_for_update(skip_locked=True)
)
_CLAIM = (
    update(outbox)
    .where(outbox.c.id == _FIRST_DUE.scalar_subquery())
    .values(
        lease=bindparam("new_lease"),
        available_at=bindparam("ends_at"),
        attempts=outbox.c.attempts + 1,
    )
    .returning(outbox)
)


@dataclass(frozen=True, slots=True)
class Parcel:
    """A claimed row: deliver it, then `complete`, `release`, `postpone` or `bury` it."""

    id: int
    lease: str
    trace_id: str
    kind: Kind
    payload: dict[str, Any]
    attempts: int


@dataclass(frozen=True, slots=True)
class OutboxStatus:
    """How much is owed: rows waiting, the oldest one's age, and the dead letters."""

    waiting: int
    oldest_age_s: float
    dead: int
    last_error: str | None


def put(
    connection: Connection,
    kind: Kind,
    trace_id: str,
    payload: dict[str, Any],
    now: int,
    *,
    wait_ms: int = 0,
) -> None:
    """Owe a delivery, in the caller's transaction, due after `wait_ms` (`LONGEST_WAIT_MS`)."""
    connection.execute(
        insert(outbox).values(
            kind=kind,
            trace_id=trace_id,
            payload=payload,
            attempts=0,
            available_at=now + wait_ms,
            created_at=now,
        )
    )


def has_due(connection: Connection, now: int) -> bool:
    """Whether there may be a row to claim: only reads, so looking often costs next to nothing."""
    return connection.execute(_DUE, _times(now)).first() is not None


def claim(connection: Connection, now: int) -> Parcel | None:
    """Lease the row that has been due for longest and has no earlier one of its trace before it."""
    lease = {"new_lease": uuid.uuid4().hex, "ends_at": now + LEASE_MS}
    row = connection.execute(_CLAIM, _times(now) | lease).first()
    if row is None:
        return None
    return Parcel(row.id, row.lease, row.trace_id, row.kind, row.payload, row.attempts)


def complete(connection: Connection, parcel: Parcel) -> bool:
    """Forget a delivered row; false when the lease was lost and others may have delivered since."""
    return connection.execute(delete(outbox).where(*_leased(parcel))).rowcount == 1


def release(connection: Connection, parcel: Parcel, reason: str, now: int) -> bool:
    """Give a row back untried, due after all others that are; false when the lease was lost."""
    attempts = parcel.attempts - 1
    return _give_back(connection, parcel, reason, available_at=now, attempts=attempts)


def postpone(connection: Connection, parcel: Parcel, reason: str, now: int) -> bool:
    """Try again later: exponential backoff from 0.5 s to a minute, with full jitter.

    False when the lease was lost: then the row stays as it is.
    """
    ceiling = min(MAX_BACKOFF_MS, 500 * 2 ** min(parcel.attempts, 10))
    due_at = now + random.randint(250, ceiling)
    return _give_back(connection, parcel, reason, available_at=due_at)


def bury(connection: Connection, parcel: Parcel, reason: str) -> bool:
    """Make a row a dead letter, which `revive` brings back; false when the lease was lost."""
    return _give_back(connection, parcel, reason, dead_reason=reason)


def drop(connection: Connection, trace_ids: Sequence[str], *, dead_only: bool = False) -> None:
    """Owe these traces nothing more, except what is being delivered at this moment."""
    which = outbox.c.dead_reason.is_not(None) if dead_only else outbox.c.lease.is_(None)
    of_trace = delete(outbox).where(outbox.c.trace_id == bindparam("of"), which)
    if rows := [{"of": trace_id} for trace_id in trace_ids]:
        connection.execute(of_trace, rows)


def revive(connection: Connection, now: int) -> int:
    """Make every dead letter due again; returns how many there were."""
    result = connection.execute(
        update(outbox)
        .where(outbox.c.dead_reason.is_not(None))
        .values(dead_reason=None, available_at=now, attempts=0)
    )
    return result.rowcount


def status(connection: Connection, now: int) -> OutboxStatus:
    """Count what is owed."""
    waiting, oldest = connection.execute(
        select(func.count(), func.min(outbox.c.created_at)).where(outbox.c.dead_reason.is_(None))
    ).one()
    dead = connection.execute(
        select(func.count()).where(outbox.c.dead_reason.is_not(None))
    ).scalar_one()
    last_error = connection.execute(
        select(outbox.c.last_error)
        .where(outbox.c.last_error.is_not(None))
        .order_by(outbox.c.id.desc())
        .limit(1)
    ).scalar()
    age = (now - oldest) / 1000 if oldest else 0.0
    return OutboxStatus(waiting, max(age, 0.0), dead, last_error)


def dead_letters(connection: Connection, limit: int = 50) -> list[tuple[int, str, str, str]]:
    """The newest dead letters as (ID, kind, trace ID, reason)."""
    rows = connection.execute(
        select(outbox.c.id, outbox.c.kind, outbox.c.trace_id, outbox.c.dead_reason)
        .where(outbox.c.dead_reason.is_not(None))
        .order_by(outbox.c.id.desc())
        .limit(limit)
    )
    return [(row.id, row.kind, row.trace_id, row.dead_reason) for row in rows]


def _times(now: int) -> dict[str, int]:
    return {"now": now, "too_far": now + LONGEST_WAIT_MS}


def _give_back(connection: Connection, parcel: Parcel, reason: str, **values: Any) -> bool:
    given_back = update(outbox).values(lease=None, last_error=reason, **values)
    return connection.execute(given_back.where(*_leased(parcel))).rowcount == 1


def _leased(parcel: Parcel) -> tuple[ColumnElement[bool], ...]:
    return (outbox.c.id == parcel.id, outbox.c.lease == parcel.lease)

"""Forgets a person: everything of theirs goes here, and from MLflow too if the operator permits it.

Traces are deleted through the outbox, after whatever is still on its way to them. A write that was
under way all along may bring a trace back; so each is looked for once more, and whoever notices
that a write of theirs came late owes the deletion again.
"""

from dataclasses import dataclass

from sqlalchemy import Connection

from app import outbox
from app.store.conversations import delete_all_conversations
from app.store.departed_traces import ban, is_banned, take_departed

# Longer than a server that was slow to answer takes to do what its client no longer waits for.
LOOK_AGAIN_MS = 60_000


@dataclass(frozen=True, slots=True)
class Forgotten:
    """What there was of a person: conversations, and all their traces, of deleted ones too."""

    conversations: int
    traces: list[str]


def forget(connection: Connection, user_id: str, now: int, *, delete_traces: bool) -> Forgotten:
    """Delete everything of a person's here, and owe MLflow the same with `delete_traces`.

    Raises `Conflict` while one of their turns is running.
    """
    conversations, traces = delete_all_conversations(connection, user_id)
    traces += take_departed(connection, user_id)
    # With the traces kept, what is on its way arrives; what MLflow refused stays nowhere.
    outbox.drop(connection, traces, dead_only=not delete_traces)
    if delete_traces:
        ban(connection, traces)
        for trace_id in traces:
            outbox.put(connection, "deletion", trace_id, {"look_again": True}, now)
    return Forgotten(conversations, traces)


def note_deletion(connection: Connection, parcel: outbox.Parcel, now: int) -> None:
    """Do what is left to do after a trace was deleted in MLflow."""
    outbox.drop(connection, [parcel.trace_id], dead_only=True)
    if parcel.payload["look_again"]:
        again = {"look_again": False}
        outbox.put(connection, "deletion", parcel.trace_id, again, now, wait_ms=LOOK_AGAIN_MS)


def note_late_write(connection: Connection, trace_id: str, now: int) -> None:
    """Owe the deletion again if the trace just written is one that MLflow must not have."""
    if is_banned(connection, trace_id):
        outbox.put(connection, "deletion", trace_id, {"look_again": False}, now)

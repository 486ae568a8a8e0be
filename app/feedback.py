"""Feedback: checks who may judge what, keeps the verdict, and owes it to MLflow.

One transaction writes the verdict and its outbox row, so "saved" is true once it returns. The same
person, turn and name is one assessment, whose ID follows from them: saying it again changes it.
"""

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from sqlalchemy import Connection

from app import outbox
from app.clock import Clock, now_ms
from app.errors import Conflict, Forbidden, NotFound
from app.store import feedback as store
from app.store import turns
from app.store.database import Database
from app.store.feedback import FeedbackRow, FeedbackValue
from app.store.feedback_keys import note_key
from app.store.turns import TurnRow

USER_FEEDBACK = "user_feedback"
USER_REASONS = "user_reasons"
EXPECTED_RESPONSE = "expected_response"
IMPLICIT = "implicit_"

_NAMESPACE = uuid.UUID("6f1c1f0e-6d1b-4a86-9a53-1d2b5d0f5c8e")

State = Literal["saved", "recorded", "refused"]


@dataclass(frozen=True, slots=True)
class TurnKey:
    """How a caller names a turn: by one of its two IDs."""

    trace_id: str | None = None
    client_request_id: str | None = None


@dataclass(frozen=True, slots=True)
class Judged:
    """A turn and what its owner currently says of it."""

    trace_id: str
    client_request_id: str
    feedback: list[FeedbackRow]


@dataclass(frozen=True, slots=True)
class Opinion:
    """One value to keep under one name. CODE is the app itself, noting what a person did."""

    name: str
    value: Any
    rationale: str | None = None
    metadata: Mapping[str, str] = field(default_factory=dict)
    kind: Literal["feedback", "expectation"] = "feedback"
    source: Literal["HUMAN", "CODE"] = "HUMAN"


class FeedbackDesk:
    """Takes, changes, withdraws and shows feedback."""

    def __init__(self, database: Database, clock: Clock = now_ms) -> None:
        self._database = database
        self._clock = clock

    def record(
        self, user_id: str, key: TurnKey, opinions: list[Opinion], request_key: str | None = None
    ) -> Judged:
        """Keep opinions of a turn, all or none; durable when this returns.

        A request whose `request_key` changed this turn's feedback before is a late copy: it
        changes nothing. Raises `NotFound`, `Forbidden`, or `Conflict` while the turn is running.
        """

        def work(connection: Connection) -> Judged:
            turn = _own_turn(connection, user_id, key, lock=True)
            if turn.ending == "running":
                raise Conflict(
                    "This answer is not finished; it can be rated once it is.", code="turn_running"
                )
            if _is_new(connection, turn, request_key):
                for opinion in opinions:
                    keep(connection, turn, opinion, self._clock())
            return _judged(connection, turn)

        return self._database.write(work)

    def withdraw(
        self, user_id: str, key: TurnKey, name: str, request_key: str | None = None
    ) -> Judged:
        """Take an opinion back; taking back what was never said changes nothing.

        `request_key` and errors are those of `record`; a running turn has nothing to take back.
        """

        def work(connection: Connection) -> Judged:
            turn = _own_turn(connection, user_id, key, lock=True)
            if _is_new(connection, turn, request_key):
                _take_back(connection, turn, _feedback_id(turn, name), self._clock())
            return _judged(connection, turn)

        return self._database.write(work)

    def show(self, user_id: str, key: TurnKey) -> Judged:
        """What the user currently says of a turn."""
        return self._database.read(lambda c: _judged(c, _own_turn(c, user_id, key)))

    def show_all(self, user_id: str, before: store.Place | None = None) -> list[FeedbackRow]:
        """What the user says of any turn, the newest change first: a page of whole turns.

        `before`: only what comes after that place. Each row also has its turn's columns.
        """
        return self._database.read(lambda c: store.feedback_by(c, user_id, before))


def keep(connection: Connection, turn: TurnRow, opinion: Opinion, now: int) -> None:
    """Keep one opinion of a turn and owe it to MLflow; the caller has locked the turn."""
    current = FeedbackValue(
        id=_feedback_id(turn, opinion.name),
        turn_id=turn.id,
        user_id=turn.user_id,
        name=opinion.name,
        kind=opinion.kind,
        source_type=opinion.source,
        value=opinion.value,
        rationale=opinion.rationale,
        metadata=dict(opinion.metadata),
    )
    previous = store.find_feedback(connection, current.id)
    if previous is not None and _unchanged(previous, current):
        return
    revision = store.save_feedback(connection, current, now)
    payload = {"id": current.id, "revision": revision, "verdict": _verdict(turn, current)}
    outbox.put(connection, "feedback", turn.trace_id, payload, now)


def state_of(row: FeedbackRow) -> State:
    """`saved`: durable here. `recorded`: in MLflow. `refused`: MLflow will not take it."""
    if row.recorded_revision >= row.revision:
        return "recorded"
    return "refused" if row.refused_reason else "saved"


def owe_again(connection: Connection, feedback_id: str, now: int) -> None:
    """Owe MLflow what stands now: something older may have been written over it."""
    row = store.find_feedback(connection, feedback_id)
    turn = row and turns.find_turn_by_id(connection, row.turn_id, lock=True)
    if not turn:
        return  # Its conversation has been deleted.
    row = store.count_revision(connection, feedback_id)
    verdict = None if row.withdrawn else _verdict(turn, row)
    payload = {"id": feedback_id, "revision": row.revision, "verdict": verdict}
    outbox.put(connection, "feedback", turn.trace_id, payload, now)


def _is_new(connection: Connection, turn: TurnRow, request_key: str | None) -> bool:
    return request_key is None or note_key(connection, turn.id, request_key)


def _take_back(connection: Connection, turn: TurnRow, feedback_id: str, now: int) -> None:
    revision = store.withdraw_feedback(connection, feedback_id, now)
    if revision is not None:
        payload = {"id": feedback_id, "revision": revision, "verdict": None}
        outbox.put(connection, "feedback", turn.trace_id, payload, now)


def _own_turn(connection: Connection, user_id: str, key: TurnKey, *, lock: bool = False) -> TurnRow:
    turn = None
    if key.trace_id:
        turn = turns.find_turn_by_trace(connection, key.trace_id, lock=lock)
        if turn is not None and turn.user_id != user_id:
            raise Forbidden("This turn belongs to someone else.")
    elif key.client_request_id:
        turn = turns.find_turn(connection, user_id, key.client_request_id, lock=lock)
    if turn is None:
        raise NotFound("No turn of yours has this ID.", code="unknown_turn")
    return turn


def _judged(connection: Connection, turn: TurnRow) -> Judged:
    return Judged(turn.trace_id, turn.client_request_id, store.feedback_of(connection, [turn.id]))


def _feedback_id(turn: TurnRow, name: str) -> str:
    return f"a-{uuid.uuid5(_NAMESPACE, f'{turn.trace_id}|{turn.user_id}|{name}')}"


def _unchanged(previous: FeedbackRow, current: FeedbackValue) -> bool:
    return (
        not previous.withdrawn
        # 0 == False and 1 == True in Python, but not to whoever reads the assessment. 1 and 1.0
        # are the same to them, and SQLite gives back the one for the other.
        and isinstance(previous.value, bool) is isinstance(current.value, bool)
        and bool(previous.value == current.value)
        and bool(previous.rationale == current.rationale)
        and bool(previous.metadata == current.metadata)
    )


def _verdict(turn: TurnRow, said: FeedbackValue | FeedbackRow) -> dict[str, Any]:
    return {
        "assessment_id": said.id,
        "trace_id": turn.trace_id,
        "kind": said.kind,
        "name": said.name,
        "value": said.value,
        "source_type": said.source_type,
        # A signal is the app's own observation, so no person is named as its source.
        "source_id": turn.user_id if said.source_type == "HUMAN" else "thumbprint",
        "rationale": said.rationale,
        "metadata": said.metadata
        | {"client_request_id": turn.client_request_id, "feedback_id": said.id},
    }

"""The feedback desk: who may judge what, and what is owed to MLflow for it."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from sqlalchemy.exc import StatementError

from app import outbox
from app.errors import Conflict, Forbidden, NotFound
from app.feedback import FeedbackDesk, Judged, Opinion, TurnKey, state_of
from app.store import turns
from app.store.database import Database
from app.store.turns import NewTurn, TurnEnd
from tests.doubles import NOON, MovableClock

TRACE = "tr-" + "a" * 32
RUNNING = "tr-" + "b" * 32
BY_TRACE = TurnKey(trace_id=TRACE)
BY_REQUEST = TurnKey(client_request_id="r1")


@pytest.fixture
def database(database: Database) -> Database:
    """One that knows an ended turn and a running one."""
    ended = NewTurn("ann", "r1", "Why?", None, None, TRACE, NOON)
    running = NewTurn("ann", "r2", "How?", None, None, RUNNING, NOON)
    for turn in (ended, running):
        database.write(lambda c, t=turn: turns.insert_turn(c, t))  # type: ignore[misc]
    end = TurnEnd(ended.id, "complete", "So.", "<p>", "stored", "stop")
    database.write(lambda c: turns.finish_turn(c, end, NOON))
    return database


@pytest.fixture
def desk(database: Database) -> FeedbackDesk:
    return FeedbackDesk(database, MovableClock())


def owed(database: Database) -> int:
    return database.read(lambda c: outbox.status(c, NOON)).waiting


def thumb(value: Any, comment: str | None = None, **rest: Any) -> list[Opinion]:
    return [Opinion("user_feedback", value, comment, **rest)]


def said(judged: Judged) -> list[tuple[str, object, str | None]]:
    return [(row.name, row.value, row.rationale) for row in judged.feedback]


@pytest.mark.parametrize("key", [BY_TRACE, BY_REQUEST])
def test_the_owner_judges_by_either_id(
    desk: FeedbackDesk, database: Database, key: TurnKey
) -> None:
    judged = desk.record("ann", key, thumb(True, "good"))
    assert (judged.trace_id, judged.client_request_id) == (TRACE, "r1")
    assert said(judged) == [("user_feedback", True, "good")]
    assert state_of(judged.feedback[0]) == "saved"
    assert said(desk.show("ann", key)) == said(judged)
    assert owed(database) == 1


def test_both_ids_are_the_same_feedback(desk: FeedbackDesk) -> None:
    desk.record("ann", BY_TRACE, thumb(True))
    assert said(desk.record("ann", BY_REQUEST, thumb(False))) == [("user_feedback", False, None)]


@pytest.mark.parametrize("key", [BY_TRACE, BY_REQUEST])
def test_someone_elses_turn_cannot_be_judged_seen_or_withdrawn(
    desk: FeedbackDesk, database: Database, key: TurnKey
) -> None:
    refusal = Forbidden if key.trace_id else NotFound
    with pytest.raises(refusal):
        desk.record("bob", key, thumb(True))
    with pytest.raises(refusal):
        desk.show("bob", key)
    with pytest.raises(refusal):
        desk.withdraw("bob", key, "user_feedback")
    assert owed(database) == 0


@pytest.mark.parametrize(
    "key", [TurnKey(trace_id="tr-" + "9" * 32), TurnKey(client_request_id="none"), TurnKey()]
)
def test_a_turn_nobody_knows_is_not_found(desk: FeedbackDesk, key: TurnKey) -> None:
    with pytest.raises(NotFound) as caught:
        desk.record("ann", key, thumb(True))
    assert caught.value.code == "unknown_turn"


def test_a_running_turn_can_be_rated_once_it_is_finished(
    desk: FeedbackDesk, database: Database
) -> None:
    with pytest.raises(Conflict) as caught:
        desk.record("ann", TurnKey(client_request_id="r2"), thumb(True))
    assert caught.value.code == "turn_running"
    assert owed(database) == 0


def test_saying_the_same_again_owes_nothing_more(desk: FeedbackDesk, database: Database) -> None:
    first = desk.record("ann", BY_TRACE, thumb(True, "good", metadata={"k": "v"}))
    again = desk.record("ann", BY_TRACE, thumb(True, "good", metadata={"k": "v"}))
    assert said(first) == said(again)
    assert owed(database) == 1


@pytest.mark.parametrize("value", [True, 0.2, 1.0, 0.0, 3, "text", ["a", "b"]])
def test_every_kind_of_value_is_known_again(
    desk: FeedbackDesk, database: Database, value: object
) -> None:
    for _ in range(2):
        desk.record("ann", BY_TRACE, thumb(value))
    assert owed(database) == 1


@pytest.mark.parametrize(
    "changed",
    [thumb(False), thumb(True, "why"), thumb(1), thumb(1.0), thumb(True, metadata={"k": "v"})],
)
def test_any_change_replaces_what_was_said_and_is_owed(
    desk: FeedbackDesk, database: Database, changed: list[Opinion]
) -> None:
    desk.record("ann", BY_TRACE, thumb(True))
    judged = desk.record("ann", BY_TRACE, changed)
    assert said(judged) == [("user_feedback", changed[0].value, changed[0].rationale)]
    assert isinstance(judged.feedback[0].value, bool) is isinstance(changed[0].value, bool)
    assert owed(database) == 2


def test_leaving_the_comment_out_clears_it(desk: FeedbackDesk) -> None:
    desk.record("ann", BY_TRACE, thumb(True, "good"))
    assert said(desk.record("ann", BY_TRACE, thumb(True))) == [("user_feedback", True, None)]


def test_names_are_separate_and_all_or_nothing_is_kept(
    desk: FeedbackDesk, database: Database
) -> None:
    judged = desk.record("ann", BY_TRACE, [Opinion("user_a", 0.2), Opinion("user_b", "x")])
    assert sorted(said(judged)) == [("user_a", 0.2, None), ("user_b", "x", None)]
    assert owed(database) == 2


def test_verdicts_at_the_same_moment_are_one_after_the_other(
    desk: FeedbackDesk, database: Database
) -> None:
    together = threading.Barrier(4)

    def judge(number: int) -> None:
        together.wait(10)
        desk.record("ann", BY_TRACE, thumb(number))

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(judge, range(4)))
    (row,) = desk.show("ann", BY_TRACE).feedback
    assert row.revision == owed(database) == 4


def test_a_withdrawal_takes_back_once_and_what_was_never_said_is_fine(
    desk: FeedbackDesk, database: Database
) -> None:
    assert said(desk.withdraw("ann", BY_TRACE, "user_feedback")) == []
    assert owed(database) == 0
    desk.record("ann", BY_TRACE, thumb(True))
    assert said(desk.withdraw("ann", BY_TRACE, "user_feedback")) == []
    assert said(desk.withdraw("ann", BY_TRACE, "user_feedback")) == []
    assert owed(database) == 2
    assert said(desk.record("ann", BY_TRACE, thumb(True))) == [("user_feedback", True, None)]
    assert owed(database) == 3


def test_the_assessment_id_follows_from_turn_person_and_name(
    desk: FeedbackDesk, database: Database
) -> None:
    ids = set()
    for value in (True, False):
        judged = desk.record("ann", BY_TRACE, thumb(value))
        ids |= {row.id for row in judged.feedback}
    assert len(ids) == 1
    assert ids.pop().startswith("a-")
    other = desk.record("ann", BY_TRACE, [Opinion("other", True)])
    assert len({row.id for row in other.feedback}) == 2


def test_an_answer_of_several_opinions_that_fails_keeps_none(
    desk: FeedbackDesk, database: Database
) -> None:
    with pytest.raises((StatementError, TypeError)):  # as the driver has it
        desk.record("ann", BY_TRACE, [Opinion("user_a", True), Opinion("user_b", object())])
    assert said(desk.show("ann", BY_TRACE)) == []
    assert owed(database) == 0


def test_pages_neither_skip_nor_repeat_turns_judged_at_the_same_time(
    desk: FeedbackDesk, database: Database
) -> None:
    asked = [NewTurn("ann", f"s{n}", "?", None, None, f"tr-{n:032}", NOON) for n in range(60)]
    for turn in asked:
        database.write(lambda c, t=turn: turns.insert_turn(c, t))  # type: ignore[misc]
        end = TurnEnd(turn.id, "complete", "So.", "<p>", "stored", "stop")
        database.write(lambda c, e=end: turns.finish_turn(c, e, NOON))  # type: ignore[misc]
        both = [*thumb(True), Opinion("user_accuracy", 0.4)]
        desk.record("ann", TurnKey(client_request_id=turn.client_request_id), both)
    pages = [desk.show_all("ann")]
    while pages[-1][0].next_turn:
        pages.append(desk.show_all("ann", (pages[-1][0].next_at, pages[-1][0].next_turn)))
    assert [len(page) for page in pages] == [50, 50, 20]
    listed = [{row.turn_id for row in page} for page in pages]
    assert [len(page) for page in listed] == [25, 25, 10]
    assert set().union(*listed) == {turn.id for turn in asked}

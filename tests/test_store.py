"""Turns, conversations and feedback rows, over a real database."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import Connection
from sqlalchemy.exc import IntegrityError

from app.store import conversations, feedback, turns
from app.store.database import Database
from app.store.feedback import FeedbackValue
from app.store.history import history_of
from app.store.turns import NewTurn, TurnEnd, TurnRow
from tests.doubles import NOON

numbers = itertools.count()


def new_turn(database: Database, question: str = "Why?", **changes: Any) -> TurnRow:
    number = next(numbers)
    values = {
        "user_id": "ann",
        "client_request_id": f"r{number}",
        "question": question,
        "conversation_id": None,
        "replaces": None,
        "trace_id": f"tr-{number:032x}",
        "now": NOON + number,
    }
    turn = NewTurn(**(values | changes))
    return database.write(lambda c: turns.insert_turn(c, turn))


def answered(database: Database, question: str = "Why?", **changes: Any) -> TurnRow:
    row = new_turn(database, question, **changes)
    end = TurnEnd(row.id, "complete", f"Because of {question}", "<p>", "stored", "stop")
    database.write(lambda c: turns.finish_turn(c, end, NOON))
    return row


def questions(
    database: Database, conversation_id: str, before: str | None, limit: int
) -> list[str]:
    rows = database.read(lambda c: history_of(c, conversation_id, before, limit))
    return [row.question for row in rows]


def test_a_person_is_new_for_as_long_as_their_first_conversation(database: Database) -> None:
    first = new_turn(database)
    second = new_turn(database)
    assert (first.segment, second.segment) == ("new", "returning")
    again = new_turn(database, conversation_id=first.conversation_id)
    assert again.segment == "new"
    assert new_turn(database, user_id="ben").segment == "new"


def test_a_turn_keeps_what_answered_it(database: Database) -> None:
    row = new_turn(database, app_version="1.2", model="small")
    assert (row.app_version, row.model) == ("1.2", "small")


def test_a_first_turn_opens_a_conversation_titled_by_its_question(database: Database) -> None:
    row = new_turn(database, "  What\n is   this? " + "x" * 200)
    found = database.read(lambda c: conversations.list_conversations(c, "ann"))
    assert [one.id for one in found] == [row.conversation_id]
    assert found[0].title.startswith("What is this? xxx")
    assert len(found[0].title) == 80
    assert found[0].title.endswith("…")
    assert (row.ending, row.answer, row.trace_state) == ("running", "", None)


def test_a_further_turn_makes_its_conversation_the_newest(database: Database) -> None:
    first, second = new_turn(database), new_turn(database)
    new_turn(database, conversation_id=first.conversation_id)
    found = database.read(lambda c: conversations.list_conversations(c, "ann"))
    assert [one.id for one in found] == [first.conversation_id, second.conversation_id]


def test_one_user_has_one_turn_per_client_request_id_and_others_may_use_it_too(
    database: Database,
) -> None:
    row = new_turn(database, client_request_id="same")
    with pytest.raises(IntegrityError):
        new_turn(database, client_request_id="same")
    assert len(database.read(lambda c: conversations.list_conversations(c, "ann"))) == 1
    other = new_turn(database, client_request_id="same", user_id="bob")
    found = database.read(lambda c: turns.find_turn(c, "bob", "same"))
    assert found is not None
    assert (found.id, row.id != other.id) == (other.id, True)


def test_a_turn_is_found_by_its_trace_whoever_asked(database: Database) -> None:
    row = new_turn(database)
    found = database.read(lambda c: turns.find_turn_by_trace(c, row.trace_id))
    assert found is not None
    assert found.user_id == "ann"
    assert database.read(lambda c: turns.find_turn_by_trace(c, "tr-none")) is None


def test_a_turn_ends_once(database: Database) -> None:
    row = new_turn(database)
    first = TurnEnd(row.id, "stopped", "Well", "<p>Well</p>", "queued", "stopped")
    late = TurnEnd(row.id, "interrupted", "", "", "queued")
    assert database.write(lambda c: turns.finish_turn(c, first, NOON + 5))
    assert not database.write(lambda c: turns.finish_turn(c, late, NOON + 9))
    found = database.read(lambda c: turns.find_turn(c, "ann", row.client_request_id))
    assert found is not None
    assert (found.ending, found.answer, found.ended_at) == ("stopped", "Well", NOON + 5)


def test_progress_is_saved_for_running_turns_only(database: Database) -> None:
    running, ended = new_turn(database), answered(database, "E")
    so_far = {running.id: "So far", ended.id: "overwritten"}
    database.write(lambda c: turns.save_progress(c, so_far, NOON + 1000))
    assert database.read(turns.running_notes) == {running.id: NOON + 1000}
    found = database.read(lambda c: turns.find_turn_by_id(c, running.id))
    assert found is not None
    assert found.answer == "So far"
    kept = database.read(lambda c: turns.find_turn(c, "ann", ended.client_request_id))
    assert kept is not None
    assert kept.answer == "Because of E"


def test_a_stored_trace_is_noted_on_its_turn(database: Database) -> None:
    row = new_turn(database)
    end = TurnEnd(row.id, "complete", "A", "", "queued", "stop")
    database.write(lambda c: turns.finish_turn(c, end, NOON))
    database.write(lambda c: turns.mark_trace_stored(c, row.trace_id))
    found = database.read(lambda c: turns.find_turn_by_trace(c, row.trace_id))
    assert found is not None
    assert found.trace_state == "stored"


def test_the_context_is_the_answered_turns_oldest_first(database: Database) -> None:
    first = answered(database, "Q1")
    here = first.conversation_id
    answered(database, "Q2", conversation_id=here)
    new_turn(database, "unanswered", conversation_id=here)
    answered(database, "elsewhere")
    assert questions(database, here, None, 10) == ["Q1", "Q2"]


def test_the_context_window_moves_in_steps_so_that_prompts_keep_their_beginning(
    database: Database,
) -> None:
    here = answered(database, "Q0").conversation_id
    sizes, beginnings = [], []
    for number in range(1, 14):
        window = questions(database, here, None, 6)
        sizes.append(len(window))
        beginnings.append(window[0])
        assert window[-1] == f"Q{number - 1}"
        answered(database, f"Q{number}", conversation_id=here)
    assert sizes == [1, 2, 3, 4, 5, 6, 4, 5, 6, 4, 5, 6, 4]
    assert len(set(beginnings)) == 4


@pytest.mark.parametrize("limit", [0, 1, 2, 3])
def test_a_small_context_window_never_holds_more_than_it_may(
    database: Database, limit: int
) -> None:
    here = answered(database, "Q0").conversation_id
    for number in range(1, 6):
        answered(database, f"Q{number}", conversation_id=here)
    window = questions(database, here, None, limit)
    assert len(window) <= limit
    assert window == [f"Q{number}" for number in range(6 - len(window), 6)]
    assert bool(window) == bool(limit)


def test_a_replaced_turn_is_no_context_and_neither_is_what_followed_it(database: Database) -> None:
    here = answered(database, "Q1", client_request_id="a1").conversation_id
    answered(database, "Q2", client_request_id="a2", conversation_id=here)
    answered(database, "Q3", conversation_id=here)
    assert questions(database, here, "a2", 10) == ["Q1"]
    answered(database, "Q2b", client_request_id="a2b", conversation_id=here, replaces="a2")
    answered(database, "Q2c", client_request_id="a2c", conversation_id=here, replaces="a2b")
    assert questions(database, here, "a2c", 10) == ["Q1"]
    assert questions(database, here, None, 10) == ["Q1", "Q2c", "Q3"]


def test_a_conversation_is_only_its_owners(database: Database) -> None:
    here = answered(database).conversation_id
    read, write = database.read, database.write
    assert read(lambda c: turns.owns_conversation(c, "ann", here))
    assert not read(lambda c: turns.owns_conversation(c, "bob", here))
    assert read(lambda c: conversations.load_conversation(c, "bob", here)) is None
    assert write(lambda c: conversations.rename_conversation(c, "bob", here, "mine")) is None
    assert write(lambda c: conversations.delete_conversation(c, "bob", here)) is None
    assert read(lambda c: conversations.list_conversations(c, "bob")) == []
    assert read(lambda c: conversations.load_conversation(c, "ann", here)) is not None


def test_a_conversation_is_loaded_with_its_turns_and_their_feedback(database: Database) -> None:
    first = answered(database, "Q1")
    second = answered(database, "Q2", conversation_id=first.conversation_id)
    elsewhere = answered(database, "Q3")
    database.write(lambda c: feedback.save_feedback(c, thumb(second), NOON))
    database.write(lambda c: feedback.save_feedback(c, thumb(elsewhere), NOON))
    found = database.read(
        lambda c: conversations.load_conversation(c, "ann", first.conversation_id)
    )
    assert found is not None
    assert [turn.question for turn in found.turns] == ["Q1", "Q2"]
    assert [row.turn_id for row in found.feedback] == [second.id]


def test_a_deleted_conversation_is_gone_with_turns_and_feedback(database: Database) -> None:
    row = answered(database)
    answered(database, conversation_id=row.conversation_id)
    database.write(lambda c: feedback.save_feedback(c, thumb(row), NOON))
    kept = database.write(
        lambda c: conversations.delete_conversation(c, "ann", row.conversation_id)
    )
    assert kept == 2
    assert database.read(lambda c: turns.find_turn_by_trace(c, row.trace_id)) is None
    assert database.read(lambda c: feedback.find_feedback(c, "a-1")) is None


def test_a_new_title_comes_back(database: Database) -> None:
    here = answered(database).conversation_id
    row = database.write(lambda c: conversations.rename_conversation(c, "ann", here, "New"))
    assert row is not None
    assert row.title == "New"


def thumb(turn: TurnRow, value: object = True, **changes: Any) -> FeedbackValue:
    values = {
        "id": f"a-{turn.client_request_id}",
        "turn_id": turn.id,
        "user_id": "ann",
        "name": "user_feedback",
        "kind": "feedback",
        "source_type": "HUMAN",
        "value": value,
        "rationale": None,
        "metadata": {},
    }
    return FeedbackValue(**(values | changes))


def row_of(database: Database, one: FeedbackValue) -> Any:
    return database.read(lambda c: feedback.find_feedback(c, one.id))


@pytest.mark.parametrize("value", [True, False, 0, 1, 0.2, "text", ["a", "b"], "", []])
def test_a_value_comes_back_as_what_it_was(database: Database, value: object) -> None:
    given = thumb(answered(database), value, rationale="why", metadata={"k": "v"})
    database.write(lambda c: feedback.save_feedback(c, given, NOON))
    row = row_of(database, given)
    assert (row.value, type(row.value)) == (value, type(value))
    assert (row.rationale, row.metadata) == ("why", {"k": "v"})


def test_each_change_is_a_revision_of_the_one_row(database: Database) -> None:
    turn = answered(database)

    def save(value: bool) -> int:
        return database.write(lambda c: feedback.save_feedback(c, thumb(turn, value), NOON))

    assert [save(True), save(False), save(True)] == [1, 2, 3]
    rows = database.read(lambda c: feedback.feedback_of(c, [turn.id]))
    assert [(row.value, row.revision, row.recorded_revision) for row in rows] == [(True, 3, 0)]


def test_a_withdrawn_value_is_kept_for_the_count_but_no_longer_shown(database: Database) -> None:
    turn = answered(database)
    one = thumb(turn)
    withdraw: Callable[[Connection], int | None] = lambda c: feedback.withdraw_feedback(  # noqa: E731
        c, one.id, NOON
    )
    assert database.write(withdraw) is None
    database.write(lambda c: feedback.save_feedback(c, one, NOON))
    assert database.write(withdraw) == 2
    assert database.write(withdraw) is None
    assert database.read(lambda c: feedback.feedback_of(c, [turn.id])) == []
    assert database.write(lambda c: feedback.save_feedback(c, one, NOON)) == 3
    assert len(database.read(lambda c: feedback.feedback_of(c, [turn.id]))) == 1


def test_an_older_revision_recorded_late_does_not_undo_a_newer_one(database: Database) -> None:
    one = thumb(answered(database))
    for _ in range(2):
        database.write(lambda c: feedback.save_feedback(c, one, NOON))
    database.write(lambda c: feedback.mark_recorded(c, one.id, 2))
    database.write(lambda c: feedback.mark_recorded(c, one.id, 1))
    assert row_of(database, one).recorded_revision == 2


def test_a_refusal_counts_only_for_the_revision_that_was_refused(database: Database) -> None:
    one = thumb(answered(database))
    for _ in range(2):
        database.write(lambda c: feedback.save_feedback(c, one, NOON))
    database.write(lambda c: feedback.mark_refused(c, one.id, 1, "400"))
    assert row_of(database, one).refused_reason is None
    database.write(lambda c: feedback.mark_refused(c, one.id, 2, "400"))
    assert row_of(database, one).refused_reason == "400"
    database.write(lambda c: feedback.save_feedback(c, one, NOON))
    assert row_of(database, one).refused_reason is None

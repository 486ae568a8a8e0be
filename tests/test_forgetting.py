"""Being forgotten: everything goes here, and from MLflow too when the operator permits it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import Connection, select, text

from app import forgetting, outbox
from app.errors import Conflict
from app.feedback import FeedbackDesk, Opinion, TurnKey
from app.forgetting import LOOK_AGAIN_MS, Forgotten
from app.outbox import LEASE_MS
from app.relay import Relay
from app.store import conversations, tables, turns
from app.store.database import Database
from app.store.turns import NewTurn, TurnEnd
from app.tracing.failures import NotDelivered
from tests.doubles import NOON, MovableClock, TrackingDouble, finished_trace
from tests.turn_scene import TurnScene
from tests.waiting import eventually
from tests.web_client import app_with, ask, close, error_of, parts_of

TRACE = "tr-" + "1" * 32
OTHER = "tr-" + "2" * 32
UNREACHABLE = NotDelivered("no route", unreachable=True)


class Person:
    """Ann, the turns she has had, and a relay."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.clock = MovableClock()
        self.tracking = TrackingDouble()
        self.relay = Relay(database, self.tracking, self.clock)
        self.desk = FeedbackDesk(database, self.clock)

    def ask(self, trace_id: str = TRACE, *, user: str = "ann", queued: bool = True) -> str:
        """Have a turn of its own conversation ended; returns the conversation's ID."""

        def work(connection: Connection) -> str:
            turn = NewTurn(user, f"r-{trace_id[-1]}", "Why?", None, None, trace_id, NOON)
            row = turns.insert_turn(connection, turn)
            turns.finish_turn(connection, TurnEnd(row.id, "complete", "So.", "", "queued"), NOON)
            if queued:
                outbox.put(
                    connection,
                    "trace",
                    trace_id,
                    {"trace": finished_trace().to_json()},
                    self.clock(),
                )
            return str(row.conversation_id)

        return self.database.write(work)

    def judge(self, value: bool = True) -> None:
        self.desk.record("ann", TurnKey(TRACE), [Opinion("user_feedback", value)])

    def forget(self, *, delete_traces: bool = True) -> Forgotten:
        return self.database.write(
            lambda c: forgetting.forget(c, "ann", self.clock(), delete_traces=delete_traces)
        )

    def deliver_all(self) -> None:
        while self.relay.deliver_next() == 0.0:
            pass

    def owed(self) -> list[str]:
        kinds = select(tables.outbox.c.kind).order_by(tables.outbox.c.id)
        return list(self.database.read(lambda c: c.execute(kinds).scalars().all()))


@pytest.fixture
def ann(database: Database) -> Person:
    return Person(database)


def rows_with(database: Database, text: str) -> list[str]:
    """Names of the tables that still say `text` anywhere."""

    def work(connection: Connection) -> list[str]:
        return [
            table.name
            for table in tables.metadata.tables.values()
            if any(text in repr(tuple(row)) for row in connection.execute(select(table)))
        ]

    return database.read(work)


def test_nothing_here_names_a_person_who_was_forgotten(ann: Person, database: Database) -> None:
    here = ann.ask()
    ann.judge()
    ann.ask(OTHER, user="bob")
    assert ann.forget() == Forgotten(1, [TRACE])
    assert rows_with(database, "'ann'") == rows_with(database, here) == []
    assert "turns" in rows_with(database, "bob")
    assert ann.forget() == Forgotten(0, [])


def test_a_chat_begun_while_its_person_is_forgotten_is_not_deleted_while_it_runs(
    postgresql: Database,
) -> None:
    ann = Person(postgresql)
    ann.ask()
    waits = text(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
        " AND wait_event_type = 'Lock' AND query LIKE '%turns%FOR UPDATE%'"
    )
    new = NewTurn("ann", "r-new", "And?", None, None, OTHER, NOON)

    def hold_up(connection: Connection) -> Future[Forgotten]:
        """Lock ann's turn until the forgetting waits for it, and begin another chat meanwhile."""
        connection.execute(select(tables.turns).with_for_update())
        forgotten = pool.submit(ann.forget)
        eventually(lambda: postgresql.read(lambda c: c.execute(waits).scalar_one()))
        postgresql.write(lambda c: turns.insert_turn(c, new))
        return forgotten

    with ThreadPoolExecutor(1) as pool:
        forgotten = postgresql.write(hold_up)
        with pytest.raises(Conflict, match="still running"):
            forgotten.result(10)
    assert postgresql.read(lambda c: turns.find_turn_by_trace(c, OTHER))
    assert postgresql.read(lambda c: turns.find_turn_by_trace(c, TRACE))
    assert ann.owed() == ["trace"]


def test_what_was_still_on_its_way_goes_nowhere_and_the_trace_is_deleted(ann: Person) -> None:
    ann.ask()
    ann.judge()
    ann.forget()
    ann.deliver_all()
    assert ann.tracking.log == [f"delete {TRACE}"]


def test_with_the_traces_kept_what_was_on_its_way_arrives(ann: Person, database: Database) -> None:
    ann.ask()
    ann.judge()
    assert ann.forget(delete_traces=False) == Forgotten(1, [TRACE])
    ann.deliver_all()
    assert ann.tracking.log == ["trace", "user_feedback=True"]
    assert ann.owed() == []
    assert rows_with(database, "ann") == []


@pytest.mark.parametrize("delete_traces", [True, False])
def test_traces_of_conversations_deleted_before_are_found_too(
    ann: Person, database: Database, delete_traces: bool
) -> None:
    here = ann.ask(queued=False)
    database.write(lambda c: conversations.delete_conversation(c, "ann", here))
    ann.ask(OTHER, queued=False)
    assert ann.forget(delete_traces=delete_traces) == Forgotten(1, [OTHER, TRACE])
    assert ann.owed() == ["deletion"] * (2 * delete_traces)
    assert ann.forget(delete_traces=delete_traces) == Forgotten(0, [])


@pytest.mark.parametrize("delete_traces", [True, False])
def test_what_mlflow_refused_is_not_kept_for_a_retry(ann: Person, delete_traces: bool) -> None:
    ann.ask()
    ann.tracking.failures = [NotDelivered("400: no", refused=True)]
    ann.deliver_all()
    ann.forget(delete_traces=delete_traces)
    assert ann.owed() == ["deletion"] * delete_traces


def test_a_delivery_under_way_is_finished_before_the_trace_is_deleted(ann: Person) -> None:
    ann.ask()
    ann.tracking.hold = hold = threading.Event()
    delivering = threading.Thread(target=ann.relay.deliver_next)
    delivering.start()
    eventually(lambda: ann.tracking.waiting)
    ann.forget()
    assert ann.owed() == ["trace", "deletion"]
    assert Relay(ann.database, ann.tracking, ann.clock).deliver_next() > 0
    hold.set()
    delivering.join()
    ann.deliver_all()
    assert ann.tracking.log == ["trace", f"delete {TRACE}"]


def test_a_trace_is_looked_for_once_more_in_case_a_slow_write_brought_it_back(ann: Person) -> None:
    ann.ask()
    ann.forget()
    ann.deliver_all()
    ann.clock.advance(LOOK_AGAIN_MS - 1)
    assert ann.relay.deliver_next() > 0
    ann.clock.advance(1)
    ann.deliver_all()
    assert ann.tracking.log == [f"delete {TRACE}"] * 2
    assert ann.owed() == []


def test_mlflow_away_for_an_hour_delays_the_deletion_and_does_not_lose_it(ann: Person) -> None:
    ann.ask()
    ann.forget()
    ann.tracking.always = UNREACHABLE
    for _ in range(60):
        ann.relay.deliver_next()
        ann.clock.advance(60_000)
    ann.tracking.always = None
    ann.deliver_all()
    assert ann.tracking.log == [f"delete {TRACE}"]
    # What failed is tried at once, but the second look waits.
    assert ann.owed() == ["deletion"]


def test_a_relay_that_wakes_up_late_cannot_bring_a_trace_back(ann: Person) -> None:
    ann.ask()
    ann.tracking.hold = hold = threading.Event()
    asleep = threading.Thread(target=ann.relay.deliver_next)
    asleep.start()
    eventually(lambda: ann.tracking.waiting)
    ann.clock.advance(LEASE_MS)
    awake = TrackingDouble()
    other = Relay(ann.database, awake, ann.clock)
    ann.forget()
    while other.deliver_next() == 0.0:
        pass
    ann.clock.advance(LOOK_AGAIN_MS)
    assert other.deliver_next() == 0.0
    assert awake.log == ["trace", *[f"delete {TRACE}"] * 2]
    hold.set()
    asleep.join()
    assert other.deliver_next() == 0.0
    assert awake.log[-1] == f"delete {TRACE}"
    assert len(awake.log) == 4


def test_a_trace_written_after_its_turn_was_forgotten_is_deleted_again(tmp_path: Path) -> None:
    scene = TurnScene(tmp_path)
    scene.tracking.hold = hold = threading.Event()
    _, done = scene.answer()
    assert done["trace_state"] == "queued"
    trace_id = done["trace_id"]
    scene.database.write(lambda c: forgetting.forget(c, "ann", scene.clock(), delete_traces=True))
    other = TrackingDouble()
    relay = Relay(scene.database, other, scene.clock)
    assert relay.deliver_next() == 0.0
    scene.clock.advance(LOOK_AGAIN_MS)
    assert relay.deliver_next() == 0.0
    assert relay.deliver_next() > 0
    hold.set()
    eventually(lambda: relay.deliver_next() == 0.0)
    assert other.log == [f"delete {trace_id}"] * 3
    scene.close()


def test_a_running_answer_is_not_cut_off(ann: Person, database: Database) -> None:
    ann.ask()
    running = NewTurn("ann", "r-9", "How?", None, None, OTHER, NOON)
    database.write(lambda c: turns.insert_turn(c, running))
    with pytest.raises(Conflict) as caught:
        ann.forget()
    assert caught.value.code == "turn_running"
    assert ann.owed() == ["trace"]
    assert {"conversations", "turns"} <= set(rows_with(database, "'ann'"))


# Over HTTP


@pytest.fixture
def app(tmp_path: Path) -> Iterator[Flask]:
    app = app_with(tmp_path / "app", forget_deletes_traces=True)
    yield app
    close(app)


def test_the_answer_counts_what_is_gone_and_lists_the_traces(app: Flask, tmp_path: Path) -> None:
    for settings, word in (({}, "kept"), ({"forget_deletes_traces": True}, "deleting")):
        other: Any = app_with(tmp_path / word, **settings)
        client = other.test_client()
        asked = ask(client)
        assert client.post("/forget-me").get_json() == {
            "status": "success",
            "conversations": 1,
            "traces": [asked["trace_id"]],
            "in_mlflow": word,
        }
        assert client.get("/conversations").get_json() == {"conversations": []}
        close(other)


def test_whoever_was_forgotten_is_a_newcomer(app: Flask) -> None:
    client = app.test_client()
    asked = ask(client)
    before = client.get_cookie("thumbprint")
    assert client.post("/forget-me").status_code == 200
    assert client.get_cookie("thumbprint") is None
    client.get("/conversations")
    after = client.get_cookie("thumbprint")
    assert before is not None
    assert after is not None
    assert before.value != after.value
    # An old cookie still opens nothing: what it stood for is gone.
    client.set_cookie("thumbprint", before.value)
    assert client.get(f"/conversations/{asked['conversation_id']}").status_code == 404


def test_a_foreign_page_cannot_have_anyone_forgotten(app: Flask) -> None:
    client = app.test_client()
    ask(client)
    response = client.post("/forget-me", headers={"Origin": "https://evil.example"})
    assert (response.status_code, error_of(response)["code"]) == (403, "foreign_origin")
    assert len(client.get("/conversations").get_json()["conversations"]) == 1


def test_it_counts_as_a_verdict_for_the_rate_limit(tmp_path: Path) -> None:
    app = app_with(tmp_path, rate_limit_feedback="1/minute")
    client = app.test_client()
    query = {"trace_id": ask(client)["trace_id"]}
    client.post("/feedback", query_string=query, json={"is_correct": True})
    response = client.post("/forget-me")
    assert response.status_code == 429
    assert 1 <= int(response.headers["Retry-After"]) <= 60
    assert len(client.get("/conversations").get_json()["conversations"]) == 1
    close(app)


def test_the_deletion_is_owed_before_the_answer(app: Flask) -> None:
    client = app.test_client()
    asked = ask(client)
    client.post("/forget-me")
    parcel = parts_of(app).database.write(lambda c: outbox.claim(c, NOON * 2))
    assert parcel is not None
    assert (parcel.kind, parcel.trace_id) == ("deletion", asked["trace_id"])

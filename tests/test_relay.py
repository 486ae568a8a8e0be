"""The relay: what is owed reaches MLflow once in effect, whatever fails on the way."""

from __future__ import annotations

import json
import threading
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import pytest

from app import outbox
from app.errors import Unavailable
from app.feedback import FeedbackDesk, Opinion, TurnKey, state_of
from app.outbox import LEASE_MS
from app.relay import LONGEST_PAUSE_S, MOST_ATTEMPTS, Relay
from app.stop_signal import StopSignal
from app.store import turns
from app.store.database import Database
from app.store.turns import NewTurn, TurnEnd
from app.tracing.failures import NotDelivered
from app.tracing.spans import Trace
from tests.doubles import NOON, MovableClock, TrackingDouble, finished_trace
from tests.waiting import eventually

TRACE = "tr-" + "1" * 32
PAYLOAD = finished_trace().to_json()
KEY = TurnKey(trace_id=TRACE)
UNREACHABLE = NotDelivered("no route", unreachable=True)
REFUSED = NotDelivered("400: no such thing", refused=True)


@dataclass
class Scene:
    """A turn whose trace is queued, its owner, and the relay under test."""

    database: Database
    clock: MovableClock = field(default_factory=MovableClock)
    tracking: TrackingDouble = field(default_factory=TrackingDouble)

    def __post_init__(self) -> None:
        self.relay = Relay(self.database, self.tracking, self.clock)
        self.desk = FeedbackDesk(self.database, self.clock)
        turn = NewTurn("ann", "r1", "Why?", None, None, TRACE, NOON)
        row = self.database.write(lambda c: turns.insert_turn(c, turn))
        end = TurnEnd(row.id, "complete", "So.", "<p>", "queued", "stop")
        self.database.write(lambda c: turns.finish_turn(c, end, NOON))

    def owe_trace(self) -> None:
        self.database.write(
            lambda c: outbox.put(c, "trace", TRACE, {"trace": PAYLOAD}, self.clock())
        )

    def judge(self, value: bool, comment: str | None = None) -> None:
        self.desk.record("ann", KEY, [Opinion("user_feedback", value, comment)])

    def states(self) -> list[tuple[object, str]]:
        return [(row.value, state_of(row)) for row in self.desk.show("ann", KEY).feedback]

    def trace_state(self) -> object:
        row = self.database.read(lambda c: turns.find_turn(c, "ann", "r1"))
        assert row is not None
        return row.trace_state

    def owed(self) -> Any:
        return self.database.read(lambda c: outbox.status(c, self.clock()))

    def deliver_all(self) -> None:
        while self.relay.deliver_next() == 0.0:
            pass


@pytest.fixture
def scene(database: Database) -> Scene:
    return Scene(database)


def test_a_trace_goes_before_its_feedback_and_both_are_noted(scene: Scene) -> None:
    scene.owe_trace()
    scene.judge(True, "good")
    assert scene.states() == [(True, "saved")]
    scene.deliver_all()
    assert scene.tracking.log == ["trace", "user_feedback=True"]
    assert json.loads(scene.tracking.traces[0]) == json.loads(PAYLOAD)
    assert scene.trace_state() == "stored"
    assert scene.states() == [(True, "recorded")]
    assert scene.owed().waiting == 0


def test_a_verdict_arrives_with_who_said_what_of_which_request(scene: Scene) -> None:
    scene.judge(False, "wrong")
    scene.deliver_all()
    (verdict,) = scene.tracking.verdicts.values()
    assert (verdict.trace_id, verdict.name, verdict.value) == (TRACE, "user_feedback", False)
    assert (verdict.source_type, verdict.source_id, verdict.rationale) == ("HUMAN", "ann", "wrong")
    assert verdict.metadata == {"client_request_id": "r1", "feedback_id": verdict.assessment_id}


def test_with_nothing_owed_the_relay_rests(scene: Scene) -> None:
    assert 0 < scene.relay.deliver_next() <= 1


def test_a_change_of_mind_is_delivered_once_with_its_last_value(scene: Scene) -> None:
    scene.judge(True)
    scene.judge(False)
    scene.deliver_all()
    assert scene.tracking.log == ["user_feedback=False"]
    assert scene.states() == [(False, "recorded")]


def test_a_verdict_changed_during_its_delivery_stays_saved_until_the_change_arrives(
    scene: Scene,
) -> None:
    scene.judge(True)
    scene.tracking.hold = hold = threading.Event()
    delivering = threading.Thread(target=scene.relay.deliver_next)
    delivering.start()
    eventually(lambda: not scene.database.read(is_unclaimed))
    scene.judge(False)
    hold.set()
    delivering.join()
    assert scene.states() == [(False, "saved")]
    scene.deliver_all()
    assert scene.tracking.log == ["user_feedback=True", "user_feedback=False"]
    assert scene.states() == [(False, "recorded")]


def is_unclaimed(connection: Any) -> bool:
    row = connection.exec_driver_sql("SELECT lease FROM outbox").first()
    return row is not None and row.lease is None


def test_a_withdrawal_removes_what_was_recorded(scene: Scene) -> None:
    scene.judge(True)
    scene.deliver_all()
    scene.desk.withdraw("ann", KEY, "user_feedback")
    scene.deliver_all()
    assert scene.tracking.verdicts == {}
    assert scene.states() == []
    assert scene.owed().waiting == 0


def test_a_verdict_withdrawn_and_given_again_stands(scene: Scene) -> None:
    scene.judge(True)
    scene.desk.withdraw("ann", KEY, "user_feedback")
    scene.judge(True)
    scene.deliver_all()
    assert [verdict.value for verdict in scene.tracking.verdicts.values()] == [True]
    assert scene.states() == [(True, "recorded")]


def test_what_mlflow_refuses_becomes_a_dead_letter_and_says_so(scene: Scene) -> None:
    scene.judge(True)
    scene.tracking.failures = [REFUSED]
    scene.deliver_all()
    assert scene.states() == [(True, "refused")]
    assert (scene.owed().waiting, scene.owed().dead) == (0, 1)
    ((_, kind, trace_id, reason),) = scene.database.read(outbox.dead_letters)
    assert (kind, trace_id, reason) == ("feedback", TRACE, "400: no such thing")


def test_a_revived_dead_letter_is_delivered_and_recorded(scene: Scene) -> None:
    scene.judge(True)
    scene.tracking.failures = [REFUSED]
    scene.deliver_all()
    scene.database.write(lambda c: outbox.revive(c, scene.clock()))
    scene.deliver_all()
    assert scene.states() == [(True, "recorded")]


def test_while_mlflow_is_away_the_pauses_grow_and_nothing_is_lost(scene: Scene) -> None:
    scene.owe_trace()
    scene.judge(True)
    scene.tracking.always = UNREACHABLE
    pauses = []
    for _ in range(8):
        pauses.append(scene.relay.deliver_next())
        scene.clock.advance(60_000)
    assert all(0 < pause <= LONGEST_PAUSE_S for pause in pauses)
    assert pauses[0] < 1 < pauses[-1]
    assert scene.owed().waiting == 2
    assert scene.trace_state() == "queued"
    assert scene.states() == [(True, "saved")]


def test_when_mlflow_is_back_everything_postponed_is_due_at_once(scene: Scene) -> None:
    scene.owe_trace()
    for number in range(5):
        scene.database.write(
            lambda c, n=number: outbox.put(c, "trace", f"tr-{n}", {"trace": PAYLOAD}, scene.clock())  # type: ignore[misc]
        )
    scene.tracking.always = UNREACHABLE
    for _ in range(6):
        scene.relay.deliver_next()
    scene.tracking.always = None
    scene.deliver_all()
    assert len(scene.tracking.traces) == 6
    assert scene.owed().waiting == 0


def test_a_failure_of_one_row_alone_does_not_hold_up_the_others(scene: Scene) -> None:
    scene.owe_trace()
    other = finished_trace().to_json()
    scene.database.write(lambda c: outbox.put(c, "trace", "tr-2", {"trace": other}, scene.clock()))
    scene.tracking.failures = [NotDelivered("500: oh")]
    assert scene.relay.deliver_next() == 0.0
    assert scene.relay.deliver_next() == 0.0
    assert [json.loads(one) for one in scene.tracking.traces] == [json.loads(other)]
    assert scene.owed().waiting == 1


class Picky(TrackingDouble):
    """Answers to some traces always the same, and takes all others."""

    def __init__(self, answer: NotDelivered, *disliked: str) -> None:
        super().__init__()
        self.answer = answer
        self.disliked = disliked

    def write_trace(self, trace: Trace) -> None:
        self.log.append(trace.info.trace_id)
        if trace.info.trace_id in self.disliked:
            raise self.answer
        self.traces.append(trace.info.trace_id)


@pytest.mark.parametrize("answer", [NotDelivered("500: oh"), UNREACHABLE])
def test_rows_that_always_fail_hold_up_no_others_however_old_they_are(
    database: Database, answer: NotDelivered
) -> None:
    traces = [finished_trace() for _ in range(15)]
    ids = [trace.info.trace_id for trace in traces]
    scene = Scene(database, tracking=(picky := Picky(answer, *ids[:5])))
    for trace in traces:
        row = {"trace": trace.to_json()}
        put = partial(outbox.put, kind="trace", trace_id=trace.info.trace_id, payload=row)
        scene.database.write(partial(put, now=scene.clock()))
    for _ in range(15):
        scene.clock.advance(1)
        assert scene.relay.deliver_next() == 0.0
    assert sorted(picky.log) == sorted(ids), "each once before any twice"
    assert picky.traces == ids[5:]
    assert scene.owed().waiting == 5


def test_what_was_tried_while_mlflow_was_away_does_not_count_against_a_row(scene: Scene) -> None:
    scene.owe_trace()
    scene.tracking.always = UNREACHABLE
    for _ in range(1100):  # an hour and a half of it
        assert 0 < scene.relay.deliver_next() <= LONGEST_PAUSE_S
    scene.tracking.always = NotDelivered("500: oh")
    assert scene.relay.deliver_next() == 0.0
    assert (scene.owed().waiting, scene.owed().dead) == (1, 0)


def test_what_gets_no_answer_while_others_do_is_never_a_dead_letter(scene: Scene) -> None:
    scene.owe_trace()
    for _ in range(2 * MOST_ATTEMPTS):
        scene.tracking.failures = [UNREACHABLE]
        assert scene.relay.deliver_next() == 0.0
        assert scene.relay.deliver_next() > 0  # not due yet
        scene.clock.advance(60_000)
    assert (scene.owed().waiting, scene.owed().dead) == (1, 0)


def test_a_row_over_which_mlflow_always_fails_is_a_dead_letter_in_the_end(scene: Scene) -> None:
    scene.owe_trace()
    scene.tracking.always = NotDelivered("500: oh")
    for _ in range(MOST_ATTEMPTS):
        assert scene.owed().dead == 0
        scene.relay.deliver_next()
        scene.clock.advance(60_000)
    assert (scene.owed().waiting, scene.owed().dead) == (0, 1)


class DyingDatabase(Database):
    """Lets the claim through and is gone when the delivery is to be noted."""

    writes = 0

    def write(self, work: Any) -> Any:
        self.writes += 1
        if self.writes == 2:
            raise Unavailable("killed")
        return super().write(work)


def test_a_relay_killed_between_delivery_and_bookkeeping_leaves_it_to_the_next(
    scene: Scene,
) -> None:
    scene.owe_trace()
    scene.judge(True)
    for _ in ("trace", "verdict"):
        dying = DyingDatabase(scene.database.url)
        with pytest.raises(Unavailable):
            Relay(dying, scene.tracking, scene.clock).deliver_next()
        dying.close()
        assert scene.relay.deliver_next() > 0
        scene.clock.advance(LEASE_MS)
        assert scene.relay.deliver_next() == 0.0
    assert scene.tracking.log == ["trace", "trace", "user_feedback=True", "user_feedback=True"]
    assert len(scene.tracking.verdicts) == 1
    assert scene.trace_state() == "stored"
    assert scene.states() == [(True, "recorded")]
    assert scene.owed().waiting == 0


def test_a_verdict_of_a_deleted_conversation_is_still_delivered(scene: Scene) -> None:
    scene.judge(True)
    scene.database.write(lambda c: c.exec_driver_sql("DELETE FROM conversations"))
    scene.deliver_all()
    assert len(scene.tracking.verdicts) == 1
    assert scene.owed().waiting == 0


def test_a_row_that_cannot_be_read_becomes_a_dead_letter_and_holds_up_nothing(
    scene: Scene,
) -> None:
    scene.database.write(lambda c: outbox.put(c, "trace", "tr-0", {}, scene.clock()))
    scene.owe_trace()
    scene.deliver_all()
    assert len(scene.tracking.traces) == 1
    assert (scene.owed().waiting, scene.owed().dead) == (0, 1)


def test_two_relays_share_the_work(scene: Scene) -> None:
    scene.judge(True)
    other = Relay(scene.database, scene.tracking, scene.clock)
    assert scene.relay.deliver_next() == 0.0
    assert other.deliver_next() > 0
    assert scene.tracking.log == ["user_feedback=True"]


def test_the_relay_runs_until_it_is_told_to_stop(scene: Scene) -> None:
    scene.owe_trace()
    scene.judge(True)
    stopping = StopSignal()
    running = threading.Thread(target=scene.relay.run, args=(stopping,))
    running.start()
    eventually(lambda: scene.states() == [(True, "recorded")])
    stopping.give()
    running.join(5)
    assert not running.is_alive()


def test_a_database_away_for_a_moment_does_not_end_the_relay(scene: Scene) -> None:
    scene.owe_trace()
    away = AwayOnce(scene.database)
    stopping = Recorded()
    running = threading.Thread(
        target=Relay(away, scene.tracking, scene.clock).run, args=(stopping,)
    )
    running.start()
    eventually(lambda: scene.trace_state() == "stored")
    stopping.give()
    running.join(5)
    away.close()
    assert stopping.pauses[:2] == [0.0, LONGEST_PAUSE_S]


class AwayOnce(Database):
    """A database whose first transaction fails."""

    def __init__(self, real: Database) -> None:
        super().__init__(real.url)
        self._failures = 1

    def write(self, work: Any) -> Any:
        if self._failures:
            self._failures -= 1
            raise Unavailable("away")
        return super().write(work)


class Recorded(StopSignal):
    """A signal the waits for which are noted and cut short."""

    def __init__(self) -> None:
        super().__init__()
        self.pauses: list[float] = []

    def wait(self, timeout_s: float) -> bool:
        self.pauses.append(timeout_s)
        return super().wait(min(timeout_s, 0.01))


# Several relays, one of which sleeps for longer than its lease


class Sleeper:
    """A relay that has claimed a row and stands still until told to go on with its delivery."""

    def __init__(self, scene: Scene) -> None:
        self._hold = threading.Event()
        self._tracking = SleepingTracking(scene.tracking, self._hold)
        self._relay = Relay(scene.database, self._tracking, scene.clock)
        self._delivering = threading.Thread(target=self._deliver_one)
        self._delivering.start()
        eventually(lambda: self._tracking.waiting)

    def _deliver_one(self) -> None:
        while not self._tracking.waiting:
            self._relay.deliver_next()  # Rows that something newer has replaced are passed over.

    def fail_with(self, error: NotDelivered) -> None:
        """Let the delivery fail once it goes on."""
        self._tracking.failures = [error]

    def wake(self) -> None:
        """Go on, and note what has been delivered."""
        self._hold.set()
        self._delivering.join(10)
        assert not self._delivering.is_alive()


class SleepingTracking(TrackingDouble):
    """The way one relay takes to the same tracking server."""

    def __init__(self, real: TrackingDouble, hold: threading.Event) -> None:
        super().__init__()
        self.verdicts, self.traces, self.log = real.verdicts, real.traces, real.log
        self.hold = hold


def test_a_relay_that_wakes_up_late_does_not_undo_a_newer_choice(scene: Scene) -> None:
    scene.judge(True)
    asleep = Sleeper(scene)
    scene.clock.advance(LEASE_MS)
    scene.judge(False, "changed")
    scene.deliver_all()
    assert scene.states() == [(False, "recorded")]
    asleep.wake()
    assert scene.tracking.log[-1] == "user_feedback=True"
    assert scene.states() == [(False, "saved")]  # and not recorded: MLflow has something else
    scene.deliver_all()
    (verdict,) = scene.tracking.verdicts.values()
    assert (verdict.value, verdict.rationale) == (False, "changed")
    assert verdict.metadata == {"client_request_id": "r1", "feedback_id": verdict.assessment_id}
    assert scene.states() == [(False, "recorded")]
    assert scene.owed().waiting == 0


def test_a_relay_that_wakes_up_late_does_not_undo_a_withdrawal(scene: Scene) -> None:
    scene.judge(True)
    asleep = Sleeper(scene)
    scene.clock.advance(LEASE_MS)
    scene.desk.withdraw("ann", KEY, "user_feedback")
    scene.deliver_all()
    asleep.wake()
    assert len(scene.tracking.verdicts) == 1
    scene.deliver_all()
    assert scene.tracking.verdicts == {}
    assert scene.owed().waiting == 0


def test_a_withdrawal_that_comes_late_does_not_take_back_what_was_said_since(scene: Scene) -> None:
    scene.judge(True)
    scene.deliver_all()
    scene.desk.withdraw("ann", KEY, "user_feedback")
    asleep = Sleeper(scene)
    scene.clock.advance(LEASE_MS)
    scene.judge(False)
    scene.deliver_all()
    asleep.wake()
    assert scene.tracking.verdicts == {}
    scene.deliver_all()
    assert [one.value for one in scene.tracking.verdicts.values()] == [False]


def test_several_relays_that_sleep_leave_the_newest_choice(scene: Scene) -> None:
    sleepers = []
    for value in (True, False, True):
        scene.judge(value)
        sleepers.append(Sleeper(scene))
        scene.clock.advance(LEASE_MS)
    scene.judge(False)
    scene.deliver_all()
    for asleep in reversed(sleepers):
        asleep.wake()
    scene.deliver_all()
    assert [one.value for one in scene.tracking.verdicts.values()] == [False]
    assert scene.states() == [(False, "recorded")]
    assert scene.owed().waiting == 0


def test_a_late_relay_whose_delivery_got_no_answer_owes_what_stands(scene: Scene) -> None:
    scene.judge(True)
    asleep = Sleeper(scene)
    scene.clock.advance(LEASE_MS)
    scene.judge(False)
    scene.deliver_all()
    asleep.fail_with(UNREACHABLE)
    asleep.wake()
    assert scene.states() == [(False, "saved")]
    scene.deliver_all()
    assert scene.tracking.log == ["user_feedback=False"] * 2


def test_a_late_refusal_neither_buries_nor_marks_what_others_have_delivered(scene: Scene) -> None:
    scene.judge(True)
    asleep = Sleeper(scene)
    scene.clock.advance(LEASE_MS)
    scene.deliver_all()
    asleep.fail_with(REFUSED)
    asleep.wake()
    assert scene.states() == [(True, "recorded")]
    assert (scene.owed().waiting, scene.owed().dead) == (0, 0)


def test_a_late_delivery_for_a_deleted_conversation_owes_nothing_more(scene: Scene) -> None:
    scene.judge(True)
    asleep = Sleeper(scene)
    scene.clock.advance(LEASE_MS)
    scene.deliver_all()
    scene.database.write(lambda c: c.exec_driver_sql("DELETE FROM conversations"))
    asleep.wake()
    assert scene.owed().waiting == 0


def test_a_trace_that_comes_late_is_the_same_trace(scene: Scene) -> None:
    scene.owe_trace()
    asleep = Sleeper(scene)
    scene.clock.advance(LEASE_MS)
    scene.deliver_all()
    asleep.wake()
    assert scene.trace_state() == "stored"
    assert scene.owed().waiting == 0

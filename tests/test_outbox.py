"""The outbox's contract, over any database: order, leases, postponing, dead letters."""

from __future__ import annotations

import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import Connection, select

from app import outbox
from app.forgetting import LOOK_AGAIN_MS
from app.outbox import LEASE_MS, MAX_BACKOFF_MS, OutboxStatus, Parcel
from app.store.database import Database
from app.store.tables import outbox as rows
from tests.doubles import MovableClock


@pytest.fixture
def clock() -> MovableClock:
    return MovableClock()


def put(database: Database, clock: MovableClock, *owed: tuple[str, int]) -> None:
    """Owe rows of a trace, told apart by a number."""

    def work(connection: Connection) -> None:
        for trace_id, number in owed:
            outbox.put(connection, "feedback", trace_id, {"n": number}, clock())

    database.write(work)


def claim(database: Database, clock: MovableClock) -> Parcel | None:
    return database.write(lambda c: outbox.claim(c, clock()))


def claimed(database: Database, clock: MovableClock) -> Parcel:
    parcel = claim(database, clock)
    assert parcel is not None
    return parcel


def complete(database: Database, parcel: Parcel) -> None:
    database.write(lambda c: outbox.complete(c, parcel))


def status(database: Database, clock: MovableClock) -> OutboxStatus:
    return database.read(lambda c: outbox.status(c, clock()))


def test_an_empty_outbox_owes_nothing(database: Database, clock: MovableClock) -> None:
    assert claim(database, clock) is None
    assert status(database, clock) == OutboxStatus(0, 0.0, 0, None)


def test_a_row_comes_out_as_it_went_in(database: Database, clock: MovableClock) -> None:
    database.write(lambda c: outbox.put(c, "trace", "tr-1", {"trace": "ü😀"}, clock()))
    parcel = claimed(database, clock)
    assert (parcel.kind, parcel.trace_id, parcel.payload, parcel.attempts) == (
        "trace",
        "tr-1",
        {"trace": "ü😀"},
        1,
    )


def test_a_row_of_a_transaction_that_failed_is_not_owed(
    database: Database, clock: MovableClock
) -> None:
    def work(connection: Connection) -> None:
        outbox.put(connection, "trace", "tr-1", {}, clock())
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        database.write(work)
    assert claim(database, clock) is None


def test_a_claimed_row_is_nobody_elses(database: Database, clock: MovableClock) -> None:
    put(database, clock, ("tr-1", 1))
    claimed(database, clock)
    clock.advance(LEASE_MS - 1)
    assert claim(database, clock) is None


def test_a_clock_that_jumps_back_holds_nothing_up_and_breaks_no_lease(
    database: Database, clock: MovableClock
) -> None:
    put(database, clock, ("tr-1", 1), ("tr-2", 1))
    clock.advance(-3_600_000)
    first = claimed(database, clock)
    second = claimed(database, clock)
    assert {first.trace_id, second.trace_id} == {"tr-1", "tr-2"}
    assert claim(database, clock) is None, "a lease was not respected"


def test_what_was_leased_before_the_clock_jumped_back_is_due_again(
    database: Database, clock: MovableClock
) -> None:
    put(database, clock, ("tr-1", 1))
    held = claimed(database, clock)
    clock.advance(-3_600_000)
    again = claimed(database, clock)
    assert again.id == held.id
    assert not database.write(lambda c: outbox.complete(c, held)), "two hold the same row"


def test_no_wait_is_as_long_as_those_that_a_jump_of_the_clock_makes() -> None:
    longest = max(outbox.LEASE_MS, MAX_BACKOFF_MS, LOOK_AGAIN_MS)
    assert longest < outbox.LONGEST_WAIT_MS


def test_a_row_whose_claimer_died_is_due_when_its_lease_ends(
    database: Database, clock: MovableClock
) -> None:
    put(database, clock, ("tr-1", 1))
    dead = claimed(database, clock)
    clock.advance(LEASE_MS)
    second = claimed(database, clock)
    assert (second.id, second.attempts) == (dead.id, 2)
    assert second.lease != dead.lease


def test_rows_of_one_trace_leave_in_the_order_they_came(
    database: Database, clock: MovableClock
) -> None:
    put(database, clock, ("tr-1", 1), ("tr-1", 2), ("tr-2", 3))
    first = claimed(database, clock)
    other = claimed(database, clock)
    assert (first.payload["n"], other.payload["n"]) == (1, 3)
    assert claim(database, clock) is None
    complete(database, first)
    assert claimed(database, clock).payload["n"] == 2


def test_a_postponed_row_keeps_its_place_before_the_later_ones_of_its_trace(
    database: Database, clock: MovableClock
) -> None:
    put(database, clock, ("tr-1", 1), ("tr-1", 2), ("tr-2", 3))
    first = claimed(database, clock)
    database.write(lambda c: outbox.postpone(c, first, "later", clock()))
    assert claimed(database, clock).payload["n"] == 3
    assert claim(database, clock) is None
    clock.advance(MAX_BACKOFF_MS)
    assert claimed(database, clock).payload["n"] == 1


def test_a_completed_row_is_gone(database: Database, clock: MovableClock) -> None:
    put(database, clock, ("tr-1", 1))
    complete(database, claimed(database, clock))
    clock.advance(LEASE_MS * 10)
    assert claim(database, clock) is None
    assert status(database, clock).waiting == 0


def test_pauses_grow_up_to_a_minute_and_are_never_alike(
    database: Database, clock: MovableClock
) -> None:
    put(database, clock, ("tr-1", 1))
    pauses = []
    for _ in range(14):
        parcel = claimed(database, clock)
        database.write(lambda c, p=parcel: outbox.postpone(c, p, "down", clock()))  # type: ignore[misc]
        due_at = database.read(lambda c: c.execute(select(rows.c.available_at)).scalar_one())
        pauses.append(due_at - clock())
        clock.advance(pauses[-1])
    assert all(250 <= pause <= MAX_BACKOFF_MS for pause in pauses)
    assert pauses[0] <= 1000
    assert max(pauses[7:]) > 10_000
    assert len(set(pauses)) > 4


def test_one_who_lost_the_lease_cannot_postpone_the_row_of_the_next(
    database: Database, clock: MovableClock
) -> None:
    put(database, clock, ("tr-1", 1))
    slow = claimed(database, clock)
    clock.advance(LEASE_MS)
    second = claimed(database, clock)
    database.write(lambda c: outbox.postpone(c, slow, "late", clock()))
    clock.advance(LEASE_MS - 1)
    assert claim(database, clock) is None
    complete(database, second)
    assert status(database, clock).waiting == 0


def test_one_who_lost_the_lease_cannot_bury_the_row_of_the_next(
    database: Database, clock: MovableClock
) -> None:
    put(database, clock, ("tr-1", 1))
    slow = claimed(database, clock)
    clock.advance(LEASE_MS)
    claimed(database, clock)
    database.write(lambda c: outbox.bury(c, slow, "late"))
    assert status(database, clock).dead == 0


def test_a_dead_letter_waits_for_an_operator_and_lets_the_others_pass(
    database: Database, clock: MovableClock
) -> None:
    put(database, clock, ("tr-1", 1), ("tr-1", 2))
    first = claimed(database, clock)
    database.write(lambda c: outbox.bury(c, first, "400: no"))
    assert claimed(database, clock).payload["n"] == 2
    clock.advance(LEASE_MS * 100)
    assert claimed(database, clock).payload["n"] == 2
    found = status(database, clock)
    assert (found.waiting, found.dead, found.last_error) == (1, 1, "400: no")
    assert database.read(outbox.dead_letters) == [(first.id, "feedback", "tr-1", "400: no")]


def test_revived_dead_letters_start_afresh_in_their_old_place(
    database: Database, clock: MovableClock
) -> None:
    put(database, clock, ("tr-1", 1), ("tr-1", 2))
    first = claimed(database, clock)
    database.write(lambda c: outbox.bury(c, first, "no"))
    assert database.write(lambda c: outbox.revive(c, clock())) == 1
    assert database.write(lambda c: outbox.revive(c, clock())) == 0
    again = claimed(database, clock)
    assert (again.payload["n"], again.attempts) == (1, 1)


def test_a_released_row_is_due_after_all_others_that_are_and_as_if_it_had_not_been_tried(
    database: Database, clock: MovableClock
) -> None:
    put(database, clock, ("tr-1", 1), ("tr-2", 2), ("tr-1", 3))
    clock.advance(1)
    first = claimed(database, clock)
    assert database.write(lambda c: outbox.release(c, first, "away", clock()))
    assert not database.write(lambda c: outbox.release(c, first, "the lease is lost", clock()))
    assert status(database, clock).last_error == "away"
    second, again = claimed(database, clock), claimed(database, clock)
    assert (second.payload["n"], again.payload["n"], again.attempts) == (2, 1, 1)
    assert claim(database, clock) is None


def test_the_status_counts_what_waits_and_how_long(database: Database, clock: MovableClock) -> None:
    put(database, clock, ("tr-1", 1))
    clock.advance(5000)
    put(database, clock, ("tr-2", 2))
    parcel = claimed(database, clock)
    database.write(lambda c: outbox.postpone(c, parcel, "503", clock()))
    assert status(database, clock) == OutboxStatus(2, 5.0, 0, "503")
    clock.advance(-60_000)
    assert status(database, clock).oldest_age_s == 0.0


def test_many_claimers_deliver_every_row_once_and_each_trace_in_order(
    database: Database, clock: MovableClock
) -> None:
    put(database, clock, *((f"tr-{number % 10}", number) for number in range(60)))
    delivered: list[tuple[str, int]] = []
    lock = threading.Lock()

    def work(_: int) -> None:
        while status(database, clock).waiting:
            parcel = claim(database, clock)
            if parcel is not None:
                with lock:
                    delivered.append((parcel.trace_id, parcel.payload["n"]))
                complete(database, parcel)

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(work, range(6)))
    assert Counter(number for _, number in delivered) == Counter(range(60))
    for trace in range(10):
        mine = [number for trace_id, number in delivered if trace_id == f"tr-{trace}"]
        assert mine == sorted(mine)


def test_a_row_claimed_by_one_who_died_is_delivered_by_the_others(
    database: Database, clock: MovableClock
) -> None:
    put(database, clock, *((f"tr-{number}", number) for number in range(10)))
    dead = claimed(database, clock)
    delivered = []
    while parcel := claim(database, clock):
        delivered.append(parcel.payload["n"])
        complete(database, parcel)
    assert dead.payload["n"] not in delivered
    clock.advance(LEASE_MS)
    last = claimed(database, clock)
    complete(database, last)
    assert sorted([*delivered, last.payload["n"]]) == list(range(10))

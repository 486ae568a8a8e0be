"""Turns read and stopped from other processes through a real Redis, also when it goes away."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from app.turn_log import FramesLost, MemoryTurnLog, TurnLog, follow
from app.turn_log.memory import KEPT_AFTER_END_S
from app.turn_log.shared import SharedTurnLog
from app.turn_log.streams import KEPT_WHILE_RUNNING_S, TURN, Piece, Streams
from tests.engines import RedisServer
from tests.waiting import eventually

NewProcess = Callable[..., SharedTurnLog]


@pytest.fixture
def new_process(redis: RedisServer) -> Iterator[NewProcess]:
    """Make the log of one more process: `new_process(stop=…)`."""
    started: list[SharedTurnLog] = []

    def start(stop: Callable[[str], object] = print, **options: float) -> SharedTurnLog:
        turn_log = SharedTurnLog(redis.url, **options)
        started.append(turn_log)
        turn_log.start(stop)
        return turn_log

    yield start
    for turn_log in started:
        turn_log.close()


@pytest.fixture
def writer(new_process: NewProcess) -> SharedTurnLog:
    """The log of the process that runs the turn `t`."""
    turn_log = new_process()
    turn_log.create("t")
    return turn_log


@pytest.fixture
def other(new_process: NewProcess) -> SharedTurnLog:
    """The log of another process."""
    return new_process()


def write(turn_log: TurnLog, *frames: str, ended: bool = False) -> None:
    """Append to `t`, and wait until other processes can have it."""
    assert turn_log.append("t", frames, ended=ended)
    turn_log.settle(5)


def frames_of(turn_log: TurnLog) -> tuple[list[str], bool]:
    found = turn_log.read("t", -1)
    assert found is not None
    return list(found[0]), found[1]


def test_a_turn_of_another_process_is_read_from_its_first_frame_to_its_last(
    writer: SharedTurnLog, other: SharedTurnLog
) -> None:
    write(writer, "0", "1")
    assert other.attach("t", running=True)
    assert frames_of(other) == (["0", "1"], False)
    with ThreadPoolExecutor(1) as pool:
        coming = pool.submit(lambda: [one for some in follow(other, "t", 0) for one in some])
        writer.append("t", ["2"], ended=False)
        writer.append("t", ["ü😀", "4"], ended=True)
        assert coming.result(5) == ["1", "2", "ü😀", "4"]
    assert frames_of(other) == (["0", "1", "2", "ü😀", "4"], True)
    assert other.attached() == ()


def test_a_turn_can_be_attached_before_its_first_frame(
    writer: SharedTurnLog, other: SharedTurnLog
) -> None:
    assert other.attach("t", running=True)
    write(writer, "0", "1", ended=True)
    eventually(lambda: frames_of(other) == (["0", "1"], True))


def test_an_ended_turn_is_read_as_long_as_its_frames_are_kept(
    writer: SharedTurnLog, other: SharedTurnLog, new_process: NewProcess, redis: RedisServer
) -> None:
    write(writer, "0", ended=True)
    assert other.attach("t", running=False)
    assert frames_of(other) == (["0"], True)
    redis.client().flushall()
    assert not new_process().attach("t", running=False)


def test_news_reaches_other_processes_promptly(writer: SharedTurnLog, other: SharedTurnLog) -> None:
    write(writer, "0")
    other.attach("t", running=True)
    delays = []
    for number in range(1, 11):
        news = threading.Event()
        other.subscribe("t", news.set)
        began = time.monotonic()
        writer.append("t", [str(number)], ended=False)
        assert news.wait(5)
        delays.append(time.monotonic() - began)
        other.unsubscribe("t", news.set)
    assert sorted(delays)[len(delays) // 2] < 0.1


def test_a_process_has_one_connection_that_waits_however_much_it_reads(
    other: SharedTurnLog, new_process: NewProcess, redis: RedisServer
) -> None:
    before = len(readers(redis))
    writers = [new_process() for _ in range(3)]
    for number in range(30):
        turn_id = f"turn-{number}"
        writers[number % 3].create(turn_id)
        writers[number % 3].append(turn_id, ["0"], ended=False)
        assert other.attach(turn_id, running=True)
        other.subscribe(turn_id, print)
    for number in range(30):
        writers[number % 3].append(f"turn-{number}", ["1"], ended=True)
    eventually(lambda: not other.attached())
    assert all(other.read(f"turn-{n}", -1) == (["0", "1"], True) for n in range(30))
    assert len(readers(redis)) <= before + 4  # one each


def readers(redis: RedisServer) -> list[str]:
    """The connections over which somebody waits for news."""
    clients: Any = redis.client().client_list()
    return [one["addr"] for one in clients if one["cmd"] == "xread"]


def test_a_turn_that_nobody_reads_any_more_is_not_read_from_redis_for_ever(
    writer: SharedTurnLog, new_process: NewProcess
) -> None:
    other = new_process(idle_s=0.1)
    write(writer, "0")
    other.attach("t", running=True)
    eventually(lambda: not other.attached())
    assert other.read("t", -1) is None


def test_a_stop_reaches_the_process_that_runs_the_turn_at_once(new_process: NewProcess) -> None:
    stopped: list[str] = []
    new_process(stopped.append)
    caller = new_process()
    assert caller.stop_elsewhere("t0")
    eventually(lambda: stopped == ["t0"])
    began = time.monotonic()
    assert caller.stop_elsewhere("t1")
    eventually(lambda: stopped == ["t0", "t1"], every=0.002)
    assert time.monotonic() - began < 0.5


def test_frames_are_kept_for_a_while_after_the_end_and_not_for_ever_before(
    writer: SharedTurnLog, redis: RedisServer
) -> None:
    client: Any = redis.client()
    write(writer, "0")
    assert KEPT_WHILE_RUNNING_S - 60 < client.ttl(TURN + "t") <= KEPT_WHILE_RUNNING_S
    write(writer, "1", ended=True)
    assert KEPT_AFTER_END_S - 60 < client.ttl(TURN + "t") <= KEPT_AFTER_END_S
    writer.stop_elsewhere("t")
    assert all(client.ttl(key) > 0 for key in client.scan_iter())


def test_of_two_terminal_frames_written_at_once_one_is_kept(redis: RedisServer) -> None:
    for attempt in range(20):
        piece = Piece(f"race-{attempt}", 0, ["start"], ended=False)
        assert Streams(redis.url).append([piece]) == [1]
        ends = [Piece(piece.turn_id, 1, [name], ended=True) for name in "abcd"]
        with ThreadPoolExecutor(4) as pool:
            tasks = [pool.submit(Streams(redis.url).append, [end]) for end in ends]
            results = [task.result()[0] for task in tasks]
        assert sorted(map(str, results)) == ["-1", "-1", "-1", "2"]
        frames, ended = Streams(redis.url).fetch(piece.turn_id)
        assert (frames, ended) == (["start", "abcd"[results.index(2)]], True)


def test_nothing_is_added_where_something_is_missing_or_there_already(redis: RedisServer) -> None:
    streams = Streams(redis.url)
    assert streams.append([Piece("t", 5, ["5"], ended=False)]) == [0]
    assert streams.append([Piece("t", 0, ["0", "1"], ended=False)]) == [2]
    assert streams.append([Piece("t", 0, ["0", "1"], ended=False)]) == [2]
    assert streams.fetch("t") == (["0", "1"], False)


def test_another_process_may_end_a_turn_and_its_writer_then_adds_nothing(
    writer: SharedTurnLog, other: SharedTurnLog, redis: RedisServer
) -> None:
    write(writer, "0")
    assert other.attach("t", running=True)
    assert other.append("t", ["interrupted"], ended=True)
    eventually(lambda: frames_of(other) == (["0", "interrupted"], True))
    write(writer, "late", "the end", ended=True)
    assert Streams(redis.url).fetch("t") == (["0", "interrupted"], True)


def test_readers_of_the_same_process_have_their_frames_while_redis_is_away(
    writer: SharedTurnLog, redis: RedisServer
) -> None:
    write(writer, "0")
    redis.kill9()
    began = time.monotonic()
    writer.append("t", ["1"], ended=False)
    writer.append("t", ["2"], ended=True)
    assert frames_of(writer) == (["0", "1", "2"], True)
    assert time.monotonic() - began < 0.5


def test_a_redis_that_comes_back_empty_gets_every_frame_again(
    writer: SharedTurnLog, new_process: NewProcess, redis: RedisServer
) -> None:
    write(writer, "0")
    redis.kill9()
    writer.append("t", ["1"], ended=False)
    redis.start()
    late = new_process()
    eventually(lambda: late.attach("t", running=False))
    writer.append("t", ["2"], ended=True)
    eventually(lambda: frames_of(late) == (["0", "1", "2"], True))


def test_a_reader_elsewhere_misses_nothing_when_redis_is_emptied_in_the_middle(
    writer: SharedTurnLog, other: SharedTurnLog, redis: RedisServer
) -> None:
    write(writer, "0")
    other.attach("t", running=True)
    for number in range(1, 10):
        if number % 3 == 0:
            redis.client().flushall()
        write(writer, str(number))
    write(writer, "end", ended=True)
    eventually(lambda: frames_of(other) == ([*map(str, range(10)), "end"], True))


def test_a_short_absence_of_redis_costs_a_reader_elsewhere_nothing(
    writer: SharedTurnLog, other: SharedTurnLog, redis: RedisServer
) -> None:
    write(writer, "0")
    other.attach("t", running=True)
    other.subscribe("t", print)
    redis.restart()
    writer.append("t", ["1"], ended=True)
    eventually(lambda: frames_of(other) == (["0", "1"], True))


def test_a_long_absence_of_redis_is_told_to_readers_elsewhere(
    writer: SharedTurnLog, other: SharedTurnLog, redis: RedisServer
) -> None:
    write(writer, "0")
    other.attach("t", running=True)
    following = follow(other, "t", -1)
    assert list(next(following)) == ["0"]
    redis.kill9()
    with ThreadPoolExecutor(1) as pool, pytest.raises(FramesLost):
        pool.submit(next, following).result(30)
    assert not other.attach("t", running=True)
    assert not other.stop_elsewhere("t")


def test_a_redis_that_takes_no_more_costs_the_own_readers_nothing(
    writer: SharedTurnLog, other: SharedTurnLog, redis: RedisServer
) -> None:
    client: Any = redis.client()
    client.config_set("maxmemory", "1")
    try:
        assert writer.append("t", ["0"], ended=False)
        assert frames_of(writer) == (["0"], False)
    finally:
        client.config_set("maxmemory", "0")
    eventually(lambda: other.attach("t", running=False))
    assert frames_of(other) == (["0"], False)


def test_a_log_in_memory_has_no_other_process() -> None:
    turn_log = MemoryTurnLog()
    assert not turn_log.attach("t", running=True)
    assert not turn_log.stop_elsewhere("t")
    assert turn_log.attached() == ()

"""The turn log: a contract every storage keeps, and the batching in front of it."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from app.turn_log import Flusher, FramesLost, MemoryTurnLog, TurnLog, TurnWriter, follow
from app.turn_log.shared import SharedTurnLog
from tests.engines import RedisServer
from tests.waiting import eventually


@pytest.fixture(params=["memory", "redis"])
def turn_log(request: pytest.FixtureRequest) -> Iterator[TurnLog]:
    if request.param == "memory":
        yield MemoryTurnLog()
        return
    redis: RedisServer = request.getfixturevalue("redis_server")
    redis.client().flushall()
    turn_log = SharedTurnLog(redis.url)
    turn_log.start(print)
    yield turn_log
    turn_log.close()


def read(turn_log: TurnLog, after_seq: int = -1) -> tuple[list[str], bool]:
    found = turn_log.read("t", after_seq)
    assert found is not None
    return list(found[0]), found[1]


def test_a_turn_nobody_began_is_not_known(turn_log: TurnLog) -> None:
    assert turn_log.read("nothing", -1) is None


def test_frames_come_out_in_order_from_any_place(turn_log: TurnLog) -> None:
    turn_log.create("t")
    assert read(turn_log) == ([], False)
    turn_log.append("t", ["0", "1"], ended=False)
    turn_log.append("t", ["2"], ended=True)
    assert read(turn_log) == (["0", "1", "2"], True)
    assert read(turn_log, 0) == (["1", "2"], True)
    assert read(turn_log, 2) == ([], True)


def test_turns_do_not_mix(turn_log: TurnLog) -> None:
    turn_log.create("t")
    turn_log.create("other")
    turn_log.append("other", ["x"], ended=True)
    assert read(turn_log) == ([], False)


def test_readers_are_woken_until_they_leave(turn_log: TurnLog) -> None:
    turn_log.create("t")
    woken: list[str] = []
    one: Callable[[], None] = lambda: woken.append("one")  # noqa: E731
    two: Callable[[], None] = lambda: woken.append("two")  # noqa: E731
    turn_log.subscribe("t", one)
    turn_log.subscribe("t", two)
    turn_log.append("t", ["0"], ended=False)
    turn_log.unsubscribe("t", one)
    turn_log.append("t", ["1"], ended=True)
    assert sorted(woken) == ["one", "two", "two"]


def test_a_reader_of_nothing_may_come_and_go(turn_log: TurnLog) -> None:
    turn_log.subscribe("nothing", print)
    turn_log.unsubscribe("nothing", print)


def test_a_reader_may_leave_while_it_is_woken(turn_log: TurnLog) -> None:
    turn_log.create("t")
    woken: list[str] = []

    def leave() -> None:
        woken.append("once")
        turn_log.unsubscribe("t", leave)

    turn_log.subscribe("t", leave)
    turn_log.append("t", ["0"], ended=False)
    turn_log.append("t", ["1"], ended=True)
    assert woken == ["once"]


def test_a_follower_gets_what_was_there_and_what_comes_until_the_end(turn_log: TurnLog) -> None:
    turn_log.create("t")
    turn_log.append("t", ["0"], ended=False)
    following = follow(turn_log, "t", -1)
    assert list(next(following)) == ["0"]
    with ThreadPoolExecutor(1) as pool:
        coming = pool.submit(lambda: [frame for frames in following for frame in frames])
        turn_log.append("t", ["1"], ended=False)
        turn_log.append("t", ["2", "3"], ended=True)
        assert coming.result(5) == ["1", "2", "3"]


def test_late_followers_and_many_followers_get_the_same(turn_log: TurnLog) -> None:
    turn_log.create("t")

    def watch(_: int) -> list[str]:
        return [frame for frames in follow(turn_log, "t", -1) for frame in frames]

    with ThreadPoolExecutor(8) as pool:
        coming = [pool.submit(watch, number) for number in range(4)]
        for number in range(50):
            turn_log.append("t", [str(number)], ended=number == 49)
        coming += [pool.submit(watch, number) for number in range(4)]
        assert {tuple(one.result(10)) for one in coming} == {tuple(map(str, range(50)))}


def test_following_what_is_not_known_or_has_gone_says_so(turn_log: TurnLog) -> None:
    with pytest.raises(FramesLost):
        next(follow(turn_log, "nothing", -1))
    turn_log.create("t")
    turn_log.append("t", ["0"], ended=False)
    following = follow(turn_log, "t", -1)
    next(following)
    turn_log.forget("t")
    with pytest.raises(FramesLost):
        next(following)


def test_following_past_the_end_says_so(turn_log: TurnLog) -> None:
    turn_log.create("t")
    turn_log.append("t", ["0"], ended=True)
    with pytest.raises(FramesLost):
        next(follow(turn_log, "t", 0))


def test_nothing_is_added_to_a_turn_that_has_ended(turn_log: TurnLog) -> None:
    turn_log.create("t")
    assert turn_log.append("t", ["0"], ended=True)
    assert not turn_log.append("t", ["late"], ended=False)
    assert not turn_log.append("t", ["the end again"], ended=True)
    assert read(turn_log) == (["0"], True)


class CountingLog(MemoryTurnLog):
    """Counts its readers."""

    readers = 0

    def subscribe(self, turn_id: str, wake: Callable[[], None]) -> None:
        self.readers += 1
        super().subscribe(turn_id, wake)

    def unsubscribe(self, turn_id: str, wake: Callable[[], None]) -> None:
        self.readers -= 1
        super().unsubscribe(turn_id, wake)


def test_a_follower_that_leaves_is_woken_no_more() -> None:
    turn_log = CountingLog()
    turn_log.create("t")
    turn_log.append("t", ["0"], ended=False)
    following: Any = follow(turn_log, "t", -1)
    next(following)
    assert turn_log.readers == 1
    following.close()
    assert turn_log.readers == 0


def test_ended_turns_are_forgotten_after_a_while_and_running_ones_never() -> None:
    turn_log = MemoryTurnLog(kept_after_end_s=0.0)
    for name in ("t", "running"):
        turn_log.create(name)
    turn_log.append("t", ["0"], ended=True)
    ended_at = time.monotonic()
    eventually(lambda: time.monotonic() > ended_at)
    turn_log.create("another")
    assert turn_log.read("t", -1) is None
    assert turn_log.read("running", -1) == ([], False)


def test_a_turn_put_back_into_the_log_is_kept_as_long_as_any_other() -> None:
    turn_log = MemoryTurnLog(kept_after_end_s=0.05)
    turn_log.create("t")
    turn_log.append("t", ["0"], ended=True)
    began = time.monotonic()
    eventually(lambda: time.monotonic() > began + 0.04)
    turn_log.create("t")
    turn_log.append("t", ["again"], ended=True)
    eventually(lambda: time.monotonic() > began + 0.06)
    turn_log.create("another")  # what ended first is forgotten now
    assert read(turn_log) == (["again"], True)


class TimedLog(MemoryTurnLog):
    """Notes when frames were appended, and whose."""

    def __init__(self) -> None:
        super().__init__()
        self.times: list[float] = []
        self.turns: list[str] = []

    def append(self, turn_id: str, frames: Any, *, ended: bool) -> bool:
        self.times.append(time.monotonic())
        self.turns.append(turn_id)
        return super().append(turn_id, frames, ended=ended)


def writer_of(turn_log: TurnLog, interval_s: float = 0.02) -> TurnWriter:
    turn_log.create("t")
    return TurnWriter(Flusher(turn_log, interval_s), "t", "r1")


def terminal(seq: int) -> str:
    return json.dumps({"type": "done", "seq": seq})


def written(turn_log: TurnLog) -> list[dict[str, Any]]:
    eventually(lambda: read(turn_log)[1])
    return [json.loads(frame) for frame in read(turn_log)[0]]


def test_the_first_token_leaves_at_once() -> None:
    turn_log = TimedLog()
    writer = writer_of(turn_log, interval_s=5.0)
    began = time.monotonic()
    writer.write("Hello")
    eventually(lambda: turn_log.times, every=0.001)
    assert turn_log.times[0] - began < 0.5


def test_the_first_token_does_not_wait_for_a_turn_that_has_just_had_a_frame() -> None:
    turn_log = TimedLog()
    turn_log.create("first")
    turn_log.create("second")
    flusher = Flusher(turn_log, 0.2)
    first, second = TurnWriter(flusher, "first", "r1"), TurnWriter(flusher, "second", "r2")
    first.write("Hello")
    eventually(lambda: turn_log.turns, every=0.001)
    first.write(" world")
    second.write("Hello")
    # Nothing more is written: what stays behind at a tick has to leave by itself.
    eventually(lambda: len(turn_log.turns) == 3)
    assert turn_log.turns == ["first", "second", "first"]
    assert (first.text(), second.text()) == ("Hello world", "Hello")


class EagerLog(TimedLog):
    """Has each turn write again as soon as it has had a frame."""

    def __init__(self) -> None:
        super().__init__()
        self.writers: dict[str, TurnWriter] = {}

    def append(self, turn_id: str, frames: Any, *, ended: bool) -> bool:
        self.writers[turn_id].write("x")
        return super().append(turn_id, frames, ended=ended)

    def bursts(self, apart_s: float) -> list[int]:
        """How many frames came together, each time."""
        sizes = [0]
        for before, at in zip([0.0, *self.times], self.times, strict=False):
            if at - before > apart_s:
                sizes.append(0)
            sizes[-1] += 1
        return sizes


def test_turns_that_stream_at_once_have_their_frames_in_turn() -> None:
    turn_log = EagerLog()
    flusher = Flusher(turn_log, 0.2)
    for turn_id in "abcdefgh":
        turn_log.create(turn_id)
        turn_log.writers[turn_id] = TurnWriter(flusher, turn_id, "r1")
    for writer in list(turn_log.writers.values()):
        writer.write("x")
    # However they began: of two ticks, each takes half of them.
    eventually(lambda: turn_log.bursts(0.02)[-5:-1] == [4, 4, 4, 4])
    assert sorted(turn_log.turns[-8:]) == sorted(set(turn_log.turns[-8:]))


def test_the_last_text_and_the_last_frame_do_not_wait_for_the_interval() -> None:
    turn_log = TimedLog()
    writer = writer_of(turn_log, interval_s=3600.0)
    writer.write("Hello")
    eventually(lambda: turn_log.times, every=0.001)
    writer.write(" world")
    writer.seal()
    assert [json.loads(frame)["content"] for frame in read(turn_log)[0]] == ["Hello", " world"]
    writer.write_frame(terminal, ends_turn=True)
    frames, ended = read(turn_log)
    assert [json.loads(frame)["seq"] for frame in frames] == [0, 1, 2]
    assert ended


def test_what_comes_once_a_turn_is_sealed_is_sent_to_nobody_and_no_part_of_the_answer() -> None:
    turn_log = MemoryTurnLog()
    writer = writer_of(turn_log)
    writer.write("Hello")
    writer.seal()
    writer.write(" world")
    writer.write_frame(terminal, ends_turn=True)
    assert [frame.get("content") for frame in written(turn_log)] == ["Hello", None]
    assert (writer.text(), writer.pieces) == ("Hello", 1)


def test_the_answer_is_what_readers_got_whenever_another_thread_seals_it() -> None:
    for _ in range(50):
        turn_log = MemoryTurnLog()
        writer = writer_of(turn_log, interval_s=0.0)
        begun, sealed = threading.Event(), threading.Event()

        def write(writer: TurnWriter, begun: threading.Event, sealed: threading.Event) -> None:
            while not sealed.is_set():
                writer.write("x")
                begun.set()

        thread = threading.Thread(target=write, args=(writer, begun, sealed))
        thread.start()
        begun.wait()
        writer.seal()
        answer = writer.text()
        sealed.set()
        thread.join()
        writer.write_frame(terminal, ends_turn=True)
        text = "".join(frame.get("content", "") for frame in written(turn_log))
        assert (text, writer.text()) == (answer, answer)


def test_text_stays_in_order_however_often_a_turn_is_flushed() -> None:
    turn_log = MemoryTurnLog()
    turn_log.create("t")
    flusher = Flusher(turn_log, 0.0)
    writer = TurnWriter(flusher, "t", "r1")
    for number in range(2000):
        writer.write(f"{number},")
        if number % 7 == 0:
            flusher.flush(writer)
    writer.write_frame(terminal, ends_turn=True)
    frames = written(turn_log)
    assert [frame["seq"] for frame in frames] == list(range(len(frames)))
    text = "".join(frame.get("content", "") for frame in frames)
    assert text == writer.text() == "".join(f"{number}," for number in range(2000))


def test_what_gathers_in_an_interval_is_one_frame() -> None:
    turn_log = TimedLog()
    writer = writer_of(turn_log, interval_s=0.05)
    for number in range(500):
        writer.write(f"{number} ")
    writer.write_frame(terminal, ends_turn=True)
    frames = written(turn_log)
    assert "".join(f.get("content", "") for f in frames) == "".join(f"{n} " for n in range(500))
    assert len(frames) <= 5
    assert frames[-1]["type"] == "done"


def test_a_turn_gets_one_flush_an_interval_however_fast_it_writes() -> None:
    turn_log = TimedLog()
    writer = writer_of(turn_log, interval_s=0.03)
    began = time.monotonic()

    def write_until_time_is_up() -> bool:
        writer.write("x")
        return time.monotonic() - began > 0.3

    eventually(write_until_time_is_up, every=0.0005)
    writer.write_frame(terminal, ends_turn=True)
    frames = written(turn_log)
    gaps = [b - a for a, b in zip(turn_log.times, turn_log.times[1:], strict=False)]
    assert len(frames) <= 0.3 / 0.03 + 4
    assert sum(gap < 0.025 for gap in gaps) <= 2


def test_text_and_frames_come_out_in_the_order_they_went_in_with_seq_without_gaps() -> None:
    turn_log = MemoryTurnLog()
    writer = writer_of(turn_log, interval_s=0.001)
    writer.write_frame(lambda seq: json.dumps({"type": "start", "seq": seq}))
    for number in range(300):
        writer.write(f"{number},")
    writer.write_frame(terminal, ends_turn=True)
    frames = written(turn_log)
    assert [frame["seq"] for frame in frames] == list(range(len(frames)))
    assert (frames[0]["type"], frames[-1]["type"]) == ("start", "done")
    text = "".join(frame.get("content", "") for frame in frames)
    assert text == "".join(f"{number}," for number in range(300))


def test_a_turn_whose_frames_cannot_be_appended_does_not_stop_the_others() -> None:
    turn_log = MemoryTurnLog()
    turn_log.create("t")
    flusher = Flusher(turn_log, 0.001)
    lost = TurnWriter(flusher, "never-created", "r0")
    lost.write("x")
    writer = TurnWriter(flusher, "t", "r1")
    writer.write("Hello")
    writer.write_frame(terminal, ends_turn=True)
    assert len(written(turn_log)) == 2


def test_a_reader_that_raises_does_not_cost_the_others_their_frames() -> None:
    turn_log = MemoryTurnLog()
    writer = writer_of(turn_log, 0.001)
    woken = threading.Event()

    class Failing:
        """A reader like no other, so that some come before the one that works."""

        def wake(self) -> None:
            raise ZeroDivisionError

    turn_log.subscribe("t", woken.set)
    for _ in range(8):
        turn_log.subscribe("t", Failing().wake)
    writer.write("Hello")
    assert woken.wait(5)

"""Turns that run in one process and are read, stopped and ended from another, through Redis."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pytest

from app.errors import ThumbprintError
from app.protocol import Ask
from app.store.database import Database
from app.turn_log import FramesLost
from app.turn_log.streams import TURN, Streams
from app.turns.running import TurnRef
from app.turns.watch import ABANDONED_AFTER_S, LATE_AFTER_S
from tests.engines import RedisServer
from tests.turn_scene import TurnScene, text_of
from tests.waiting import eventually


@pytest.fixture
def new_process(
    tmp_path: Path, sqlite: Database, redis: RedisServer
) -> Iterator[Callable[[], TurnScene]]:
    """Make processes that share a database and a Redis server."""
    started: list[TurnScene] = []

    def start() -> TurnScene:
        started.append(TurnScene(tmp_path, database=sqlite, redis_url=redis.url))
        return started[-1]

    yield start
    for scene in started:
        scene.close()


@pytest.fixture
def gate() -> threading.Event:
    """What the answer waits for after its first words."""
    return threading.Event()


@pytest.fixture
def here(new_process: Callable[[], TurnScene], gate: threading.Event) -> TurnScene:
    """A process with a turn that has said `So far` and waits for the gate."""
    scene = new_process()
    scene.model.scripts = [["So far", gate, " so good."]]
    ref = scene.ask("Why?", client_request_id="r1")
    eventually(lambda: (scene.turn_log.read(ref.turn_id, 0) or [()])[0])
    scene.turn_log.settle(5)
    return scene


@pytest.fixture
def elsewhere(new_process: Callable[[], TurnScene], here: TurnScene) -> TurnScene:
    """Another process."""
    return new_process()


def refusal(work: Callable[[], object]) -> ThumbprintError:
    with pytest.raises(ThumbprintError) as caught:
        work()
    return caught.value


def ask_again(scene: TurnScene) -> TurnRef:
    return scene.engine.ask("ann", Ask("Why?", client_request_id="r1"))


def test_a_turn_is_followed_from_another_process_with_the_same_frames(
    here: TurnScene, elsewhere: TurnScene, gate: threading.Event
) -> None:
    ref = elsewhere.engine.resume("ann", "r1", -1)
    with ThreadPoolExecutor(1) as pool:
        followed = pool.submit(elsewhere.frames, ref)
        gate.set()
        frames = followed.result(10)
    assert frames == here.frames(ref)
    assert (text_of(frames), frames[-1]["type"]) == ("So far so good.", "done")


def test_a_reader_that_changes_the_process_goes_on_after_its_last_frame(
    here: TurnScene, elsewhere: TurnScene, gate: threading.Event
) -> None:
    ref = elsewhere.engine.resume("ann", "r1", 0)
    gate.set()
    assert elsewhere.frames(ref, 0) == here.frames(ref, 0)


def test_an_ended_turn_is_resumed_from_another_process(
    here: TurnScene, elsewhere: TurnScene, gate: threading.Event
) -> None:
    gate.set()
    here.wait_idle()
    here.turn_log.settle(5)
    ref = here.engine.resume("ann", "r1", -1)
    for after_seq in (-1, 0, 1):
        assert elsewhere.engine.resume("ann", "r1", after_seq) == ref
        assert elsewhere.frames(ref, after_seq) == here.frames(ref, after_seq)
    last = len(here.frames(ref)) - 1
    error = refusal(lambda: elsewhere.engine.resume("ann", "r1", last))
    assert error.code == "invalid_frame"


def test_a_message_sent_again_to_another_process_is_the_same_turn(
    here: TurnScene, elsewhere: TurnScene, gate: threading.Event
) -> None:
    ref = ask_again(elsewhere)
    gate.set()
    assert text_of(elsewhere.frames(ref)) == "So far so good."
    assert elsewhere.model.asked == []


def test_a_turn_is_stopped_from_another_process(here: TurnScene, elsewhere: TurnScene) -> None:
    ref = elsewhere.engine.resume("ann", "r1", -1)
    elsewhere.engine.stop("ann", "r1")
    frames = elsewhere.frames(ref)
    assert (text_of(frames), frames[-1]["finish_reason"]) == ("So far", "stopped")
    assert here.model.completions[0].cancelled.is_set()
    eventually(lambda: elsewhere.row(ref).ending == "stopped")


def test_nobody_elses_turn_is_stopped_or_read_from_another_process(
    here: TurnScene, elsewhere: TurnScene
) -> None:
    assert refusal(lambda: elsewhere.engine.stop("bob", "r1")).code == "unknown_turn"
    assert refusal(lambda: elsewhere.engine.resume("bob", "r1", -1)).code == "unknown_turn"
    assert here.engine.running


def give_up_on(scene: TurnScene) -> None:
    """Watch the turn of a process that says nothing until it counts as dead."""
    scene.watch.look()
    scene.uptime += ABANDONED_AFTER_S
    scene.watch.look()


def test_the_turn_of_a_dead_process_ends_with_the_text_its_readers_have(
    here: TurnScene, elsewhere: TurnScene
) -> None:
    ref = elsewhere.engine.resume("ann", "r1", -1)
    assert elsewhere.row(ref).answer == ""  # the dead process had not come to save any
    give_up_on(elsewhere)
    frames = elsewhere.frames(ref)
    assert [frame["seq"] for frame in frames] == list(range(len(frames)))
    assert (frames[-1]["type"], frames[-1]["code"]) == ("error", "interrupted")
    assert elsewhere.row(ref).answer == text_of(frames) == "So far"


def test_who_got_a_frame_from_a_dead_process_that_nobody_else_got_is_sent_to_the_record(
    here: TurnScene, new_process: Callable[[], TurnScene], gate: threading.Event
) -> None:
    here.model.scripts = [["So far", gate, " so good.", threading.Event()]]
    ref = here.ask("Why?", client_request_id="r2")
    eventually(lambda: (here.turn_log.read(ref.turn_id, 0) or [()])[0])
    here.turn_log.settle(5)
    here.turn_log.close()  # the process dies before it ships what its own readers have
    gate.set()
    eventually(lambda: (here.turn_log.read(ref.turn_id, 1) or [()])[0])

    elsewhere = new_process()
    waiting, running = elsewhere.engine.resume("ann", "r2", 2), elsewhere.row(ref)
    give_up_on(elsewhere)
    assert text_of(elsewhere.frames(waiting)) == elsewhere.row(ref).answer == "So far"
    with pytest.raises(FramesLost):
        elsewhere.frames(waiting, 2)
    assert refusal(lambda: elsewhere.engine.resume("ann", "r2", 2)).code == "turn_expired"
    # Its record may be read just before that end is saved.
    with pytest.raises(FramesLost):
        elsewhere.engine.playback.find(running, 2)


def test_a_process_taken_for_dead_adds_nothing_to_what_readers_elsewhere_have(
    here: TurnScene, elsewhere: TurnScene, gate: threading.Event, redis: RedisServer
) -> None:
    ref = elsewhere.engine.resume("ann", "r1", -1)
    give_up_on(elsewhere)
    gate.set()
    assert here.frames(ref)[-1]["code"] == "not_saved"
    here.turn_log.settle(5)
    assert [frame["type"] for frame in elsewhere.frames(ref)] == ["start", "token", "error"]
    frames, ended = Streams(redis.url).fetch(ref.turn_id)
    assert (len(frames), ended) == (3, True)


def test_when_the_frames_of_a_dead_process_are_lost_too_the_record_tells_the_turn(
    here: TurnScene, elsewhere: TurnScene, new_process: Callable[[], TurnScene], redis: RedisServer
) -> None:
    here.watch.look()  # saves the text so far
    ref = elsewhere.engine.resume("ann", "r1", -1)
    following = partial(elsewhere.frames, ref, 1)
    with ThreadPoolExecutor(1) as pool:
        told = pool.submit(following)
        redis.client().flushall()
        witness = new_process()
        give_up_on(witness)
        elsewhere.watch.look()
        elsewhere.uptime += LATE_AFTER_S
        elsewhere.watch.look()
        assert isinstance(told.exception(10), FramesLost)
    assert refusal(lambda: elsewhere.engine.resume("ann", "r1", 1)).code == "turn_expired"
    frames = elsewhere.frames(elsewhere.engine.resume("ann", "r1", -1))
    assert [frame["type"] for frame in frames] == ["start", "token", "error"]
    assert (text_of(frames), frames[-1]["code"]) == ("So far", "interrupted")


def test_a_turn_whose_last_frame_was_lost_is_told_by_its_record(
    here: TurnScene, elsewhere: TurnScene, gate: threading.Event
) -> None:
    ref = elsewhere.engine.resume("ann", "r1", -1)
    here.turn_log.close()  # the process dies after it has saved the end and before it says so
    gate.set()
    here.wait_idle()
    for _ in range(2):
        elsewhere.watch.look()
        elsewhere.uptime += LATE_AFTER_S
    with pytest.raises(FramesLost):
        elsewhere.frames(ref)
    frames = elsewhere.frames(ask_again(elsewhere))
    assert (text_of(frames), frames[-1]["type"]) == ("So far so good.", "done")


def test_without_redis_a_turn_goes_on_where_it_runs_and_is_out_of_reach_elsewhere(
    here: TurnScene, elsewhere: TurnScene, gate: threading.Event, redis: RedisServer
) -> None:
    redis.kill9()
    for work in (
        lambda: elsewhere.engine.resume("ann", "r1", -1),
        lambda: elsewhere.engine.stop("ann", "r1"),
        lambda: ask_again(elsewhere),
    ):
        error = refusal(work)
        assert (error.code, error.retryable, error.status) == ("turn_elsewhere", True, 503)
    gate.set()
    frames = here.frames(here.engine.resume("ann", "r1", -1))
    assert (text_of(frames), frames[-1]["type"]) == ("So far so good.", "done")
    recorded = elsewhere.frames(ask_again(elsewhere))
    assert (text_of(recorded), recorded[-1]["html"]) == (text_of(frames), frames[-1]["html"])


def test_a_turn_is_followed_again_when_redis_is_back(
    here: TurnScene, elsewhere: TurnScene, gate: threading.Event, redis: RedisServer
) -> None:
    redis.restart()
    gate.set()
    ref = eventually(lambda: elsewhere.engine.resume("ann", "r1", 0))
    assert elsewhere.frames(ref, 0) == here.frames(ref, 0)


def test_a_turn_that_ran_elsewhere_leaves_nothing_behind_in_redis_that_does_not_expire(
    here: TurnScene, elsewhere: TurnScene, gate: threading.Event, redis: RedisServer
) -> None:
    ref = elsewhere.engine.resume("ann", "r1", -1)
    elsewhere.engine.stop("ann", "r1")
    elsewhere.frames(ref)
    client = redis.client()
    keys = [str(key) for key in client.scan_iter()]
    assert TURN + ref.turn_id in keys
    assert [key for key in keys if client.pttl(key) == -1] == []


def test_whoever_was_held_up_gives_other_processes_their_whole_time_again(
    here: TurnScene, elsewhere: TurnScene
) -> None:
    elsewhere.watch.look()
    elsewhere.uptime += ABANDONED_AFTER_S
    elsewhere.watch.start_over()
    elsewhere.watch.look()
    elsewhere.uptime += ABANDONED_AFTER_S - 0.1
    elsewhere.watch.look()
    assert elsewhere.engine.find("ann", "r1").ending == "running"

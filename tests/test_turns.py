"""The turn engine: one question, one answer in the log, one honest ending."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, cast

import pytest

from app import outbox
from app.errors import (
    BadRequest,
    Conflict,
    ModelError,
    NotFound,
    ThumbprintError,
    Unavailable,
)
from app.llm.agent import AgentModel, Message
from app.relay import Relay
from app.store import turns as store
from app.store.database import Database
from app.store.turns import TurnEnd
from app.tracing.failures import NotDelivered
from app.turns.ending import OUTLASTS_WRITES_MS
from app.turns.running import TurnRef
from app.turns.trace_store import STORES_AT_A_TIME
from tests.turn_scene import TurnScene, text_of
from tests.waiting import eventually


@pytest.fixture
def scene(new_scene: Callable[[], TurnScene]) -> Iterator[TurnScene]:
    scene = new_scene()
    yield scene
    scene.close()


def refusal(work: Callable[[], object]) -> ThumbprintError:
    with pytest.raises(ThumbprintError) as caught:
        work()
    return caught.value


def owed(scene: TurnScene) -> int:
    return scene.database.read(lambda c: outbox.status(c, scene.clock())).waiting


def test_a_turn_starts_streams_and_is_done(scene: TurnScene) -> None:
    ref = scene.ask("Why?", client_request_id="r1")
    frames = scene.frames(ref)
    scene.wait_idle()
    assert [frame["seq"] for frame in frames] == list(range(len(frames)))
    assert frames[0] == {
        "type": "start",
        "conversation_id": ref.conversation_id,
        "client_request_id": "r1",
        "seq": 0,
    }
    assert {frame["type"] for frame in frames[1:-1]} == {"token"}
    assert text_of(frames) == "Hello there."
    done = frames[-1]
    assert (done["type"], done["finish_reason"], done["trace_state"]) == ("done", "stop", "stored")
    assert done["html"] == "<p>Hello there.</p>\n"
    row = scene.row(ref)
    assert (row.ending, row.answer, row.html) == ("complete", "Hello there.", done["html"])
    assert (row.trace_id, row.trace_state) == (done["trace_id"], "stored")
    assert row.first_token_at >= row.created_at


def test_the_trace_says_who_asked_what_and_how_it_ended(scene: TurnScene) -> None:
    ref, done = scene.answer("Why?", client_request_id="r1")
    info = scene.trace()["info"]
    assert info["trace_id"] == done["trace_id"]
    assert info["client_request_id"] == "r1"
    assert info["trace_metadata"]["mlflow.trace.user"] == "ann"
    assert info["trace_metadata"]["mlflow.trace.session"] == ref.conversation_id
    assert info["tags"]["thumbprint.ending"] == "complete"
    assert info["tags"]["thumbprint.version"] == "7"
    assert info["tags"]["thumbprint.model"] == "double"
    assert info["tags"]["thumbprint.segment"] == "new"
    assert info["state"] == "OK"
    names = [span["name"] for span in scene.trace()["data"]["spans"]]
    assert sorted(names) == ["chat_completion", "chat_turn"]


def test_an_id_is_made_for_whoever_brings_none(scene: TurnScene) -> None:
    first, second = scene.ask(), scene.ask()
    assert first.client_request_id != second.client_request_id
    assert len(first.client_request_id) <= 50


def test_a_model_that_fails_ends_the_turn_as_failed_with_the_text_so_far(scene: TurnScene) -> None:
    scene.model.scripts = [["Half", ModelError("It broke.", code="model_cut_off")]]
    ref, last = scene.answer()
    assert (last["type"], last["code"], last["error"]) == ("error", "model_cut_off", "It broke.")
    assert last["retryable"] is True
    assert (last["trace_id"], last["trace_state"]) == (scene.row(ref).trace_id, "stored")
    row = scene.row(ref)
    assert (row.ending, row.answer, row.error_code) == ("failed", "Half", "model_cut_off")
    assert scene.trace()["info"]["state"] == "ERROR"
    assert scene.trace()["info"]["tags"]["thumbprint.ending"] == "failed"


def test_a_surprise_in_the_model_is_internal_and_tells_nobody_its_secret(scene: TurnScene) -> None:
    scene.model.scripts = [["Half", ValueError("password=hunter2")]]
    ref, last = scene.answer()
    assert last["code"] == "internal"
    assert "hunter2" not in str(last)
    assert scene.row(ref).answer == "Half"


def test_a_model_that_fails_before_it_answers_ends_the_turn(scene: TurnScene) -> None:
    def fail() -> None:
        raise ModelError("No endpoint.", code="model_unreachable")

    scene.model.before_answer = fail
    _, last = scene.answer()
    assert last["code"] == "model_unreachable"


def test_a_stop_ends_the_turn_with_what_was_said_and_closes_the_model(scene: TurnScene) -> None:
    never = threading.Event()
    scene.model.scripts = [["So far", never, "too late"]]
    ref = scene.ask(client_request_id="r1")
    eventually(lambda: scene.row(ref) and scene.model.completions)
    assert scene.model.completions[0].waiting.wait(5)
    scene.engine.stop("ann", "r1")
    frames = scene.frames(ref)
    assert text_of(frames) == "So far"
    assert (frames[-1]["type"], frames[-1]["finish_reason"]) == ("done", "stopped")
    assert scene.model.completions[0].cancelled.is_set()
    assert (scene.row(ref).ending, scene.row(ref).answer) == ("stopped", "So far")
    assert scene.trace()["info"]["tags"]["thumbprint.ending"] == "stopped"


def test_stopping_a_turn_that_has_ended_changes_nothing(scene: TurnScene) -> None:
    ref, done = scene.answer(client_request_id="r1")
    scene.engine.stop("ann", "r1")
    assert scene.row(ref).ending == "complete"
    assert scene.frames(ref)[-1] == done


class InterruptedDatabase(Database):
    """Lets something happen right after its next read or write, the last in each list first."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.after_read: list[Callable[[], object]] = []
        self.after_write: list[Callable[[], object]] = []

    def read(self, work: Any) -> Any:
        found = super().read(work)
        if self.after_read:
            self.after_read.pop()()
        return found

    def write(self, work: Any) -> Any:
        written = super().write(work)
        if self.after_write:
            self.after_write.pop()()
        return written


def test_a_turn_that_ends_just_as_it_is_stopped_is_nobody_elses(tmp_path: Path) -> None:
    database = InterruptedDatabase(f"sqlite:///{tmp_path / 'app.db'}")
    scene = TurnScene(tmp_path, database=database)
    go_on = threading.Event()
    scene.model.scripts = [["All ", go_on, "of it."]]
    ref = scene.ask(client_request_id="r1")

    def end() -> None:
        go_on.set()
        scene.wait_idle()

    database.after_read.append(end)
    scene.engine.stop("ann", "r1")  # it read "running" before the turn ended
    assert not database.after_read
    assert (scene.row(ref).ending, scene.row(ref).answer) == ("complete", "All of it.")
    scene.close()


def test_a_turn_that_is_stopped_just_as_it_begins_is_nobody_elses(tmp_path: Path) -> None:
    database = InterruptedDatabase(f"sqlite:///{tmp_path / 'app.db'}")
    scene = TurnScene(tmp_path, database=database)
    never, looking_again = threading.Event(), threading.Event()
    scene.model.scripts = [["So far", never]]

    def look_again() -> None:
        looking_again.set()
        eventually(lambda: scene.engine.running)

    def stop() -> None:
        database.after_read += [look_again, lambda: None]
        stopping.append(stoppers.submit(scene.engine.stop, "ann", "r1"))
        # Its row is there, and this process does not know of it yet.
        assert looking_again.wait(5)

    stopping: list[Future[None]] = []
    database.after_write.append(stop)
    with ThreadPoolExecutor(1) as stoppers:
        ref = scene.ask(client_request_id="r1")
        stopping[0].result(5)
    assert scene.frames(ref)[-1]["finish_reason"] == "stopped"
    scene.close()


def test_only_the_owner_can_stop_a_turn(scene: TurnScene) -> None:
    never = threading.Event()
    scene.model.scripts = [["So far", never]]
    scene.ask(client_request_id="r1")
    assert refusal(lambda: scene.engine.stop("bob", "r1")).code == "unknown_turn"
    assert len(scene.engine.running) == 1


def test_a_stop_before_the_model_was_asked_still_ends_the_turn(scene: TurnScene) -> None:
    connecting, stopped = threading.Event(), threading.Event()

    def connect() -> None:
        connecting.set()
        stopped.wait(10)

    scene.model.before_answer = connect
    never = threading.Event()
    scene.model.scripts = [[never, "unwanted"]]
    ref = scene.ask(client_request_id="r1")
    assert connecting.wait(5)
    scene.engine.stop("ann", "r1")
    frames = scene.frames(ref)
    stopped.set()
    assert [frame["type"] for frame in frames] == ["start", "done"]
    assert frames[-1]["finish_reason"] == "stopped"
    # Nobody wants the answer any more, so nobody goes on to ask for it.
    eventually(lambda: scene.model.completions)
    assert not scene.model.completions[0].waiting.is_set()


def test_a_turn_past_its_time_is_ended_as_timed_out(tmp_path: Path) -> None:
    scene = TurnScene(tmp_path, timeout_s=5.0)
    never = threading.Event()
    scene.model.scripts = [["So far", never]]
    ref = scene.ask()
    eventually(lambda: scene.model.completions)
    assert scene.model.completions[0].waiting.wait(5)
    scene.watch.look()
    assert scene.engine.running
    scene.uptime += 5.001
    scene.watch.look()
    never.set()  # whoever was not ended answers now, and says so
    last = scene.frames(ref)[-1]
    assert (last["type"], last["code"], last["retryable"]) == ("error", "model_timeout", True)
    assert scene.row(ref).answer == "So far"
    assert scene.model.completions[0].cancelled.is_set()
    scene.close()


def test_the_same_message_sent_again_is_the_same_turn(scene: TurnScene) -> None:
    first, done = scene.answer("Why?", client_request_id="r1")
    second, again = scene.answer("Why?", client_request_id="r1")
    assert (first, done) == (second, again)
    assert len(scene.model.asked) == 1


def test_the_same_message_sent_twice_at_the_same_moment_is_one_turn(scene: TurnScene) -> None:
    for number in range(25):
        together = threading.Barrier(3)

        def send(_: int, name: str = f"r{number}", gate: threading.Barrier = together) -> object:
            gate.wait(10)
            return scene.ask("Why?", client_request_id=name)

        with ThreadPoolExecutor(3) as pool:
            refs = list(pool.map(send, range(3)))
        assert len(set(refs)) == 1
        assert text_of(scene.frames(cast(Any, refs[0]))) == "Hello there."
    assert len(scene.model.asked) == 25


def test_a_message_sent_again_before_its_turn_has_begun_is_the_same_turn(tmp_path: Path) -> None:
    database = InterruptedDatabase(f"sqlite:///{tmp_path / 'app.db'}")
    scene = TurnScene(tmp_path, database=database)
    second: list[object] = []
    database.after_write.append(
        lambda: second.append(scene.ask("Why?", client_request_id="r1")),
    )
    first = scene.ask("Why?", client_request_id="r1")
    assert second == [first]
    assert text_of(scene.frames(first)) == "Hello there."
    assert len(scene.model.asked) == 1
    scene.close()


def test_the_same_id_with_another_message_is_a_conflict(scene: TurnScene) -> None:
    scene.answer("Why?", client_request_id="r1")
    error = refusal(lambda: scene.ask("How?", client_request_id="r1"))
    assert isinstance(error, Conflict)
    assert error.code == "client_request_id_conflict"
    assert scene.ask("How?", client_request_id="r1", user="bob").client_request_id == "r1"


def test_a_follow_up_takes_the_conversation_along(scene: TurnScene) -> None:
    first, _ = scene.answer("Q1")
    second, _ = scene.answer("Q2", conversation_id=first.conversation_id)
    assert second.conversation_id == first.conversation_id
    assert [(m["role"], m["content"]) for m in scene.model.asked[1]] == [
        ("system", "Be brief."),
        ("user", "Q1"),
        ("assistant", "Hello there."),
        ("user", "Q2"),
    ]


def test_the_context_is_bounded(tmp_path: Path) -> None:
    scene = TurnScene(tmp_path, history_turns=2)
    first, _ = scene.answer("Q0")
    for number in range(1, 5):
        scene.answer(f"Q{number}", conversation_id=first.conversation_id)
    asked = [m["content"] for m in scene.model.asked[-1] if m["role"] == "user"]
    assert asked == ["Q2", "Q3", "Q4"]
    scene.close()


def test_a_conversation_of_someone_else_is_unknown(scene: TurnScene) -> None:
    first, _ = scene.answer("Q1", client_request_id="r1")
    here = first.conversation_id
    for work in (
        lambda: scene.ask("x", user="bob", conversation_id=here),
        lambda: scene.ask("x", conversation_id="nothing"),
    ):
        error = refusal(work)
        assert isinstance(error, NotFound)
        assert error.code == "unknown_conversation"
    assert refusal(lambda: scene.ask("x", user="bob", replaces="r1")).code == "unknown_turn"


def test_asking_again_leaves_out_the_answer_it_replaces(scene: TurnScene) -> None:
    first, _ = scene.answer("Q1", client_request_id="r1")
    here = first.conversation_id
    scene.answer("Q2", client_request_id="r2", conversation_id=here)
    again, _ = scene.answer("Q2", client_request_id="r2b", replaces="r2")
    assert again.conversation_id == here
    asked = [m["content"] for m in scene.model.asked[-1]]
    assert asked == ["Be brief.", "Q1", "Hello there.", "Q2"]
    assert scene.row(again).replaces == "r2"


def test_a_running_turn_cannot_be_replaced(scene: TurnScene) -> None:
    never = threading.Event()
    scene.model.scripts = [["So far", never]]
    scene.ask(client_request_id="r1")
    assert refusal(lambda: scene.ask("x", replaces="r1")).code == "turn_running"


def test_a_turn_of_another_conversation_cannot_be_replaced_here(scene: TurnScene) -> None:
    scene.answer("Q1", client_request_id="r1")
    other, _ = scene.answer("Q2")
    error = refusal(lambda: scene.ask("x", replaces="r1", conversation_id=other.conversation_id))
    assert error.code == "unknown_turn"


def test_text_nobody_can_store_does_not_cost_the_answer(tmp_path: Path) -> None:
    def agent(messages: Sequence[Message]) -> Iterator[str]:
        yield "a\0b"
        yield "\ud83d"
        yield ""
        yield "c"

    scene = TurnScene(tmp_path, model=AgentModel(agent))
    ref = scene.ask("\N{PILE OF POO}")
    frames = scene.frames(ref)
    assert [frame["seq"] for frame in frames] == list(range(len(frames)))
    assert text_of(frames) == "ab?c"
    assert frames[-1]["type"] == "done"
    scene.wait_idle()
    assert scene.row(ref).answer == "ab?c"
    scene.close()


def test_an_agent_that_fails_is_named_as_the_one_that_failed(tmp_path: Path) -> None:
    def raising(messages: Sequence[Message]) -> Iterator[str]:
        yield "Half"
        raise KeyError("secret")

    def no_text(messages: Sequence[Message]) -> Iterator[str]:
        yield cast(str, 5)

    def no_iterator(messages: Sequence[Message]) -> Iterator[str]:
        return cast(Iterator[str], None)

    def bytes_for_text(messages: Sequence[Message]) -> Iterator[str]:
        yield cast(str, b"bytes")

    database = Database(f"sqlite:///{tmp_path / 'app.db'}")
    for agent in (raising, no_text, no_iterator, bytes_for_text):
        scene = TurnScene(tmp_path, database=database, model=AgentModel(agent))
        _, last = scene.answer()
        assert (last["type"], last["code"]) == ("error", "agent_failed"), agent
        assert "secret" not in str(last)
    database.close()


def test_an_agent_that_says_nothing_is_done_with_an_empty_answer(tmp_path: Path) -> None:
    scene = TurnScene(tmp_path, model=AgentModel(lambda _: iter(())))
    ref = scene.ask()
    assert [frame["type"] for frame in scene.frames(ref)] == ["start", "done"]
    scene.close()


def test_done_says_stored_only_once_the_trace_is(scene: TurnScene) -> None:
    scene.tracking.hold = threading.Event()
    ref = scene.ask()
    eventually(lambda: text_of_log(scene, ref.turn_id) == "Hello there.")
    assert not is_ended(scene, ref.turn_id)
    scene.tracking.hold.set()
    assert scene.frames(ref)[-1]["trace_state"] == "stored"
    assert owed(scene) == 0


def text_of_log(scene: TurnScene, turn_id: str) -> str:
    found = scene.turn_log.read(turn_id, -1)
    assert found is not None
    return text_of([json.loads(frame) for frame in found[0]])


def is_ended(scene: TurnScene, turn_id: str) -> bool:
    found = scene.turn_log.read(turn_id, -1)
    return found is not None and found[1]


def test_while_mlflow_hangs_done_comes_within_two_seconds_and_the_trace_is_owed(
    scene: TurnScene,
) -> None:
    scene.tracking.hold = threading.Event()
    began = time.monotonic()
    ref, done = scene.answer()
    assert time.monotonic() - began < 2.0
    assert (done["type"], done["trace_state"]) == ("done", "queued")
    assert owed(scene) == 1
    scene.tracking.hold.set()
    assert Relay(scene.database, scene.tracking, scene.clock).deliver_next() == 0.0
    assert scene.row(ref).trace_state == "stored"
    assert owed(scene) == 0


def test_when_many_turns_end_together_a_few_traces_are_written_and_the_rest_is_owed(
    scene: TurnScene,
) -> None:
    scene.tracking.hold = threading.Event()
    refs = [scene.ask(f"Why {number}?") for number in range(3 * STORES_AT_A_TIME)]
    ends = [scene.frames(ref)[-1] for ref in refs]
    assert {(end["type"], end["trace_state"]) for end in ends} == {("done", "queued")}
    assert len(scene.tracking.waiting) == STORES_AT_A_TIME
    assert owed(scene) == len(refs)
    scene.tracking.hold.set()
    _, done = scene.answer("And now?")
    assert done["trace_state"] == "stored"


@pytest.mark.parametrize(
    "failure",
    [NotDelivered("away", unreachable=True), NotDelivered("400", refused=True)],
)
def test_a_trace_mlflow_does_not_take_is_owed_and_the_chat_goes_on(
    scene: TurnScene, failure: Exception
) -> None:
    scene.tracking.always = failure
    ref, done = scene.answer()
    assert (done["type"], done["trace_state"]) == ("done", "queued")
    assert scene.row(ref).trace_state == "queued"
    assert owed(scene) == 1


def test_an_answer_that_cannot_be_saved_says_so(tmp_path: Path) -> None:
    database = BreakableDatabase(f"sqlite:///{tmp_path / 'app.db'}")
    scene = TurnScene(tmp_path, database=database)
    gate = threading.Event()
    scene.model.scripts = [["So far", gate]]
    ref = scene.ask(client_request_id="r1")
    eventually(lambda: scene.model.completions)
    assert scene.model.completions[0].waiting.wait(5)
    database.broken = True
    gate.set()
    frames = scene.frames(ref)
    assert text_of(frames) == "So far"
    assert (frames[-1]["type"], frames[-1]["code"]) == ("error", "not_saved")
    assert "trace_id" not in frames[-1]
    database.broken = False
    scene.engine.stop("ann", "r1")  # over for whoever reads it, whatever its record says
    scene.close()


def test_a_process_out_of_time_ends_its_turns_as_interrupted_with_all_their_text(
    scene: TurnScene,
) -> None:
    scene.model.scripts = [["So far", threading.Event()]]
    ref = scene.ask()
    eventually(lambda: scene.model.completions)
    assert scene.model.completions[0].waiting.wait(5)
    scene.engine.refuse_new_turns()
    assert refusal(scene.ask).code == "shutting_down"
    scene.engine.interrupt_running()
    frames = scene.frames(ref)
    assert (text_of(frames), frames[-1]["code"]) == ("So far", "interrupted")
    assert (scene.row(ref).ending, scene.row(ref).answer) == ("interrupted", "So far")
    assert scene.trace()["info"]["tags"]["thumbprint.ending"] == "interrupted"
    scene.engine.wait_until_idle(5)
    assert not scene.engine.running


def end_elsewhere(scene: TurnScene, ref: TurnRef, answer: str) -> None:
    """End a turn as another process does that took this one for dead."""
    told = {"error_code": "interrupted", "error_message": "Cut off.", "error_retryable": True}
    end = TurnEnd(ref.turn_id, "interrupted", answer, "", "queued", **told)  # type: ignore[arg-type]
    assert scene.database.write(lambda c: store.finish_turn(c, end, scene.clock()))


def test_a_turn_ended_elsewhere_keeps_that_ending_in_its_trace_too(scene: TurnScene) -> None:
    gate = threading.Event()
    scene.model.scripts = [["So far", gate, ", so good."]]
    ref = scene.ask()
    end_elsewhere(scene, ref, "So far")
    gate.set()
    assert scene.frames(ref)[-1]["code"] == "not_saved"
    scene.wait_idle()
    assert scene.trace()["info"]["tags"]["thumbprint.ending"] == "complete"  # MLflow has ours

    relay = Relay(scene.database, scene.tracking, scene.clock)
    assert relay.deliver_next() > 0  # a write of ours may still be on its way
    scene.clock.advance(OUTLASTS_WRITES_MS)
    assert relay.deliver_next() == 0.0
    info = scene.trace()["info"]
    assert (info["trace_id"], info["state"]) == (scene.row(ref).trace_id, "ERROR")
    assert info["tags"]["thumbprint.ending"] == scene.row(ref).ending == "interrupted"
    assert info["response_preview"] == scene.row(ref).answer == "So far"
    assert owed(scene) == 0


def test_a_database_away_for_a_moment_delays_the_end_and_loses_nothing(tmp_path: Path) -> None:
    database = BreakableDatabase(f"sqlite:///{tmp_path / 'app.db'}")
    scene = TurnScene(tmp_path, database=database)
    gate = threading.Event()
    scene.model.scripts = [["So far", gate, " so good."]]
    ref = scene.ask()
    eventually(lambda: scene.model.completions)
    assert scene.model.completions[0].waiting.wait(5)
    database.broken = True
    gate.set()
    eventually(lambda: database.refused)
    database.broken = False
    assert scene.frames(ref)[-1]["type"] == "done"
    assert (scene.row(ref).ending, scene.row(ref).answer) == ("complete", "So far so good.")
    scene.close()


def test_a_database_that_dies_right_after_it_has_saved_the_end_is_believed(tmp_path: Path) -> None:
    database = BreakableDatabase(f"sqlite:///{tmp_path / 'app.db'}")
    scene = TurnScene(tmp_path, database=database)
    gate = threading.Event()
    scene.model.scripts = [["So far", gate]]
    ref = scene.ask()
    eventually(lambda: scene.model.completions)
    assert scene.model.completions[0].waiting.wait(5)
    database.breaks_after_commit = True
    gate.set()
    assert scene.frames(ref)[-1]["type"] == "done"
    assert scene.row(ref).ending == "complete"
    scene.close()


class BreakableDatabase(Database):
    """A database that refuses to write while broken, or forgets to say that it has written."""

    broken = False
    breaks_after_commit = False
    refused = 0

    def write(self, work: Any) -> Any:
        if self.broken:
            self.refused += 1
            raise Unavailable("The app database cannot be reached right now.")
        written = super().write(work)
        if self.breaks_after_commit:
            self.breaks_after_commit = False
            raise Unavailable("The connection to the app database was lost.")
        return written


def test_a_message_that_cannot_be_saved_starts_no_turn(tmp_path: Path) -> None:
    database = BreakableDatabase(f"sqlite:///{tmp_path / 'app.db'}")
    scene = TurnScene(tmp_path, database=database)
    database.broken = True
    with pytest.raises(Unavailable):
        scene.ask()
    assert scene.model.asked == []
    assert scene.engine.running == {}
    scene.close()


def test_resuming_gives_the_frames_that_came_after(scene: TurnScene) -> None:
    gate = threading.Event()
    scene.model.scripts = [["One", gate, "Two"]]
    ref = scene.ask(client_request_id="r1")
    eventually(lambda: text_of_log(scene, ref.turn_id) == "One")
    again = scene.engine.resume("ann", "r1", 0)
    gate.set()
    assert again == ref
    late = scene.frames(again, 0)
    assert text_of(late) == "OneTwo"
    assert late == scene.frames(ref)[1:]


def test_a_turn_long_gone_from_the_log_is_replayed_from_the_database(tmp_path: Path) -> None:
    scene = TurnScene(tmp_path)
    ref, done = scene.answer(client_request_id="r1")
    later = TurnScene(tmp_path, database=scene.database)
    frames = later.frames(later.engine.resume("ann", "r1", -1))
    assert text_of(frames) == "Hello there."
    assert [frame["seq"] for frame in frames] == [0, 1, 2]
    assert frames[-1] == done | {"seq": 2}
    restarted = TurnScene(tmp_path, database=scene.database)
    assert refusal(lambda: restarted.engine.resume("ann", "r1", 1)).code == "turn_expired"
    scene.close()
    assert ref.client_request_id == "r1"


def test_resuming_what_is_not_there_says_so(scene: TurnScene) -> None:
    scene.answer(client_request_id="r1")
    assert refusal(lambda: scene.engine.resume("ann", "nothing", -1)).code == "unknown_turn"
    assert refusal(lambda: scene.engine.resume("bob", "r1", -1)).code == "unknown_turn"
    assert isinstance(refusal(lambda: scene.engine.resume("ann", "r1", 99)), BadRequest)


def test_resuming_past_what_a_running_turn_has_sent_is_refused(scene: TurnScene) -> None:
    gate = threading.Event()
    scene.model.scripts = [["One", gate]]
    ref = scene.ask(client_request_id="r1")
    eventually(lambda: text_of_log(scene, ref.turn_id) == "One")
    assert isinstance(refusal(lambda: scene.engine.resume("ann", "r1", 99)), BadRequest)
    gate.set()


def test_a_turn_that_ends_just_as_it_is_resumed_is_taken_for_one_that_has_ended(
    new_scene: Callable[..., TurnScene], tmp_path: Path
) -> None:
    database = InterruptedDatabase(f"sqlite:///{tmp_path / 'app.db'}")
    scene = new_scene(database=database)
    gate = threading.Event()
    scene.model.scripts = [["One", gate]]
    ref = scene.ask(client_request_id="r1")
    eventually(lambda: text_of_log(scene, ref.turn_id) == "One")

    def end() -> None:
        gate.set()
        eventually(lambda: scene.engine.playback.is_over(ref.turn_id))

    database.after_read.append(end)
    assert isinstance(refusal(lambda: scene.engine.resume("ann", "r1", 99)), BadRequest)
    assert not database.after_read
    scene.close()


def test_while_shutting_down_no_turn_starts_but_running_ones_end(scene: TurnScene) -> None:
    gate = threading.Event()
    scene.model.scripts = [["One", gate, "Two"]]
    ref = scene.ask(client_request_id="r1")
    scene.engine.refuse_new_turns()
    assert refusal(scene.ask).code == "shutting_down"
    assert scene.ask("Why?", client_request_id="r1") == ref
    gate.set()
    scene.engine.wait_until_idle(5)
    assert scene.frames(ref)[-1]["type"] == "done"
    assert scene.row(ref).ending == "complete"

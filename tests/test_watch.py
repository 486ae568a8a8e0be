"""The watch: progress is saved, and a turn whose process died is ended as interrupted."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator

import pytest

from app import outbox
from app.clock import iso
from app.relay import Relay
from app.turns.watch import ABANDONED_AFTER_S
from tests.doubles import TrackingDouble
from tests.turn_scene import TurnScene
from tests.waiting import eventually


@pytest.fixture
def dying(new_scene: Callable[[], TurnScene]) -> Iterator[TurnScene]:
    """A process with a turn that has said `So far` and goes no further."""
    scene = new_scene()
    scene.model.scripts = [["So far", threading.Event()]]
    ref = scene.ask(client_request_id="r1")
    eventually(lambda: scene.model.completions)
    assert scene.model.completions[0].waiting.wait(5)
    assert ref.client_request_id == "r1"
    (turn,) = scene.engine.running.values()
    eventually(turn.answer)  # text counts once readers are sent it
    yield scene
    scene.close()


@pytest.fixture
def witness(dying: TurnScene, new_scene: Callable[[], TurnScene]) -> Iterator[TurnScene]:
    """Another process on the same database."""
    scene = new_scene()
    yield scene
    scene.turn_log.close()


def ending(scene: TurnScene) -> str:
    row = scene.engine.find("ann", "r1")
    return str(row.ending)


def look(scene: TurnScene, seconds_later: float) -> None:
    scene.uptime += seconds_later
    scene.watch.look()


def test_the_text_so_far_is_saved_while_a_turn_runs(dying: TurnScene) -> None:
    dying.clock.advance(1000)
    dying.watch.look()
    row = dying.engine.find("ann", "r1")
    assert (row.ending, row.answer, row.heartbeat_at) == ("running", "So far", dying.clock())


def test_a_turn_whose_process_died_is_ended_as_interrupted_with_its_text(
    dying: TurnScene, witness: TurnScene
) -> None:
    dying.watch.look()
    look(witness, 0)
    look(witness, ABANDONED_AFTER_S - 0.1)
    assert ending(witness) == "running"
    look(witness, 0.2)
    row = witness.engine.find("ann", "r1")
    assert (row.ending, row.answer, row.error_code) == ("interrupted", "So far", "interrupted")
    assert (row.trace_state, row.error_retryable) == ("queued", True)
    frames = witness.frames(witness.engine.resume("ann", "r1", -1))
    assert (frames[-1]["type"], frames[-1]["code"]) == ("error", "interrupted")
    assert (frames[-1]["trace_id"], frames[-1]["trace_state"]) == (row.trace_id, "queued")


def test_the_trace_of_an_interrupted_turn_is_written_under_its_own_id(
    dying: TurnScene, witness: TurnScene
) -> None:
    asked = dying.engine.find("ann", "r1")
    trace_id = asked.trace_id
    dying.clock.advance(2500)
    dying.watch.look()
    witness.clock.advance(9 * 3_600_000)  # the machine was off over night
    look(witness, 0)
    look(witness, ABANDONED_AFTER_S)
    tracking = TrackingDouble()
    witness.tracking = tracking
    Relay(witness.database, tracking, witness.clock).deliver_next()
    info = witness.trace()["info"]
    assert info["trace_id"] == trace_id
    assert info["tags"]["thumbprint.ending"] == "interrupted"
    assert info["tags"]["thumbprint.version"] == "7"
    assert info["tags"]["thumbprint.segment"] == "new"
    assert info["state"] == "ERROR"
    assert info["trace_metadata"]["mlflow.trace.user"] == "ann"
    assert info["client_request_id"] == "r1"
    # Told by when it was asked and last alive, not by when somebody noticed.
    assert info["request_time"] == iso(asked.created_at)
    assert info["execution_duration_ms"] == 2500
    assert witness.engine.find("ann", "r1").ended_at == asked.created_at + 2500


def test_a_turn_whose_process_lives_is_left_alone(dying: TurnScene, witness: TurnScene) -> None:
    look(witness, 0)
    for _ in range(5):
        dying.clock.advance(1000)
        dying.watch.look()
        look(witness, ABANDONED_AFTER_S - 1)
    assert ending(witness) == "running"


def test_a_clock_that_jumps_ends_nobodys_turn(dying: TurnScene, witness: TurnScene) -> None:
    look(witness, 0)
    for jump in (3_600_000, -7_200_000, 86_400_000):
        for scene in (dying, witness):
            scene.clock.advance(jump)
        look(dying, 1)
        look(witness, 1)
        assert ending(witness) == "running"
    (turn,) = dying.engine.running.values()
    assert turn.add("!"), "the turn was closed"


def test_of_two_witnesses_one_ends_the_turn(
    dying: TurnScene, witness: TurnScene, new_scene: Callable[[], TurnScene]
) -> None:
    other = new_scene()
    for scene in (witness, other):
        look(scene, 0)
        look(scene, ABANDONED_AFTER_S)
    assert ending(witness) == "interrupted"
    other.turn_log.close()
    owed = dying.database.read(lambda c: outbox.status(c, dying.clock()))
    assert owed.waiting == 1


def test_a_process_that_wakes_up_too_late_says_its_answer_was_not_saved(
    dying: TurnScene, witness: TurnScene
) -> None:
    look(witness, 0)
    look(witness, ABANDONED_AFTER_S)
    ref = dying.engine.resume("ann", "r1", -1)
    dying.model.completions[0].cancel()
    assert dying.frames(ref)[-1]["code"] == "not_saved"
    assert ending(witness) == "interrupted"

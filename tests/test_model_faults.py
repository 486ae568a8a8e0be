"""A model that trickles, never ends or cannot be found: the turn ends, and says how."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from app import outbox
from app.llm.agent import AgentModel, Message
from app.llm.endpoint import EndpointModel
from app.settings import load_settings
from app.tracing.tracking import TrackingServer
from tests.completions_endpoint import ModelRequest
from tests.scripted_answer import Step
from tests.scripted_model import Answer, ScriptedModel
from tests.turn_scene import TurnScene, text_of
from tests.waiting import eventually

TIMEOUT_S = 60.0
MOST_CHARS = 10_000
BEYOND_ALL_BOUNDS = 50_000_000
OPENING = b'data: {"choices": [{"delta": {"content": "'

MakeScene = Callable[[Any], TurnScene]


@pytest.fixture
def scene_with(tmp_path: Path) -> Iterator[MakeScene]:
    """A process of its own whose model is at a URL, or is an agent."""
    scenes: list[TurnScene] = []
    models: list[EndpointModel] = []

    def make(model: Any) -> TurnScene:
        if isinstance(model, str):
            model = EndpointModel(load_settings(_env_file=None, openai_base_url=model))
            models.append(model)
        scene = TurnScene(tmp_path, model=model, timeout_s=TIMEOUT_S, most_answer_chars=MOST_CHARS)
        scenes.append(scene)
        return scene

    yield make
    for scene in scenes:
        scene.close()
    for model in models:
        model.close()


def upstream(model: ScriptedModel) -> ModelRequest:
    """The one request that the model has got."""
    [request] = eventually(lambda: model.requests)
    return request


def trickle(seconds: float = 0.05) -> list[Step]:
    """An event that does not come to its end, a byte at a time."""
    return [step for byte in OPENING + b"x" * 5000 for step in (bytes((byte,)), seconds)]


def test_a_model_that_sends_a_byte_at_a_time_is_ended_at_the_turns_time(
    scene_with: MakeScene, scripted_model: ScriptedModel
) -> None:
    scripted_model.enqueue(Answer(tokens=["So far", *trickle()]))
    scene = scene_with(scripted_model.base_url)
    ref = scene.ask()
    eventually(lambda: scene.engine.running[ref.turn_id].answer() == "So far")
    scene.uptime += TIMEOUT_S - 1
    scene.watch.look()
    assert ref.turn_id in scene.engine.running
    scene.uptime += 2
    scene.watch.look()
    frames = scene.frames(ref)
    assert (text_of(frames), frames[-1]["code"]) == ("So far", "model_timeout")
    eventually(lambda: upstream(scripted_model).disconnected_at)


def test_a_stop_ends_a_trickle_at_once(
    scene_with: MakeScene, scripted_model: ScriptedModel
) -> None:
    scripted_model.enqueue(Answer(tokens=trickle()))
    scene = scene_with(scripted_model.base_url)
    ref = scene.ask()
    request = upstream(scripted_model)
    scene.engine.stop("ann", ref.client_request_id)
    assert scene.frames(ref)[-1]["finish_reason"] == "stopped"
    eventually(lambda: request.disconnected_at)


def test_an_answer_without_end_is_cut_where_answers_end_and_the_model_let_go(
    scene_with: MakeScene, scripted_model: ScriptedModel
) -> None:
    pieces = ["word " * 200] * (BEYOND_ALL_BOUNDS // 1000)
    scripted_model.enqueue(Answer(tokens=pieces))
    scene = scene_with(scripted_model.base_url)
    ref, done = scene.answer()
    frames = scene.frames(ref)
    assert (done["type"], done["finish_reason"]) == ("done", "length")
    assert len(text_of(frames)) == MOST_CHARS
    assert scene.row(ref).answer == text_of(frames)
    eventually(lambda: upstream(scripted_model).disconnected_at, timeout=5)
    assert len(upstream(scripted_model).sent_at) < len(pieces) / 2
    assert scene.trace()["info"]["state"] == "OK"


def test_one_piece_beyond_all_bounds_is_cut_too_and_an_agent_gets_to_clean_up(
    scene_with: MakeScene,
) -> None:
    cleaned_up = threading.Event()

    def agent(_: Sequence[Message], /) -> Iterator[str]:
        try:
            yield "x" * BEYOND_ALL_BOUNDS
            yield "and more"
        finally:
            cleaned_up.set()

    scene = scene_with(AgentModel(agent))
    ref, done = scene.answer()
    assert done["finish_reason"] == "length"
    assert text_of(scene.frames(ref)) == "x" * MOST_CHARS
    assert cleaned_up.is_set()


def test_an_answer_as_long_as_one_may_be_is_whole(scene_with: MakeScene) -> None:
    scene = scene_with(AgentModel(lambda _: iter(["x" * (MOST_CHARS - 1), "y"])))
    _, done = scene.answer()
    assert done["finish_reason"] == "stop"


def test_one_line_beyond_all_bounds_is_no_answer_and_is_not_read_to_its_end(
    scene_with: MakeScene, scripted_model: ScriptedModel
) -> None:
    line = [OPENING, *[b"x" * 50_000] * 400]  # more than connections hold on their way
    scripted_model.enqueue(Answer(tokens=["Half", *line]))
    scene = scene_with(scripted_model.base_url)
    ref, last = scene.answer()
    assert (last["code"], last["retryable"]) == ("model_failed", True)
    assert text_of(scene.frames(ref)) == "Half"
    eventually(lambda: upstream(scripted_model).disconnected_at)
    assert scene.trace()["info"]["state"] == "ERROR"


@pytest.mark.parametrize(
    "garbage",
    [bytes(range(128, 256)) * 500, b"\0" * 5000, b"data: \xc3\x28\n\n", b"{}" * 2000],
    ids=["binary", "NUL", "no UTF-8", "no events"],
)
def test_bytes_that_are_no_answer_fail_the_turn_with_an_error_trace(
    scene_with: MakeScene, scripted_model: ScriptedModel, garbage: bytes
) -> None:
    scripted_model.enqueue(Answer(tokens=["Half", b"\n" + garbage + b"\n", b"data: {\n\n"]))
    scene = scene_with(scripted_model.base_url)
    ref, last = scene.answer()
    assert (last["code"], last["retryable"]) == ("model_failed", True)
    assert text_of(scene.frames(ref)) == "Half"
    assert scene.trace()["info"]["state"] == "ERROR"


def test_a_name_that_cannot_be_resolved_is_a_model_out_of_reach(scene_with: MakeScene) -> None:
    _, last = scene_with("http://no-such-host.invalid/v1").answer()
    assert (last["code"], last["retryable"]) == ("model_unreachable", True)


def test_while_mlflows_name_cannot_be_resolved_the_chat_goes_on_and_its_trace_is_owed(
    sqlite: Any, tmp_path: Path
) -> None:
    nowhere = TrackingServer("http://no-such-host.invalid", "anything")
    scene = TurnScene(tmp_path, database=sqlite, tracking=nowhere)
    _, done = scene.answer()
    assert (done["type"], done["trace_state"]) == ("done", "queued")
    assert sqlite.read(lambda c: outbox.status(c, scene.clock())).waiting == 1
    scene.turn_log.close()

"""MLflow away, the app killed: nothing fails, nothing is lost, everything arrives once."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import expect

from e2e.chat_page import ChatPage, answer_text, expect_recorded, feedback_state, thumb, trace_id
from e2e.visitor import Visitor
from tests.scripted_model import Answer
from tests.servers import MlflowServer, Stack
from tests.waiting import eventually


@pytest.fixture
def away(mlflow_server: MlflowServer) -> Iterator[MlflowServer]:
    """The MLflow server, killed; back at the latest when the test is over."""
    mlflow_server.kill9()
    yield mlflow_server
    if not mlflow_server.is_running:
        mlflow_server.start()


def test_chat_and_feedback_go_on_while_mlflow_is_away(
    open_page: Callable[..., ChatPage], stack: Stack, away: MlflowServer
) -> None:
    chat = open_page(stack.url)
    message = chat.ask_and_wait("Who keeps this?")
    done = chat.frames("done")[-1]
    assert done["trace_state"] == "queued"
    thumb(message, "up").click()
    expect(feedback_state(message)).to_have_attribute("data-state", "saved")
    away.start()
    eventually(lambda: stack.reader.verdict(trace_id(message)) is True, timeout=60)
    expect_recorded(message)
    request = done["client_request_id"]
    [trace] = stack.reader.traces(f"client_request_id = '{request}'")
    assert trace.info.trace_id == done["trace_id"]
    assert stack.reader.model_span(trace.info.trace_id).outputs


@pytest.mark.usefixtures("away")
def test_done_comes_within_two_seconds_of_the_last_token_without_mlflow(
    stack: Stack, visitor: Visitor
) -> None:
    with visitor.open_socket() as socket:
        for number in range(3):
            turn = socket.ask(f"quick {number}")
            ended = stack.model.asked(f"quick {number}")[0].ended_at
            assert turn.last["type"] == "done"
            assert ended is not None
            assert time.monotonic() - ended < 2.2


def test_a_failed_turn_is_kept_while_mlflow_is_away(
    stack: Stack, visitor: Visitor, away: MlflowServer
) -> None:
    stack.model.answer_when("fail now", Answer(status=500))
    with visitor.open_socket() as socket:
        turn = socket.ask("fail now")
    assert turn.last["trace_state"] == "queued"
    assert visitor.judge(False, trace_id=turn.trace_id).status_code == 200
    away.start()
    eventually(lambda: stack.reader.verdict(turn.trace_id) is False, timeout=60)
    assert stack.reader.trace(turn.trace_id).info.state.value == "ERROR"


@pytest.mark.parametrize("mlflow_is_away", [False, True])
def test_a_kill_right_after_done_and_feedback_loses_neither(
    stack_with: Callable[..., Stack], mlflow_server: MlflowServer, mlflow_is_away: bool
) -> None:
    stack = stack_with()
    visitor = Visitor(stack.url)
    if mlflow_is_away:
        mlflow_server.kill9()
    with visitor.open_socket() as socket:
        turn = socket.ask("last words")
        answer = visitor.judge(True, "said in time", client_request_id=turn.client_request_id)
        stack.web.kill9()
        stack.relay.kill9()
    assert answer.status_code == 200
    if mlflow_is_away:
        mlflow_server.start()
    stack.start()
    eventually(lambda: stack.reader.verdict(turn.trace_id) is True, timeout=60)
    assert stack.reader.verdicts(turn.trace_id)[0].rationale == "said in time"
    assert stack.reader.is_stored(turn.trace_id)
    assert len(stack.reader.traces()) == 1
    # A relay killed between its delivery and its note of it leaves a lease of half a minute.
    eventually(
        lambda: visitor.feedback_state(turn.client_request_id) == {"user_feedback": "recorded"},
        timeout=60,
    )


def test_a_turn_cut_by_the_servers_death_is_told_as_interrupted(
    open_page: Callable[..., ChatPage], stack_with: Callable[..., Stack]
) -> None:
    stack = stack_with()
    gate = stack.model.gate()
    stack.model.answer_when("too long", Answer(tokens=["It began", gate]), Answer(tokens=["Done."]))
    chat = open_page(stack.url)
    message = chat.ask("A story too long")
    expect(answer_text(message)).to_have_text("It began")
    gate.wait_reached()
    stack.web.kill9()
    expect(chat.find("connection-state")).to_be_visible()
    stack.web.start()
    expect(message).to_have_attribute("data-ending", "interrupted", timeout=30_000)
    message.get_by_test_id("retry").click()
    expect(answer_text(chat.answers.last)).to_have_text("Done.")

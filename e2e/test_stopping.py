"""Stop ends a turn at once, keeps what was said, and is told truthfully everywhere."""

from __future__ import annotations

from playwright.sync_api import expect

from e2e.chat_page import ChatPage, answer_text, expect_recorded, thumb, trace_id
from e2e.visitor import Visitor
from tests.scripted_model import Answer
from tests.servers import Stack
from tests.waiting import eventually


def test_stop_keeps_the_text_closes_the_model_and_marks_the_trace(
    chat: ChatPage, stack: Stack
) -> None:
    gate = stack.model.gate()
    stack.model.answer_when("never ends", Answer(tokens=["so far", gate, " and beyond"]))
    message = chat.ask("A story that never ends")
    expect(answer_text(message)).to_have_text("so far")
    chat.find("stop").click()
    expect(message).to_have_attribute("data-ending", "stopped")
    expect(answer_text(message)).to_have_text("so far")
    eventually(lambda: stack.model.asked("never ends")[0].disconnected_at, timeout=2)
    [done] = chat.frames("done")
    assert done["finish_reason"] == "stopped"
    eventually(lambda: stack.reader.is_stored(trace_id(message)))
    assert "stopped" in stack.reader.trace(trace_id(message)).info.tags.values()

    thumb(message, "down").click()
    expect_recorded(message)
    assert stack.reader.verdict(trace_id(message)) is False


def test_the_model_sees_the_close_within_a_quarter_second(stack: Stack, visitor: Visitor) -> None:
    gate = stack.model.gate()
    stack.model.answer_when("stop me", Answer(tokens=["one", gate]))
    with visitor.open_socket() as socket:
        turn = socket.read_until(socket.send_message("stop me"), "token")
        gate.wait_reached()
        socket.send({"type": "stop", "client_request_id": turn.client_request_id})
        eventually(
            lambda: stack.model.asked("stop me")[0].disconnected_at, timeout=0.25, every=0.005
        )
        assert socket.read_until(turn).last["finish_reason"] == "stopped"
    assert turn.text == "one"


def test_a_stop_before_the_first_token_closes_the_model_too(stack: Stack, visitor: Visitor) -> None:
    gate = stack.model.gate()
    stack.model.answer_when("think long", Answer(tokens=["late"], hold=gate))
    with visitor.open_socket() as socket:
        turn = socket.read_until(socket.send_message("think long"), "start")
        gate.wait_reached()
        socket.send({"type": "stop", "client_request_id": turn.client_request_id})
        assert socket.read_until(turn).last["finish_reason"] == "stopped"
    assert turn.text == ""
    eventually(lambda: stack.model.asked("think long")[0].disconnected_at, timeout=0.5)


def test_a_closed_socket_is_not_a_stop(stack: Stack, visitor: Visitor) -> None:
    gate = stack.model.gate()
    stack.model.answer_when("carry on", Answer(tokens=["one", gate, " two"]))
    with visitor.open_socket() as socket:
        turn = socket.read_until(socket.send_message("carry on"), "token")
    gate.release()
    with visitor.open_socket() as socket:
        resume = {"type": "resume", "client_request_id": turn.client_request_id}
        socket.send({**resume, "after_seq": turn.last["seq"]})
        socket.read_until(turn)
    assert turn.text == "one two"
    assert turn.last["type"] == "done"
    assert [frame["seq"] for frame in turn.frames] == list(range(len(turn.frames)))


def test_a_stop_over_http_ends_the_turn_too(stack: Stack, visitor: Visitor) -> None:
    gate = stack.model.gate()
    stack.model.answer_when("stop by post", Answer(tokens=["one", gate]))
    with visitor.open_socket() as socket:
        turn = socket.read_until(socket.send_message("stop by post"), "token")
        body = {"client_request_id": turn.client_request_id}
        assert visitor.send("POST", "/chat/stop", json=body).status_code == 200
        assert socket.read_until(turn).last["finish_reason"] == "stopped"

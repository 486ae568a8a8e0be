"""However a turn ended, its trace says so: status, tag, and the answer as far as it came."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from e2e.visitor import Visitor
from tests.scripted_model import Answer, Fault
from tests.servers import Stack
from tests.waiting import eventually

if TYPE_CHECKING:
    from mlflow.entities import Span, Trace


def test_a_stopped_trace_holds_what_was_said(stack: Stack, visitor: Visitor) -> None:
    gate = stack.model.gate()
    stack.model.answer_when("stop here", Answer(tokens=["as far", " as this", gate, " no more"]))
    with visitor.open_socket() as socket:
        turn = socket.send_message("stop here")
        gate.wait_reached()
        while turn.text != "as far as this":
            socket.read_until(turn, "token")
        socket.send({"type": "stop", "client_request_id": turn.client_request_id})
        done = socket.read_until(turn).last
    assert done["finish_reason"] == "stopped"
    assert "as far as this" in done["html"]
    trace = finished_trace(stack, turn.trace_id)
    assert trace.info.tags["thumbprint.ending"] == "stopped"
    assert trace.info.state.value == "OK"
    assert root_of(trace).outputs == "as far as this"
    assert stack.reader.model_span(turn.trace_id).end_time_ns

    assert visitor.judge(False, "too short", trace_id=turn.trace_id).status_code == 200
    eventually(lambda: stack.reader.verdict(turn.trace_id) is False)


@pytest.mark.parametrize("fault", [Fault.CUT, Fault.END])
def test_a_failed_trace_holds_what_was_said_and_why_it_ended(
    stack: Stack, visitor: Visitor, fault: Fault
) -> None:
    stack.model.answer_when("break here", Answer(tokens=["as far as this", fault]))
    with visitor.open_socket() as socket:
        turn = socket.ask("break here")
    assert turn.last["type"] == "error"
    assert turn.last["code"] == "model_cut_off"
    assert turn.last["retryable"] is True
    assert turn.text == "as far as this"
    trace = finished_trace(stack, turn.trace_id)
    assert trace.info.tags["thumbprint.ending"] == "failed"
    assert trace.info.state.value == "ERROR"
    root = root_of(trace)
    assert root.outputs == "as far as this"
    assert [event.name for event in root.events] == ["exception"]
    history = visitor.send("GET", f"/conversations/{turn.conversation_id}").json()["turns"]
    assert [(one["ending"], one["answer"]) for one in history] == [("failed", "as far as this")]

    assert visitor.judge(False, trace_id=turn.trace_id).status_code == 200
    eventually(lambda: stack.reader.verdict(turn.trace_id) is False)


def test_a_turn_stopped_over_http_is_told_alike_over_http(stack: Stack, visitor: Visitor) -> None:
    gate = stack.model.gate()
    stack.model.answer_when("over http", Answer(tokens=["this far", gate, " no more"]))
    with visitor.open_socket() as socket:
        turn = socket.read_until(socket.send_message("over http"), "token")
        asked = {"client_request_id": turn.client_request_id}
        assert visitor.send("POST", "/chat/stop", json=asked).status_code == 200
        socket.read_until(turn)
    body = {"message": "over http", **asked}
    plain = visitor.send("POST", "/chat", json=body).json()
    assert (plain["response"], plain["finish_reason"]) == ("this far", "stopped")
    assert plain["trace_id"] == turn.trace_id
    streamed = visitor.send("POST", "/chat/stream", json=body).text
    events = [line for line in streamed.splitlines() if line.startswith("data: ")]
    assert [json.loads(event[6:]) for event in events] == turn.frames
    assert finished_trace(stack, turn.trace_id).info.tags["thumbprint.ending"] == "stopped"


def finished_trace(stack: Stack, trace_id: str) -> Trace:
    """The trace as MLflow holds it once it is complete."""
    eventually(lambda: stack.reader.is_stored(trace_id))
    return stack.reader.trace(trace_id)


def root_of(trace: Trace) -> Span:
    [root] = [span for span in trace.data.spans if span.parent_id is None]
    assert root.name == "chat_turn"
    return root

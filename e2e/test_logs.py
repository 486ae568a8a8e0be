"""The log of a running app: every line machine-readable, every line of a turn with its IDs."""

from __future__ import annotations

import socket
from collections.abc import Callable

import pytest

from e2e.visitor import Visitor
from tests.log_lines import fields_of
from tests.scripted_model import Answer, Fault
from tests.servers import Stack
from tests.waiting import eventually


def test_a_failed_turns_lines_carry_its_ids_and_nothing_that_was_written(
    stack_with: Callable[..., Stack],
) -> None:
    stack = stack_with()
    stack.model.answer_when("violets", Answer(tokens=["Lavender", " blue", Fault.CUT]))
    visitor = Visitor(stack.url)
    with visitor.open_socket() as opened:
        turn = opened.ask("What colour are violets?")
    assert turn.last["type"] == "error"

    def lines() -> list[dict[str, str]]:
        return [fields_of(line) for line in stack.web.log().splitlines()]

    ended = eventually(lambda: [line for line in lines() if line["message"] == "a turn ended"])
    failed = [line for line in lines() if line["message"] == "a turn failed"]
    assert [line["level"] for line in failed] == ["WARNING"]
    assert failed[0]["error"].startswith("app.errors.ModelError: ")
    assert (ended[0]["ending"], ended[0]["pieces"]) == ("failed", "2")
    for line in failed + ended:
        assert line["client_request_id"] == turn.client_request_id
        assert line["conversation_id"] == turn.conversation_id
        assert line["trace_id"] == turn.trace_id
        assert line["turn_id"]
    for written in ("violets", "Lavender"):
        assert written not in stack.web.log()


def test_nothing_that_people_or_models_write_reaches_a_log(
    stack_with: Callable[..., Stack],
) -> None:
    stack = stack_with()
    stack.model.answer_when("refuse-zebrafinch", Answer(status=400))
    stack.model.answer_when("plain-zebrafinch", Answer(tokens=["answer-zebrafinch"]))
    stack.model.answer_when("cut-zebrafinch", Answer(tokens=["answer-zebrafinch", Fault.CUT]))
    visitor = Visitor(stack.url)
    with visitor.open_socket() as opened:
        turns = [
            opened.ask(question)
            for question in ("plain-zebrafinch", "refuse-zebrafinch", "cut-zebrafinch")
        ]
        opened.send({"type": "message", "content": ["zebrafinch"]})
        opened.send("{unreadable-zebrafinch")
    assert [turn.last["type"] for turn in turns] == ["done", "error", "error"]
    for turn in turns:
        given = visitor.judge(False, "comment-zebrafinch", client_request_id=turn.client_request_id)
        assert given.status_code == 200
    of_first = {"client_request_id": turns[0].client_request_id}
    for path, sent in (
        ("/correction", {"json": {"expected_response": "correction-zebrafinch"}}),
        ("/feedback", {"json": {"is_correct": "nonsense-zebrafinch"}}),
        ("/feedback", {"data": "unreadable-zebrafinch", "headers": {"Content-Type": "text/plain"}}),
        (
            "/detailed-feedback",
            {"params": of_first | {"accuracy": 5, "comment": "stars-zebrafinch"}},
        ),
    ):
        visitor.send("POST", path, **({"params": of_first} | sent))
    eventually(
        lambda: set(visitor.feedback_state(turns[0].client_request_id).values()) == {"recorded"}
    )
    ended = eventually(lambda: stack.web.log().count('"a turn ended"') == 3)
    assert ended
    assert "BadRequestError" in stack.web.log()
    assert "zebrafinch" not in stack.web.log()
    assert "zebrafinch" not in stack.relay.log()


def test_what_waits_for_mlflow_is_logged_with_the_ids_of_its_turn(
    stack_with: Callable[..., Stack],
) -> None:
    stack = stack_with(MLFLOW_TRACKING_URI="http://127.0.0.1:9")
    with Visitor(stack.url).open_socket() as opened:
        turn = opened.ask("Anyone there?")
    assert turn.last["trace_state"] == "queued"

    def postponed() -> list[dict[str, str]]:
        lines = [fields_of(line) for line in stack.relay.log().splitlines()]
        return [line for line in lines if line["message"] == "a delivery is postponed"]

    line = eventually(postponed)[0]
    assert (line["trace_id"], line["kind"]) == (turn.trace_id, "trace")
    assert line["client_request_id"] == turn.client_request_id
    assert line["conversation_id"] == turn.conversation_id
    assert line["reason"]
    queued = [fields_of(one) for one in stack.web.log().splitlines()]
    outbox = [one for one in queued if one["message"] == "a trace goes to the outbox"]
    assert [one["trace_id"] for one in outbox] == [turn.trace_id]


@pytest.mark.parametrize(
    "request_line",
    [
        "POST /feedback?comment=my zebrafinch is ill HTTP/1.1\r\n",
        "GET / HTTP/1.1\r\nCookie thumbprint=zebrafinch\r\n",
        "zebrafinch zebrafinch zebrafinch\r\n",
    ],
)
def test_a_request_that_gunicorn_refuses_is_logged_without_what_it_says(
    stack: Stack, request_line: str
) -> None:
    before = len(stack.web.log())

    def said() -> str:
        return stack.web.log()[before:]

    with socket.create_connection(("127.0.0.1", stack.web.port)) as connection:
        connection.sendall(f"{request_line}\r\n".encode())
        assert b" 400 " in connection.recv(4096)
    eventually(lambda: "Invalid request from ip=127.0.0.1: Invalid" in said())
    assert "zebrafinch" not in said()

"""What every server that speaks the contract does, whatever model answers behind it."""

from __future__ import annotations

import re

import pytest

from e2e.visitor import Turn, Visitor
from tests.waiting import eventually

pytestmark = pytest.mark.conformance

QUESTION = "Say hello in one short sentence."


@pytest.fixture
def turn(visitor: Visitor) -> Turn:
    """A finished turn of the visitor."""
    with visitor.open_socket() as socket:
        return socket.ask(QUESTION)


def test_a_turn_is_start_tokens_done_with_contiguous_seq(turn: Turn) -> None:
    kinds = [frame["type"] for frame in turn.frames]
    assert kinds[0] == "start"
    assert kinds[-1] == "done"
    assert kinds[1:-1]
    assert set(kinds[1:-1]) == {"token"}
    assert [frame["seq"] for frame in turn.frames] == list(range(len(kinds)))
    assert {frame["client_request_id"] for frame in turn.frames} == {turn.client_request_id}
    assert turn.text
    assert re.fullmatch(r"tr-[0-9a-f]{32}", turn.trace_id)
    assert turn.last["trace_state"] in {"stored", "queued"}
    assert turn.last["finish_reason"] in {"stop", "length"}
    assert turn.last["html"].startswith("<")


def test_a_resumed_turn_replays_identically(visitor: Visitor, turn: Turn) -> None:
    for after in (-1, 0, turn.last["seq"] - 1):
        with visitor.open_socket() as socket:
            request = {"type": "resume", "client_request_id": turn.client_request_id}
            socket.send({**request, "after_seq": after})
            replay = socket.read_until(Turn(turn.client_request_id))
        assert "".join(f["content"] for f in replay.frames if f["type"] == "token") == "".join(
            f["content"] for f in turn.frames[after + 1 :] if f["type"] == "token"
        )
        assert replay.last == turn.last


def test_the_same_message_again_is_the_same_turn(visitor: Visitor, turn: Turn) -> None:
    with visitor.open_socket() as socket:
        again = socket.ask(QUESTION, client_request_id=turn.client_request_id)
        assert again.trace_id == turn.trace_id
        assert again.text == turn.text
        other = {"type": "message", "content": "Something else."}
        socket.send({**other, "client_request_id": turn.client_request_id})
        assert socket.receive()["code"] == "client_request_id_conflict"
    conversation = visitor.send("GET", f"/conversations/{turn.conversation_id}").json()
    assert len(conversation["turns"]) == 1


def test_the_thumb_is_saved_recorded_changed_and_withdrawn(visitor: Visitor, turn: Turn) -> None:
    first = visitor.judge(True, "well said", trace_id=turn.trace_id)
    assert first.status_code == 200
    body = first.json()
    assert body["status"] == "success"
    assert body["trace_id"] == turn.trace_id
    assert body["client_request_id"] == turn.client_request_id
    [thumb] = body["feedback"]
    assert (thumb["name"], thumb["value"]) == ("user_feedback", True)
    assert thumb["state"] in {"saved", "recorded"}
    recorded = {"user_feedback": "recorded"}
    eventually(lambda: visitor.feedback_state(turn.client_request_id) == recorded, timeout=90)

    second = visitor.judge(False, client_request_id=turn.client_request_id)
    assert [one["value"] for one in second.json()["feedback"]] == [False]
    address = {"trace_id": turn.trace_id, "name": "user_feedback"}
    assert visitor.send("DELETE", "/feedback", params=address).status_code == 200
    assert visitor.feedback_state(turn.client_request_id) == {}


@pytest.mark.parametrize(
    ("query", "body", "status"),
    [
        ({"trace_id": "tr-" + "0" * 32}, {"is_correct": True}, 404),
        ({"client_request_id": "never-was"}, {"is_correct": True}, 404),
        ({"trace_id": "../../etc"}, {"is_correct": True}, 422),
        ({}, {"is_correct": True}, 422),
        ("turn", {"is_correct": "yes"}, 422),
        ("turn", {"is_correct": 1}, 422),
        ("turn", {}, 422),
        ("turn", {"is_correct": True, "comment": 7}, 422),
        ("turn", [], 422),
    ],
)
def test_bad_feedback_is_refused_with_its_status(
    visitor: Visitor, turn: Turn, query: dict[str, str] | str, body: object, status: int
) -> None:
    params = {"trace_id": turn.trace_id} if isinstance(query, str) else query
    answer = visitor.send("POST", "/feedback", params=params, json=body)
    assert answer.status_code == status
    error = answer.json()["error"]
    assert error["code"]
    assert error["message"]
    assert visitor.feedback_state(turn.client_request_id) == {}


def test_a_strangers_feedback_is_forbidden(target: str, turn: Turn) -> None:
    answer = Visitor(target).judge(True, trace_id=turn.trace_id)
    assert answer.status_code == 403
    assert answer.json()["error"]["code"] == "forbidden"


def test_conversations_are_listed_read_renamed_and_deleted(visitor: Visitor, turn: Turn) -> None:
    [listed] = visitor.send("GET", "/conversations").json()["conversations"]
    assert listed["id"] == turn.conversation_id
    path = f"/conversations/{turn.conversation_id}"
    [kept] = visitor.send("GET", path).json()["turns"]
    assert kept["client_request_id"] == turn.client_request_id
    assert kept["question"] == QUESTION
    assert kept["answer"] == turn.text
    assert kept["ending"] == "complete"
    assert kept["html"] == turn.last["html"]
    assert kept["trace_id"] == turn.trace_id
    assert visitor.send("PATCH", path, json={"title": "Greeting"}).json()["title"] == "Greeting"
    gone = visitor.send("DELETE", path).json()
    assert gone == {"status": "success", "kept_in_mlflow": 1}
    assert visitor.send("GET", path).status_code == 404
    assert visitor.send("GET", "/conversations").json() == {"conversations": []}


def test_the_server_says_that_it_is_alive_and_ready(visitor: Visitor) -> None:
    assert visitor.send("GET", "/healthz").status_code == 200
    assert visitor.send("GET", "/readyz").status_code == 200


def test_an_unknown_address_is_told_as_json(visitor: Visitor) -> None:
    answer = visitor.send("GET", "/nowhere", headers={"Accept": "application/json"})
    assert answer.status_code == 404
    assert answer.json()["error"]["code"] == "not_found"

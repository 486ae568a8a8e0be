"""Whatever arrives on the socket, the answer names what was expected and the socket lives on."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import pytest
import requests
from websockets.exceptions import ConnectionClosed, InvalidStatus

from e2e.visitor import Visitor

pytestmark = pytest.mark.conformance

MESSAGE: dict[str, Any] = {"type": "message", "content": "hi"}


@pytest.mark.parametrize(
    ("sent", "code", "names"),
    [
        ("{not json", "invalid_json", "JSON"),
        ("[1, 2]", "invalid_json", "object"),
        ('"text"', "invalid_json", "object"),
        ("null", "invalid_json", "object"),
        (b"\x00\x01binary", "binary_frame", "text"),
        ({"type": "mesage", "content": "hi"}, "unknown_type", "message"),
        ({"content": "hi"}, "unknown_type", "type"),
        ({"type": 7}, "unknown_type", "type"),
        ({"type": "message"}, "invalid_frame", "content"),
        ({"type": "message", "content": 7}, "invalid_frame", "content"),
        ({"type": "message", "content": None}, "invalid_frame", "content"),
        ({"type": "message", "content": ""}, "empty_message", "message"),
        ({"type": "message", "content": " \n\t "}, "empty_message", "message"),
        ({**MESSAGE, "content": "x" * 20_000}, "message_too_long", "character"),
        ({**MESSAGE, "client_request_id": "no spaces"}, "invalid_frame", "client_request_id"),
        ({**MESSAGE, "client_request_id": "x" * 51}, "invalid_frame", "client_request_id"),
        ({**MESSAGE, "client_request_id": 7}, "invalid_frame", "client_request_id"),
        ({**MESSAGE, "conversation_id": "nowhere"}, "unknown_conversation", "conversation"),
        ({**MESSAGE, "replaces": "nothing"}, "unknown_turn", ""),
        ({"type": "stop"}, "invalid_frame", "client_request_id"),
        ({"type": "stop", "client_request_id": "never-was"}, "unknown_turn", ""),
        ({"type": "resume", "client_request_id": "never-was", "after_seq": 0}, "unknown_turn", ""),
        ({"type": "resume", "client_request_id": "x"}, "invalid_frame", "after_seq"),
        (
            {"type": "resume", "client_request_id": "x", "after_seq": "1"},
            "invalid_frame",
            "after_seq",
        ),
    ],
    ids=lambda value: json.dumps(value)[:60] if isinstance(value, dict) else None,
)
def test_a_bad_frame_is_answered_with_what_was_expected(
    visitor: Visitor, sent: dict[str, Any] | str | bytes, code: str, names: str
) -> None:
    with visitor.open_socket() as socket:
        socket.send(sent)
        frame = socket.receive()
        assert frame["type"] == "error"
        assert frame["code"] == code
        assert frame["retryable"] is False
        assert names.lower() in frame["error"].lower()
        assert socket.ask("Say hello.").last["type"] == "done"


def test_a_hundred_bad_frames_leave_the_socket_usable(visitor: Visitor) -> None:
    with visitor.open_socket() as socket:
        for number in range(100):
            socket.send("{" if number % 2 else b"\xff")
        codes = [socket.receive()["code"] for _ in range(100)]
        assert codes == ["binary_frame", "invalid_json"] * 50
        assert socket.ask("Say hello.").last["type"] == "done"


def test_a_frame_beyond_all_bounds_closes_the_socket_with_1009(visitor: Visitor) -> None:
    with visitor.open_socket() as socket:
        with contextlib.suppress(ConnectionClosed):
            socket.send("x" * 200_000)
        with pytest.raises(ConnectionClosed) as closed:
            socket.receive()
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1009


def test_a_handshake_without_an_identity_is_refused_before_the_upgrade(visitor: Visitor) -> None:
    with pytest.raises(InvalidStatus) as refused, visitor.open_socket(cookie=False):
        pass
    assert refused.value.response.status_code == 401


def test_a_handshake_from_a_foreign_origin_is_refused(visitor: Visitor) -> None:
    foreign = visitor.open_socket(origin="https://elsewhere.example")
    with pytest.raises(InvalidStatus) as refused, foreign:
        pass
    assert refused.value.response.status_code == 403


def test_a_plain_request_to_the_socket_route_is_a_client_error(target: str) -> None:
    assert 400 <= requests.get(target + "/ws/chat", timeout=10).status_code < 500

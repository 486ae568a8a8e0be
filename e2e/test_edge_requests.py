"""Requests at the edges of a turn: each has a defined answer, on every transport alike."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator

import pytest

from e2e.raw_socket import PING, PONG, TEXT, RawSocket, encode
from e2e.visitor import Turn, Visitor
from tests.scripted_model import Answer
from tests.servers import Stack

PING_WITHIN_S = 30.0


@pytest.fixture(scope="module", autouse=True)
def idle_socket(shared_stack: Stack) -> Iterator[tuple[RawSocket, float]]:
    """A socket that says nothing while the other tests run, and when it was opened."""
    with RawSocket(Visitor(shared_stack.url)) as socket:
        yield socket, time.monotonic()


@pytest.fixture
def ended(visitor: Visitor) -> Turn:
    """A turn that is over."""
    with visitor.open_socket() as socket:
        return socket.ask("all of it")


@pytest.mark.parametrize("after_seq", [2, 3, 1_000_000])
def test_resuming_at_or_beyond_the_end_is_refused_and_the_socket_lives_on(
    visitor: Visitor, ended: Turn, after_seq: int
) -> None:
    after_seq = max(after_seq, ended.last["seq"])
    with visitor.open_socket() as socket:
        request = {"type": "resume", "client_request_id": ended.client_request_id}
        socket.send({**request, "after_seq": after_seq})
        frame = socket.receive()
        assert frame["type"] == "error"
        assert frame["code"] == "invalid_frame"
        assert "after_seq" in frame["error"]
        assert frame["client_request_id"] == ended.client_request_id
        assert "seq" not in frame
        assert socket.ask("and now?").last["type"] == "done"
    over_http = visitor.send(
        "POST",
        "/chat/stream",
        json={"message": "all of it", "client_request_id": ended.client_request_id},
        headers={"Last-Event-ID": str(after_seq)},
    )
    assert over_http.status_code == 400
    assert "after_seq" in over_http.json()["error"]["message"]


def test_resuming_beyond_what_a_running_turn_has_sent_is_refused(
    stack: Stack, visitor: Visitor
) -> None:
    gate = stack.model.gate()
    stack.model.answer_when("slowly", Answer(tokens=["one", gate, " two"]))
    with visitor.open_socket() as socket:
        turn = socket.read_until(socket.send_message("slowly"), "token")
        request = {"type": "resume", "client_request_id": turn.client_request_id}
        socket.send({**request, "after_seq": 7})
        refused = socket.receive()
        assert (refused["code"], "seq" in refused) == ("invalid_frame", False)
        gate.release()
        assert socket.read_until(turn).text == "one two"


def test_stopping_what_has_ended_changes_nothing(visitor: Visitor, ended: Turn) -> None:
    body = {"client_request_id": ended.client_request_id}
    assert visitor.send("POST", "/chat/stop", json=body).status_code == 200
    with visitor.open_socket() as socket:
        socket.send({"type": "stop", **body})
        socket.send({"type": "resume", **body, "after_seq": -1})
        replayed = [socket.receive() for _ in ended.frames]
    assert replayed == ended.frames
    conversation = visitor.send("GET", f"/conversations/{ended.conversation_id}").json()
    assert [turn["ending"] for turn in conversation["turns"]] == ["complete"]


def test_two_stops_are_one(stack: Stack, visitor: Visitor) -> None:
    gate = stack.model.gate()
    stack.model.answer_when("stop twice", Answer(tokens=["one", gate, " two"]))
    with visitor.open_socket() as socket:
        turn = socket.read_until(socket.send_message("stop twice"), "token")
        stop = {"type": "stop", "client_request_id": turn.client_request_id}
        socket.send(stop)
        socket.send(stop)
        assert socket.read_until(turn).last["finish_reason"] == "stopped"
        # Whatever the second stop caused would come before this turn's first frame.
        assert socket.ask("and now?").last["type"] == "done"
    assert [frame["type"] for frame in turn.frames] == ["start", "token", "done"]


def test_the_same_request_id_with_another_message_is_a_conflict_on_every_transport(
    stack: Stack, visitor: Visitor, ended: Turn
) -> None:
    asked = ended.client_request_id
    with visitor.open_socket() as socket:
        socket.send_message("something else", client_request_id=asked)
        frame = socket.receive()
        assert (frame["type"], frame["code"]) == ("error", "client_request_id_conflict")
        assert frame["client_request_id"] == asked
        assert "seq" not in frame
    body = {"message": "something else", "client_request_id": asked}
    for path in ("/chat", "/chat/stream"):
        answer = visitor.send("POST", path, json=body)
        assert answer.status_code == 409
        assert answer.json()["error"]["code"] == "client_request_id_conflict"
    assert stack.model.asked("something else") == []


@pytest.mark.parametrize("garbage", ["last", "-1", "1.5", "0x10", "٣", "9" * 400, "1, 2"])
def test_a_last_event_id_that_is_no_seq_is_refused(
    stack: Stack, visitor: Visitor, garbage: str
) -> None:
    answer = visitor.send(
        "POST",
        "/chat/stream",
        json={"message": "go on"},
        headers={"Last-Event-ID": garbage.encode()},
    )
    assert answer.status_code == 400
    assert "Last-Event-ID" in answer.json()["error"]["message"]
    assert stack.model.asked("go on") == []


def test_a_frame_in_many_segments_is_one_frame(visitor: Visitor) -> None:
    message = {"type": "message", "content": "byte by byte ✓", "client_request_id": "segments"}
    with RawSocket(visitor) as socket:
        for byte in encode(TEXT, json.dumps(message, ensure_ascii=False).encode()):
            socket.send_bytes(bytes([byte]))
        frames = [socket.receive_json()]
        while frames[-1]["type"] not in {"done", "error"}:
            frames.append(socket.receive_json())
    text = "".join(frame["content"] for frame in frames if frame["type"] == "token")
    assert text == "You said: byte by byte ✓"


def test_a_message_in_many_fragments_with_a_ping_between_is_one_message(visitor: Visitor) -> None:
    message = json.dumps({"type": "message", "content": "in pieces", "client_request_id": "parts"})
    payload = message.encode()
    pieces = [payload[start : start + 7] for start in range(0, len(payload), 7)]
    with RawSocket(visitor) as socket:
        for index, piece in enumerate(pieces):
            final = index == len(pieces) - 1
            socket.send_bytes(encode(0x0 if index else TEXT, piece, final=final))
            if index == 1:
                socket.send_bytes(encode(PING, b"there?"))
        assert socket.receive() == (PONG, b"there?")
        assert socket.receive_json()["type"] == "start"


def test_many_frames_in_one_segment_are_many_frames(visitor: Visitor) -> None:
    asked = [{"type": "nonsense", "number": number} for number in range(20)]
    with RawSocket(visitor) as socket:
        socket.send_bytes(b"".join(encode(TEXT, json.dumps(one).encode()) for one in asked))
        codes = [socket.receive_json()["code"] for _ in asked]
    assert codes == ["unknown_type"] * 20


def test_a_question_sent_twice_over_two_sockets_is_asked_once(
    stack: Stack, visitor: Visitor
) -> None:
    gate = stack.model.gate()
    stack.model.answer_when("only once", Answer(tokens=["one", gate, " two"]))
    with visitor.open_socket() as left, visitor.open_socket() as right:
        turns = [one.send_message("only once", client_request_id="once") for one in (left, right)]
        gate.wait_reached()
        gate.release()
        left.read_until(turns[0])
        right.read_until(turns[1])
    assert turns[0].frames == turns[1].frames
    assert len(stack.model.asked("only once")) == 1


# Last in the file, so that most of the interval has passed while the others ran.
def test_the_server_pings_a_socket_that_says_nothing(
    idle_socket: tuple[RawSocket, float],
) -> None:
    socket, opened_at = idle_socket
    left = opened_at + PING_WITHIN_S - time.monotonic()
    opcode, payload = socket.receive(timeout=max(left, 0.1))
    assert opcode == PING
    socket.send_bytes(encode(PONG, payload))
    socket.send({"type": "nonsense"})
    assert socket.receive_json()["code"] == "unknown_type"

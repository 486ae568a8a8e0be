"""How many sockets, how many messages, how long: what one may cost, and how the rest is refused."""

from __future__ import annotations

import dataclasses
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import requests
from flask import Flask
from websockets.exceptions import ConnectionClosed, InvalidStatus

from app.errors import TooManyRequests, Unavailable
from app.web.open_sockets import Closable, OpenSockets
from app.web.seats import Seats
from app.web.services import install
from e2e.raw_socket import CLOSE, PING, PONG, RawSocket, encode
from e2e.visitor import Visitor
from tests.served_app import served
from tests.waiting import eventually
from tests.web_client import app_with, close, parts_of

Serve = Callable[..., tuple[str, Flask]]


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Serve]:
    """Serve an app with these settings; returns its address and itself."""
    with ExitStack() as stack:

        def start(change: Callable[[Flask], None] = lambda app: None, **settings: Any) -> Any:
            app = app_with(tmp_path, **settings)
            stack.callback(close, app)
            change(app)
            return stack.enter_context(served(app)), app

        yield start


def refusal(visitor: Visitor) -> tuple[int, str]:
    """Status and error code of a handshake that is refused."""
    with pytest.raises(InvalidStatus) as refused, visitor.open_socket():
        pass
    response = refused.value.response
    if response.status_code == 429:
        assert int(response.headers["Retry-After"]) > 0
    return response.status_code, json.loads(response.body)["error"]["code"]


# Connections


@pytest.mark.parametrize(
    ("limits", "expected"),
    [
        ({"max_sockets_per_user": 2}, (429, "too_many_sockets")),
        ({"max_sockets_per_address": 2}, (429, "too_many_sockets")),
        ({"max_sockets": 2}, (503, "server_full")),
    ],
)
def test_a_socket_beyond_the_limit_is_refused_before_the_upgrade_until_one_closes(
    serve: Serve, limits: dict[str, int], expected: tuple[int, str]
) -> None:
    url, app = serve(**limits)
    visitor = Visitor(url)
    with visitor.open_socket():
        with visitor.open_socket():
            assert refusal(visitor) == expected
        eventually(lambda: len(parts_of(app).seats) == 1)
        with visitor.open_socket() as third:
            assert third.ask("still there?").last["type"] == "done"
    eventually(lambda: not len(parts_of(app).seats))


def test_one_persons_sockets_are_not_anothers(serve: Serve) -> None:
    url, _ = serve(max_sockets_per_user=1)
    ann, bob = Visitor(url), Visitor(url)
    with ann.open_socket(), bob.open_socket():
        assert refusal(ann) == refusal(bob) == (429, "too_many_sockets")


def test_an_address_has_its_limit_whoever_connects_from_it(serve: Serve) -> None:
    url, _ = serve(max_sockets_per_address=1)
    with Visitor(url).open_socket():
        assert refusal(Visitor(url)) == (429, "too_many_sockets")


def test_a_handshake_that_fails_keeps_no_seat(serve: Serve) -> None:
    url, app = serve(max_sockets=1)
    visitor = Visitor(url)
    upgrade: dict[str, str] = {}
    for headers, status in (
        ({}, 400),
        ({"Sec-WebSocket-Version": "8"}, 400),
        ({"Sec-WebSocket-Version": "13"}, 400),
        ({"Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": "c2hvcnQ="}, 400),
    ):
        upgrade = {"Upgrade": "websocket", "Connection": "Upgrade", **headers}
        answer = visitor.send("GET", "/ws/chat", headers=upgrade)
        assert (answer.status_code, answer.json()["error"]["code"]) == (status, "bad_handshake")
    for path in ("/", "/healthz", "/metrics", "/nothing"):
        answer = visitor.send("GET", path, headers=upgrade)
        assert answer.status_code < 500, path
    assert len(parts_of(app).seats) == 0
    with visitor.open_socket() as socket:
        assert socket.ask("and now?").last["type"] == "done"


def test_seats_are_counted_right_by_many_at_once() -> None:
    seats = Seats(in_all=50, per_address=40, per_user=30)
    refused: list[type[Exception]] = []

    def come(number: int) -> None:
        try:
            seats.take("ann" if number % 2 else "bob", "192.0.2.1")
        except (TooManyRequests, Unavailable) as error:
            refused.append(type(error))

    threads = [threading.Thread(target=come, args=(number,)) for number in range(60)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(seats) == 40
    assert refused == [TooManyRequests] * 20


# Messages


def test_messages_are_counted_by_address_whoever_sends_them(serve: Serve) -> None:
    url, _ = serve(rate_limit_messages_per_address="2/hour")
    for _ in range(2):
        with Visitor(url).open_socket() as socket:
            assert socket.ask("one").last["type"] == "done"
    newcomer = Visitor(url)
    with newcomer.open_socket() as socket:
        socket.send_message("one too many")
        assert socket.receive()["code"] == "rate_limited"
    for path in ("/chat", "/chat/stream"):
        answer = newcomer.send("POST", path, json={"message": "and by another way?"})
        assert (answer.status_code, answer.json()["error"]["code"]) == (429, "rate_limited")
        assert int(answer.headers["Retry-After"]) > 0


def test_a_message_far_too_long_closes_the_socket_in_however_many_pieces(serve: Serve) -> None:
    url, _ = serve(chat_max_message_chars=100)
    for piece in (b"x" * 4000, b"x" * 500):
        with RawSocket(Visitor(url)) as socket:
            for number in range(4000 // len(piece)):
                socket.send_bytes(encode(0x0 if number else 0x1, piece, final=False))
            assert closing_code(socket) == 1009


def closing_code(socket: RawSocket) -> int:
    """The code with which the server closes, pings before it left unanswered."""
    opcode, payload = socket.receive()
    while opcode == PING:
        opcode, payload = socket.receive()
    assert opcode == CLOSE, (opcode, payload)
    return int.from_bytes(payload[:2], "big")


# Silence


def test_a_socket_on_which_nobody_asks_anything_is_closed(serve: Serve) -> None:
    url, app = serve(socket_idle_timeout_s=1)
    with Visitor(url).open_socket() as socket:
        socket.ask("anything?")
        with pytest.raises(ConnectionClosed) as closed:
            socket.receive(timeout=10)
        assert closed.value.rcvd is not None
        assert (closed.value.rcvd.code, closed.value.rcvd.reason) == (1001, "idle")
    eventually(lambda: not len(parts_of(app).seats))


def test_a_socket_that_waits_for_a_slow_answer_is_not_idle(serve: Serve) -> None:
    url, app = serve(socket_idle_timeout_s=1, socket_ping_interval_s=1)
    held = threading.Event()
    model: Any = parts_of(app).model
    model.scripts.append(["one", held, " two"])
    with RawSocket(Visitor(url)) as socket:
        socket.send({"type": "message", "content": "slowly"})
        pings = 0
        while pings < 3:  # three seconds, by the server's own clock
            opcode, payload = socket.receive()
            assert opcode != CLOSE
            if opcode == PING:
                pings += 1
                socket.send_bytes(encode(PONG, payload))
        held.set()
        while (frame := socket.receive_json())["type"] != "done":
            pass
    assert frame["finish_reason"] == "stop"


def test_a_peer_that_answers_no_ping_is_taken_for_dead(serve: Serve) -> None:
    url, app = serve(socket_ping_interval_s=1)
    with RawSocket(Visitor(url)) as socket:
        assert closing_code(socket) == 1008
    eventually(lambda: not len(parts_of(app).seats))


# The upgraded socket


def test_compression_is_not_agreed_to(serve: Serve) -> None:
    url, _ = serve()
    with Visitor(url).open_socket() as socket:
        assert socket.connection.request is not None
        assert socket.connection.response is not None
        assert "Sec-WebSocket-Extensions" not in socket.connection.response.headers
        assert "permessage-deflate" in str(socket.connection.request.headers)


class FailingSockets(OpenSockets):
    """Fails once the upgrade has been answered."""

    def add(self, socket: Closable) -> None:
        raise RuntimeError("secret detail")


def test_a_failure_closes_the_socket_with_a_code_and_writes_no_http_into_it(serve: Serve) -> None:
    def break_it(app: Flask) -> None:
        install(app, dataclasses.replace(parts_of(app), sockets=FailingSockets()))

    url, app = serve(break_it)
    with RawSocket(Visitor(url)) as socket:
        opcode, payload = socket.receive()
        assert opcode == CLOSE
        assert (int.from_bytes(payload[:2], "big"), payload[2:]) == (1011, b"internal error")
        with pytest.raises(ConnectionError):
            socket.receive()
    eventually(lambda: not len(parts_of(app).seats))


def test_the_page_is_served_while_all_sockets_are_taken(serve: Serve) -> None:
    url, _ = serve(max_sockets=1)
    with Visitor(url).open_socket():
        assert requests.get(url, timeout=10).status_code == 200

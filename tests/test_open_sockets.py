"""How sockets are closed when the process leaves: each code means what the README says."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from websockets.exceptions import ConnectionClosed

from app.web.open_sockets import OpenSockets
from e2e.visitor import ChatSocket, Turn, Visitor
from tests.served_app import served
from tests.waiting import eventually
from tests.web_client import app_with, close, parts_of


@pytest.fixture
def app(tmp_path: Path) -> Iterator[Flask]:
    """An app whose model is a double."""
    app = app_with(tmp_path)
    yield app
    close(app)


@pytest.fixture
def visitor(app: Flask) -> Iterator[Visitor]:
    """Somebody who is there already."""
    with served(app) as url:
        yield Visitor(url)


def closing(socket: ChatSocket) -> tuple[int, str]:
    """Code and reason with which the server closes it next."""
    with pytest.raises(ConnectionClosed) as closed:
        socket.receive(timeout=10)
    assert closed.value.rcvd is not None
    return closed.value.rcvd.code, closed.value.rcvd.reason


def test_who_is_there_is_told_to_connect_again_and_who_comes_now_to_try_later(
    app: Flask, visitor: Visitor
) -> None:
    with visitor.open_socket() as socket:
        parts_of(app).engine.refuse_new_turns()
        socket.send_message("In time?")
        assert socket.receive()["code"] == "shutting_down"
        with visitor.open_socket() as late:
            assert closing(late) == (1013, "restarting")
        parts_of(app).sockets.close_idle()
        assert closing(socket) == (1012, "restarting")
    assert not len(parts_of(app).sockets)


def test_a_stream_is_closed_after_its_last_frame(app: Flask, visitor: Visitor) -> None:
    held = threading.Event()
    model: Any = parts_of(app).model
    model.scripts.append(["one ", held, "two"])
    with visitor.open_socket() as socket:
        turn = socket.read_until(socket.send_message("Count."), "token")
        parts_of(app).sockets.close_idle()
        held.set()
        assert socket.read_until(turn).last["type"] == "done"
        assert turn.text == "one two"
        parts_of(app).sockets.close_idle()
        assert closing(socket)[0] == 1012


def test_at_the_very_end_a_stream_is_closed_too_and_can_be_resumed(
    app: Flask, visitor: Visitor
) -> None:
    held = threading.Event()
    model: Any = parts_of(app).model
    model.scripts.append(["one ", held, "two"])
    with visitor.open_socket() as socket:
        turn = socket.read_until(socket.send_message("Count."), "token")
        parts_of(app).sockets.close_all()
        assert closing(socket) == (1001, "going away")
    held.set()
    with visitor.open_socket() as again:
        after = {"client_request_id": turn.client_request_id, "after_seq": turn.last["seq"]}
        again.send({"type": "resume", **after})
        rest = again.read_until(Turn(turn.client_request_id))
    assert turn.text + rest.text == "one two"


class Ticking:
    """A socket that fails at its first beat, or wants to be closed at it."""

    def __init__(self, failure: Exception | None = None) -> None:
        self.failure = failure
        self.closed_with: tuple[int, str] | None = None

    def idle(self) -> bool:
        return True

    def beat(self, now: float) -> tuple[int, str]:
        if self.failure:
            raise self.failure
        return 1001, "idle"

    def close(self, code: int, reason: str) -> None:
        self.closed_with = (code, reason)


def test_a_socket_that_fails_at_its_beat_does_not_take_the_beat_from_the_others() -> None:
    sockets = OpenSockets()
    failing, fine = Ticking(RuntimeError("oh")), Ticking()
    sockets.add(failing)
    sockets.add(fine)
    eventually(lambda: fine.closed_with == (1001, "idle"))
    later = Ticking()
    sockets.add(later)
    eventually(lambda: later.closed_with == (1001, "idle"))
    for one in (failing, fine, later):
        sockets.discard(one)

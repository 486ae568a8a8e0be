"""An upgraded connection, with the client's end in the test's hand."""

from __future__ import annotations

import itertools
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from app.web.chat_connection import LINGER_S, ChatConnection
from e2e.raw_socket import CLOSE, PING, PONG, TEXT, encode
from tests.waiting import eventually

INTERVAL_S = 25.0
MOST = 1000
GOODBYE = bytes((0x88, 2, 0x03, 0xF4))  # 1012
Pair = tuple[ChatConnection, socket.socket]


@pytest.fixture
def pair() -> Iterator[Pair]:
    """Our end and the client's."""
    ours, client = socket.socketpair()
    client.settimeout(20)
    yield ChatConnection(ours, MOST, INTERVAL_S), client
    ours.close()
    client.close()


@contextmanager
def reading(connection: ChatConnection) -> Iterator[None]:
    """Somebody reads meanwhile, and in the end is told that there is no more."""
    thread = threading.Thread(target=read_to_the_end, args=(connection,))
    thread.start()
    yield
    thread.join(5)
    assert not thread.is_alive()


def read_to_the_end(connection: ChatConnection) -> list[str | bytes]:
    found: list[str | bytes] = []
    while (messages := connection.receive()) is not None:
        found += messages
    return found


# Messages


def test_a_message_in_pieces_is_one_message_with_pings_in_between(pair: Pair) -> None:
    connection, client = pair
    whole = encode(TEXT, "grü".encode(), final=False) + encode(PING, b"?") + encode(0, b"\xc3\x9f")
    for byte in whole:  # each a segment of its own, so that letters are torn too
        client.sendall(bytes([byte]))
    received: list[str | bytes] = []
    while not received:
        received += connection.receive() or []
    assert received == ["grüß"]
    assert client.recv(100) == bytes((0x80 | PONG, 1)) + b"?"


def test_bytes_stay_bytes_and_empty_pieces_add_nothing(pair: Pair) -> None:
    connection, client = pair
    pieces = [encode(0x2, b"", final=False), encode(0, b"\x00\xff", final=False), encode(0, b"")]
    client.sendall(b"".join(pieces) + encode(TEXT, b""))
    assert connection.receive() == [b"\x00\xff", ""]


@pytest.mark.parametrize("pieces", [1, 2, 7])
def test_a_message_too_long_is_not_kept_and_closes_with_1009(pair: Pair, pieces: int) -> None:
    connection, client = pair
    each = b"x" * (MOST // pieces + 1)
    for number in range(pieces):
        client.sendall(encode(0 if number else TEXT, each, final=False))
    assert read_to_the_end(connection) == []
    head, code = client.recv(2), client.recv(2)
    assert (head[0] & 0x0F, int.from_bytes(code, "big")) == (CLOSE, 1009)


def test_what_was_said_before_a_goodbye_is_heard(pair: Pair) -> None:
    connection, client = pair
    client.sendall(encode(TEXT, b"last words") + encode(CLOSE, b"\x03\xe8") + encode(TEXT, b"no"))
    assert read_to_the_end(connection) == ["last words"]
    assert client.recv(100) == bytes((0x88, 2, 0x03, 0xE8))


def test_no_more_is_read_than_is_answered_next(pair: Pair) -> None:
    connection, client = pair
    frame = encode(TEXT, b"x" * 100)
    client.sendall(frame * 500)
    messages = connection.receive()
    assert messages
    assert len(messages) < 50  # of 500: the others are still the client's


# Pings


def test_a_ping_is_due_after_each_interval_and_unanswered_after_another(pair: Pair) -> None:
    connection, client = pair
    begin = time.monotonic()
    assert not connection.beat(begin)
    client.setblocking(False)
    with pytest.raises(BlockingIOError):
        client.recv(1)
    client.settimeout(20)
    assert not connection.beat(begin + INTERVAL_S + 1)
    assert client.recv(100) == bytes((0x89, 0))
    assert not connection.beat(begin + 2 * INTERVAL_S)
    times = itertools.count(begin + 2 * INTERVAL_S + 2, INTERVAL_S)
    with reading(connection):
        eventually(lambda: connection.beat(next(times)))  # once somebody reads
        client.close()


def test_a_pong_is_an_answer(pair: Pair) -> None:
    connection, client = pair
    begin = time.monotonic()
    for number in range(1, 4):
        assert not connection.beat(begin + number * (INTERVAL_S + 1))
        assert client.recv(100) == bytes((0x89, 0))
        client.sendall(encode(PONG, b""))
        assert connection.receive() == []


def test_a_pong_that_nobody_had_time_to_read_is_not_missed(pair: Pair) -> None:
    connection, client = pair
    begin = time.monotonic()
    for number in range(1, 4):  # `receive` is not called: something is being answered
        assert not connection.beat(begin + number * (INTERVAL_S + 1))
        client.sendall(encode(PONG, b""))
    assert connection.receive() == []


def test_a_ping_that_finds_no_room_waits_for_it_and_holds_nobody_up(pair: Pair) -> None:
    connection, client = pair
    large = bytes(10_000_000)
    connection.writer.offer(iter([large, b"", b""]).__next__)
    begin = time.monotonic()
    with reading(connection):
        for number in range(1, 4):  # unanswered, but it has not been sent either
            assert not connection.beat(begin + number * (INTERVAL_S + 1))
        left = len(large)
        while left:
            left -= len(client.recv(left))
        assert client.recv(100) == bytes((0x89, 0))
        client.close()


# Goodbyes


def test_whoever_is_told_goodbye_may_answer_it(pair: Pair) -> None:
    connection, client = pair
    with reading(connection):
        connection.close(1012, "")
        assert client.recv(100) == GOODBYE
        client.sendall(encode(CLOSE, b"\x03\xf4"))
    connection.end()


def test_whoever_does_not_answer_a_goodbye_is_given_up(pair: Pair) -> None:
    connection, client = pair
    with reading(connection):
        connection.close(1012, "")
        assert client.recv(100) == GOODBYE
        assert not connection.beat(time.monotonic())
        assert not connection.beat(time.monotonic() + LINGER_S)
    connection.end()
    assert client.recv(1) == b""


def test_a_goodbye_is_said_once_and_nothing_after_it(pair: Pair) -> None:
    connection, client = pair
    connection.close(1012, "")
    connection.close(1001, "")
    connection.writer.send(b"too late")
    client.sendall(encode(TEXT, b"too late") + encode(PING, b""))
    assert connection.receive() is None
    ending = threading.Thread(target=connection.end)
    ending.start()
    assert client.recv(100) == GOODBYE
    assert client.recv(1) == b""
    client.close()
    ending.join(5)
    assert not ending.is_alive()


def test_closing_reads_what_is_on_its_way_so_that_the_goodbye_arrives(pair: Pair) -> None:
    connection, client = pair
    flooding = threading.Thread(target=client.sendall, args=(bytes(4_000_000),))
    flooding.start()
    connection.close(1012, "")
    ending = threading.Thread(target=connection.end)
    ending.start()
    assert client.recv(100) == GOODBYE
    flooding.join(5)
    client.close()
    ending.join(5)
    assert not ending.is_alive()


def test_whoever_speaks_while_the_goodbye_waits_for_room_gets_the_frame_before_it_whole(
    pair: Pair,
) -> None:
    connection, client = pair
    large = bytes(10_000_000)
    connection.writer.offer(iter([large, b"", b""]).__next__)

    def serve() -> None:
        read_to_the_end(connection)
        connection.end()

    serving = threading.Thread(target=serve)
    closing = threading.Thread(target=connection.close, args=(1012, ""))
    serving.start()
    closing.start()
    left = len(large)
    while left:
        client.sendall(encode(PONG, b""))
        left -= (got := len(client.recv(min(left, 100_000))))
        assert got, f"cut off with {left} bytes left"
    assert client.recv(100) == GOODBYE
    client.close()
    for one in (serving, closing):
        one.join(5)
        assert not one.is_alive()

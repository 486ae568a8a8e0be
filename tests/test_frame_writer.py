"""Frames leave whole and in order, and a reader that does not read holds up nobody else."""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Callable, Iterator

import pytest
from wsproto.frame_protocol import Frame as WireFrame
from wsproto.frame_protocol import FrameProtocol, Opcode

from app.web.frame_writer import FrameWriter, encode_text
from tests.waiting import eventually

PING = bytes((0x89, 2)) + b"hi"
Pair = tuple[socket.socket, socket.socket]


@pytest.fixture
def pair() -> Iterator[Pair]:
    """Our end and the client's, with buffers of a few kilobytes.

    No TCP: with windows this small it would wait for its own timers most of the time.
    """
    ours, client = socket.socketpair()
    ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 2048)
    client.settimeout(20)
    yield ours, client
    ours.close()
    client.close()


def parsed(data: bytes) -> list[WireFrame]:
    protocol = FrameProtocol(client=True, extensions=[])
    protocol.receive_bytes(data)
    return list(protocol.received_frames())


def texts(data: bytes) -> list[str]:
    frames = parsed(data)
    assert all(frame.message_finished for frame in frames)
    return [str(frame.payload) for frame in frames if frame.opcode is Opcode.TEXT]


def receive(client: socket.socket, size: int, step: int = 700) -> bytes:
    data = b""
    while len(data) < size:
        piece = client.recv(min(step, size - len(data)))
        assert piece, "closed early"
        data += piece
    return data


class Queue:
    """A source that supplies one frame at a time."""

    def __init__(self, frames: list[bytes]) -> None:
        self.frames = list(frames)

    def take(self) -> bytes:
        return self.frames.pop(0) if self.frames else b""


def offer_all(writer: FrameWriter, frames: list[bytes]) -> None:
    """Offer frames one by one, as a turn log does: each is due once."""
    queue = Queue(frames)
    source: Callable[[], bytes] = queue.take
    for _ in frames:
        writer.offer(source)
    eventually(lambda: offered(writer, source, queue), timeout=20, every=0.002)


def offered(writer: FrameWriter, source: Callable[[], bytes], queue: Queue) -> bool:
    if queue.frames:
        writer.offer(source)
    return not queue.frames


@pytest.mark.parametrize("size", [0, 1, 125, 126, 127, 65535, 65536, 100_000])
def test_a_text_frame_is_what_others_parse(size: int) -> None:
    text = "x" * size
    (frame,) = parsed(encode_text(text))
    assert (frame.opcode, frame.payload, frame.message_finished) == (Opcode.TEXT, text, True)


@pytest.mark.parametrize("size", [125, 126, 65535, 65536])
def test_lengths_are_written_in_the_shortest_form(size: int) -> None:
    data = encode_text("x" * size)
    header = {125: 2, 126: 4, 65535: 4, 65536: 10}[size]
    assert len(data) == size + header
    if header == 4:
        assert struct.unpack("!H", data[2:4]) == (size,)


def test_text_is_counted_in_bytes() -> None:
    (frame,) = parsed(encode_text("😀" * 40))
    assert frame.payload == "😀" * 40


def test_an_offer_with_room_is_sent_at_once(pair: Pair) -> None:
    ours, client = pair
    frame = encode_text("hello")
    FrameWriter(ours).offer(Queue([frame]).take)
    assert texts(receive(client, len(frame))) == ["hello"]


def test_200_frames_reach_a_slow_reader_whole_and_in_order(pair: Pair) -> None:
    ours, client = pair
    writer = FrameWriter(ours)
    frames = [encode_text(f"{number}:" + "x" * (number * 37 % 3000)) for number in range(200)]
    pings = 40
    offering = threading.Thread(target=offer_all, args=(writer, frames))
    pinging = threading.Thread(target=lambda: [writer.send(PING) for _ in range(pings)])
    offering.start()
    pinging.start()
    data = receive(client, sum(map(len, frames)) + pings * len(PING))
    offering.join(10)
    pinging.join(10)
    assert [int(text.split(":")[0]) for text in texts(data)] == list(range(200))
    assert sum(frame.opcode is Opcode.PING for frame in parsed(data)) == pings


def test_two_turns_over_one_socket_keep_each_their_order(pair: Pair) -> None:
    ours, client = pair
    writer = FrameWriter(ours)
    turns = {name: [encode_text(f"{name}{n:03}" + "x" * 900) for n in range(60)] for name in "ab"}
    offering = [threading.Thread(target=offer_all, args=(writer, turns[name])) for name in "ab"]
    for one in offering:
        one.start()
    data = receive(client, sum(len(frame) for frames in turns.values() for frame in frames))
    for one in offering:
        one.join(10)
    got = [text[:4] for text in texts(data)]
    for name in "ab":
        assert [text for text in got if text[0] == name] == [f"{name}{n:03}" for n in range(60)]


def test_a_reader_that_never_reads_does_not_hold_up_whoever_offers(pair: Pair) -> None:
    ours, _ = pair
    writer = FrameWriter(ours)
    supplied: list[int] = []

    def endless() -> bytes:
        supplied.append(1)
        return encode_text("x" * 100_000)

    finished = threading.Event()

    def offer_often() -> None:
        for _ in range(1000):
            writer.offer(endless)
        finished.set()

    threading.Thread(target=offer_often, daemon=True).start()
    assert finished.wait(5)
    # What cannot be sent is not even built: memory stays bounded.
    assert len(supplied) < 100


def test_a_reader_that_left_is_no_error_for_whoever_offers(pair: Pair) -> None:
    ours, client = pair
    writer = FrameWriter(ours)
    client.close()
    for _ in range(50):
        writer.offer(Queue([encode_text("x" * 5000)]).take)
    ours.close()
    writer.offer(Queue([encode_text("x")]).take)


def test_a_source_that_fails_does_not_keep_the_socket_locked(pair: Pair) -> None:
    ours, client = pair
    writer = FrameWriter(ours)

    def fail() -> bytes:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        writer.offer(fail)
    frame = encode_text("still here")
    writer.offer(Queue([frame]).take)
    assert texts(receive(client, len(frame))) == ["still here"]


def test_nothing_is_sent_after_the_last_bytes(pair: Pair) -> None:
    ours, client = pair
    writer = FrameWriter(ours)
    goodbye = bytes((0x88, 2, 0x03, 0xE8))
    writer.send(goodbye, last=True)
    writer.offer(Queue([encode_text("too late")]).take)
    writer.send(PING)
    ours.shutdown(socket.SHUT_WR)
    assert receive(client, len(goodbye)) == goodbye
    assert client.recv(1) == b""

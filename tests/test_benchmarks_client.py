"""The benchmark's client tells corrupt frames, meant cut-offs and failures apart."""

from __future__ import annotations

import asyncio
import json

import pytest

from app.web.frame_writer import encode_text
from bench.load.event_stream import EventStream
from bench.load.socket_io import SocketIO
from bench.load.stream import Notes
from bench.load.verdicts import Court
from bench.load.web_socket import CheckedWebSocket
from bench.tokens import stamp


class Wire(asyncio.Transport):
    """The server's end: it takes everything and has no socket."""

    def __init__(self) -> None:
        super().__init__()
        self.taken = b""

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.taken += data


class Reader:
    """One reader whose question has been asked."""

    def __init__(self) -> None:
        self.notes = Notes()
        self.stream = CheckedWebSocket(self.notes, "127.0.0.1", "")
        self.stream.connection_made(Wire())
        self.stream.data_received(b"HTTP/1.1 101 Switching Protocols\r\n\r\n")
        self.stream.ask("Write 2 tokens, 1 a second.")

    @property
    def found(self) -> tuple[int, int, int]:
        """How many frames were corrupt, readers cut off, and failures."""
        return len(self.notes.corrupt), self.notes.cut_off, len(self.notes.failures)


@pytest.fixture
def reader() -> Reader:
    return Reader()


def frame(seq: int, kind: str = "token") -> bytes:
    return encode_text(json.dumps({"type": kind, "content": stamp(), "seq": seq}))


def test_whole_frames_in_order_are_no_failure_wherever_they_are_cut(reader: Reader) -> None:
    whole = b"\x89\x00" + frame(0) + frame(1) + frame(2, "done")
    for at in range(len(whole)):
        reader.stream.data_received(whole[at : at + 1])
    reader.stream.connection_lost(None)
    assert reader.found == (0, 0, 0)
    assert reader.stream.tokens == 2


@pytest.mark.parametrize(
    "sent",
    [
        pytest.param(frame(0)[:20] + frame(1) + frame(2), id="torn"),
        pytest.param(frame(0) + frame(2), id="missing"),
        pytest.param(frame(0) + frame(0), id="twice"),
        pytest.param(b"\x82\x02{}", id="binary"),
        pytest.param(encode_text("nonsense"), id="not JSON"),
    ],
)
def test_a_corrupt_frame_is_counted_as_one_and_fails_the_answer(
    reader: Reader, sent: bytes
) -> None:
    reader.stream.data_received(sent)
    corrupt, _, failures = reader.found
    assert corrupt >= 1
    assert failures == 1


def test_only_who_did_not_read_is_cut_off_without_being_a_failure(reader: Reader) -> None:
    reader.stream.data_received(frame(0))
    reader.stream.stalled = True
    reader.stream.connection_lost(ConnectionResetError())
    assert reader.found == (0, 1, 0)


@pytest.mark.parametrize("goodbye", [b"", b"\x88\x02\x03\xf4"], ids=["cut", "closed with 1012"])
def test_a_reader_who_loses_the_connection_before_the_end_is_a_failure(
    reader: Reader, goodbye: bytes
) -> None:
    reader.stream.data_received(frame(0) + goodbye)
    reader.stream.connection_lost(None)
    assert reader.found == (0, 0, 1)


@pytest.mark.parametrize("tokens", [1, 3])
def test_an_answer_called_done_that_is_not_the_whole_one_is_a_failure(
    reader: Reader, tokens: int
) -> None:
    reader.stream.data_received(b"".join(frame(seq) for seq in range(tokens)))
    reader.stream.data_received(frame(tokens, "done"))
    assert reader.found == (0, 0, 1)


def test_chainlits_events_become_one_answer_without_its_repetition() -> None:
    notes, wire = Notes(), Wire()
    stream = SocketIO(notes, "127.0.0.1", "access_token=somebody")
    stream.connection_made(wire)
    assert b"Cookie: access_token=somebody" in wire.taken

    def receive(text: str) -> None:
        stream.data_received(encode_text(text))

    stream.data_received(b"HTTP/1.1 101 Switching Protocols\r\n\r\n")
    for packet in ('0{"sid":"a"}', '40{"sid":"b"}', '42["task_end",{}]', "2"):
        receive(packet)
    assert not stream.open.is_set()
    receive('42["clear_call_fn",{}]')
    assert stream.open.is_set()
    assert wire.taken.endswith(b"3"), "a ping wants a pong"
    stream.ask("Write 2 tokens, 1 a second.")
    first, second = stamp(), stamp()
    receive(f'42["stream_start",{{"id":"step","threadId":"thread","output":"{first}"}}]')
    receive(f'42["stream_token",{{"id":"step","token":"{second}"}}]')
    receive(f'42["new_message",{{"id":"step","output":"{first}{second}","isError":false}}]')
    assert not stream.done.is_set()
    receive('42["task_end",{}]')
    assert stream.done.is_set()
    assert (stream.tokens, notes.failures) == (2, [])
    stream.judged(b'{"success":true,"feedbackId":"f"}')
    assert stream.verdict(1)[2]["feedback"] == {
        "forId": "step",
        "threadId": "thread",
        "id": "f",
        "value": 1,
        "comment": "verdict 1",
    }


def test_a_verdict_that_is_refused_is_a_failure_and_not_a_fast_answer() -> None:
    statuses = iter(["200 OK", "200 OK", "500 Internal Server Error"])
    asked = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for status in statuses:
            head = await reader.readuntil(b"\r\n\r\n")
            length = int(head.lower().split(b"content-length: ")[1].split()[0])
            asked.append((head.split()[1], json.loads(await reader.readexactly(length))))
            writer.write(f"HTTP/1.1 {status}\r\nContent-Length: 2\r\n\r\n{{}}".encode())
        writer.close()

    async def judge() -> Court:
        server, court = await asyncio.start_server(answer, "127.0.0.1", 0), Court()
        host = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
        stream = EventStream(Notes(), host, "")
        stream.scan(f'data: {{"type": "done", "trace_id": "tr-{"0" * 32}"}}'.encode())
        async with server:
            await court.sit(host, [stream], seconds=60, every_s=0)
        return court

    court = asyncio.run(judge())
    assert len(court.took_s) == 2
    [failure] = court.failures
    assert "500 Internal Server Error" in failure
    assert [path for path, _ in asked] == [f"/feedback?trace_id=tr-{'0' * 32}".encode()] * 3
    assert [body["is_correct"] for _, body in asked] == [False, True, False]

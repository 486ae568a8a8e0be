"""The benchmark's client tells a corrupt frame, a meant cut-off and a failure apart."""

from __future__ import annotations

import asyncio
import json

import pytest

from app.web.frame_writer import encode_text
from bench.load.stream import Notes
from bench.load.web_socket import CheckedWebSocket
from bench.tokens import stamp


class Wire(asyncio.Transport):
    """The server's end: it takes everything and has no socket."""

    def write(self, data: object) -> None:
        """Take it."""


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

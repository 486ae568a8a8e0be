"""One reader of answers over one connection: it notes when what came, and costs next to nothing.

It scans for the tokens of `bench.tokens` instead of parsing what carries them.
"""

import asyncio
import base64
import json
import os
import socket
import struct
import time
from array import array
from typing import cast

from bench.tokens import LENGTH, TOKEN, now, since

# Frames as they begin, whole and unmasked (RFC 6455, section 5.2).
TEXT, CLOSE, PING, PONG = FRAMES = (0x81, 0x88, 0x89, 0x8A)


class Notes:
    """What all streams of a run saw, in seconds."""

    def __init__(self) -> None:
        self.gaps = array("d")
        """From one arrival of text to the next, of the same stream."""
        self.ages = array("d")
        """How old each token was."""
        self.tokens = 0
        self.ended = 0
        self.failures: list[str] = []
        self.corrupt: list[str] = []
        self.cut_off = 0
        """Who did not read, and was let go for it: meant, and no failure."""
        self.queued = 0


class Stream(asyncio.Protocol):
    """One connection; `ask` asks one question, and `done` is set at its end."""

    def __init__(self, notes: Notes, host: str, cookie: str) -> None:
        self._notes = notes
        self._host = host
        self._cookie = cookie
        self._rest = b""
        self.open = asyncio.Event()
        self.done = asyncio.Event()
        self.asked_at = self.first_at = self.last_at = self.done_at = 0.0
        self.first_stamp = self.last_stamp = 0
        self.last_age = 0.0
        self.tokens = 0
        self.stalled = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Greet."""
        self.transport = cast(asyncio.Transport, transport)
        self.greet()

    def connection_lost(self, error: Exception | None) -> None:
        """Note it, unless the answer is there."""
        self.lose(f"the connection was lost: {error}")

    def greet(self) -> None:
        """Begin the connection."""
        self.open.set()

    def ask(self, question: str) -> None:
        """Ask, and time it from now."""
        self.asked_at = time.monotonic()
        self.send(question)

    def stall(self) -> None:
        """Read nothing from now on, and let the kernel keep as little as it can."""
        self.stalled = True
        peer = self.transport.get_extra_info("socket")
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        self.transport.pause_reading()

    def lateness(self, length_s: float) -> float:
        """How much later than planned the last token came, counted from when the first one left."""
        planned = since(self.first_stamp, self.last_stamp) - length_s
        return planned + self.last_age

    def send(self, question: str) -> None:
        """Send a question."""
        raise NotImplementedError

    def lose(self, why: str) -> None:
        """The server let go before it had answered: as meant if we did not read, else a failure."""
        if self.stalled and not self.done.is_set():
            self._notes.cut_off += 1
            self.done.set()
        else:
            self.fail(why)

    def fail(self, why: str) -> None:
        """Give the answer up."""
        if not self.done.is_set():
            self._notes.failures.append(why)
            self.done.set()
            self.open.set()

    def scan(self, data: bytes) -> None:
        """Take the tokens out of what came, and see whether it is the end."""
        if self.done.is_set():
            return
        end = data.find(b'done"')
        # Ours repeats the answer there, as HTML.
        stamps = TOKEN.findall(data if end < 0 else data[:end])
        if stamps:
            self._take(stamps)
        if end >= 0:
            self._end(data)
        elif b'"error"' in data:
            self.fail(data.decode(errors="replace")[:300])

    def _take(self, stamps: list[bytes]) -> None:
        at, units, notes = time.monotonic(), now(), self._notes
        ages = [since(int(one, 16), units) for one in stamps]
        if not self.stalled:
            notes.ages.extend(ages)
        self.last_age = ages[-1]
        if self.last_at and not self.stalled:
            notes.gaps.append(at - self.last_at)
        elif not self.last_at:
            self.first_at = at
            self.first_stamp = int(stamps[0], 16)
        self.last_at = at
        self.last_stamp = int(stamps[-1], 16)
        self.tokens += len(stamps)
        notes.tokens += len(stamps)

    def _end(self, data: bytes) -> None:
        self.done_at = time.monotonic()
        self._notes.ended += 1
        self._notes.queued += b'"queued"' in data
        self.done.set()


class WebSocket(Stream):
    """A WebSocket: ours and the floors."""

    path = "/ws/chat"

    def greet(self) -> None:
        """Ask for the upgrade."""
        key = base64.b64encode(os.urandom(16)).decode()
        self.transport.write(
            f"GET {self.path} HTTP/1.1\r\nHost: {self._host}\r\nUpgrade: websocket\r\n"
            f"Connection: Upgrade\r\nSec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n"
            f"Cookie: {self._cookie}\r\n\r\n".encode()
        )

    def send(self, question: str) -> None:
        """Send a question."""
        self.send_text(json.dumps({"type": "message", "content": question}))

    def send_text(self, text: str) -> None:
        """Send a text frame, masked with zeros."""
        self._send_frame(TEXT, text.encode())

    def take_text(self, payload: bytes) -> None:
        """See one text frame before it is scanned with all that came."""

    def corrupt(self, why: str) -> None:
        """Note a frame that no server may send, and give the answer up."""
        self._notes.corrupt.append(why)
        self.fail(why)

    def data_received(self, data: bytes) -> None:
        """Take the handshake, then frames."""
        data = self._rest + data
        if not self.open.is_set():
            head, end, data = data.partition(b"\r\n\r\n")
            if not end:
                self._rest = head
                return
            if not head.startswith(b"HTTP/1.1 101"):
                self.fail(head.decode(errors="replace")[:200])
                return
            self.open.set()
        used = self._take_frames(data)
        self._rest = data[used:]
        self.scan(data[:used])

    def _take_frames(self, data: bytes) -> int:
        at, whole = 0, len(data)
        while whole - at >= 2:
            kind, begin, size = data[at], at + 2, data[at + 1]
            if kind not in FRAMES:
                self.corrupt(f"a frame of kind {kind:#x}")
                return whole
            if size == 126:
                begin, size = at + 4, int.from_bytes(data[at + 2 : at + 4])
            elif size == 127:
                begin, size = at + 10, int.from_bytes(data[at + 2 : at + 10])
            if begin + size > whole:
                break
            payload = data[begin : begin + size]
            if kind == PING:
                self._send_frame(PONG, payload)
            elif kind == TEXT:
                self.take_text(payload)
            elif kind == CLOSE:
                self.lose(f"closed with {int.from_bytes(payload[:2])}")
            at = begin + size
        return at

    def _send_frame(self, kind: int, payload: bytes) -> None:
        size = len(payload)
        length = bytes((0x80 | size,)) if size < 126 else b"\xfe" + struct.pack("!H", size)
        self.transport.write(bytes((kind,)) + length + bytes(4) + payload)


class CheckedWebSocket(WebSocket):
    """Ours, with every frame looked at: valid JSON, and `seq` without a gap."""

    _seq = 0

    def take_text(self, payload: bytes) -> None:
        """Note anything but the next frame of the turn, or an error outside it, as corrupt."""
        try:
            frame = json.loads(payload)
        except ValueError:
            self.corrupt(f"a frame that is not JSON: {payload[:100]!r}")
            return
        if "seq" not in frame and frame.get("type") == "error":
            return
        if frame.get("seq") != self._seq:
            self.corrupt(f"expected frame {self._seq}, got {payload[:200]!r}")
        self._seq = frame.get("seq", self._seq) + 1


class EventStream(Stream):
    """Server-sent events in the response to a POST: the page's design."""

    def send(self, question: str) -> None:
        """Post a question."""
        body = json.dumps({"message": question})
        self.transport.write(
            f"POST /chat/stream HTTP/1.1\r\nHost: {self._host}\r\n"
            "Content-Type: application/json\r\nAccept: text/event-stream\r\n"
            f"Content-Length: {len(body)}\r\n\r\n{body}".encode()
        )

    def data_received(self, data: bytes) -> None:
        """Take events; a token may come in two parts."""
        data = self._rest + data
        # Only what may be the beginning of a token is kept for the next time.
        begun = data.rfind(b"@", len(data) - LENGTH + 1)
        cut = begun if begun >= 0 else len(data)
        self._rest = data[cut:]
        self.scan(data[:cut])


KINDS: dict[str, type[Stream]] = {
    "websocket": WebSocket,
    "checked": CheckedWebSocket,
    "events": EventStream,
}

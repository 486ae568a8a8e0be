"""Reads answers over a WebSocket, as ours and the floors speak it (RFC 6455)."""

import base64
import json
import os
import struct
import urllib.request
from email.message import Message

from bench.load.stream import Stream

# Frames as they begin, whole and unmasked (RFC 6455, section 5.2).
TEXT, CLOSE, PING, PONG = FRAMES = (0x81, 0x88, 0x89, 0x8A)


def cookie_of(headers: Message) -> str:
    """What a browser sends back of the cookie in an answer."""
    return str(headers.get("Set-Cookie", "")).partition(";")[0]


class WebSocket(Stream):
    """A WebSocket: ours and the floors."""

    path = "/ws/chat"
    _upgraded = False

    @staticmethod
    def identify(host: str, _number: int) -> str:
        """Ours gives a cookie to whoever opens the page; a floor knows no HTTP."""
        try:
            with urllib.request.urlopen(f"http://{host}/", timeout=10) as answer:
                return cookie_of(answer.headers)
        except OSError:
            return ""

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

    def begin(self) -> None:
        """The WebSocket is there: the connection may be used."""
        self.open.set()

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
        if not self._upgraded:
            head, end, data = data.partition(b"\r\n\r\n")
            if not end:
                self._rest = head
                return
            if not head.startswith(b"HTTP/1.1 101"):
                self.fail(head.decode(errors="replace")[:200])
                return
            self._upgraded = True
            self.begin()
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

"""A WebSocket client made of bytes, for what no library lets a test do.

It splits frames into TCP segments as it likes, keeps a tiny receive buffer, and reads only when
told to (RFC 6455; frames from a client are masked).
"""

from __future__ import annotations

import base64
import json
import os
import socket
import struct
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

from e2e.visitor import Visitor

TEXT, CLOSE, PING, PONG = 0x1, 0x8, 0x9, 0xA


class RawSocket:
    """One upgraded connection of `visitor`; `receive_buffer` in bytes is the kernel's at most."""

    def __init__(self, visitor: Visitor, *, receive_buffer: int | None = None) -> None:
        target = urlsplit(visitor.url)
        self._socket = socket.socket()
        self._socket.settimeout(20)
        # Every send is a segment of its own.
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if receive_buffer:
            # Before connecting, because it decides the window that is advertised.
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self._socket.connect((target.hostname, target.port))
        key = base64.b64encode(os.urandom(16)).decode()
        self.send_bytes(
            f"GET /ws/chat HTTP/1.1\r\nHost: {target.netloc}\r\nUpgrade: websocket\r\n"
            f"Connection: Upgrade\r\nSec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n"
            f"Origin: {visitor.url}\r\nCookie: {visitor.cookie}\r\n\r\n".encode()
        )
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            head += self._read(1)
        assert head.startswith(b"HTTP/1.1 101 "), head

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._socket.close()

    def send_bytes(self, data: bytes) -> None:
        """Hand these bytes to the network."""
        self._socket.sendall(data)

    def send(self, frame: dict[str, Any]) -> None:
        """Send a JSON frame whole."""
        self.send_bytes(encode(TEXT, json.dumps(frame).encode()))

    def stop_sending(self) -> None:
        """Close our direction of the connection only."""
        self._socket.shutdown(socket.SHUT_WR)

    def receive(self, timeout: float = 20.0) -> tuple[int, bytes]:
        """The next frame's opcode and payload.

        TimeoutError after `timeout` seconds of silence, ConnectionError once the server has closed.
        """
        self._socket.settimeout(timeout)
        first, second = self._read(2)
        assert first & 0x80, "the server never fragments"
        size = second & 0x7F
        if size == 126:
            [size] = struct.unpack("!H", self._read(2))
        elif size == 127:
            [size] = struct.unpack("!Q", self._read(8))
        return first & 0x0F, self._read(size)

    def receive_json(self) -> dict[str, Any]:
        """The next text frame; pings in between are answered."""
        while True:
            opcode, payload = self.receive()
            if opcode == PING:
                self.send_bytes(encode(PONG, payload))
                continue
            assert opcode == TEXT, (opcode, payload)
            frame: dict[str, Any] = json.loads(payload)
            return frame

    def _read(self, size: int) -> bytes:
        data = bytearray()
        while len(data) < size:
            piece = self._socket.recv(size - len(data))
            if not piece:
                raise ConnectionError("the server closed the connection")
            data += piece
        return bytes(data)


def encode(opcode: int, payload: bytes, *, final: bool = True) -> bytes:
    """A client's frame, masked."""
    head = bytes([(0x80 if final else 0) | opcode])
    size = len(payload)
    if size < 126:
        head += bytes([0x80 | size])
    elif size < 65536:
        head += struct.pack("!BH", 0x80 | 126, size)
    else:
        head += struct.pack("!BQ", 0x80 | 127, size)
    mask = os.urandom(4)
    masked = bytes(byte ^ mask[index % 4] for index, byte in enumerate(payload))
    return head + mask + masked

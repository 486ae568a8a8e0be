"""Writes WebSocket frames whole, in order, and without letting a slow reader hold up the others.

Of simple-websocket's own, frames tear under load, because it ignores how much `send()` wrote and
takes no lock (https://github.com/miguelgrinberg/simple-websocket/issues/45). Here one lock guards
the socket and every byte passes through it: our frames are tried without waiting, and what a full
socket buffer leaves over is finished in a thread of that reader's own.
"""

import logging
import socket
import struct
import threading
from collections.abc import Callable
from typing import Any

from app.native_thread import cheap_lock

log = logging.getLogger(__name__)

# Supplies the bytes to send next, or b"" when there is nothing.
Source = Callable[[], bytes]


def encode_text(text: str) -> bytes:
    """Return the unfragmented, unmasked WebSocket text frame (RFC 6455, section 5.2)."""
    payload = text.encode()
    size = len(payload)
    if size < 126:
        return bytes((0x81, size)) + payload
    if size < 65536:
        return struct.pack("!BBH", 0x81, 126, size) + payload
    return struct.pack("!BBQ", 0x81, 127, size) + payload


class FrameWriter:
    """The one writer of one socket."""

    __slots__ = ("_done", "_due", "_lock", "_plain", "_socket")

    def __init__(self, sock: socket.socket) -> None:
        self._socket = sock
        # gevent's sockets wait when full; the plain one beneath says so instead.
        self._plain: Any = getattr(sock, "_sock", sock)
        self._lock = cheap_lock()
        self._due: dict[Source, None] = {}
        self._done = False

    def send(self, data: bytes, *, last: bool = False) -> int:
        """Send bytes whole, waiting for room; nothing is sent after the last ones.

        Raises OSError when the peer is gone.
        """
        with self._lock:
            if not self._done:
                self._done = last
                self._socket.sendall(data)
        self._send_due()
        return len(data)

    def offer(self, source: Source) -> None:
        """Send what `source` supplies, now if there is room, else as soon as there is."""
        self._due[source] = None
        self._send_due()

    def _send_due(self) -> None:
        # Whoever holds the lock comes back here after releasing it, so nothing due is forgotten.
        while self._due and self._lock.acquire(blocking=False):
            rest = b""
            try:
                while self._due and not rest:
                    rest = self._try_to_send(self._due.popitem()[0])
            except OSError:
                self._due.clear()  # The reading side notices the dead peer and cleans up.
            finally:
                if not rest:
                    self._lock.release()
            if rest:
                threading.Thread(target=self._finish, args=(rest,), daemon=True).start()
                return

    def _try_to_send(self, source: Source) -> bytes:
        """Send what is there; returns what the socket has no room for."""
        if self._done or not (data := source()):
            return b""
        try:
            sent = self._plain.send(data, socket.MSG_DONTWAIT)
        except BlockingIOError:
            return data
        return b"" if sent == len(data) else data[sent:]

    def _finish(self, rest: bytes) -> None:
        """Send the rest of a frame, waiting as long as it takes, then let go of the lock."""
        try:
            self._socket.sendall(rest)
        except OSError:
            self._due.clear()
        finally:
            self._lock.release()
        self._send_due()

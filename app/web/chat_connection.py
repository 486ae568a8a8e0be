"""The connection as simple-websocket sees it: writes, reads and the close are made safe here."""

import logging
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from app.web.frame_writer import FrameWriter

log = logging.getLogger(__name__)

# Frames of one client that may wait for their answer.
MOST_WAITING_FRAMES = 32
# How long a client that was told goodbye may take to stop sending.
LINGER_S = 1.0
_CLOSE = 0x88


class ChatConnection:
    """Stands in for the socket.

    Writes go whole through the frame writer, and none after a close frame. Reads wait while more
    frames have come than were answered, so that a flood fills the client's own buffers instead of
    our memory. Closing first reads what is still on its way: a connection closed with bytes unread
    is reset, and the client would never see the close frame with its reason.
    """

    def __init__(self, sock: socket.socket) -> None:
        self.writer = FrameWriter(sock)
        self.backlog: Callable[[], int] = lambda: 0
        self._socket = sock
        self._closed = threading.Event()

    def send(self, data: bytes) -> int:
        """Send bytes whole. That the peer is gone is noticed where it is read from.

        An error in the middle of the handshake would be answered with an HTTP 500.
        """
        try:
            return self.writer.send(data, last=_ends_with_close(data))
        except OSError:
            log.debug("the peer is gone", exc_info=True)
            return len(data)

    def recv(self, size: int) -> bytes:
        """Read up to `size` bytes, once there is room for what they may hold."""
        while self.backlog() > MOST_WAITING_FRAMES:
            time.sleep(0.01)
        return self._socket.recv(size)

    def close(self) -> None:
        """Close in the order that TCP wants; takes at most `LINGER_S` longer than the client."""
        give_up_at = time.monotonic() + LINGER_S
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_WR)
            self._socket.settimeout(LINGER_S)
            while time.monotonic() < give_up_at and self._socket.recv(64 * 1024):
                time.sleep(0)  # others have their turn, however fast this one sends
        self._closed.set()
        self._socket.close()

    def wait_closed(self) -> None:
        """Return once it is closed, or after `LINGER_S`: nobody answers frames any more."""
        self.backlog = lambda: 0
        self._closed.wait(LINGER_S)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._socket, name)


def _ends_with_close(data: bytes) -> bool:
    """Whether the last of some control frames is a close frame.

    simple-websocket sends only those, and before them the answer to the handshake, which is text.
    """
    at = 0
    while data[at] & 0x80 and at + 2 + data[at + 1] < len(data):
        at += 2 + data[at + 1]
    return data[at] == _CLOSE

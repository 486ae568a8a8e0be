"""The open sockets of this process, and how they are closed when it shuts down."""

import threading
import time
from typing import Protocol

# Of the registry that RFC 6455 founded (https://www.iana.org/assignments/websocket/).
GOING_AWAY = 1001
SERVICE_RESTART = 1012
TRY_AGAIN_LATER = 1013


class Closable(Protocol):
    """A socket as its closing sees it."""

    def idle(self) -> bool:
        """Whether nothing is being streamed over it."""

    def close(self, code: int, reason: str) -> None:
        """Close it with a WebSocket close code."""


class OpenSockets:
    """Knows which sockets are open."""

    def __init__(self) -> None:
        self._open: set[Closable] = set()

    def __len__(self) -> int:
        return len(self._open)

    def add(self, socket: Closable) -> None:
        """Note a socket that has opened."""
        self._open.add(socket)

    def discard(self, socket: Closable) -> None:
        """Note a socket that has closed."""
        self._open.discard(socket)

    def drain(self) -> None:
        """Close each socket (1012) as soon as nothing is being streamed over it; never returns.

        The client connects again, to a process that goes on, and resumes where it was. Sockets
        still open while the process leaves, so this goes on for as long as it lives.
        """
        while True:
            self.close_idle()
            time.sleep(0.05)

    def close_idle(self) -> None:
        """Close the sockets over which nothing is being streamed; returns at once."""
        for socket in tuple(self._open):
            if socket.idle():
                self._close(socket, SERVICE_RESTART, "restarting")

    def close_all(self) -> None:
        """Close whatever is still open, in the middle of a stream too; returns at once."""
        for socket in tuple(self._open):
            self._close(socket, GOING_AWAY, "going away")

    def _close(self, socket: Closable, code: int, reason: str) -> None:
        self.discard(socket)
        # In a thread of its own: a slow reader's socket takes its time to close.
        threading.Thread(target=socket.close, args=(code, reason), daemon=True).start()

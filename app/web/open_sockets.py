"""The open sockets of this process, and how they are closed when it shuts down."""

import threading
import time
from typing import Protocol

SERVICE_RESTART = 1012


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
            for socket in tuple(self._open):
                if socket.idle():
                    self.discard(socket)
                    # In a thread of its own: a slow reader's socket takes its time to close.
                    closing = (SERVICE_RESTART, "restarting")
                    threading.Thread(target=socket.close, args=closing, daemon=True).start()
            time.sleep(0.05)

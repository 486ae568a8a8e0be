"""The open sockets of this process: their pings, and how they are closed when it shuts down."""

import logging
import threading
import time
from typing import Protocol

log = logging.getLogger(__name__)

# Of the registry that RFC 6455 founded (https://www.iana.org/assignments/websocket/).
GOING_AWAY = 1001
POLICY_VIOLATION = 1008
SERVICE_RESTART = 1012
TRY_AGAIN_LATER = 1013

# How exactly a socket keeps its times: for pings, silence and goodbyes.
BEAT_S = 1.0


class Closable(Protocol):
    """A socket as its closing sees it."""

    def idle(self) -> bool:
        """Whether nothing is being streamed over it."""

    def beat(self, now: float) -> tuple[int, str] | None:
        """Do what time asks for; returns code and reason once the socket is to be closed.

        Called about every `BEAT_S`, with the time of `time.monotonic`; must not wait.
        """

    def close(self, code: int, reason: str) -> None:
        """Close it with a WebSocket close code."""


class OpenSockets:
    """Knows which sockets are open.

    One thread looks after the time for all of them: a timer for each costs more, and most of all
    to those who never say anything.
    """

    def __init__(self) -> None:
        self._open: set[Closable] = set()
        self._closing: set[Closable] = set()
        self._beating = False
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._open)

    def add(self, socket: Closable) -> None:
        """Note a socket that has opened."""
        with self._lock:
            self._open.add(socket)
            if self._beating:
                return
            self._beating = True
        threading.Thread(target=self._keep_beating, name="sockets", daemon=True).start()

    def discard(self, socket: Closable) -> None:
        """Note a socket that has closed."""
        with self._lock:
            self._open.discard(socket)
            self._closing.discard(socket)

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
        with self._lock:
            if socket not in self._open:
                return
            self._open.remove(socket)
            self._closing.add(socket)
        # In a thread of its own: a slow reader's socket takes its time to close.
        threading.Thread(target=socket.close, args=(code, reason), daemon=True).start()

    def _keep_beating(self) -> None:
        while self._is_used():
            time.sleep(BEAT_S)
            for number, socket in enumerate((*self._open, *self._closing)):
                try:
                    if verdict := socket.beat(time.monotonic()):
                        self._close(socket, *verdict)
                except Exception:
                    log.exception("a socket has missed a beat")  # the others keep theirs
                if not number % 100:
                    time.sleep(0)  # streams go on meanwhile

    def _is_used(self) -> bool:
        with self._lock:
            self._beating = bool(self._open or self._closing)
            return self._beating

"""A TCP forwarder between a client and the app that a test cuts and restores, like a bad network.

Cutting ends every connection through it and, until it is restored, takes no new ones: neither
side has done or said anything, as when a proxy restarts or a cable is pulled.
"""

from __future__ import annotations

import socket
import struct
import threading
from contextlib import suppress
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

from e2e.tunnel import tunnel


class CuttingProxy:
    """Forwards bytes to `url`; a context manager that listens on `proxy.url` meanwhile."""

    def __init__(self, url: str) -> None:
        target = urlsplit(url)
        self._target = (target.hostname or "127.0.0.1", target.port or 80)
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self._lock = threading.Lock()
        self._open: set[socket.socket] = set()
        self._is_cut = False
        self.refused = 0
        """Connections turned away since the cut."""

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.cut()
        # Unlike close(), this wakes the thread that is blocked in accept().
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    @property
    def url(self) -> str:
        """The app's address through the proxy."""
        return f"http://127.0.0.1:{self._listener.getsockname()[1]}"

    def cut(self) -> None:
        """Reset all connections, and every new one until restore()."""
        with self._lock:
            self._is_cut = True
            self.refused = 0
            doomed, self._open = self._open, set()
        for connection in doomed:
            _reset(connection)

    def restore(self) -> None:
        """Let connections through again."""
        with self._lock:
            self._is_cut = False

    def cut_once(self) -> None:
        """Reset all connections; new ones get through at once."""
        self.cut()
        self.restore()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            with self._lock:
                self.refused += self._is_cut
            if self._is_cut:
                _reset(client)
                continue
            try:
                server = socket.create_connection(self._target, timeout=10)
            except OSError:
                _reset(client)
                continue
            server.settimeout(None)
            with self._lock:
                self._open |= {client, server}
            threading.Thread(target=self._pass_on, args=(client, server), daemon=True).start()

    def _pass_on(self, client: socket.socket, server: socket.socket) -> None:
        tunnel(client, server)
        with self._lock:
            self._open -= {client, server}


def _reset(connection: socket.socket) -> None:
    """End a connection with a TCP reset and wake whoever is blocked on it."""
    with suppress(OSError):
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        connection.shutdown(socket.SHUT_RDWR)
        connection.close()

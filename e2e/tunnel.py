"""Two connections, each of which gets what the other one sends."""

from __future__ import annotations

import socket
import threading
from contextlib import suppress


def tunnel(one: socket.socket, other: socket.socket) -> None:
    """Pass bytes on, both ways, until one side is done; then both are, and are closed."""
    back = threading.Thread(target=_forward, args=(other, one), daemon=True)
    back.start()
    _forward(one, other)
    # Closed by one thread while the other still reads, its number could already be another
    # connection's, whose bytes would be taken away.
    back.join()
    one.close()
    other.close()


def _forward(source: socket.socket, sink: socket.socket) -> None:
    # Neither browsers nor the app half-close, so the end of one direction is the end of both.
    with suppress(OSError):
        while data := source.recv(65536):
            sink.sendall(data)
    for connection in (sink, source):
        with suppress(OSError):
            connection.shutdown(socket.SHUT_RDWR)

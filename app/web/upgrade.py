"""How a request becomes a socket: flask-sock answers the handshake, and hands the connection over.

simple-websocket would go on with a thread and a selector for each socket, and flask-sock inside of
the request. What follows the handshake needs nothing of either: see `app.web.chat_connection`.
"""

import socket
from collections.abc import Callable
from contextlib import suppress

from flask import request
from simple_websocket import Server

from app.web import handshake

_SOCKET = "thumbprint.socket"


class NoThread:
    """The thread in which simple-websocket would read."""

    name = ""

    def __init__(self, target: Callable[[], None]) -> None:
        pass

    def start(self) -> None:
        """Start nothing."""


class HandshakeSocket:
    """The socket as simple-websocket sees it, which answers the handshake over it."""

    def __init__(self, sock: socket.socket) -> None:
        self._socket = sock

    def send(self, data: bytes) -> int:
        """Send bytes whole. That the peer is gone is noticed where it is read from.

        An error in the middle of the handshake would be answered with an HTTP 500.
        """
        with suppress(OSError):
            self._socket.sendall(data)
        return len(data)


def prepare() -> None:
    """See to it that the answer to the current handshake is one we want."""
    if not handshake.is_asked_for():
        return
    # Compression costs a third more CPU and 96 kB a stream, for text this short.
    request.environ.pop("HTTP_SEC_WEBSOCKET_EXTENSIONS", None)
    for key in ("gunicorn.socket", "werkzeug.socket"):
        if sock := request.environ.get(key):
            request.environ[_SOCKET] = sock
            request.environ[key] = HandshakeSocket(sock)


def take_over(ws: Server) -> socket.socket:
    """The connection, once the handshake is answered; nobody else touches it from here on.

    flask-sock says no goodbye over what is closed, and the server closes nothing that is detached.
    """
    ws.connected = False
    return socket.socket(fileno=request.environ[_SOCKET].detach())

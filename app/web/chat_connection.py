"""An upgraded connection: the client's messages, pings, and a goodbye that arrives.

wsproto knows the protocol (RFC 6455) and flask-sock answers the handshake. simple-websocket would
go on with a thread, a selector and all of the request for each socket; here one thread reads and
answers, and holds nothing but what an open socket needs.
"""

import logging
import socket
import time
from contextlib import suppress

from wsproto.connection import Connection, ConnectionType
from wsproto.events import BytesMessage, CloseConnection, Event, Ping, Pong, TextMessage
from wsproto.utilities import LocalProtocolError

from app.web.frame_writer import FrameWriter

log = logging.getLogger(__name__)

MESSAGE_TOO_BIG = 1009
# Bytes read at once. What is in them is answered before more is read.
READ_AT_ONCE = 4096
# How long a client that was told goodbye may take to stop sending.
LINGER_S = 1.0
_PING = b"\x89\x00"


class ChatConnection:
    """What the client sends, message by message.

    Writes go whole through the frame writer, and none after a close frame. Nothing is read while
    messages are being answered, so that a flood fills the client's own buffers instead of our
    memory. Closing first reads what is still on its way: a connection closed with bytes unread is
    reset, and the client would never see the close frame with its reason.
    """

    __slots__ = (
        "_closing",
        "_give_up_at",
        "_is_reading",
        "_most",
        "_next_ping",
        "_partial",
        "_ping_interval_s",
        "_protocol",
        "_socket",
        "_unanswered",
        "writer",
    )

    def __init__(self, sock: socket.socket, most: int, ping_interval_s: float) -> None:
        """Take the socket over; `most` is the size of a message, in characters or bytes."""
        self.writer = FrameWriter(sock)
        self._socket = sock
        self._protocol = Connection(ConnectionType.SERVER)
        self._most = most
        self._partial = bytearray()
        self._ping_interval_s = ping_interval_s
        self._next_ping = time.monotonic() + ping_interval_s
        self._unanswered = False
        self._is_reading = False
        self._closing = False
        self._give_up_at: float | None = None

    def receive(self) -> list[str | bytes] | None:
        """Wait for bytes; returns the messages that are whole now, or None once there is no more.

        A message that is too long and a breach of the protocol close the connection.
        """
        # Until the goodbye is out, what still comes is read and passed over: ending now would cut
        # off the frame that it waits for.
        if self._give_up_at is not None:
            return None
        self._is_reading = True
        try:
            data = self._socket.recv(READ_AT_ONCE)
        except OSError:
            data = b""
        self._is_reading = False
        return self._parse(data) if data else None

    def beat(self, now: float) -> bool:
        """Ping when it is time; returns whether the last ping went unanswered. Never waits.

        Gives up waiting for a client that was told goodbye, too. To be called about every second.
        """
        if self._closing:
            if self._give_up_at is not None and now >= self._give_up_at:
                with suppress(OSError):
                    self._socket.shutdown(socket.SHUT_RDWR)  # wakes whoever reads
            return False
        if now < self._next_ping:
            return False
        self._next_ping = now + self._ping_interval_s
        # While a message is being answered the pong may be there, and unread.
        if self._unanswered and self._is_reading:
            return True
        self.writer.offer(self._ping)
        return False

    def close(self, code: int, reason: str | None) -> None:
        """Say goodbye; waits for room like every write. `receive` returns None soon after."""
        if self._closing:
            return
        self._closing = True
        try:
            self._send(CloseConnection(code, reason), last=True)
        finally:
            self._give_up_at = time.monotonic() + LINGER_S

    def end(self) -> None:
        """Close in the order that TCP wants; takes at most `LINGER_S` longer than the client."""
        self._closing = True
        give_up_at = time.monotonic() + LINGER_S
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_WR)
            self._socket.settimeout(LINGER_S)
            while time.monotonic() < give_up_at and self._socket.recv(64 * 1024):
                time.sleep(0)  # others have their turn, however fast this one sends
        self._socket.close()

    def _parse(self, data: bytes) -> list[str | bytes]:
        if self._closing:  # told so meanwhile
            return []
        messages: list[str | bytes] = []
        pongs: list[Event] = []
        goodbye: CloseConnection | None = None
        self._protocol.receive_data(data)
        for event in self._protocol.events():
            match event:
                case TextMessage() | BytesMessage():
                    if len(event.data) + len(self._partial) > self._most:
                        goodbye = CloseConnection(MESSAGE_TOO_BIG, "Message is too big")
                        break
                    messages += self._complete(event)
                case Ping():
                    pongs.append(event.response())
                case Pong():
                    self._unanswered = False
                case CloseConnection():  # the client's, or a breach with the code it deserves
                    goodbye = event
                    break
        if pongs:
            self._send(*pongs)
        if goodbye:
            self.close(goodbye.code, goodbye.reason)
        return messages

    def _complete(self, event: TextMessage | BytesMessage) -> list[str | bytes]:
        """The message that ends with this piece of it, if one does."""
        piece = event.data
        if self._partial or not event.message_finished:
            self._partial += piece.encode() if isinstance(piece, str) else piece
            if not event.message_finished:
                return []
            whole, self._partial = self._partial, bytearray()
            piece = whole.decode() if isinstance(piece, str) else whole
        return [piece if isinstance(piece, str) else bytes(piece)]

    def _send(self, *events: Event, last: bool = False) -> None:
        try:
            self.writer.send(b"".join(map(self._protocol.send, events)), last=last)
        except (LocalProtocolError, OSError):
            log.debug("the peer is gone", exc_info=True)

    def _ping(self) -> bytes:
        self._unanswered = True
        return _PING

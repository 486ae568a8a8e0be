"""The WebSocket `/ws/chat`: client frames in, the frames of any number of turns out.

The socket only reads turn logs. Dropping it ends nothing; only a `stop` frame ends a turn early.
"""

import logging
from collections.abc import Callable

from flask import Flask, request
from flask_sock import Sock
from simple_websocket import ConnectionClosed, Server

from app.errors import ThumbprintError
from app.protocol import Ask, ClientFrame, Resume, Stop, error_frame, parse_client_frame
from app.settings import Settings
from app.turn_log import FramesLost, TurnLog
from app.turns.engine import TurnEngine
from app.turns.running import TurnRef
from app.web import handshake
from app.web.address import client_address
from app.web.chat_connection import ChatConnection
from app.web.frame_writer import FrameWriter, encode_text
from app.web.identity import current_user
from app.web.open_sockets import GOING_AWAY, TRY_AGAIN_LATER
from app.web.services import Services, services

log = logging.getLogger(__name__)

INTERNAL_ERROR = 1011
# Bytes taken from a log at a time: as much as a socket that is not being read keeps in memory.
MOST_AT_ONCE = 64 * 1024


def init_app(app: Flask, settings: Settings) -> None:
    """Add the socket to the app."""
    app.config["SOCK_SERVER_OPTIONS"] = {
        "ping_interval": settings.socket_ping_interval_s,
        # JSON may spell one character as twelve bytes (a surrogate pair).
        "max_message_size": settings.chat_max_message_chars * 12 + 1024,
    }

    app.before_request(handshake.admit)
    app.before_request(_take_over_writing)
    app.teardown_request(handshake.release)
    Sock(app).route("/ws/chat")(_chat)


def _take_over_writing() -> None:
    if not handshake.is_asked_for():
        return
    # Compression costs a third more CPU and 96 kB a stream, for text this short.
    request.environ.pop("HTTP_SEC_WEBSOCKET_EXTENSIONS", None)
    for key in ("gunicorn.socket", "werkzeug.socket"):
        if sock := request.environ.get(key):
            request.environ[key] = ChatConnection(sock)
            request.environ["thumbprint.connection"] = request.environ[key]


def _chat(ws: Server) -> None:
    # An exception that left this route would write an HTTP 500 into the upgraded socket.
    link: ChatConnection = request.environ["thumbprint.connection"]
    link.backlog = lambda: len(ws.input_buffer)
    connection = ChatSocket(ws, link.writer, current_user(), client_address(), services())
    if services().engine.draining:
        # Whoever asks this late would not be heard to the end; the next process is as good.
        return connection.close(TRY_AGAIN_LATER, "restarting")
    sockets = services().sockets
    try:
        sockets.add(connection)
        connection.serve()
    except (ConnectionClosed, OSError):
        log.debug("a socket closed", exc_info=True)
    except Exception:
        log.exception("a socket failed")
        connection.close(INTERNAL_ERROR, "internal error")
    finally:
        sockets.discard(connection)
        connection.leave()
        # gunicorn closes the connection when this returns, which must not cut the goodbye short.
        link.wait_closed()


class ChatSocket:
    """One connected browser tab (or other client)."""

    def __init__(
        self, ws: Server, writer: FrameWriter, user_id: str, address: str, app_services: Services
    ) -> None:
        self._ws = ws
        self._writer = writer
        self._user_id = user_id
        self._address = address
        self._engine: TurnEngine = app_services.engine
        self._limiter = app_services.limiter
        self._max_message_chars = app_services.settings.chat_max_message_chars
        self._patience_s = app_services.settings.socket_idle_timeout_s
        self._followers: dict[str, Follower] = {}

    def serve(self) -> None:
        """Answer frames until the client goes, or has nothing to say. Raises `ConnectionClosed`."""
        while True:
            raw = self._ws.receive(timeout=self._patience_s)
            if raw is None:
                if self.idle():
                    return self.close(GOING_AWAY, "idle")
                continue
            frame = None
            try:
                frame = parse_client_frame(raw, self._max_message_chars)
                self._handle(frame)
            except ThumbprintError as error:
                self._say(error, frame)
            except (ConnectionClosed, OSError):
                raise
            except Exception:
                ids = {"user_id": self._user_id}
                if frame and frame.client_request_id:
                    ids["client_request_id"] = frame.client_request_id
                log.exception("a frame failed", extra=ids)
                self._say(ThumbprintError("Something went wrong on our side."), frame)

    def idle(self) -> bool:
        """Whether every turn it follows has been sent to its end, or runs in another process.

        The latter can be followed from any process, so this one need not stay for it.
        """
        elsewhere = self._engine.turn_log.attached()
        followed = tuple(self._followers.items())
        return all(one.finished or turn_id in elsewhere for turn_id, one in followed)

    def close(self, code: int, reason: str) -> None:
        """Say goodbye with a close code and let `serve` return."""
        try:
            self._ws.close(code, reason)
        except (ConnectionClosed, OSError):
            log.debug("the socket was closed already", exc_info=True)
        self._ws.event.set()

    def leave(self) -> None:
        """Stop reading turn logs."""
        for follower in self._followers.values():
            follower.leave()

    def _handle(self, frame: ClientFrame) -> None:
        match frame:
            case Ask():
                self._follow(self._engine.ask(self._user_id, frame, self._admit), -1)
            case Stop(client_request_id):
                self._engine.stop(self._user_id, client_request_id)
            case Resume(client_request_id, after_seq):
                ref = self._engine.resume(self._user_id, client_request_id, after_seq)
                self._follow(ref, after_seq)

    def _admit(self) -> None:
        self._limiter.count_message(self._user_id, self._address)

    def _follow(self, ref: TurnRef, after_seq: int) -> None:
        if previous := self._followers.pop(ref.turn_id, None):
            previous.leave()
        for turn_id, known in list(self._followers.items()):
            if known.finished:
                del self._followers[turn_id]
        follower = Follower(self._engine.turn_log, ref, after_seq, self._writer)
        self._followers[ref.turn_id] = follower
        follower.join()

    def _say(self, error: ThumbprintError, about: ClientFrame | None) -> None:
        frame = _about(error, about.client_request_id if about else None)
        self._writer.send(encode_text(frame))


class Follower:
    """Sends the frames of one turn to one socket, each once and in order."""

    def __init__(
        self, turn_log: TurnLog, ref: TurnRef, after_seq: int, writer: FrameWriter
    ) -> None:
        self._log = turn_log
        self._turn_id = ref.turn_id
        self._client_request_id = ref.client_request_id
        self._after_seq = after_seq
        self._writer = writer
        self.finished = False
        self._left = False
        self._wake: Callable[[], None] = self.wake
        self._source: Callable[[], bytes] = self._take

    def join(self) -> None:
        """Send what is there and whatever follows."""
        # Subscribed before the first read, so that nothing falls in between.
        self._log.subscribe(self._turn_id, self._wake)
        self.wake()

    def leave(self) -> None:
        """Send nothing more."""
        self._left = True
        self._log.unsubscribe(self._turn_id, self._wake)

    def wake(self) -> None:
        """Send what has come since; called by the turn log."""
        self._writer.offer(self._source)

    def _take(self) -> bytes:
        if self._left:
            return b""
        frames, ended = self._log.read(self._turn_id, self._after_seq) or ((), True)
        if ended and not frames:
            return self._give_up()
        taken = bytearray()
        for frame in frames:
            if len(taken) >= MOST_AT_ONCE:
                self.wake()  # for the rest, once this is sent
                return bytes(taken)
            taken += encode_text(frame)
            self._after_seq += 1
        if ended:
            self._finish()
        return bytes(taken)

    def _give_up(self) -> bytes:
        self._finish()
        return encode_text(_about(FramesLost(), self._client_request_id))

    def _finish(self) -> None:
        self.finished = True
        self.leave()


def _about(error: ThumbprintError, client_request_id: str | None) -> str:
    """The frame that says an error outside of any turn's frames."""
    return error_frame(
        error.code, error.message, error.retryable, client_request_id=client_request_id
    )

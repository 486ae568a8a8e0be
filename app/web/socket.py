"""The WebSocket `/ws/chat`: client frames in, the frames of any number of turns out.

The socket only reads turn logs. Dropping it ends nothing; only a `stop` frame ends a turn early.
"""

import logging
import time
from collections.abc import Callable
from functools import partial

from flask import Flask
from flask_sock import Sock
from simple_websocket import Server

from app.errors import ThumbprintError
from app.protocol import Ask, ClientFrame, Resume, Stop, error_frame, parse_client_frame
from app.turn_log import FramesLost, TurnLog
from app.turns.running import TurnRef
from app.web import handshake, upgrade
from app.web.afterwards import do_afterwards
from app.web.chat_connection import ChatConnection
from app.web.frame_writer import FrameWriter, encode_text
from app.web.open_sockets import GOING_AWAY, POLICY_VIOLATION, TRY_AGAIN_LATER
from app.web.seats import Seat
from app.web.services import Services, services

log = logging.getLogger(__name__)

INTERNAL_ERROR = 1011
# Bytes taken from a log at a time: as much as a socket that is not being read keeps in memory.
MOST_AT_ONCE = 64 * 1024


def init_app(app: Flask) -> None:
    """Add the socket to the app."""
    app.config["SOCK_SERVER_OPTIONS"] = {"thread_class": upgrade.NoThread}

    app.before_request(handshake.admit)
    app.before_request(upgrade.prepare)
    app.teardown_request(handshake.release)
    Sock(app).route("/ws/chat")(_chat)


def _chat(ws: Server) -> None:
    parts = services()
    connection = ChatConnection(
        upgrade.take_over(ws),
        # JSON may spell one character as twelve bytes (a surrogate pair).
        parts.settings.chat_max_message_chars * 12 + 1024,
        parts.settings.socket_ping_interval_s,
    )
    do_afterwards(ChatSocket(connection, handshake.keep_seat(), parts).run)


class ChatSocket:
    """One connected browser tab (or other client)."""

    __slots__ = ("_asked_at", "_connection", "_followers", "_parts", "_seat")

    def __init__(self, connection: ChatConnection, seat: Seat, parts: Services) -> None:
        """The seat is given back when `run` returns."""
        self._connection = connection
        self._seat = seat
        self._parts = parts
        self._followers: dict[str, Follower] = {}
        self._asked_at = time.monotonic()

    def run(self) -> None:
        """Answer what the client sends until it has gone. Raises nothing."""
        parts = self._parts
        try:
            if parts.engine.draining:
                # Whoever asks this late would not be heard to the end; the next process is as good.
                return self.close(TRY_AGAIN_LATER, "restarting")
            parts.sockets.add(self)
            self._serve()
        except OSError:
            log.debug("a socket closed", exc_info=True)
        except Exception:
            log.exception("a socket failed")
            self.close(INTERNAL_ERROR, "internal error")
        finally:
            parts.sockets.discard(self)
            self._leave()
            self._connection.end()
            parts.seats.leave(self._seat)

    def beat(self, now: float) -> tuple[int, str] | None:
        """Do what time asks for; returns code and reason once the socket is to be closed."""
        if self._connection.beat(now):
            return POLICY_VIOLATION, "Ping/Pong timeout"
        if now - self._asked_at > self._parts.settings.socket_idle_timeout_s:
            self._asked_at = now
            if self.idle():
                return GOING_AWAY, "idle"
        return None

    def idle(self) -> bool:
        """Whether every turn it follows has been sent to its end, or runs in another process.

        The latter can be followed from any process, so this one need not stay for it.
        """
        elsewhere = self._parts.engine.turn_log.attached()
        followed = tuple(self._followers.items())
        return all(one.finished or turn_id in elsewhere for turn_id, one in followed)

    def close(self, code: int, reason: str) -> None:
        """Say goodbye with a close code and let `run` return."""
        self._connection.close(code, reason)

    def _serve(self) -> None:
        while (messages := self._connection.receive()) is not None:
            for message in messages:
                self._asked_at = time.monotonic()
                self._answer(message)

    def _answer(self, raw: str | bytes) -> None:
        frame = None
        try:
            frame = parse_client_frame(raw, self._parts.settings.chat_max_message_chars)
            self._handle(frame)
        except ThumbprintError as error:
            self._say(error, frame)
        except OSError:
            raise
        except Exception:
            ids = {"user_id": self._seat.user_id}
            if frame and frame.client_request_id:
                ids["client_request_id"] = frame.client_request_id
            log.exception("a frame failed", extra=ids)
            self._say(ThumbprintError("Something went wrong on our side."), frame)

    def _leave(self) -> None:
        """Stop reading turn logs."""
        for follower in self._followers.values():
            follower.leave()

    def _handle(self, frame: ClientFrame) -> None:
        match frame:
            case Ask():
                self._follow(self._parts.engine.ask(self._seat.user_id, frame, self._admit), -1)
            case Stop(client_request_id):
                self._parts.engine.stop(self._seat.user_id, client_request_id)
            case Resume(client_request_id, after_seq):
                ref = self._parts.engine.resume(self._seat.user_id, client_request_id, after_seq)
                self._follow(ref, after_seq)

    def _admit(self) -> None:
        self._parts.limiter.count_message(self._seat.user_id, self._seat.address)

    def _follow(self, ref: TurnRef, after_seq: int) -> None:
        if previous := self._followers.pop(ref.turn_id, None):
            previous.leave()
        for turn_id, known in list(self._followers.items()):
            if known.finished:
                del self._followers[turn_id]
        follower = Follower(self._parts.engine.turn_log, ref, after_seq, self._connection.writer)
        self._followers[ref.turn_id] = follower
        follower.join()

    def _say(self, error: ThumbprintError, about: ClientFrame | None) -> None:
        frame = _about(error, about.client_request_id if about else None)
        self._connection.writer.send(encode_text(frame))


class Follower:
    """Sends the frames of one turn to one socket, each once and in order."""

    __slots__ = (
        "_after_seq",
        "_client_request_id",
        "_left",
        "_log",
        "_turn_id",
        "_wake",
        "finished",
    )

    def __init__(
        self, turn_log: TurnLog, ref: TurnRef, after_seq: int, writer: FrameWriter
    ) -> None:
        self._log = turn_log
        self._turn_id = ref.turn_id
        self._client_request_id = ref.client_request_id
        self._after_seq = after_seq
        self.finished = False
        self._left = False
        # Called by the turn log: send what has come since.
        self._wake: Callable[[], None] = partial(writer.offer, self._take)

    def join(self) -> None:
        """Send what is there and whatever follows."""
        # Subscribed before the first read, so that nothing falls in between.
        self._log.subscribe(self._turn_id, self._wake)
        self._wake()

    def leave(self) -> None:
        """Send nothing more."""
        self._left = True
        self._log.unsubscribe(self._turn_id, self._wake)

    def _take(self) -> bytes:
        if self._left:
            return b""
        frames, ended = self._log.read(self._turn_id, self._after_seq) or ((), True)
        if ended and not frames:
            return self._give_up()
        taken = bytearray()
        for frame in frames:
            if len(taken) >= MOST_AT_ONCE:
                self._wake()  # for the rest, once this is sent
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

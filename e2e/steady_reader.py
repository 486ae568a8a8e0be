"""A client as the contract wants it: connects again, resumes, and misses and doubles nothing.

It gives up on nothing that is `retryable`, and fails on everything the contract rules out: a gap, a
frame that comes twice, a second terminal frame, a close code that is not the server's word for
"I restart".
"""

from __future__ import annotations

import json
import time
import uuid
from collections import Counter
from contextlib import ExitStack
from dataclasses import dataclass, field

import requests
from websockets.exceptions import ConnectionClosed, WebSocketException

from e2e.visitor import ChatSocket, Frame, Visitor

PAUSE_S = 0.1
# Going away, service restart, try again later: "connect again".
RESTARTING = {1001, 1012, 1013}


@dataclass
class SteadyTurn:
    """One turn, however many connections it took."""

    question: str
    client_request_id: str = field(default_factory=lambda: uuid.uuid4().hex)
    frames: list[Frame] = field(default_factory=list)
    is_told_by_the_record: bool = False

    @property
    def text(self) -> str:
        """The answer so far."""
        return "".join(frame["content"] for frame in self.frames if frame["type"] == "token")

    @property
    def has_ended(self) -> bool:
        """Whether the terminal frame is there."""
        return bool(self.frames) and self.frames[-1]["type"] in {"done", "error"}

    def take(self, frame: Frame) -> None:
        """Add the next frame, which must be the next one."""
        assert not self.has_ended, f"{frame} after the end"
        assert frame["seq"] == len(self.frames), f"{frame} after {len(self.frames)} frames"
        self.frames.append(frame)


class SteadyReader:
    """Asks, reads and judges through whatever happens to the servers behind one address."""

    def __init__(
        self, visitor: Visitor, patience_s: float = 90.0, pause_before_frame_s: float = 0.0
    ) -> None:
        """`patience_s` is for each question and verdict; with a pause it is a slow reader."""
        self.visitor = visitor
        self.troubles: Counter[str] = Counter()
        """What happened on the way, by name."""
        self._patience_s = patience_s
        self._pause_before_frame_s = pause_before_frame_s
        self._socket: ChatSocket | None = None
        self._opened = ExitStack()

    def ask(self, question: str) -> SteadyTurn:
        """Ask and read to the end. The socket stays open for the next question."""
        turn = SteadyTurn(question)
        give_up_at = time.monotonic() + self._patience_s
        while not turn.has_ended:
            assert time.monotonic() < give_up_at, f"{turn.text!r} after {dict(self.troubles)}"
            try:
                if self._socket is None:
                    self._socket = self._opened.enter_context(self.visitor.open_socket())
                self._read(self._socket, turn)
            except ConnectionClosed as closed:
                self._note_close(closed)
            except (OSError, WebSocketException) as error:
                self.troubles[type(error).__name__] += 1
            if not turn.has_ended:
                self.close()
                time.sleep(PAUSE_S)
        return turn

    def close(self) -> None:
        """Leave the socket."""
        self._opened.close()
        self._socket = None

    def judge(self, turn: SteadyTurn, is_correct: bool) -> None:
        """Send the thumb until it is taken."""
        give_up_at = time.monotonic() + self._patience_s
        while True:
            assert time.monotonic() < give_up_at, dict(self.troubles)
            try:
                request_id = turn.client_request_id
                answer = self.visitor.judge(is_correct, client_request_id=request_id)
            except requests.RequestException as error:
                self.troubles[type(error).__name__] += 1
            else:
                if answer.status_code == 200:
                    return
                self.troubles[f"HTTP {answer.status_code}"] += 1
                assert answer.json()["error"]["retryable"], answer.text
            time.sleep(PAUSE_S)

    def _note_close(self, closed: ConnectionClosed) -> None:
        code = closed.rcvd.code if closed.rcvd else "lost"
        assert code in {*RESTARTING, "lost"}, closed
        self.troubles[f"closed {code}"] += 1

    def _read(self, socket: ChatSocket, turn: SteadyTurn) -> None:
        """Read over one connection until the turn has ended or another is needed."""
        request = {"client_request_id": turn.client_request_id}
        if turn.frames:
            socket.send({"type": "resume", "after_seq": len(turn.frames) - 1, **request})
        else:
            socket.send({"type": "message", "content": turn.question, **request})
        while not turn.has_ended:
            time.sleep(self._pause_before_frame_s)
            frame = json.loads(socket.connection.recv(timeout=30))
            if "seq" in frame:
                turn.take(frame)
                continue
            self.troubles[frame["code"]] += 1
            if frame["code"] == "turn_expired":
                # The record has the whole turn, told anew.
                turn.frames, turn.is_told_by_the_record = [], True
            else:
                assert frame["retryable"], frame
            return

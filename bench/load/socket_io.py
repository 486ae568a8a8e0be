"""Reads answers over Socket.IO, as Chainlit's page speaks it.

Engine.IO 4 over a WebSocket alone, and of Socket.IO 5 the default namespace without attachments:
each text frame begins with the kinds of both (`0` open, `2` ping, `3` pong; `40` connect, `42`
event), and what follows is JSON. https://socket.io/docs/v4/engine-io-protocol/
"""

import datetime as dt
import http.client
import json
import uuid
from collections.abc import Mapping

from bench.load.web_socket import WebSocket, cookie_of

OPEN, PING, PONG, CONNECT, REFUSED, EVENT = b"0", b"2", "3", b"40", b"44", b"42"
# The last thing Chainlit says to who has just come.
READY = b'["clear_call_fn"'
FIRST = b'["stream_start"'
TOKENS = (FIRST, b'["stream_token"')
END = b'["task_end"'
FAILED = b'"isError":true'


class SocketIO(WebSocket):
    """One session of a person in Chainlit."""

    path = "/ws/socket.io/?EIO=4&transport=websocket"
    _seen = b""
    _feedback: Mapping[str, object] = {}

    @staticmethod
    def identify(host: str, number: int) -> str:
        """Log in as somebody: the peer believes a header."""
        connection = http.client.HTTPConnection(host, timeout=10)
        connection.request("POST", "/auth/header", headers={"X-User": f"user-{number}"})
        cookie = cookie_of(connection.getresponse().headers)
        connection.close()
        return cookie

    def begin(self) -> None:
        """Wait for the server's first packet."""

    def send(self, question: str) -> None:
        """Ask as the page does."""
        message = {
            "id": str(uuid.uuid4()),
            "name": "user",
            "type": "user_message",
            "output": question,
            "createdAt": dt.datetime.now(dt.UTC).isoformat(),
        }
        self._emit("client_message", {"message": message, "fileReferences": None})

    def verdict(self, number: int) -> tuple[str, str, dict[str, object]]:
        """How the page judges an answer; a second verdict names the first, which it changes."""
        feedback = {**self._feedback, "value": number % 2, "comment": f"verdict {number}"}
        return "PUT", "/feedback", {"feedback": feedback, "sessionId": self._session}

    def judged(self, answer: bytes) -> None:
        """Keep the name of the verdict."""
        self._feedback = {**self._feedback, "id": json.loads(answer)["feedbackId"]}

    def take_text(self, payload: bytes) -> None:
        """Answer what the protocol wants answered, keep what belongs to the answer."""
        if payload == PING:
            self.send_text(PONG)
        elif payload.startswith(EVENT):
            self._take_event(payload[len(EVENT) :])
        elif payload.startswith(CONNECT):
            self._emit("connection_successful")
        elif payload.startswith(OPEN):
            self._session = str(uuid.uuid4())
            who = {"sessionId": self._session, "clientType": "webapp", "userEnv": "{}"}
            self.send_text(CONNECT.decode() + json.dumps({**who, "threadId": ""}))
        elif payload.startswith(REFUSED):
            self.fail(payload.decode(errors="replace")[:200])

    def scan(self, _data: bytes) -> None:
        """Scan what was kept; the frames also repeat the whole answer at its end."""
        seen, self._seen = self._seen, b""
        if seen:
            super().scan(seen)

    def _take_event(self, event: bytes) -> None:
        if event.startswith(TOKENS):
            self._seen += event
            if event.startswith(FIRST):
                _, step = json.loads(event)
                self._feedback = {"forId": step["id"], "threadId": step["threadId"]}
        elif not self.asked_at:
            if event.startswith(READY):
                self.open.set()
        elif event.startswith(END):
            self._seen += b'"done"'
        elif FAILED in event:
            self.fail(event.decode(errors="replace")[:200])

    def _emit(self, *event: object) -> None:
        self.send_text(EVENT.decode() + json.dumps(event))

"""A visitor without a browser: an identity cookie, chat sockets and the HTTP routes."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from copy import copy
from dataclasses import dataclass, field
from functools import partial
from types import TracebackType
from typing import Any, Self

import requests
from websockets import Origin
from websockets.sync.client import ClientConnection, connect

Frame = dict[str, Any]


@dataclass
class Turn:
    """The frames of one turn as they arrived."""

    client_request_id: str
    frames: list[Frame] = field(default_factory=list)

    @property
    def text(self) -> str:
        """The answer: every token frame's content, joined."""
        return "".join(frame["content"] for frame in self.frames if frame["type"] == "token")

    @property
    def last(self) -> Frame:
        """The newest frame; the terminal one once the turn has ended."""
        return self.frames[-1]

    @property
    def trace_id(self) -> str:
        """The trace the terminal frame named."""
        return str(self.last["trace_id"])

    @property
    def conversation_id(self) -> str:
        """The conversation the `start` frame named."""
        return str(self.frames[0]["conversation_id"])


class ChatSocket:
    """One open WebSocket; frames are dicts, or text and bytes when a test wants them bad."""

    def __init__(self, dial: Callable[[], AbstractContextManager[ClientConnection]]) -> None:
        self._dial = dial
        self._opened = ExitStack()
        self.connection: ClientConnection

    def __enter__(self) -> Self:
        self.connection = self._opened.enter_context(self._dial())
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._opened.__exit__(kind, error, trace)

    def send(self, frame: Frame | str | bytes) -> None:
        """Send a frame: a dict as JSON, text and bytes as they are."""
        self.connection.send(json.dumps(frame) if isinstance(frame, dict) else frame)

    def receive(self, timeout: float = 30.0) -> Frame:
        """The next frame; TimeoutError after `timeout` seconds of silence."""
        received = json.loads(self.connection.recv(timeout=timeout))
        assert isinstance(received, dict)
        return received

    def send_message(self, content: str, **fields: Any) -> Turn:
        """Ask without waiting for anything."""
        turn = Turn(fields.pop("client_request_id", None) or uuid.uuid4().hex)
        message = {"type": "message", "content": content}
        self.send({**message, "client_request_id": turn.client_request_id, **fields})
        return turn

    def read_until(self, turn: Turn, kind: str | None = None, timeout: float = 60.0) -> Turn:
        """Read the turn's frames up to one of this type; without a type, up to its end."""
        wanted = {kind} if kind else {"done", "error"}
        deadline = time.monotonic() + timeout
        while True:
            frame = self.receive(timeout=max(0.0, deadline - time.monotonic()))
            assert frame.get("client_request_id") == turn.client_request_id, frame
            turn.frames.append(frame)
            if frame["type"] in wanted:
                return turn

    def ask(self, content: str, **fields: Any) -> Turn:
        """Ask and read the whole turn."""
        return self.read_until(self.send_message(content, **fields))


class Visitor:
    """One person: the cookie of a first page load, used for everything after."""

    def __init__(self, url: str) -> None:
        self.url = url.rstrip("/")
        self.http = requests.Session()
        self.http.headers["Origin"] = self.url
        self.http.get(self.url + "/", timeout=30).raise_for_status()

    @property
    def cookie(self) -> str:
        """The Cookie header a browser would send."""
        return "; ".join(f"{cookie.name}={cookie.value}" for cookie in self.http.cookies)

    def at(self, url: str) -> Visitor:
        """The same person at another server."""
        other = copy(self)
        other.url = url.rstrip("/")
        other.http = requests.Session()
        other.http.cookies.update(self.http.cookies)
        other.http.headers["Origin"] = other.url
        return other

    def open_socket(self, *, cookie: bool = True, origin: str | None = None) -> ChatSocket:
        """The chat's socket, on request without a cookie or from another origin.

        Entering it connects; `InvalidStatus` when the handshake is refused.
        """
        dial = partial(
            connect,
            self.url.replace("http", "ws", 1) + "/ws/chat",
            additional_headers={"Cookie": self.cookie} if cookie else {},
            origin=Origin(origin or self.url),
            max_size=None,
            proxy=None,
            open_timeout=20,
        )
        return ChatSocket(dial)

    def send(self, method: str, path: str, **options: Any) -> requests.Response:
        """Any HTTP request of this person."""
        return self.http.request(method, self.url + path, timeout=30, **options)

    def judge(self, is_correct: bool, comment: str | None = None, **turn: str) -> requests.Response:
        """Post the thumb; `turn` is `trace_id=…` or `client_request_id=…`."""
        verdict: dict[str, Any] = {"is_correct": is_correct}
        if comment is not None:
            verdict["comment"] = comment
        return self.send("POST", "/feedback", params=turn, json=verdict)

    def feedback_state(self, client_request_id: str) -> dict[str, str]:
        """State of each piece of feedback on a turn, by name."""
        answer = self.send("GET", "/feedback", params={"client_request_id": client_request_id})
        answer.raise_for_status()
        return {one["name"]: one["state"] for one in answer.json()["feedback"]}

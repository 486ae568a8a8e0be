"""OpenAI's chat completions protocol on a plain threaded HTTP server.

It streams what a chosen `Answer` says and records what it was asked, when every token left, and
when the client closed its connection before the end.
"""

from __future__ import annotations

import json
import select
import socket
import struct
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, cast

from tests.scripted_answer import Answer, Fault, Gate

MODEL_NAME = "scripted"


@dataclass
class ModelRequest:
    """One completion request as it arrived, and what became of it."""

    headers: dict[str, str]
    body: dict[str, Any]
    received_at: float = field(default_factory=time.monotonic)
    sent_at: list[float] = field(default_factory=list)
    """When each token was handed to the network."""
    ended_at: float | None = None
    """When the answer was complete, or given up."""
    disconnected_at: float | None = None
    """When the client was seen to have closed the connection before the end."""

    @property
    def messages(self) -> list[dict[str, Any]]:
        """The conversation the client sent."""
        return cast("list[dict[str, Any]]", self.body.get("messages", []))

    @property
    def question(self) -> str:
        """The text of the last user message."""
        asked = [m["content"] for m in self.messages if m.get("role") == "user"]
        return str(asked[-1]) if asked else ""


class _ClientLeftError(Exception):
    """The client closed its connection before the end of the answer."""


class CompletionsServer(ThreadingHTTPServer):
    """Listens on 127.0.0.1; `choose` records each request and gives its answer."""

    daemon_threads = True
    block_on_close = False
    request_queue_size = 1024

    def __init__(self, port: int, choose: Callable[[ModelRequest], Answer]) -> None:
        self.choose = choose
        self.connections: set[socket.socket] = set()
        super().__init__(("127.0.0.1", port), _Handler)

    def cut_connections(self) -> None:
        """Reset every open connection, idle ones too."""
        for connection in list(self.connections):
            _reset(connection)

    def handle_error(self, request: object, client_address: object) -> None:
        """Clients that leave are part of the play: nothing to print."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: CompletionsServer
    connection: socket.socket

    def setup(self) -> None:
        super().setup()
        self.server.connections.add(self.connection)

    def finish(self) -> None:
        self.server.connections.discard(self.connection)
        super().finish()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 (its name)
        """Keep the test output quiet."""

    def do_GET(self) -> None:
        if self.path.rstrip("/").endswith("/models"):
            entry = {"id": MODEL_NAME, "object": "model", "created": 0, "owned_by": "tests"}
            self._send_json(200, {"object": "list", "data": [entry]})
        else:
            self._send_json(404, _error_body(404))

    def do_POST(self) -> None:
        raw = self.rfile.read(int(self.headers.get("Content-Length", "0")))
        if not self.path.endswith("/chat/completions"):
            self._send_json(404, _error_body(404))
            return
        headers = {name.lower(): value for name, value in self.headers.items()}
        request = ModelRequest(headers=headers, body=json.loads(raw))
        answer = self.server.choose(request)
        try:
            if answer.hold is not None:
                self._wait(answer.hold)
            if answer.status != 200:
                self._send_json(answer.status, _refusal(request, answer), **answer.headers)
            elif request.body.get("stream"):
                self._stream(request, answer)
            else:
                self._send_json(200, _completion(request, answer))
        except (_ClientLeftError, OSError):
            request.disconnected_at = time.monotonic()
            self.close_connection = True
        finally:
            request.ended_at = time.monotonic()

    def _stream(self, request: ModelRequest, answer: Answer) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Transfer-Encoding", "chunked")
        for name, value in answer.headers.items():
            self.send_header(name, value)
        self.end_headers()
        self._write(_event(delta={"role": "assistant", "content": ""}))
        pending = b""
        for index, step in enumerate(answer.tokens):
            if isinstance(step, str):
                if index and answer.delay_s:
                    self._wait(None, answer.delay_s)
                pending += _event(delta={"content": step})
                if answer.burst:
                    continue
                request.sent_at.append(time.monotonic())
            self._write(pending)
            pending = b""
            if not isinstance(step, str) and not self._act(step):
                return
        tail = _event(finish_reason=answer.finish_reason)
        if request.body.get("stream_options", {}).get("include_usage"):
            tail += _event(usage=_usage(request, answer))
        self._write(pending + tail + b"data: [DONE]\n\n")
        self.wfile.write(b"0\r\n\r\n")

    def _act(self, step: bytes | float | Gate | Fault) -> bool:
        """Do what is no token; false when the answer ends with it."""
        match step:
            case bytes():
                self._write(step)
            case Gate():
                self._wait(step)
            case Fault.CUT:
                _reset(self.connection)
                self.close_connection = True
                return False
            case Fault.END:
                self.wfile.write(b"0\r\n\r\n")
                return False
            case _:
                self._wait(None, step)
        return True

    def _write(self, data: bytes) -> None:
        if data:
            self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))

    def _wait(self, gate: Gate | None, seconds: float | None = None) -> None:
        """Wait for the gate or the seconds; raise as soon as the client has left."""
        poll = select.poll()
        poll.register(self.connection, select.POLLIN)
        if gate is not None:
            gate.mark_reached()
            poll.register(gate, select.POLLIN)
        for descriptor, _ in poll.poll(None if seconds is None else seconds * 1000):
            if descriptor == self.connection.fileno():
                raise _ClientLeftError

    def _send_json(self, status: int, body: dict[str, Any], **headers: str) -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)


def _reset(connection: socket.socket) -> None:
    """Close with a TCP reset, as a crashed server's machine does."""
    try:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        connection.shutdown(socket.SHUT_RD)
        connection.close()
    except OSError:
        return


def _event(
    delta: dict[str, str] | None = None,
    finish_reason: str | None = None,
    usage: dict[str, int] | None = None,
) -> bytes:
    choice = {"index": 0, "delta": delta or {}, "finish_reason": finish_reason}
    chunk: dict[str, Any] = {
        "id": "chatcmpl-scripted",
        "object": "chat.completion.chunk",
        "created": int(time.time()),
        "model": MODEL_NAME,
        "choices": [] if usage else [choice],
    }
    if usage:
        chunk["usage"] = usage
    return b"data: " + json.dumps(chunk).encode() + b"\n\n"


def _completion(request: ModelRequest, answer: Answer) -> dict[str, Any]:
    message = {"role": "assistant", "content": answer.text}
    choice = {"index": 0, "message": message, "finish_reason": answer.finish_reason}
    return {
        "id": "chatcmpl-scripted",
        "object": "chat.completion",
        "created": int(time.time()),
        "model": MODEL_NAME,
        "choices": [choice],
        "usage": _usage(request, answer),
    }


def _usage(request: ModelRequest, answer: Answer) -> dict[str, int]:
    asked = sum(len(str(message.get("content", "")).split()) for message in request.messages)
    answered = sum(isinstance(step, str) for step in answer.tokens)
    return {
        "prompt_tokens": asked,
        "completion_tokens": answered,
        "total_tokens": asked + answered,
    }


def _refusal(request: ModelRequest, answer: Answer) -> dict[str, Any]:
    """As endpoints do it, with what was asked in it."""
    body = _error_body(answer.status)
    body["error"]["message"] += f": cannot answer {request.question!r}"
    return body


def _error_body(status: int) -> dict[str, Any]:
    return {"error": {"message": f"scripted {status}", "type": "scripted", "code": str(status)}}

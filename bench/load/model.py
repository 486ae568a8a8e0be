"""The scripted model of the side-by-side measurements: cheap, so that it takes nothing from anyone.

An OpenAI-compatible endpoint with one kind of answer: the tokens the question asks for, each in a
chunk of its own that looks like OpenAI's, at the pace it asks for.
`python -m bench.load.model PORT`.
"""

import asyncio
import json
import sys
from typing import cast

import uvloop

from bench.tokens import stamp, wanted

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"


def _event(choices: str, usage: str = "null") -> bytes:
    body = (
        '{"id":"chatcmpl-C0ffee00000000000000000000000","object":"chat.completion.chunk",'
        '"created":1764000000,"model":"scripted","service_tier":"default",'
        f'"system_fingerprint":"fp_0123456789","choices":{choices},"usage":{usage}}}'
    )
    return f"data: {body}\n\n".encode()


def _chunk(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


def _choice(delta: str, finish_reason: str = "null") -> str:
    return f'[{{"index":0,"delta":{delta},"logprobs":null,"finish_reason":{finish_reason}}}]'


FIRST = HEAD + _chunk(_event(_choice('{"role":"assistant","content":"","refusal":null}')))
BEFORE, AFTER = _chunk(_event(_choice('{"content":"TOKEN GOES"}'))).split(b"TOKEN GOES")
END = _event(_choice("{}", '"stop"'))


class Completions(asyncio.Protocol):
    """One connection of whoever asks."""

    def __init__(self) -> None:
        self._received = b""
        self._next: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Note where to write."""
        self._transport = cast(asyncio.Transport, transport)
        self._loop = asyncio.get_running_loop()

    def connection_lost(self, _error: Exception | None) -> None:
        """Write nothing more."""
        if self._next:
            self._next.cancel()

    def data_received(self, data: bytes) -> None:
        """Begin an answer once the whole request is there."""
        self._received += data
        head, end, body = self._received.partition(b"\r\n\r\n")
        if not end or len(body) < _length(head):
            return
        self._received = b""
        if not head.startswith(b"POST"):
            self._transport.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
            return
        request = json.loads(body)
        self._tokens, self._rate = wanted(request["messages"][-1]["content"])
        self._counts = bool((request.get("stream_options") or {}).get("include_usage"))
        self._sent = 0
        self._begin = self._loop.time()
        self._transport.write(FIRST)
        self._write()

    def _write(self) -> None:
        self._transport.write(BEFORE + stamp().encode() + AFTER)
        self._sent += 1
        if self._sent < self._tokens:
            due = self._begin + self._sent / self._rate
            self._next = self._loop.call_at(due, self._write)
            return
        tail = END
        if self._counts:
            counts = {"prompt_tokens": 20, "completion_tokens": self._tokens}
            tail += _event("[]", json.dumps({**counts, "total_tokens": 20 + self._tokens}))
        self._transport.write(_chunk(tail + b"data: [DONE]\n\n") + b"0\r\n\r\n")


def _length(head: bytes) -> int:
    for line in head.lower().split(b"\r\n"):
        if line.startswith(b"content-length:"):
            return int(line.split(b":")[1])
    return 0


async def main() -> None:
    """Serve for ever."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Completions, "127.0.0.1", int(sys.argv[1]), backlog=4096)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(main())

"""The lowest floor: frames written by hand to a uvloop transport, one a token.

Only as much of RFC 6455 as the benchmark's client speaks. `python -m bench.peers.with_uvloop PORT`.
"""

import asyncio
import base64
import hashlib
import json
import sys
from typing import cast

import uvloop

from bench.peers import source

GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455, section 1.3


class Chat(asyncio.Protocol):
    """One client."""

    def __init__(self) -> None:
        self._upgraded = False
        self._received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Note where to write."""
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        """Take the handshake, then questions."""
        self._received += data
        if not self._upgraded:
            head, end, self._received = self._received.partition(b"\r\n\r\n")
            if end:
                self._upgraded = True
                self._transport.write(_accept(head))
            else:
                self._received = head
        while self._upgraded and (text := self._take_text()):
            question = json.loads(text)["content"]
            self._answering = asyncio.get_running_loop().create_task(self._answer(question))

    async def _answer(self, question: str) -> None:
        async for token in source.answer(question):
            self._send(json.dumps({"type": "token", "content": token}))
        self._send('{"type": "done"}')

    def _send(self, text: str) -> None:
        payload = text.encode()
        self._transport.write(bytes((0x81, len(payload))) + payload)

    def _take_text(self) -> bytes:
        """The next whole text frame, unmasked; the client sends none of 126 bytes or more."""
        if len(self._received) < 6 or len(self._received) < 6 + (self._received[1] & 0x7F):
            return b""
        size, mask = self._received[1] & 0x7F, self._received[2:6]
        payload, self._received = self._received[6 : 6 + size], self._received[6 + size :]
        return bytes(byte ^ mask[index % 4] for index, byte in enumerate(payload))


def _accept(head: bytes) -> bytes:
    [key] = [
        line.split(b":", 1)[1].strip()
        for line in head.split(b"\r\n")
        if line.lower().startswith(b"sec-websocket-key:")
    ]
    accept = base64.b64encode(hashlib.sha1(key + GUID, usedforsecurity=False).digest())
    return (
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: " + accept + b"\r\n\r\n"
    )


async def main() -> None:
    """Serve for ever."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Chat, "127.0.0.1", int(sys.argv[1]), backlog=4096)
    await server.serve_forever()


uvloop.run(main())

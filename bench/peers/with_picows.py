"""A floor: nothing but a WebSocket that sends one frame a token, with picows.

`python -m bench.peers.with_picows PORT LOOP`: on "asyncio" as picows' own examples serve, or on
"uvloop".
"""

import asyncio
import json
import sys

import uvloop
from picows import WSFrame, WSListener, WSMsgType, WSTransport, WSUpgradeRequest, ws_create_server

from bench.peers import source


class Chat(WSListener):  # type: ignore[misc]  # not installed where types are checked
    """One client."""

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        """Answer a question."""
        if frame.msg_type == WSMsgType.TEXT:
            question = json.loads(frame.get_payload_as_bytes())["content"]
            self.answering = asyncio.create_task(answer(transport, question))


async def answer(transport: WSTransport, question: str) -> None:
    """Send an answer."""
    async for token in source.answer(question):
        frame = json.dumps({"type": "token", "content": token})
        transport.send(WSMsgType.TEXT, frame.encode())
    transport.send(WSMsgType.TEXT, b'{"type": "done"}')


def accept(_: WSUpgradeRequest) -> WSListener:
    """Take every client."""
    return Chat()


async def main() -> None:
    """Serve for ever."""
    server = await ws_create_server(accept, "127.0.0.1", int(sys.argv[1]))
    await server.serve_forever()


RUN = {"asyncio": asyncio.run, "uvloop": uvloop.run}

RUN[sys.argv[2]](main())

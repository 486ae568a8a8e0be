"""A floor: nothing but a WebSocket that sends one frame a token, with `websockets`.

`python -m bench.peers.with_websockets PORT`.
"""

import json
import sys

import uvloop
from websockets.asyncio.server import ServerConnection, serve

from bench.peers import source


async def chat(connection: ServerConnection) -> None:
    """Answer the questions of one client, one after the other."""
    async for raw in connection:
        async for token in source.answer(json.loads(raw)["content"]):
            await connection.send(json.dumps({"type": "token", "content": token}))
        await connection.send(json.dumps({"type": "done"}))


async def main() -> None:
    """Serve for ever."""
    async with serve(chat, "127.0.0.1", int(sys.argv[1]), compression=None) as server:
        await server.serve_forever()


uvloop.run(main())

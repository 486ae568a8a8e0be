"""How the client can speak to a server, by name."""

from bench.load.event_stream import EventStream
from bench.load.socket_io import SocketIO
from bench.load.stream import Stream
from bench.load.web_socket import CheckedWebSocket, WebSocket

KINDS: dict[str, type[Stream]] = {
    "websocket": WebSocket,
    "checked": CheckedWebSocket,
    "events": EventStream,
    "socket.io": SocketIO,
}

"""Reads answers as server-sent events: the page's design."""

import json

from bench.load.stream import Stream
from bench.tokens import LENGTH


class EventStream(Stream):
    """Server-sent events in the response to a POST."""

    def send(self, question: str) -> None:
        """Post a question."""
        body = json.dumps({"message": question})
        self.transport.write(self.request("POST", "/chat/stream", body))

    def data_received(self, data: bytes) -> None:
        """Take events; a token may come in two parts."""
        data = self._rest + data
        # Only what may be the beginning of a token is kept for the next time.
        begun = data.rfind(b"@", len(data) - LENGTH + 1)
        cut = begun if begun >= 0 else len(data)
        self._rest = data[cut:]
        self.scan(data[:cut])

"""People who judge the answers they got, over HTTP, and how long each verdict takes."""

import asyncio
import json
import time
from collections.abc import Sequence
from typing import cast

from bench.load.stream import Stream


class Judge(asyncio.Protocol):
    """One person with one answer, over one connection that stays open."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        self._received = b""
        self._number = 0
        self._answered: asyncio.Future[bytes] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Note where to write."""
        self._transport = cast(asyncio.Transport, transport)

    def connection_lost(self, error: Exception | None) -> None:
        """Tell who waits for an answer."""
        if self._answered and not self._answered.done():
            self._answered.set_exception(ConnectionError(f"the connection was lost: {error}"))

    def data_received(self, data: bytes) -> None:
        """Take an answer, whose end its length tells."""
        self._received += data
        head, end, body = self._received.partition(b"\r\n\r\n")
        _, named, length = head.lower().partition(b"content-length:")
        if end and named and len(body) >= int(length.split(b"\r\n")[0]):
            whole, self._received = self._received, b""
            if self._answered and not self._answered.done():
                self._answered.set_result(whole)

    async def judge(self) -> None:
        """Change the verdict: each says something else than the one before."""
        method, path, body = self._stream.verdict(self._number)
        self._number += 1
        self._answered = asyncio.get_running_loop().create_future()
        self._transport.write(self._stream.request(method, path, json.dumps(body)))
        async with asyncio.timeout(60):
            answer = await self._answered
        if not answer.startswith(b"HTTP/1.1 200"):
            raise ValueError(answer.decode(errors="replace")[:300])
        self._stream.judged(answer.partition(b"\r\n\r\n")[2])


class Court:
    """What all of them saw."""

    def __init__(self) -> None:
        self.took_s: list[float] = []
        self.failures: list[str] = []

    async def sit(
        self, host: str, streams: Sequence[Stream], seconds: float, every_s: float
    ) -> None:
        """Let everyone judge, one verdict after the other, or one every so many seconds.

        Then a verdict's time runs from when it was due, so that one held up by the one before
        counts as slow too.
        """
        loop, (address, _, port) = asyncio.get_running_loop(), host.partition(":")
        begin = time.monotonic()

        async def sit(index: int, stream: Stream) -> None:
            _, judge = await loop.create_connection(lambda: Judge(stream), address, int(port))
            due = time.monotonic() + every_s * index / len(streams)
            while due < begin + seconds:
                await asyncio.sleep(max(0.0, due - time.monotonic()))
                try:
                    await judge.judge()
                except (OSError, TimeoutError, ValueError) as error:
                    self.failures.append(repr(error)[:300])
                    return
                self.took_s.append(time.monotonic() - due)
                due = due + every_s if every_s else time.monotonic()

        await asyncio.gather(*(sit(index, stream) for index, stream in enumerate(streams)))

"""One reader of answers over one connection: it notes when what came, and costs next to nothing.

It scans for the tokens of `bench.tokens` instead of parsing what carries them.
"""

import asyncio
import re
import socket
import time
from array import array
from typing import cast

from bench.tokens import TOKEN, now, since, wanted

TRACE_ID = re.compile(rb'"trace_id": ?"(tr-[0-9a-f]+)"')


class Notes:
    """What all streams of a run saw, in seconds."""

    def __init__(self) -> None:
        self.gaps = array("d")
        """From one arrival of text to the next, of the same stream."""
        self.ages = array("d")
        """How old each token was."""
        self.tokens = 0
        self.ended = 0
        self.failures: list[str] = []
        self.corrupt: list[str] = []
        self.cut_off = 0
        """Who did not read, and was let go for it: meant, and no failure."""
        self.queued = 0


class Stream(asyncio.Protocol):
    """One connection; `ask` asks one question, and `done` is set at its end."""

    def __init__(self, notes: Notes, host: str, cookie: str) -> None:
        self._notes = notes
        self._host = host
        self._cookie = cookie
        self._rest = b""
        self.open = asyncio.Event()
        self.done = asyncio.Event()
        self.asked_at = self.first_at = self.last_at = self.done_at = 0.0
        self.first_stamp = self.last_stamp = 0
        self.last_age = 0.0
        self.tokens = self._wanted = 0
        self.stalled = False
        self._ending = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Greet."""
        self.transport = cast(asyncio.Transport, transport)
        self.greet()

    def connection_lost(self, error: Exception | None) -> None:
        """Note it, unless the answer is there."""
        self.lose(f"the connection was lost: {error}")

    @staticmethod
    def identify(_host: str, _number: int) -> str:
        """The cookie by which the server knows one of many people, if it gives any."""
        return ""

    def greet(self) -> None:
        """Begin the connection."""
        self.open.set()

    def ask(self, question: str) -> None:
        """Ask, and time it from now."""
        self._wanted, _ = wanted(question)
        self.asked_at = time.monotonic()
        self.send(question)

    def stall(self) -> None:
        """Read nothing from now on, and let the kernel keep as little as it can."""
        self.stalled = True
        peer = self.transport.get_extra_info("socket")
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        self.transport.pause_reading()

    def lateness(self, length_s: float) -> float:
        """How much later than planned the last token came, counted from when the first one left."""
        planned = since(self.first_stamp, self.last_stamp) - length_s
        return planned + self.last_age

    def send(self, question: str) -> None:
        """Send a question."""
        raise NotImplementedError

    def verdict(self, number: int) -> tuple[str, str, dict[str, object]]:
        """How to judge the answer: method, path and body, as MLflow's page and we have them."""
        [trace_id] = TRACE_ID.findall(self._ending)
        body: dict[str, object] = {"is_correct": bool(number % 2), "comment": f"verdict {number}"}
        return "POST", f"/feedback?trace_id={trace_id.decode()}", body

    def judged(self, answer: bytes) -> None:
        """Take what the server said of a verdict."""

    def request(self, method: str, path: str, body: str) -> bytes:
        """An HTTP request with JSON in it."""
        return (
            f"{method} {path} HTTP/1.1\r\nHost: {self._host}\r\nCookie: {self._cookie}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n{body}"
        ).encode()

    def lose(self, why: str) -> None:
        """The server let go before it had answered: as meant if we did not read, else a failure."""
        if self.stalled and not self.done.is_set():
            self._notes.cut_off += 1
            self.done.set()
        else:
            self.fail(why)

    def fail(self, why: str) -> None:
        """Give the answer up."""
        if not self.done.is_set():
            self._notes.failures.append(why)
            self.done.set()
            self.open.set()

    def scan(self, data: bytes) -> None:
        """Take the tokens out of what came, and see whether it is the end."""
        if self.done.is_set():
            return
        end = data.find(b'done"')
        # Ours repeats the answer there, as HTML.
        stamps = TOKEN.findall(data if end < 0 else data[:end])
        if stamps:
            self._take(stamps)
        if end >= 0:
            self._end(data)
        elif b'"error"' in data:
            self.fail(data.decode(errors="replace")[:300])

    def _take(self, stamps: list[bytes]) -> None:
        at, units, notes = time.monotonic(), now(), self._notes
        ages = [since(int(one, 16), units) for one in stamps]
        if not self.stalled:
            notes.ages.extend(ages)
        self.last_age = ages[-1]
        if self.last_at and not self.stalled:
            notes.gaps.append(at - self.last_at)
        elif not self.last_at:
            self.first_at = at
            self.first_stamp = int(stamps[0], 16)
        self.last_at = at
        self.last_stamp = int(stamps[-1], 16)
        self.tokens += len(stamps)
        notes.tokens += len(stamps)

    def _end(self, data: bytes) -> None:
        self.done_at = time.monotonic()
        self._notes.ended += 1
        self._notes.queued += b'"queued"' in data
        self._ending = data
        if self.tokens != self._wanted:
            self.fail(f"done after {self.tokens} tokens of {self._wanted}")
        self.done.set()

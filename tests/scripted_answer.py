"""What a scripted model can be told to answer: tokens, waits a test controls, and faults."""

from __future__ import annotations

import enum
import os
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field


class Fault(enum.Enum):
    """Ways a stream goes wrong that no HTTP status can express."""

    CUT = "cut"
    """Reset the TCP connection: the reader gets a transport error."""
    END = "end"
    """End the HTTP body properly, but without finish reason and without `[DONE]`."""


class Gate:
    """A point in an answer where the model waits until the test releases it.

    It is a file descriptor as well, so that a waiting answer notices the release and a closed
    connection in one and the same poll.
    """

    def __init__(self) -> None:
        self._watched, self._held = os.pipe()
        self._reached = threading.Event()
        self._lock = threading.Lock()

    def __del__(self) -> None:
        self.release()
        os.close(self._watched)

    def release(self) -> None:
        """Let every answer that waits here, or will wait here, go on."""
        with self._lock:
            if self._held >= 0:
                os.close(self._held)
                self._held = -1

    def wait_reached(self, timeout: float = 10.0) -> None:
        """Return once an answer has arrived here; TimeoutError after `timeout` seconds."""
        if not self._reached.wait(timeout):
            raise TimeoutError(f"no answer reached the gate within {timeout} s")

    def mark_reached(self) -> None:
        """Say that an answer has arrived here (the model's side)."""
        self._reached.set()

    def fileno(self) -> int:
        """The descriptor that becomes readable when the gate is released."""
        return self._watched


Step = str | bytes | float | Gate | Fault
"""One step of an answer: a token, raw bytes in place of an event, seconds, a wait, a fault."""


@dataclass(frozen=True)
class Answer:
    """One scripted answer.

    `tokens` are steps in order. `delay_s` is the pause before every token but the first. `hold`
    makes the model silent before it even sends response headers. With `burst` all tokens leave in
    one write. A `status` other than 200 answers with OpenAI's error body and `headers`.
    """

    tokens: Sequence[Step] = ()
    delay_s: float = 0.0
    finish_reason: str = "stop"
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    hold: Gate | None = None
    burst: bool = False

    @property
    def text(self) -> str:
        """The whole answer as the reader should end up with it."""
        return "".join(step for step in self.tokens if isinstance(step, str))


def echo(question: str) -> Answer:
    """The answer to a question nothing was scripted for: the question itself, word by word."""
    words = question.split()
    return Answer(tokens=["You", " said:", *(f" {word}" for word in words)])

"""One turn while it runs: it accepts text until it is closed, and is closed once."""

import threading
from dataclasses import dataclass

from app.clock import Clock
from app.llm.agent import Completion
from app.tracing.spans import TurnTrace
from app.turn_log import BuildFrame, TurnWriter


@dataclass(frozen=True, slots=True)
class TurnRef:
    """A turn as its readers need it."""

    turn_id: str
    client_request_id: str
    conversation_id: str


class RunningTurn:
    """The answer in the making, shared by the turn's thread and whoever may end it early."""

    def __init__(
        self, ref: TurnRef, trace: TurnTrace, writer: TurnWriter, deadline: float, clock: Clock
    ) -> None:
        """`deadline` is when it is ended, in seconds of the monotonic clock."""
        self.ref = ref
        self.trace = trace
        self.deadline = deadline
        self.completion: Completion | None = None
        self.first_token_at: int | None = None
        self._writer = writer
        self._clock = clock
        self._pieces: list[str] = []
        self._open = True
        self._lock = threading.Lock()

    def begin(self, completion: Completion) -> bool:
        """Take the answer that is about to come; false once the turn is closed."""
        with self._lock:
            self.completion = completion
            return self._open

    def add(self, piece: str) -> bool:
        """Add text to the answer and the log; false once the turn is closed."""
        piece = piece.replace("\0", "")  # PostgreSQL cannot store it
        with self._lock:
            if self._open and piece:
                if not self._pieces:
                    self.first_token_at = self._clock()
                self._pieces.append(piece)
                self._writer.write(piece)
            return self._open

    def close(self) -> bool:
        """Accept no more text; true for the one caller who is to end the turn."""
        with self._lock:
            was_open, self._open = self._open, False
            return was_open

    def answer(self) -> str:
        """The text so far: exactly what readers are sent."""
        with self._lock:
            return "".join(self._pieces)

    def write_frame(self, build: BuildFrame, *, ends_turn: bool = False) -> None:
        """Write a whole frame to the log."""
        self._writer.write_frame(build, ends_turn=ends_turn)

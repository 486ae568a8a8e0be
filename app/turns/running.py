"""One turn while it runs: it accepts text until it is closed, and is closed once."""

import threading
from dataclasses import asdict, dataclass

from app.clock import Clock
from app.llm.agent import Completion
from app.protocol import Ending
from app.tracing.spans import TurnTrace
from app.turn_log import BuildFrame, TurnWriter


@dataclass(frozen=True, slots=True)
class TurnRef:
    """A turn as its readers need it."""

    turn_id: str
    client_request_id: str
    conversation_id: str


@dataclass(frozen=True, slots=True)
class EndedTurn:
    """What an ended turn is measured by; None where there is nothing to measure.

    Seconds from its message's arrival to the first piece of text and to the end, pieces the model
    sent, and how many a second after the first.
    """

    ending: Ending
    pieces: int = 0
    first_piece_s: float | None = None
    duration_s: float | None = None
    pieces_per_s: float | None = None


class RunningTurn:
    """The answer in the making, shared by the turn's thread and whoever may end it early."""

    __slots__ = (
        "_clock",
        "_lock",
        "_open",
        "_room",
        "_started_at",
        "_writer",
        "completion",
        "deadline",
        "first_token_at",
        "ref",
        "trace",
    )

    def __init__(
        self,
        ref: TurnRef,
        trace: TurnTrace,
        writer: TurnWriter,
        started_at: int,
        deadline: float,
        clock: Clock,
        most_chars: int,
    ) -> None:
        """`started_at` is when its message came, `deadline` when it is ended (monotonic clock).

        Of an answer longer than `most_chars` the beginning is taken.
        """
        self.ref = ref
        self.trace = trace
        self.deadline = deadline
        self.completion: Completion | None = None
        self.first_token_at: int | None = None
        self._started_at = started_at
        self._writer = writer
        self._clock = clock
        self._room = most_chars
        self._open = True
        self._lock = threading.Lock()

    def begin(self, completion: Completion) -> bool:
        """Take the answer that is about to come; false once the turn is closed."""
        with self._lock:
            self.completion = completion
            return self._open

    def add(self, piece: str) -> bool:
        """Add text to the answer and the log; false once no more of it is taken.

        For the turn's own thread. It takes no lock at each token: whatever comes just as the turn
        is closed, the writer drops.
        """
        if not self._open:
            return False
        piece = piece.replace("\0", "")  # PostgreSQL cannot store it
        self._room -= len(piece)
        if self._room < 0:
            piece = piece[: self._room]
        if piece:
            if self.first_token_at is None:
                self.first_token_at = self._clock()
            self._writer.write(piece)
        return self._room >= 0

    @property
    def was_cut(self) -> bool:
        """Whether the answer went on after all that is taken of one."""
        return self._room < 0

    def close(self) -> bool:
        """Accept no more text; true for the one caller who is to end the turn.

        The text so far leaves at once: it need not wait until the end is safe.
        """
        with self._lock:
            was_open, self._open = self._open, False
        if was_open:
            self._writer.seal()
        return was_open

    def answer(self) -> str:
        """The text that readers are sent: so far, and once the turn is closed, all of it."""
        return self._writer.text()

    def ids(self) -> dict[str, str]:
        """By what the log names it."""
        return {**asdict(self.ref), "trace_id": self.trace.trace_id}

    def measure(self, ending: Ending) -> EndedTurn:
        """What it took, once it has ended."""
        # A clock that has jumped back must not take from the sums that are kept of these.
        duration_s = max(0, self._clock() - self._started_at) / 1000
        pieces = self._writer.pieces
        if self.first_token_at is None:
            return EndedTurn(ending, pieces, None, duration_s)
        streamed_s = (self._writer.latest_at - self.first_token_at) / 1000
        return EndedTurn(
            ending,
            pieces,
            max(0, self.first_token_at - self._started_at) / 1000,
            duration_s,
            (pieces - 1) / streamed_s if pieces > 1 and streamed_s > 0 else None,
        )

    def write_frame(self, build: BuildFrame, *, ends_turn: bool = False) -> None:
        """Write a whole frame to the log."""
        self._writer.write_frame(build, ends_turn=ends_turn)

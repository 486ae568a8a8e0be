"""The model of the demo, and its clock: answers come as written, and their time passes on paper."""

import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from app.demo.plan import Turn, Version
from app.errors import ModelError
from app.llm.agent import Completion, Message
from app.tracing.spans import TokenUsage

# How long a stopped answer waits for the stop, in seconds of real time.
_PATIENCE_S = 10.0


@dataclass(slots=True)
class StageClock:
    """Milliseconds since the epoch that pass when told to."""

    now: int = 0

    def __call__(self) -> int:
        """The time on stage."""
        return self.now

    def nanoseconds(self) -> int:
        """The same in nanoseconds."""
        return self.now * 1_000_000

    def advance(self, milliseconds: int) -> None:
        """Let time pass."""
        self.now += milliseconds


class Actor:
    """Answers with what was prepared last (see `app.llm.agent.Model`)."""

    def __init__(self, clock: StageClock) -> None:
        self._clock = clock
        self._prepared: tuple[Version, Turn] | None = None
        self._cut_short = threading.Event()

    def prepare(self, version: Version, turn: Turn) -> None:
        """Say how the next question is answered."""
        self._prepared = (version, turn)
        self._cut_short = threading.Event()

    def wait_until_cut_short(self) -> None:
        """Return once an answer that is to be stopped has come as far as it should."""
        self._cut_short.wait(_PATIENCE_S)

    def complete(self, messages: Sequence[Message]) -> Completion:
        """Begin the prepared answer."""
        if self._prepared is None:
            raise ModelError("Nothing was prepared.")
        return _Performance(*self._prepared, messages, self._clock, self._cut_short)


class _Performance(Completion):
    """One answer: word by word, each at the version's pace on the stage's clock."""

    def __init__(
        self,
        version: Version,
        turn: Turn,
        messages: Sequence[Message],
        clock: StageClock,
        cut_short: threading.Event,
    ) -> None:
        self.model = version.model
        self._version = version
        self._turn = turn
        self._clock = clock
        self._asked = sum(len(message["content"]) for message in messages)
        self._cut_short = cut_short
        self._cancelled = threading.Event()

    def __iter__(self) -> Iterator[str]:
        """Yield the answer, all of it or until it is stopped or fails."""
        self._clock.advance(self._version.pace_ms * 12)
        words = self._turn.answer.split(" ")
        share = {"complete": 1.0, "stopped": 0.5, "failed": 0.3}[self._turn.outcome]
        for number, word in enumerate(words[: max(1, round(len(words) * share))]):
            yield f" {word}" if number else word
            self._clock.advance(self._version.pace_ms)
        self.usage = TokenUsage(self._asked // 4 + 4, len(self._turn.answer) // 4 + 1)
        if self._turn.outcome == "failed":
            raise ModelError("The model stopped in the middle of its answer.", code="model_cut_off")
        if self._turn.outcome == "stopped":
            self._cut_short.set()
            self._cancelled.wait(_PATIENCE_S)

    def cancel(self) -> None:
        """End the answer."""
        self._cancelled.set()

"""Doubles that tests pass in: a clock to move, a tracking server and a model that obey."""

from __future__ import annotations

import importlib
import threading
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from app.llm.agent import Completion, Message
from app.tracing.spans import Recorder, TokenUsage, Trace
from app.tracing.tracking import TrackingServer, Verdict

with warnings.catch_warnings():
    # MLflow imports this with its first span, warns, and makes no span of a warning that raises.
    warnings.simplefilter("ignore")
    importlib.import_module("mlflow.pyfunc")

NOON = 1_795_478_400_000


@dataclass
class MovableClock:
    """Milliseconds since the epoch that pass only when told to."""

    now: int = NOON

    def __call__(self) -> int:
        return self.now

    def advance(self, milliseconds: int) -> None:
        """Let time pass (or, with a negative number, jump back)."""
        self.now += milliseconds


def finished_trace() -> Trace:
    """A trace as its turn leaves it."""
    return Recorder({}).start_turn().end("complete", "So.")


class TrackingDouble(TrackingServer):
    """Keeps what it is given; `fail_with` and `hold` make it refuse, fail or hang."""

    def __init__(self) -> None:
        self.traces: list[str] = []
        self.verdicts: dict[str, Verdict] = {}
        self.log: list[str] = []
        self.failures: list[Exception] = []
        self.always: Exception | None = None
        self.hold: threading.Event | None = None
        self.waiting: list[threading.Thread] = []

    def experiment_id(self) -> str:
        """An experiment that exists."""
        return "1"

    def ping(self) -> None:
        """Answer, unless nothing ever does."""
        if self.always:
            raise self.always

    def write_trace(self, trace: Trace) -> None:
        """Keep a trace, as its JSON."""
        self._obey()
        self.traces.append(trace.to_json())
        self.log.append("trace")

    def write_verdict(self, verdict: Verdict) -> None:
        """Keep a verdict as the one of its ID."""
        self._obey()
        self.verdicts[verdict.assessment_id] = verdict
        self.log.append(f"{verdict.name}={verdict.value}")

    def withdraw(self, trace_id: str, assessment_id: str) -> None:
        """Forget a verdict."""
        self._obey()
        self.verdicts.pop(assessment_id, None)
        self.log.append(f"withdraw {assessment_id}")

    def delete_trace(self, trace_id: str) -> None:
        """Note that a trace is to go."""
        self._obey()
        self.log.append(f"delete {trace_id}")

    def _obey(self) -> None:
        if self.hold:
            self.waiting.append(threading.current_thread())
            self.hold.wait(30)
        if self.failures:
            raise self.failures.pop(0)
        if self.always:
            raise self.always


Script = Sequence[str | Exception | threading.Event]


class ScriptedCompletion(Completion):
    """Yields text, raises exceptions, and waits for events or for being cancelled."""

    def __init__(self, script: Script, model: str | None) -> None:
        self.model = model
        self.cancelled = threading.Event()
        self.waiting = threading.Event()
        self.usage = TokenUsage(3, 4)
        self._script = script

    def __iter__(self) -> Iterator[str]:
        for step in self._script:
            if isinstance(step, Exception):
                raise step
            if isinstance(step, threading.Event):
                self.waiting.set()
                while not (step.wait(0.005) or self.cancelled.is_set()):
                    pass
            else:
                yield step
            if self.cancelled.is_set():
                return

    def cancel(self) -> None:
        """Wake whoever waits."""
        self.cancelled.set()


@dataclass
class ModelDouble:
    """Answers each question with the next script, and at last with `Hello there.`."""

    scripts: list[Script] = field(default_factory=list)
    name: str | None = "double"
    asked: list[list[Message]] = field(default_factory=list)
    completions: list[ScriptedCompletion] = field(default_factory=list)
    before_answer: Callable[[], Any] = lambda: None

    def complete(self, messages: Sequence[Message], /) -> Completion:
        """Take the next script."""
        self.asked.append(list(messages))
        self.before_answer()
        script = self.scripts.pop(0) if self.scripts else ["Hello", " there", "."]
        completion = ScriptedCompletion(script, self.name)
        self.completions.append(completion)
        return completion

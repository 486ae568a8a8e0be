"""Records one turn as MLflow spans and hands back the finished trace.

The spans are made by hand and detached (`start_span_no_context`): a `with` block across a
generator leaks its span into whoever consumes it. They pass through MLflow's own pipeline, which
adds token usage, cost and previews, as far as the exporter, where ours keeps the trace instead
of sending it. See https://mlflow.org/docs/latest/genai/tracing/app-instrumentation/manual-tracing/
"""

import os
import secrets
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field

import mlflow
from mlflow.entities import LiveSpan, SpanEvent, SpanStatusCode, SpanType
from mlflow.entities import Trace as Trace
from mlflow.entities.span import NO_OP_SPAN_TRACE_ID
from mlflow.tracing.constant import SpanAttributeKey, TraceMetadataKey
from mlflow.tracing.processor.mlflow_v3 import MlflowV3SpanProcessor
from mlflow.tracing.provider import provider, safe_set_span_in_context
from mlflow.tracing.trace_manager import InMemoryTraceManager
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.id_generator import IdGenerator

from app.errors import Unavailable
from app.protocol import Ending

# A span needs an experiment before the tracking server was ever reached; the delivery puts the
# real one in its place.
UNRESOLVED_EXPERIMENT = "0"

# As much as MLflow shows of an answer in its list of traces.
PREVIEW_CHARS = 1000


@dataclass(frozen=True, slots=True)
class TokenUsage:
    """Tokens the model counted for one turn."""

    input_tokens: int
    output_tokens: int


def _in_memory() -> InMemoryTraceManager:
    manager: InMemoryTraceManager = InMemoryTraceManager.get_instance()  # type: ignore[no-untyped-call]
    return manager


class _FinishedTraces(SpanExporter):
    """Keeps each finished trace until its turn takes it."""

    def __init__(self) -> None:
        self._traces: dict[str, Trace] = {}
        self._expected: set[str] = set()

    def expect(self, trace_id: str) -> None:
        """Keep this trace when it is finished."""
        self._expected.add(trace_id)

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        for span in spans:
            if span.parent is None and span.context:
                popped = _in_memory().pop_trace(span.context.trace_id)
                # An agent's span in a thread of its own is the root of a trace that no turn takes.
                if popped is not None and popped.trace.info.trace_id in self._expected:
                    self._traces[popped.trace.info.trace_id] = popped.trace
        return SpanExportResult.SUCCESS

    def take(self, trace_id: str) -> Trace:
        self._expected.discard(trace_id)
        return self._traces.pop(trace_id)


class _TraceIds(IdGenerator):
    """Random trace IDs, except where one is given: a lost trace is written under its own ID.

    A root span's ID follows from its trace's, so that writing the trace anew replaces the root.
    Not from `random`, as OpenTelemetry's own: an agent that seeds it would get the same IDs again.
    """

    given: ContextVar[int | None] = ContextVar("given_trace_id", default=None)
    _begun: ContextVar[int | None] = ContextVar("begun_trace_id", default=None)

    def generate_trace_id(self) -> int:
        trace_id = self.given.get() or secrets.randbits(128) or 1
        self._begun.set(trace_id)
        return trace_id

    def generate_span_id(self) -> int:
        """Called right after `generate_trace_id` for a root span, alone for any other."""
        if trace_id := self._begun.get():
            self._begun.set(None)
            return trace_id % 2**64 or 1
        return secrets.randbits(64) or 1


class Recorder:
    """Starts the trace of each turn. One per process, made before the first turn."""

    def __init__(self, tags: Mapping[str, str], clock_ns: Callable[[], int] = time.time_ns) -> None:
        """`tags` are set on every trace (the environment).

        Our spans begin and end at the time of `clock_ns`, nanoseconds since the epoch.
        """
        # More turns may run at once than MLflow's default buffer of 1,000 holds, and a turn may
        # outlive its default hour; an evicted trace would be lost without a word.
        os.environ.setdefault("MLFLOW_TRACE_BUFFER_MAX_SIZE", "100000")
        os.environ.setdefault("MLFLOW_TRACE_BUFFER_TTL_SECONDS", "86400")
        os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
        self._tags = dict(tags)
        self._clock_ns = clock_ns
        self._finished = _FinishedTraces()
        self._tracers = TracerProvider(resource=Resource.get_empty(), id_generator=_TraceIds())
        self._tracers.add_span_processor(
            MlflowV3SpanProcessor(self._finished, export_metrics=False)
        )
        # MLflow imports much of itself with the first span; no person should wait for that.
        self.start_turn().discard()

    def start_turn(self) -> "TurnTrace":
        """Start the root span `chat_turn`; its trace ID is known from here on."""
        return self._start(self._clock_ns(), self._clock_ns)

    def restart_turn(self, trace_id: str, began_ms: int, ended_ms: int) -> "TurnTrace":
        """Start the root span anew under the ID of a trace that died with its process.

        It began and ended at these milliseconds since the epoch.
        """
        token = _TraceIds.given.set(int(trace_id.removeprefix("tr-"), 16))
        try:
            return self._start(began_ms * 1_000_000, lambda: ended_ms * 1_000_000)
        finally:
            _TraceIds.given.reset(token)

    def _start(self, began_ns: int, clock_ns: Callable[[], int]) -> "TurnTrace":
        if provider.get() is not self._tracers:
            # At first, and whenever an agent called `mlflow.set_experiment` or the like.
            provider.set(self._tracers)
            provider.once.do_once(lambda: None)
        root = mlflow.start_span_no_context(
            "chat_turn",
            span_type=SpanType.CHAIN,
            experiment_id=UNRESOLVED_EXPERIMENT,
            start_time_ns=began_ns,
        )
        if root.trace_id == NO_OP_SPAN_TRACE_ID:
            # MLflow only logs a warning when it cannot start a span; nobody may be told of a
            # trace that will never be.
            raise Unavailable("Answers cannot be traced right now.")
        self._finished.expect(root.trace_id)
        return TurnTrace(root, self._finished, dict(self._tags), clock_ns)


@dataclass(slots=True)
class TurnTrace:
    """The trace of one running turn. `end` is called exactly once."""

    root: LiveSpan
    _finished: _FinishedTraces
    _tags: dict[str, str]
    _clock_ns: Callable[[], int]
    _metadata: dict[str, str] = field(default_factory=dict)
    _client_request_id: str = ""
    _llm: LiveSpan | None = None
    _latest_ns: int = 0

    @property
    def trace_id(self) -> str:
        """MLflow's trace ID, `tr-` and 32 hexadecimal digits."""
        return self.root.trace_id

    def describe(
        self,
        client_request_id: str,
        user_id: str,
        conversation_id: str,
        messages: Sequence[Mapping[str, object]],
        tags: Mapping[str, str] | None = None,
    ) -> None:
        """Say whose turn this is and what the model is asked; `tags` are set on this trace."""
        self._client_request_id = client_request_id
        self._metadata[TraceMetadataKey.TRACE_USER] = user_id
        self._metadata[TraceMetadataKey.TRACE_SESSION] = conversation_id
        self._tags.update(tags or {})
        self.root.set_inputs({"messages": list(messages)})

    def discard(self) -> None:
        """Forget a turn that did not come to be."""
        self.root.end()
        self._finished.take(self.trace_id)

    @contextmanager
    def active(self) -> Iterator[None]:
        """Nest spans that an agent makes in this thread under ours."""
        with safe_set_span_in_context(self.root):
            yield

    def start_llm(self, model: str, messages: Sequence[Mapping[str, object]]) -> None:
        """Start the child span of the model call."""
        self._llm = mlflow.start_span_no_context(
            "chat_completion",
            span_type=SpanType.CHAT_MODEL,
            parent_span=self.root,
            inputs={"model": model, "messages": list(messages)},
            attributes={SpanAttributeKey.MODEL: model, SpanAttributeKey.MODEL_PROVIDER: "openai"},
            start_time_ns=self._now_ns(),
        )

    def _now_ns(self) -> int:
        """The time; after the clock has jumped back, the latest this trace has seen."""
        self._latest_ns = max(self._latest_ns, self.root.start_time_ns, self._clock_ns())
        return self._latest_ns

    def end(
        self,
        ending: Ending,
        answer: str,
        *,
        usage: TokenUsage | None = None,
        error: Exception | None = None,
    ) -> Trace:
        """End every span and return the whole trace, ready for `TrackingServer.write_trace`.

        `ending` becomes the tag `thumbprint.ending`; `error` sets status ERROR and is recorded
        as the exception event.
        """
        status = SpanStatusCode.ERROR if error else SpanStatusCode.OK
        for span in filter(None, (self._llm, self.root)):
            if error:
                event = SpanEvent.from_exception(error)
                event.timestamp = self._now_ns()
                span.add_event(event)
        if self._llm:
            if usage:
                self._llm.set_attribute(
                    SpanAttributeKey.CHAT_USAGE,
                    {
                        "input_tokens": usage.input_tokens,
                        "output_tokens": usage.output_tokens,
                        "total_tokens": usage.input_tokens + usage.output_tokens,
                    },
                )
            message = {"role": "assistant", "content": answer}
            self._llm.end(outputs=message, status=status, end_time_ns=self._now_ns())
        self.root.end(outputs=answer, status=status, end_time_ns=self._now_ns())
        trace = self._finished.take(self.trace_id)
        # MLflow would show the text as JSON, in quotes.
        trace.info.response_preview = answer[:PREVIEW_CHARS]
        trace.info.client_request_id = self._client_request_id
        trace.info.trace_metadata.update(self._metadata)
        trace.info.tags.update(self._tags, **{"thumbprint.ending": ending})
        # A span that the agent left open has no end and cannot be stored.
        trace.data.spans = [span for span in trace.data.spans if span.end_time_ns]
        return trace

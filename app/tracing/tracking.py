"""Writes traces and assessments to the MLflow tracking server; every write says if it was kept.

All writes are idempotent, so the outbox may repeat them: a trace is written under its own ID, and
an assessment under an ID derived from who judged what, so that a change of mind updates the one
assessment instead of adding a second.
See https://mlflow.org/docs/latest/genai/assessments/feedback/
"""

import os
import threading
from dataclasses import dataclass
from typing import Any, Literal

import mlflow
from mlflow.entities import (
    Assessment,
    AssessmentSource,
    Expectation,
    Feedback,
    Span,
    Trace,
    TraceInfo,
)
from mlflow.entities.trace_location import TraceLocation
from mlflow.exceptions import MlflowException
from mlflow.store.tracking.rest_store import RestStore
from mlflow.tracing.client import TracingClient

from app.tracing.failures import NotDelivered, explained, is_missing
from app.tracing.request_headers import settle_proxy, settle_request_headers
from app.tracing.span_batches import SpanBatches

_FINALIZED = "mlflow.trace.infoFinalized"


@dataclass(frozen=True, slots=True)
class Verdict:
    """One assessment as it should stand on its trace."""

    assessment_id: str
    trace_id: str
    kind: Literal["feedback", "expectation"]
    name: str
    value: Any
    source_type: Literal["HUMAN", "CODE"]
    source_id: str
    rationale: str | None
    metadata: dict[str, str]


class TrackingServer:
    """A tracking server and the experiment in it that receives our traces."""

    def __init__(self, uri: str, experiment_name: str, timeout_s: int = 5) -> None:
        """Nothing is sent before the first write. `timeout_s` bounds each request."""
        os.environ.update(
            MLFLOW_HTTP_REQUEST_TIMEOUT=str(timeout_s),
            MLFLOW_HTTP_REQUEST_MAX_RETRIES="0",
            MLFLOW_ASYNC_TRACE_LOGGING_RETRY_TIMEOUT=str(timeout_s),
            MLFLOW_DISABLE_TELEMETRY="true",
        )
        settle_request_headers()
        settle_proxy(uri)
        # MLflow asks for it when a span ends too; its default is a store that is not installed
        # with the light package.
        mlflow.set_tracking_uri(uri)
        self._experiment_name = experiment_name
        self._experiment_id: str | None = None
        self._resolving = threading.Lock()
        self._client = TracingClient(uri)
        self._span_batches = SpanBatches(self._log_spans)

    @property
    def client(self) -> TracingClient:
        """MLflow's client of this server, for the other modules of this package."""
        return self._client

    def experiment_id(self) -> str:
        """ID of the experiment, created if nobody has yet. Raises `NotDelivered`."""
        if self._experiment_id is not None:
            return self._experiment_id
        # While the server hangs, callers must not queue up behind the first one.
        if not self._resolving.acquire(timeout=1.0):
            raise NotDelivered("experiment: the server does not answer", unreachable=True)
        try:
            if self._experiment_id is None:
                self._experiment_id = self._find_or_create_experiment()
            return self._experiment_id
        except Exception as error:
            # Says nothing about the item being delivered, so never a refusal of it.
            raise NotDelivered(f"experiment: {error}", unreachable=True) from error
        finally:
            self._resolving.release()

    def ping(self) -> None:
        """Ask the server for the experiment. Raises `NotDelivered` when it does not answer."""
        with explained():
            self._client.store.get_experiment(self.experiment_id())

    def answers(self) -> bool:
        """Whether `ping` is answered."""
        try:
            self.ping()
        except NotDelivered:
            return False
        return True

    def _find_or_create_experiment(self) -> str:
        store = self._client.store
        known = store.get_experiment_by_name(self._experiment_name)
        if known is None:
            try:
                return str(store.create_experiment(self._experiment_name))
            except MlflowException:
                # Another process may have created it since we looked.
                known = store.get_experiment_by_name(self._experiment_name)
                if known is None:
                    raise
        return str(known.experiment_id)

    def write_trace(self, trace: Trace) -> None:
        """Write a trace (`TurnTrace.end`); returns once it is stored for good.

        Raises `NotDelivered`. Writing the same trace again changes nothing.
        """
        with explained():
            try:
                stored = self._start(trace)
            except MlflowException as error:
                if not is_missing(error):
                    raise
                self._experiment_id = None  # MLflow came back empty
                stored = self._start(trace)
            self._span_batches.send(trace.data.spans)
        if stored.trace_metadata.get(_FINALIZED) != "true":
            raise NotDelivered("the server kept the trace unfinished")

    def _start(self, trace: Trace) -> TraceInfo:
        trace.info.trace_location = TraceLocation.from_experiment_id(self.experiment_id())
        return self._client.start_trace(trace.info)

    def _log_spans(self, spans: list[Span]) -> None:
        try:
            self._client.log_spans(self.experiment_id(), spans)
        except NotImplementedError:
            # MLflow's client asks the server once for its version and remembers the outcome, also
            # that there was no answer; then it would refuse every span until this process ends.
            RestStore._get_server_version.cache_clear()  # noqa: SLF001
            raise

    def write_verdict(self, verdict: Verdict) -> None:
        """Make `verdict` the one current value of its assessment. Raises `NotDelivered`."""
        assessment = _as_assessment(verdict)
        with explained():
            try:
                self._update(verdict, assessment)
            except MlflowException as error:
                if not is_missing(error):
                    raise
                try:
                    self._client.log_assessment(verdict.trace_id, assessment)
                except MlflowException as second:
                    if is_missing(second):
                        raise
                    # Another relay created it since we looked; a real refusal fails again here.
                    self._update(verdict, assessment)

    def withdraw(self, trace_id: str, assessment_id: str) -> None:
        """Remove an assessment; removing one that is not there is fine. Raises `NotDelivered`."""
        with explained():
            self._client.delete_assessment(trace_id, assessment_id)

    def delete_trace(self, trace_id: str) -> None:
        """Delete a trace; deleting one that is not there is fine. Raises `NotDelivered`."""
        store = self._client.store
        with explained():
            try:
                info = store.get_trace_info(trace_id)
            except MlflowException as error:
                if not is_missing(error):
                    raise
                return
            # Its own experiment: the setting may have named another one then.
            store.delete_traces(experiment_id=info.experiment_id, trace_ids=[trace_id])

    def _update(self, verdict: Verdict, assessment: Assessment) -> None:
        # MLflow keeps the old rationale when given none; an empty one clears it.
        updated = self._client.store.update_assessment(
            trace_id=verdict.trace_id,
            assessment_id=verdict.assessment_id,
            expectation=assessment.expectation,
            feedback=assessment.feedback,
            rationale=verdict.rationale or "",
            metadata=verdict.metadata,
        )
        # To metadata it only adds, so what was taken out of it goes with the whole assessment.
        if (updated.metadata or {}).keys() - verdict.metadata.keys():
            self._client.delete_assessment(verdict.trace_id, verdict.assessment_id)
            self._client.log_assessment(verdict.trace_id, assessment)


def trace_from_json(text: str) -> Trace:
    """The trace whose `to_json` that is."""
    trace: Trace = Trace.from_json(text)
    return trace


def _as_assessment(verdict: Verdict) -> Assessment:
    source = AssessmentSource(source_type=verdict.source_type, source_id=verdict.source_id)
    kind = Feedback if verdict.kind == "feedback" else Expectation
    assessment = kind(
        name=verdict.name,
        value=verdict.value,
        source=source,
        trace_id=verdict.trace_id,
        metadata=verdict.metadata,
    )
    assessment.rationale = verdict.rationale
    assessment.assessment_id = verdict.assessment_id
    return assessment

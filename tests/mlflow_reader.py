"""Reads traces, spans and assessments back from MLflow through MLflow's own client."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mlflow.entities import Span, Trace
    from mlflow.tracking import MlflowClient


@dataclass(frozen=True)
class Verdict:
    """One piece of feedback as MLflow holds it."""

    name: str
    value: object
    rationale: str | None
    source_type: str
    source_id: str
    metadata: dict[str, str]


class MlflowReader:
    """What a person looking into MLflow would find about one experiment."""

    def __init__(self, tracking_uri: str, experiment: str) -> None:
        self._tracking_uri = tracking_uri
        self.experiment = experiment
        self._experiment_id: str | None = None
        self._opened: MlflowClient | None = None

    @property
    def client(self) -> MlflowClient:
        """MLflow's client, imported when first needed because that takes seconds."""
        if self._opened is None:
            from mlflow.tracking import MlflowClient

            self._opened = MlflowClient(self._tracking_uri)
        return self._opened

    @property
    def experiment_id(self) -> str:
        """The experiment's ID; AssertionError while it does not exist."""
        if self._experiment_id is None:
            found = self.client.get_experiment_by_name(self.experiment)
            assert found is not None, f"no experiment {self.experiment!r}"
            self._experiment_id = str(found.experiment_id)
        return self._experiment_id

    def trace(self, trace_id: str) -> Trace:
        """One trace with its spans; AssertionError while MLflow holds no spans of it."""
        from mlflow.tracing.client import TracingClient

        # A trace's row comes before its spans. In between, MLflow's client would look for them in
        # the artifact store of whatever server this process used last, and retry for minutes.
        info = TracingClient(self._tracking_uri).get_trace_info(trace_id)
        assert info.tags.get("mlflow.trace.spansLocation"), f"{trace_id} has no spans yet"
        trace: Trace = self.client.get_trace(trace_id)
        return trace

    def is_stored(self, trace_id: str) -> bool:
        """Whether the trace is complete in MLflow (its row alone would not prove it)."""
        metadata: dict[str, str] = self.trace(trace_id).info.trace_metadata
        return metadata.get("mlflow.trace.infoFinalized") == "true"

    def model_span(self, trace_id: str) -> Span:
        """The one span of a call of a language model."""
        spans = self.trace(trace_id).data.spans
        found = [span for span in spans if span.span_type in {"LLM", "CHAT_MODEL"}]
        assert len(found) == 1, f"spans: {[(span.name, span.span_type) for span in spans]}"
        return found[0]

    def traces(self, filter_string: str | None = None) -> list[Trace]:
        """Every trace of the experiment, newest first, without spans."""
        found: list[Trace] = []
        token: str | None = None
        while True:
            page = self.client.search_traces(
                locations=[self.experiment_id],
                filter_string=filter_string,
                max_results=500,
                include_spans=False,
                page_token=token,
            )
            found.extend(page)
            token = page.token
            if not token:
                return found

    def verdicts(self, trace_id: str) -> list[Verdict]:
        """Every piece of feedback on the trace, superseded ones included."""
        return verdicts_of(self.trace(trace_id))

    def opinions(self, trace_id: str) -> dict[str, object]:
        """What a person said of the trace, by name: feedback and corrections; each name once."""
        found = self.trace(trace_id).info.assessments
        said = [
            (one.name, held.value)
            for one in found
            if one.source.source_type == "HUMAN" and (held := one.feedback or one.expectation)
        ]
        assert len(dict(said)) == len(said), f"a name twice on {trace_id}"
        return dict(said)

    def verdict(self, trace_id: str) -> object:
        """The value of a person's only verdict; AssertionError unless there is exactly one."""
        found = [one for one in self.verdicts(trace_id) if one.source_type == "HUMAN"]
        assert len(found) == 1, f"{len(found)} verdicts on {trace_id}"
        return found[0].value


def verdicts_of(trace: Trace) -> list[Verdict]:
    """The feedback a trace found by traces() or trace() carries."""
    return [
        Verdict(
            name=one.name,
            value=one.feedback.value,
            rationale=one.rationale,
            source_type=one.source.source_type,
            source_id=one.source.source_id or "",
            metadata=one.metadata or {},
        )
        for one in trace.info.assessments
        if one.feedback is not None
    ]
